"""What pyproject.toml cannot say: the example data travels along, and the kernels are compiled.

The kernels are C++ behind PyTorch's stable interface: one library, which no Python version and
no exact torch version is built into. Where it cannot be built, elman is installed without it and
says so: `elman info`.
"""

import os
import platform
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

#: Compiler flags of each instruction set. They are linked last and the plain one before the others:
#: where two objects bring the same function of the standard library, the linker takes the first,
#: and that must run anywhere.
INSTRUCTION_SETS: dict[str, list[str]] = {"plain": []}
if platform.machine() in ("x86_64", "AMD64"):
    INSTRUCTION_SETS["avx2"] = ["-mavx2", "-mfma"]
    INSTRUCTION_SETS["avx512"] = [
        "-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma",
    ]  # fmt: skip

SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"

#: The oldest torch whose interface is used, as torch/csrc/stable/version.h writes versions.
OLDEST_TORCH = "0x020a000000000000"


def torch_directory() -> Path | None:
    """Where torch lies; pip hides it from a build of its own, but it is there all the same."""
    spec = find_spec("torch")
    if spec is not None and spec.origin:
        return Path(spec.origin).parent
    hidden = Path(sysconfig.get_path("purelib")) / "torch"
    return hidden if (hidden / "include").is_dir() else None


class AnyPython(bdist_wheel):
    """Names the wheel for what it is: of one machine, for every Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        """Python, its interface, and the machine."""
        return "py3", "none", super().get_tag()[2]


class Kernels(build_ext):
    """Compiles csrc/scan.cpp once for every instruction set, and links all into one library."""

    def get_ext_filename(self, fullname: str) -> str:
        """A plain library's name, without the version of Python."""
        return str(Path(*fullname.split(".")).with_suffix(SUFFIX))

    def run(self) -> None:
        """Build, or say why not and go on without."""
        problem = self._missing()
        if problem is None:
            try:
                super().run()
            except Exception as error:  # noqa: BLE001 - whatever it is, elman works without
                problem = f"the compiler failed: {error}"
            else:
                return
        note = f"built without the compiled kernels: {problem}"
        print(f"elman: {note}")  # noqa: T201
        self._write_note(note)

    def _missing(self) -> str | None:
        if os.environ.get("ELMAN_NO_KERNELS"):
            return "ELMAN_NO_KERNELS is set"
        if os.name == "nt":
            return "they are not made for Windows yet"
        compiler = os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++"
        if shutil.which(compiler.split()[0]) is None:
            return f"no C++ compiler ({compiler.split()[0]}) was found"
        if torch_directory() is None:
            return "torch was not installed yet"
        return None

    def build_extension(self, ext: Extension) -> None:
        """Objects first, the library last."""
        library = Path(self.get_ext_fullpath(ext.name))
        known = [Path(p).stat().st_mtime for p in [*ext.depends, "setup.py"]]
        if library.exists() and library.stat().st_mtime > max(known):
            return
        torch = torch_directory()
        assert torch is not None
        out = Path(self.build_temp)
        common = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra"]
        quiet = [
            "-Wno-unused-parameter",
            "-Wno-maybe-uninitialized",
            "-Wno-uninitialized",
        ]  # torch's headers, gcc's own

        def compiled(source: str, name: str, flags: list[str], **options: Any) -> list[str]:
            return self.compiler.compile(  # type: ignore[no-any-return]
                [f"csrc/{source}.cpp"],
                output_dir=str(out / name),
                extra_postargs=[*common, *quiet, *flags],
                depends=ext.depends,
                **options,
            )

        with ThreadPoolExecutor() as pool:
            jobs = [
                pool.submit(compiled, source, "", []) for source in ("kernels", "scratch", "stream")
            ]
            jobs.append(
                pool.submit(
                    compiled, "binding", "", [],
                    macros=[("TORCH_TARGET_VERSION", OLDEST_TORCH)],
                    include_dirs=[str(torch / "include")],
                )
            )  # fmt: skip
            jobs += [
                pool.submit(compiled, "scan", name, flags, macros=[("ELMAN_ISA", name)])
                for name, flags in INSTRUCTION_SETS.items()
            ]
            objects = [path for job in jobs for path in job.result()]
        library.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(
            objects, str(library),
            libraries=["torch_cpu"], library_dirs=[str(torch / "lib")], target_lang="c++",
        )  # fmt: skip

    def _write_note(self, note: str) -> None:
        """Leave the reason where `elman info` finds it."""
        library = Path(self.get_ext_fullpath(self.extensions[0].name))
        library.unlink(missing_ok=True)  # of an earlier build
        library.parent.mkdir(parents=True, exist_ok=True)
        library.with_suffix(".txt").write_text(note + "\n", encoding="utf-8")


SOURCES = sorted(str(p) for p in Path("csrc").glob("*.cpp"))

setup(
    exclude_package_data={"elman.examples": ["make_terms.py", "make_sentences.py"]},
    packages=[*find_packages("src"), "elman.examples"],
    package_dir={"": "src", "elman.examples": "examples"},
    package_data={
        "elman": ["py.typed"],
        "elman.ops.cuda": ["*.cuh"],
        "elman.report": ["*.css", "*.js"],
        "elman.view": ["page/*"],
        "elman.examples": ["data/*"],
    },
    ext_modules=[
        Extension(
            "elman.ops._kernels",
            SOURCES,
            depends=[*SOURCES, *sorted(str(p) for p in Path("csrc").glob("*.h"))],
        )
    ],
    cmdclass={"build_ext": Kernels, "bdist_wheel": AnyPython},
)
