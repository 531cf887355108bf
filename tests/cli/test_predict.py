"""`elman predict`: where the answers go, and that what lies there is whole or untouched."""

import os
import subprocess
import threading

import pytest


def test_into_a_file(elman, trained, terms, tmp_path):
    printed = elman("predict", trained, terms).out
    result = elman("predict", trained, terms, "-o", tmp_path / "answers.csv")
    assert (result.code, result.out) == (0, "")
    assert result.err == f"60 rows with their answers in {tmp_path / 'answers.csv'}\n"
    assert (tmp_path / "answers.csv").read_bytes().decode("utf-8") == printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["answers.csv", "terms.csv"]


def test_a_file_that_is_there_is_replaced_whole(elman, refused, trained, terms, tmp_path):
    answers = tmp_path / "answers.csv"
    answers.write_text("old\n" * 10_000)
    old = answers.read_bytes()
    refused("predict", trained, terms, "--text", "nothing", "-o", answers)
    assert answers.read_bytes() == old
    result = elman("predict", trained, terms, "-o", answers)
    assert result.code == 0
    assert b"old" not in answers.read_bytes()
    aside = tmp_path / "answers.bak-1.csv"  # somebody may have written corrections in it
    assert aside.read_bytes() == old
    assert f"the file that was there is now {aside}" in result.err


def test_never_over_the_input(refused, trained, terms, tmp_path):
    before = terms.read_bytes()
    link = tmp_path / "link.csv"
    link.symlink_to(terms)
    for output in (terms, link, tmp_path / "." / "terms.csv"):
        assert "is the input itself; choose another name for -o" in refused(
            "predict", trained, terms, "-o", output
        )
    assert terms.read_bytes() == before


def test_places_that_cannot_be_written(refused, trained, terms, tmp_path, contents):
    before = contents(tmp_path)
    for output in (
        tmp_path,
        tmp_path / "no" / "such" / "answers.csv",
        terms / "answers.csv",
        tmp_path / ("x" * 300),
    ):
        assert f"{output}: cannot be written: " in refused("predict", trained, terms, "-o", output)
    assert contents(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_a_device_is_written_to_not_replaced(elman, trained, terms, tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)  # open at both ends: no side waits for the other

    def read():
        while not got or not got[-1].endswith(b"end"):
            got.append(os.read(descriptor, 65536))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        result = elman("predict", trained, terms, "-o", pipe)
    finally:
        os.write(descriptor, b"end")
        reader.join(timeout=300)
        os.close(descriptor)
    assert result.code == 0
    assert pipe.is_fifo()
    assert b"".join(got).decode() == elman("predict", trained, terms).out + "end"


def test_the_text_column_can_be_told(elman, trained, tmp_path):
    (tmp_path / "other.csv").write_text("id,name\n1,头痛发\n2,发痛头\n", "utf-8")
    result = elman("predict", trained, tmp_path / "other.csv", "--text", "name")
    assert [line.split(",")[:2] for line in result.out.splitlines()] == [
        ["id", "name"], ["1", "头痛发"], ["2", "发痛头"],
    ]  # fmt: skip


def test_an_empty_text_and_unknown_characters_have_answers(elman, trained, tmp_path):
    (tmp_path / "odd.csv").write_text('term,n\n"",1\n😀,2\n"a\n""b"",",3\n', "utf-8")
    result = elman("predict", trained, tmp_path / "odd.csv")
    assert result.code == 0
    lines = result.out.split("\n")
    assert lines[1].startswith(",1,")
    assert lines[2].startswith("😀,2,")
    assert '\n"a\n""b"",",3,' in result.out


@pytest.mark.parametrize("rows", [60, 20_000], ids=["less than a buffer", "many buffers"])
def test_a_reader_that_has_gone(command, trained, terms, tmp_path, rows):
    big = tmp_path / "big.csv"
    header, *lines = terms.read_text("utf-8").splitlines()
    big.write_text("\n".join([header, *(lines * (rows // 60))]), "utf-8")
    start, environment = command
    read_end, write_end = os.pipe()
    os.close(read_end)
    child = subprocess.run(
        [*start, "predict", str(trained), str(big)],
        stdout=write_end, stderr=subprocess.PIPE, env=environment, timeout=300, check=False,
    )  # fmt: skip
    os.close(write_end)
    assert child.stderr == b""
    assert child.returncode != 0  # its reader did not get everything


def test_head(command, trained, terms):
    start, environment = command
    child = subprocess.Popen(
        [*start, "predict", str(trained), str(terms)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
    )  # fmt: skip
    head = subprocess.run(["head", "-1"], stdin=child.stdout, capture_output=True, check=True)
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    child.wait(timeout=300)
    assert head.stdout == b"term,label,group,predicted,probability_fall,probability_rise\n"


def test_csv_is_utf_8_wherever_it_is_printed(process, elman, trained, terms):
    child = process("predict", trained, terms, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout == elman("predict", trained, terms).out
