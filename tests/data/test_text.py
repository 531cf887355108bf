"""read_text: the text of a file, and nothing that is none."""

import gzip
import hashlib

import numpy as np
import pytest

from elman.data import read_text
from elman.errors import DataError


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, encoding="utf-8", name="poem"):
        path = tmp_path / name
        path.write_bytes(content)
        return read_text(path, encoding)

    return write_and_read


@pytest.mark.parametrize("name", ["poem", "poem.txt", "poem.md", "poem.csv", ".poem"])
def test_any_name(read, tmp_path, name):
    text = read("静夜思\n床前明月光\n".encode(), name=name)
    assert text.text == "静夜思\n床前明月光\n"
    assert text.path == tmp_path / name
    assert text.sha256 == hashlib.sha256("静夜思\n床前明月光\n".encode()).hexdigest()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_line_ends_and_encodings(read, encoding, end):
    text = f"床前{end}{end}明月光{end}".encode(encoding)
    assert read(text, encoding).text == "床前\n\n明月光\n"


def test_mixed_line_ends(read):
    assert read(b"a\r\n\rb\n\rc\r\r\n").text == "a\n\nb\n\nc\n\n"


def test_what_is_kept(read):
    whole = "\ta  b\n\f\n\u2028\x85 c\u00a0"
    assert read(("\ufeff" + whole).encode()).text == whole


def test_a_stray_control_character_is_no_harm(read):
    assert read(b"an old file" * 20 + b"\x1a").text.endswith("\x1a")


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (b"", "utf-8", "the file is empty"),
        (b"\xef\xbb\xbf \r\n", "utf-8", "the file is empty"),
        (b"ab\0c", "utf-8", r"a NUL byte at offset 2; this is not a text file .*utf-16"),
        (b"ab\0c", "UTF8", r"a NUL byte at offset 2"),
        (b"ab\n\0c", "gb18030", "a NUL character on line 2; this is not a text file"),
        ("头".encode("utf-16"), "utf-8", "this is UTF-16 text; say so with --encoding utf-16"),
        ("中".encode("gb18030"), "utf-8", "byte 0xd6 on line 1 .*--encoding gb18030"),
        (b"ab\n\xff", "utf-8", r"byte 0xff on line 2 \(offset 3\) is not utf-8"),
        (b"ab", "utf-99", "unknown encoding 'utf-99'"),
        (b"ab", "a\0", "unknown encoding"),
        (b"\x1b[1m" * 30 + b"x", "utf-8", r"30 of 121 characters are control characters; this is"),
        (b"\\ud800", "unicode_escape", "half a character"),
    ],
)
def test_what_is_no_text(read, tmp_path, content, encoding, message):
    with pytest.raises(DataError, match=f"^{tmp_path / 'poem'}: .*{message}") as caught:
        read(content, encoding)
    assert "\n" not in str(caught.value)


def test_binaries(read):
    rng = np.random.default_rng(0)
    picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + rng.bytes(5000)
    for binary in (picture, gzip.compress(rng.bytes(5000)), rng.bytes(5000)):
        with pytest.raises(DataError, match="this is not a text file"):
            read(binary)
        for encoding in ("latin-1", "gb18030", "utf-16", "cp1252"):
            with pytest.raises(DataError):
                read(binary, encoding)


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_text(tmp_path)
    with pytest.raises(DataError, match="no such file; check the path"):
        read_text(tmp_path / "gone")
