"""Programs of the tests' own, under a compiler's sanitizers."""

import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
COMMON = ["-std=c++17", "-g1", "-pthread", "-fno-sanitize-recover=all"]
# -O0 where there is much to compile: what is checked stays the same, and the compiler takes a third
MEMORY = ["-O0", "-fsanitize=address,undefined"]
THREADS = ["-O1", "-fsanitize=thread"]


def start(arguments, **options):
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=300, check=False, **options
    )


def environment_for(compiler, sanitizer, folder):
    """What a program with this sanitizer needs to start here; skips where none does."""
    (folder / "empty.cpp").write_text("int main() {}\n")
    program = folder / "empty"
    built = start([*compiler, *COMMON, *sanitizer, folder / "empty.cpp", "-o", program])
    if built.returncode != 0:
        pytest.skip(f"the compiler has no {sanitizer[-1]}: {built.stderr.strip()[-200:]}")
    why = ""
    for options in ("", "detect_leaks=0"):  # looking for leaks needs ptrace, which may be forbidden
        environment = {**os.environ, "ASAN_OPTIONS": options}
        ran = start([program], env=environment)
        if ran.returncode == 0:
            return environment
        why = ran.stderr.strip()[-200:]
    pytest.skip(f"a program with {sanitizer[-1]} does not start here: {why}")
