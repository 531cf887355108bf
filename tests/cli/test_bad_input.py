"""Bad input: one line that names file, row or column and remedy, exit code 2, nothing lost."""

import json
import shutil

import pytest


@pytest.fixture
def run(trained, tmp_path):
    """A run directory that a command could spoil."""
    return shutil.copytree(trained, tmp_path / "run")


# name of the file: its bytes (None: it is not there), what the line says after the file's name
FILES = {
    "missing.csv": (None, "no such file; check the path"),
    "empty.csv": (b"", "the file is empty"),
    "header.csv": (b"term,label\n", "no rows below the column names; add some"),
    "column.csv": (b"text,label\na,b\n", "no column 'term'; the columns are 'text', 'label'"),
    "fields.csv": (b"term,label\na,b\na,b,c\n", "row 2 (line 3) has 3 fields"),
    "quote.csv": (b'term,label\n"a,b\n', "line 2 "),
    "binary.csv": (b"\x80\x04\x95\0\0", "byte 0x80 on line 1"),
    "nul.csv": (b"term,label\na,\0\n", "a NUL character on line 2; this is not a text file"),
    "gb.csv": ("term,label\n中,是\n".encode("gb18030"), "--encoding gb18030"),
    "utf16.csv": ("term,label\na,b\n".encode("utf-16"), "say so with --encoding utf-16"),
    "file.xlsx": (b"PK\3\4", "name it .csv, .tsv or .jsonl"),
    "broken.jsonl": (b'{"term": "a", "label": "b"}\n{"term": \n', "row 2 (line 2) is not JSON"),
    "half.jsonl": (b'{"term": "a\\ud800", "label": "b"}\n', "row 1 (line 1)"),
    "keyless.jsonl": (b'{}\n{"term": "a", "label": "b"}\n', "row 1 (line 1)"),
}
LABELLED = {
    "one-class.csv": (b"term,label\na,x\nb,x\nc,x\n", "column 'label' holds only one class, 'x'"),
    "few.csv": (b"term,label\na,x\nb,y\n", "give more rows"),
    "no-text.csv": (b"term,label\na,x\n,y\n", "row 2 (line 3): column 'term' is empty; fill it in"),
    "no-label.csv": (b"term,label\na,x\nb,\n", "row 2 (line 3): column 'label' is empty; fill it"),
}


def write(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    return tmp_path / name


@pytest.mark.parametrize("name", FILES | LABELLED)
def test_training(refused, run, tmp_path, contents, name):
    content, message = (FILES | LABELLED)[name]
    path = write(tmp_path, name, content)
    before = contents(tmp_path)
    line = refused("train", "classify", path, "--text", "term", "--label", "label", "--out", run)
    assert line.startswith(f"error: {path}: ")
    assert message in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_asking(refused, run, tmp_path, contents, command, name):
    content, message = FILES[name]
    path = write(tmp_path, name, content)
    before = contents(tmp_path)
    line = refused(command, run, path)
    assert line.startswith(f"error: {path}: ")
    assert message in line
    assert contents(tmp_path) == before


def test_a_label_the_model_never_saw(refused, run, tmp_path):
    path = write(tmp_path, "odd.csv", "term,label\n头痛发,rise\n痛头,odd\n".encode())
    line = refused("evaluate", run, path)
    assert f"{path}: row 2 (line 3): label 'odd' is none of those the model knows" in line


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: shutil.rmtree(run), "run: no such run directory; `elman train` makes one"),
        (lambda run: (run / "config.json").unlink(), "not a run directory, config.json is missing"),
        (lambda run: (run / "vocab.json").unlink(), "vocab.json: damaged: it is missing; "),
        (
            lambda run: (run / "model.safetensors").unlink(),
            "model.safetensors: damaged: it is miss",
        ),
        (lambda run: (run / "config.json").write_text("{"), "config.json: damaged: "),
        (lambda run: (run / "config.json").write_bytes(b"\xff"), "config.json: damaged: "),
        (
            lambda run: (run / "vocab.json").write_text('{"tokens": ["a"]}'),
            "vocab.json: damaged: its SHA-256 is not",
        ),
        (
            lambda run: (run / "model.safetensors").write_bytes(b"x" * 99),
            "model.safetensors: damag",
        ),
        (lambda run: edit(run, task="tag"), "config.json: damaged: task 'tag' is none of classify"),
        (lambda run: edit(run, format_version=9), "written by a newer elman (format 9"),
    ],
)
def test_a_damaged_run(refused, run, terms, contents, tmp_path, command, spoil, message):
    spoil(run)
    before = contents(tmp_path)
    line = refused(command, run, terms)
    assert line.startswith(f"error: {run}")
    assert message in line
    assert contents(tmp_path) == before


def edit(run, **changes):
    config = json.loads((run / "config.json").read_text("utf-8"))
    (run / "config.json").write_text(json.dumps(config | changes), "utf-8")


def test_a_place_that_is_taken(refused, terms, tmp_path, contents):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("ten years of work")
    before = contents(tmp_path)
    arguments = ["train", "classify", terms, "--text", "term", "--label", "label", "--out"]
    assert "that are not an elman run; choose a new" in refused(*arguments, tmp_path / "thesis")
    assert "there is a file or a link of this name; choose another --out" in refused(
        *arguments, terms
    )
    assert "cannot be written: Not a directory" in refused(*arguments, terms / "run")
    assert "choose another --out" in refused(*arguments, tmp_path / ("x" * 300))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [("--lr", "0"), ("--lr", "nan"), ("--dropout", "1"), ("--clip", "-1"), ("--seed", "4294967296"),
     ("--hidden-size", "9999999")],
)  # fmt: skip
def test_a_setting_out_of_range(refused, terms, run, contents, tmp_path, option, value):
    before = contents(tmp_path)
    line = refused("train", "classify", terms, "--text", "term", "--label", "label", "--out", run,
                   option, value)  # fmt: skip
    assert line.startswith(f"error: {option}: should be ")
    assert contents(tmp_path) == before


def test_a_learning_rate_that_is_too_high(refused, terms, run, contents, tmp_path):
    before = contents(tmp_path)
    line = refused("train", "classify", terms, "--text", "term", "--label", "label", "--out", run,
                   "--nonlinearity", "relu", "--lr", "1e30")  # fmt: skip
    assert "lower the learning rate (it is 1e+30)" in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "arguments",
    [["train", "classify"], ["predict"], ["predict", "a"], ["nonsense"], ["train", "nonsense"],
     ["train", "classify", "f.csv", "--text", "t", "--label", "l", "--epochs", "0"],
     ["train", "classify", "f.csv", "--text", "t", "--label", "l", "--nonlinearity", "sin"]],
)  # fmt: skip
def test_a_mistyped_command(elman, arguments):
    result = elman(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "Error" in result.err or "error" in result.err
    assert "Traceback" not in result.err
