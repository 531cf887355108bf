"""`elman train generate`, `elman generate`, `elman evaluate`: from a text to more of its kind."""

import inspect
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from elman import Generator
from elman.cli.train_generate import generate
from elman.data import read_text
from elman.tasks.generate.files import train_on_text

EXAMPLE = Path(__file__).parents[2] / "examples/data/sentences_zh.txt"
QUICK = ["--epochs", "2", "--hidden-size", "16", "--embedding-size", "8", "--lr", "0.01"]
FILES = [
    "README.md", "config.json", "metrics.jsonl", "model.safetensors", "report.html", "vocab.json",
]  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A text and a run directory made of it once; tests must not change them."""
    folder = tmp_path_factory.mktemp("written")
    shutil.copy(EXAMPLE, folder / "text.txt")
    model = Generator(epochs=2, hidden_size=16, embedding_size=8, lr=0.01)
    train_on_text(model, read_text(folder / "text.txt"), 0.1)
    return model.save(folder / "run")


@pytest.fixture
def run(written, tmp_path):
    """A run directory that a command could spoil."""
    return shutil.copytree(written, tmp_path / "run")


def learned(run):
    """What the same training must make the same."""
    return {n: (run / n).read_bytes() for n in ("model.safetensors", "metrics.jsonl", "vocab.json")}


def test_from_a_file_to_its_like(elman, tmp_path):
    out = tmp_path / "run"
    result = elman("train", "generate", EXAMPLE, *QUICK, "--out", out)
    assert (result.code, result.err) == (0, "")
    for word in ("data", "network", "training", "held out", "bits", "baseline", "perplexity"):
        assert sum(line.startswith(f"  {word:<10} ") for line in result.out.splitlines()) == 1, word
    assert result.out.endswith(f"  saved      {out}\n")
    assert len(re.findall(r"(?m)^  sample     .{60,}$", result.out)) == 1
    assert len(re.findall(r"(?m)^  epoch \d/2  .*bits per character \d\.\d{3}", result.out)) == 2
    assert sorted(p.name for p in out.iterdir()) in (FILES, sorted([*FILES, "checkpoint"]))
    model = Generator.load(out)
    bits = model.about.held_out.figure("bits_per_character")
    assert f"  bits       {bits:.3f} per character" in result.out
    assert bits < model.about.held_out.figure("unigram_bits")
    assert model.about.command.startswith("elman train generate ")
    assert model.about.command in (out / "README.md").read_text("utf-8")
    assert f"{bits:.3f}" in (out / "README.md").read_text("utf-8")

    result = elman("generate", out, "--prompt", "我爱", "--length", "30", "--seed", "1")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"我爱{model.generate('我爱', 30, seed=1)}\n"

    text = read_text(EXAMPLE).text
    result = elman("evaluate", out, EXAMPLE)
    assert (result.code, result.err) == (0, "")
    assert f"{model.judge(text).bits_per_character:.3f} per character" in result.out
    assert "beware     the model learned from most of this text" in result.out
    assert f"it never saw: {bits:.3f}\n" in result.out
    figures = json.loads(elman("evaluate", out, EXAMPLE, "--json").out)
    assert figures == vars(model.judge(text)) | {"learned_from": True}

    other = tmp_path / "other.txt"
    other.write_text("我爱你🤖\n", "utf-8")
    result = elman("evaluate", out, other)
    assert "beware" not in result.out
    assert "20.00% of them <unk>" in result.out
    assert json.loads(elman("evaluate", out, other, "--json").out)["learned_from"] is False


def test_words(elman, tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text("the cat sat on a mat.\na dog ran home.\n" * 40, "utf-8")
    out = tmp_path / "run"
    more = ["--level", "word", "--max-vocab", "9", "--chunk", "8", "--num-layers", "2"]
    result = elman("train", "generate", path, *QUICK, *more, "--out", out)
    assert (result.code, result.err) == (0, "")
    assert "words → embedding 8 → 2 layers of RNN 16 (tanh) → 10 tokens" in result.out
    assert Generator.load(out).settings_.chunk == 8
    result = elman("generate", out, "--prompt", "the cat ", "--length", "10", "--seed", "0")
    assert result.out.startswith("the cat ")
    assert "cat  " not in result.out


def test_the_defaults_are_those_of_the_class():
    given = inspect.signature(generate).parameters
    for name, parameter in inspect.signature(Generator).parameters.items():
        if (name := {"random_state": "seed"}.get(name, name)) in given:
            assert given[name].default == parameter.default, name


def test_each_option_reaches_the_model(elman, tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("我爱你。\n" * 60, "utf-8")
    asked = {
        "level": "word", "max_vocab": 4, "embedding_size": 5, "hidden_size": 6, "num_layers": 2,
        "nonlinearity": "relu", "dropout": 0.1, "init": "identity", "chunk": 7, "epochs": 1,
        "batch_size": 3, "lr": 0.02, "clip": 0.5, "patience": 2, "device": "cpu",
    }  # fmt: skip
    arguments = [x for n, v in asked.items() for x in (f"--{n.replace('_', '-')}", v)]
    out = tmp_path / "run"
    result = elman("train", "generate", path, *arguments, "--seed", "9", "--out", out)
    assert (result.code, result.err) == (0, "")
    settings = Generator.load(out).settings_.model_dump()
    assert settings.items() >= (asked | {"random_state": 9}).items()


def test_options_of_writing(elman, written):
    def text(*more):
        result = elman("generate", written, "--prompt", "我", "--length", "60", *more)
        assert (result.code, result.err) == (0, "")
        assert len(result.out) >= 62
        return result.out

    model = Generator.load(written)
    assert text("--seed", "3") == text("--seed", "3")
    assert len({text("--seed", "3"), text("--seed", "4"), text(), text()}) == 4
    greedy = f"我{model.generate('我', 60, temperature=0)}\n"
    assert text("--temperature", "0") == greedy
    assert text("--temperature", "9", "--top-k", "1", "--seed", "5") == greedy
    assert text("--temperature", "9", "--top-p", "1e-9") == greedy
    hot = model.generate("我", 60, temperature=2, top_k=5, top_p=0.9, seed=1)
    assert text("--temperature=2", "--top-k=5", "--top-p=0.9", "--seed=1") == f"我{hot}\n"
    assert elman("generate", written, "--length", "0").out == "\n"
    assert elman("generate", written, "--length", "0", "--prompt", "我爱").out == "我爱\n"
    assert len(elman("generate", written).out) == 201


def test_a_prompt_of_any_text(elman, written):
    for prompt in ("🤖我爱", "e\u0301 \u200d\U0010ffff", "全不认识xyz", "a\nb\r\n", "x" * 5000):
        result = elman("generate", written, "--prompt", prompt, "--length", "5", "--seed", "1")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith(prompt)
        assert "\ufffd" not in result.out


def test_a_prompt_that_is_no_text(refused, written):
    line = refused("generate", written, "--prompt", "我\udce7")  # a byte that is not UTF-8
    assert line == "error: the prompt holds half a character: give it in UTF-8"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "-1"), ("temperature", "nan"), ("temperature", "inf"), ("top-k", "-1"),
        ("top-p", "0"), ("top-p", "1.5"), ("top-p", "nan"), ("seed", str(2**70)),
    ],
)  # fmt: skip
def test_writing_out_of_range(refused, written, name, value):
    line = refused("generate", written, f"--{name}", value)
    assert line.startswith(f"error: {name.replace('-', '_')} should be ")


@pytest.mark.parametrize(
    "more",
    [["--length", "-1"], ["--length", "many"], ["--seed", "-1"], ["--top-k", "1.5"], ["--speed=3"]],
    ids=str,
)
def test_writing_arguments_that_are_none(elman, written, more):
    result = elman("generate", written, *more)
    assert result.code == 2
    assert "Traceback" not in result.err
    assert more[0].partition("=")[0] in result.err


# Bad input -----------------------------------------------------------------------------------

TEXT = "我爱你。\n" * 60
BAD = {
    "missing.txt": (None, "no such file; check the path"),
    "empty.txt": (b"", "the file is empty"),
    "blank.txt": (b" \n\r\n\t", "the file is empty"),
    "program.bin": (b"\x7fELF\2\1\1\0\0\0", "a NUL byte at offset 7; this is not a text file"),
    "picture.png": (b"\x89PNG\r\n\x1a\n\0\0", "this is not a text file"),
    "pickle.bin": (b"\x80\x04\x95abc", "byte 0x80 on line 1 (offset 0) is not utf-8"),
    "nul.txt": (TEXT.encode() + b"\0", "a NUL byte at offset 780"),
    "controls.txt": (b"abc\x01\x02" * 100, "200 of 500 characters are control characters"),
    "gb.txt": (TEXT.encode("gb18030"), "--encoding gb18030"),
    "utf16.txt": (TEXT.encode("utf-16"), "--encoding utf-16"),
    "cut.txt": (TEXT.encode()[:-3], "byte 0xe3 on line 60"),
    "folder": (b"a folder", "cannot be read: Is a directory"),
}
SHORT = {
    "one.txt": ("我".encode(), "at least 100 are needed; give a longer one"),
    "short.txt": ("我爱你。\n".encode() * 20, "at least 100 are needed; give a longer one"),
}


def put(tmp_path, name, content):
    path = tmp_path / name
    if content == b"a folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", BAD | SHORT)
@pytest.mark.parametrize("there", [True, False], ids=["over-a-run", "anew"])
def test_training_on_it(refused, run, tmp_path, contents, name, there):
    content, message = (BAD | SHORT)[name]
    path = put(tmp_path, name, content)
    before = contents(tmp_path)
    out = run if there else tmp_path / "new"
    line = refused("train", "generate", path, *QUICK, "--out", out)
    assert line.startswith(f"error: {path}: ")
    assert message in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", BAD)
def test_judging_it(refused, run, tmp_path, contents, name):
    content, message = BAD[name]
    path = put(tmp_path, name, content)
    before = contents(tmp_path)
    line = refused("evaluate", run, path)
    assert line.startswith(f"error: {path}: ")
    assert message in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig"])
def test_another_encoding(elman, tmp_path, encoding):
    path = tmp_path / "t.txt"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode(encoding))
    more = [*QUICK, "--encoding", encoding, "--out", tmp_path / encoding]
    assert elman("train", "generate", path, *more).code == 0
    assert {*Generator.load(tmp_path / encoding).vocabulary_.tokens} == {*"我爱你。\n"}
    assert elman("evaluate", tmp_path / encoding, path, "--encoding", encoding).code == 0


def test_an_encoding_that_is_none(refused, tmp_path):
    path = put(tmp_path, "t.txt", TEXT.encode())
    line = refused("train", "generate", path, "--encoding", "utf-9", "--out", tmp_path / "run")
    assert f"{path}: unknown encoding 'utf-9'; try utf-8 or gb18030" in line


def test_one_character_over_and_over(elman, tmp_path):
    path = put(tmp_path, "a.txt", b"a" * 400)
    result = elman("train", "generate", path, *QUICK, "--out", tmp_path / "run")
    assert (result.code, result.err) == (0, "")
    assert elman("generate", tmp_path / "run", "--length", "5").out == "aaaaa\n"


def test_too_many_unknown(refused, tmp_path):
    path = put(tmp_path, "t.txt", " ".join(f"w{k}" for k in range(300)).encode())
    line = refused("train", "generate", path, "--level", "word", "--out", tmp_path / "run")
    assert re.search(r"t\.txt: 99% of the text would be <unk> .*raise max_vocab", line)
    path = put(tmp_path, "u.txt", "".join(map(chr, range(0x4E00, 0x4E00 + 25_000))).encode())
    line = refused("train", "generate", path, "--out", tmp_path / "run")
    assert re.search(r"u\.txt: the text has \d+ different characters, more than 20000", line)


@pytest.mark.parametrize(
    "more",
    [
        ["--lr", "0"], ["--lr", "nan"], ["--clip", "-1"], ["--dropout", "1"],
        ["--hidden-size", "100000"], ["--num-layers", "99"], ["--device", "tpu"],
        ["--device", "cuda:77"], ["--seed", str(2**40)], ["--max-vocab", str(10**9)],
        ["--bidirectional"],
    ],
    ids=str,
)  # fmt: skip
def test_training_out_of_range(refused, tmp_path, contents, more):
    put(tmp_path, "t.txt", TEXT.encode())
    before = contents(tmp_path)
    line = refused("train", "generate", tmp_path / "t.txt", *more, "--out", tmp_path / "run")
    assert line.startswith((f"error: {more[0]}: should be ", f"error: {more[0][2:]}"))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "more",
    [
        ["--level", "byte"], ["--hidden-size", "0"], ["--epochs", "0"], ["--chunk", "0"],
        ["--max-vocab", "0"], ["--hold-out", "0"], ["--hold-out", "1"], ["--seed", "-1"],
        ["--init", "zeros"], ["--batch-size", "x"],
    ],
    ids=str,
)  # fmt: skip
def test_training_arguments_that_are_none(elman, tmp_path, contents, more):
    put(tmp_path, "t.txt", TEXT.encode())
    before = contents(tmp_path)
    result = elman("train", "generate", tmp_path / "t.txt", *more, "--out", tmp_path / "run")
    assert result.code == 2
    assert more[0] in result.err
    assert "Traceback" not in result.err
    assert contents(tmp_path) == before


def test_a_loss_that_is_not_finite(refused, tmp_path, contents):
    path = put(tmp_path, "t.txt", TEXT.encode())
    before = contents(tmp_path)
    more = ["--lr", "1e30", "--nonlinearity", "identity", "--out", tmp_path / "run"]
    line = refused("train", "generate", path, *more)
    assert re.search(r"became (nan|inf) .*lower the learning rate", line)
    assert contents(tmp_path) == before


def test_tasks_are_told_apart(refused, run, trained, terms, contents, tmp_path):
    before = contents(tmp_path)
    line = refused("predict", run, terms)
    assert line == (
        f"error: {run}: a run of the task 'generate', which writes text; use elman generate"
    )
    line = refused("generate", trained, "--prompt", "我")
    assert line == f"error: {trained}: a run of the task 'classify', 'generate' is needed"
    line = refused("generate", tmp_path / "nowhere")
    assert "nowhere: no such run directory; `elman train` makes one" in line
    line = refused("generate", terms)
    assert "is a file; a run directory is needed, or an exported model" in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "model.safetensors"])
def test_a_damaged_run(refused, run, name):
    whole = (run / name).read_bytes()
    for data in (None, b"", whole[:50], whole[:-9], b"\xff" * 20):
        (run / name).unlink(missing_ok=True)
        if data is not None:
            (run / name).write_bytes(data)
        for arguments in (["generate", run], ["evaluate", run, EXAMPLE]):
            assert str(run) in refused(*arguments)


def test_a_run_that_is_there_is_kept(elman, run, tmp_path):
    before = learned(run)
    path = put(tmp_path, "t.txt", TEXT.encode())
    result = elman("train", "generate", path, *QUICK, "--out", run)
    assert f"moved      the run that was there is now {run}.bak-1" in result.out
    assert learned(tmp_path / "run.bak-1") == before != learned(run)


# As a process of its own ---------------------------------------------------------------------


@pytest.fixture
def start(command):
    """Begin `python -m elman ...`, its output to be read as it comes."""
    children = []

    def begin(*arguments, head=command[0], **options):
        environment = command[1]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        children.append(subprocess.Popen([*head, *map(str, arguments)], env=environment, **options))
        return children[-1]

    yield begin
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate(timeout=300)


def read(descriptor, least, seconds=60):
    """What comes until there are so many bytes, without waiting for the end."""
    got, until = b"", time.monotonic() + seconds
    while len(got) < least:
        assert time.monotonic() < until, got
        if select.select([descriptor], [], [], 1)[0]:
            piece = os.read(descriptor, 4096)
            assert piece, got
            got += piece
    return got


@pytest.mark.skipif(os.name == "nt", reason="needs a Unix terminal")
def test_it_streams_to_a_terminal_and_ctrl_c_ends_it(start, written):
    ours, theirs = os.openpty()
    more = ["--prompt", "我爱", "--length", 10**9, "--seed", 1]
    child = start("generate", written, *more, stdin=theirs, stdout=theirs)
    os.close(theirs)
    got = read(ours, 300)
    assert child.poll() is None  # it is still at it
    expected = "我爱" + Generator.load(written).generate("我爱", 120, seed=1)
    assert got.replace(b"\r\n", b"\n").startswith(expected.encode()[:200])
    child.send_signal(signal.SIGINT)
    while select.select([ours], [], [], 0.2)[0]:  # what it wrote before the signal came
        try:
            os.read(ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
    assert child.wait(timeout=300) == 130
    assert b"Traceback" not in child.stderr.read()
    os.close(ours)


@pytest.mark.skipif(os.name == "nt", reason="needs a Unix pipe")
def test_a_reader_may_leave(start, written):
    child = start("generate", written, "--length", 10**9)
    read(child.stdout.fileno(), 30)
    assert child.poll() is None
    child.stdout.close()  # as `| head` does
    assert child.wait(timeout=300) != 0
    assert child.stderr.read() == b""


# writes a checkpoint after each step, however short the training
EAGER = """
from elman.cli import main
from elman.train.checkpoint import Checkpoint
Checkpoint.due = lambda self: True
main()
"""
LONG = ["--epochs", "4", "--hidden-size", "160"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """What a whole training makes; long enough to stop it on the way."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    model = Generator(epochs=4, hidden_size=160)
    train_on_text(model, read_text(EXAMPLE), 0.1)
    return learned(model.save(folder / "run"))


