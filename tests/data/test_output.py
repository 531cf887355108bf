"""open_output: a file that is there whole or not at all, pipes and devices."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from elman.data import files_in, open_output
from elman.errors import DataError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_and_one_that_is_replaced(tmp_path):
    """The other is kept under another name, but for one that holds the same."""
    path, aside, told = tmp_path / "out.csv", tmp_path / "out.bak-1.csv", []
    for text in ("头\n", "other\r\n", "other\r\n"):
        with open_output(path, kept=told.append) as stream:
            stream.write(text)
            assert not path.exists() or path.read_bytes() == ("头\n" if not told else text).encode()
        assert path.read_bytes() == text.encode()
    assert names(tmp_path) == ["out.bak-1.csv", "out.csv"]
    assert aside.read_bytes() == "头\n".encode()
    assert told == [aside]


@pytest.mark.parametrize("error", [DataError("row 3"), KeyboardInterrupt(), RuntimeError("x")])
def test_an_error_inside_leaves_what_was_there(tmp_path, error):
    for old in (None, b"old"):
        path = tmp_path / "out.csv"
        if old:
            path.write_bytes(old)
        with pytest.raises(type(error)), open_output(path) as stream:  # noqa: PT012
            stream.write("x" * 100_000)
            raise error
        assert names(tmp_path) == (["out.csv"] if old else [])
        assert old is None or path.read_bytes() == old


def test_an_os_error_of_something_else_is_not_the_outputs(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.bin"), open_output(tmp_path / "out.csv"):
        (tmp_path / "model.bin").read_bytes()
    assert names(tmp_path) == []


def test_never_over_an_input(tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("a")
    second.write_text("b")
    (tmp_path / "link.csv").symlink_to(second)
    (tmp_path / "hard.csv").hardlink_to(second)
    for name in ("b.csv", "link.csv", "hard.csv", "./b.csv"):
        message = "is the input itself; choose another name for -o"
        with (
            pytest.raises(DataError, match=message),
            open_output(tmp_path / name, [first, tmp_path / "gone.csv", second]),
        ):
            raise AssertionError
    assert second.read_text() == "b"
    with open_output(tmp_path / "c.csv", [first, tmp_path / "gone.csv"]) as stream:
        stream.write("c")


def test_a_link_stays_one_and_permissions_stay(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "out.csv", tmp_path / "out.csv"
    link.symlink_to(target)
    for text in ("new", "newer"):  # a link to nothing yet, then to a file
        with open_output(link) as stream:
            stream.write(text)
        assert link.is_symlink()
        assert target.read_text() == text
        target.chmod(0o640)
    assert target.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path / "real") == ["out.bak-1.csv", "out.csv"]


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    for path, why in {
        tmp_path: "Is a directory",
        tmp_path / "no" / "out.csv": "No such file or directory",
        tmp_path / "file" / "out.csv": "Not a directory",
        tmp_path / ("x" * 300): "File name too long",
    }.items():
        message = f"^{path}: cannot be written: {why}$"
        with pytest.raises(DataError, match=message), open_output(path):
            raise AssertionError
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_must_not_be_changed(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    path.chmod(0o400)
    with pytest.raises(DataError, match="cannot be written: Permission denied"), open_output(path):
        raise AssertionError
    assert path.read_text() == "old"


@pytest.mark.parametrize("size", [10, 100_000], ids=["at the end", "in the middle"])
def test_a_full_disk(tmp_path, size):
    """A limit on the size of a file stands for it: what lay there stays, nothing is left over."""
    path = tmp_path / "out.csv"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
    try:
        with (
            pytest.raises(DataError, match=r"out\.csv: cannot be written: File too large"),
            open_output(path) as stream,
        ):
            stream.write("x" * size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.csv"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("size", [10, 100_000])
def test_a_full_device(size):
    message = f"^/dev/full: cannot be written: {os.strerror(errno.ENOSPC)}$"
    with pytest.raises(DataError, match=message), open_output(Path("/dev/full")) as stream:
        stream.write("x" * size)
    assert Path("/dev/full").is_char_device()


def test_a_pipe(tmp_path):
    pipe, got = tmp_path / "pipe.csv", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with open_output(pipe) as stream:
        stream.write("头" * 50_000)
    reader.join(timeout=300)
    assert got == [("头" * 50_000).encode()]
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe.csv"]


def test_a_pipe_whose_reader_goes(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: pipe.open("rb").close())
    reader.start()
    message = r"pipe\.csv: cannot be written: Broken pipe"
    with pytest.raises(DataError, match=message), open_output(pipe) as stream:  # noqa: PT012
        reader.join(timeout=300)
        stream.write("x" * 1_000_000)


WRITER = """
import sys
from pathlib import Path
from elman.data import open_output
with open_output(Path(sys.argv[1])) as stream:
    stream.write("new" * 100_000)
    stream.flush()
    if len(sys.argv) > 2:
        print("half", flush=True)
        sys.stdin.read()
"""


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "wait"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout.readline() == b"half\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert path.read_text() == "old"
    assert names(tmp_path) == [f".out.csv.partial-{child.pid}", "out.csv"]
    assert files_in(tmp_path) == [path]  # what is left is no input


def test_what_killed_processes_left(tmp_path):
    """Also one of the same number; what a process writes that is alive stays."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for number in (os.getpid(), ended.pid):
        (tmp_path / f".out.csv.partial-{number}").write_text("left")
    living = tmp_path / f".out.csv.partial-{os.getppid()}"
    living.write_text("half")
    with open_output(tmp_path / "out.csv") as stream:
        stream.write("new")
    assert names(tmp_path) == [living.name, "out.csv"]
    assert (tmp_path / "out.csv").read_text() == "new"


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs /dev/stdout")
def test_standard_output_in_a_file_is_added_to(tmp_path):
    """As `elman predict -o /dev/stdout >> file`: no hidden file in /dev, and nothing lost."""
    path = tmp_path / "out.csv"
    path.write_text("old")
    with path.open("a") as stream:
        subprocess.run([sys.executable, "-c", WRITER, "/dev/stdout"], stdout=stream, check=True)
    assert path.read_text() == "old" + "new" * 100_000
    assert Path("/dev/stdout").is_symlink()
