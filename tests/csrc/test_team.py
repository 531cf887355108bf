"""The kernels' threads by themselves, under a sanitizer that looks for races."""

import pytest

from tests.csrc.building import COMMON, HERE, MEMORY, THREADS, environment_for, start


@pytest.mark.parametrize(
    "sanitizer", [pytest.param(MEMORY, id="address"), pytest.param(THREADS, id="thread")]
)
def test_threads_that_help_each_other(compiler, sanitizer, tmp_path):
    environment = environment_for(compiler, sanitizer, tmp_path)
    program = tmp_path / "team"
    warnings = ["-Wall", "-Wextra", "-Wno-unused-function"]
    made = start([*compiler, *COMMON, *sanitizer, *warnings, HERE / "team.cpp", "-o", program])
    assert made.returncode == 0, made.stderr
    ran = start([program], env=environment)
    assert (ran.returncode, ran.stdout) == (0, "right\n"), f"{ran.stdout}\n{ran.stderr[:6000]}"