@pytest.mark.skipif(os.name == "nt", reason="needs Unix signals")
def test_ctrl_c_then_resume(start, elman, uninterrupted, tmp_path):
    out = tmp_path / "run"
    child = start("train", "generate", EXAMPLE, *LONG, "--out", out)
    got = b""
    while b"epoch 1/4" not in got:
        got += read(child.stdout.fileno(), 1)
    time.sleep(0.05)  # into the next epoch
    child.send_signal(signal.SIGINT)
    text, err = child.communicate(timeout=300)
    assert child.returncode == 130, err
    assert b"Traceback" not in err
    assert f"saved in {out}; the same command with --resume goes on".encode() in err
    assert b"  bits  " in text
    part = Generator.load(out)
    assert 1 <= len(part.history_.records) < 4
    assert len(elman("generate", out, "--length", "9").out) >= 10
    result = elman("train", "generate", EXAMPLE, *LONG, "--out", out, "--resume")
    assert (result.code, result.err) == (0, "")
    assert "went on in epoch" in result.out
    assert learned(out) == uninterrupted
    result = elman("train", "generate", EXAMPLE, *LONG, "--out", out, "--resume")
    assert "was finished already" in result.out
    assert learned(out) == uninterrupted


@pytest.mark.skipif(os.name == "nt", reason="needs Unix signals")
def test_killed_then_resumed(start, command, elman, refused, uninterrupted, tmp_path):
    out = tmp_path / "run"
    head, _ = command
    arguments = ["train", "generate", EXAMPLE, *LONG, "--out", out]
    child = start(*arguments, head=[head[0], "-c", EAGER])
    until = time.monotonic() + 300
    while not (out / "checkpoint/unfinished.safetensors").exists():
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.1)
    child.kill()
    child.communicate(timeout=300)
    assert child.returncode == -signal.SIGKILL
    assert [path.name for path in out.iterdir()] == ["checkpoint"]
    assert "its training is not finished; give the command that began it again, with --resume" in (
        refused("generate", out)
    )
    line = refused("train", "generate", EXAMPLE, *LONG, "--out", out, "--resume", "--chunk", "16")
    assert "made with chunk 32, now it is 16" in line
    result = elman("train", "generate", EXAMPLE, *LONG, "--out", out, "--resume")
    assert (result.code, result.err) == (0, "")
    assert "went on in epoch" in result.out
    assert learned(out) == uninterrupted
    assert sorted(p.name for p in out.iterdir()) == sorted([*FILES, "checkpoint"])
