"""report.html while a training runs: there in time, whole after a kill, gone or finished after."""

import errno
import os
import re
import signal
import subprocess
import time

import pytest

from elman import Classifier
from elman.cli.console import Log
from elman.tasks.livepage import LivePage
from elman.tasks.newrun import NewRun
from elman.train import Progress
from tests.report.browsing import opened

SAME = ("model.safetensors", "metrics.jsonl", "vocab.json")
FINISHED, REFRESH = "How this classifier learned", '<meta http-equiv="refresh"'


@pytest.fixture
def often(monkeypatch):
    """A page after every epoch."""
    monkeypatch.setattr("elman.tasks.livepage._OFTEN", 0.0)
    monkeypatch.setattr("elman.tasks.livepage._SHARE", 1e9)


@pytest.fixture
def after_epoch(monkeypatch):
    """Do something each time an epoch was told of and its page written."""
    call = LivePage.__call__

    def arrange(act):
        def called(page, progress):
            call(page, progress)
            if progress.record is not None:
                act(progress)

        monkeypatch.setattr(LivePage, "__call__", called)

    return arrange


def names(place):
    return sorted(path.name for path in place.iterdir())


def text_of(page):
    return page.read_text("utf-8")


def test_after_each_epoch_and_never_half_there(train, often, after_epoch, tmp_path):
    run, pages = tmp_path / "run", []
    after_epoch(lambda progress: pages.append(text_of(run / "report.html")))
    result = train("run", "--epochs", "4")
    assert (result.code, result.err) == (0, "")
    for k, page in enumerate(pages, start=1):
        assert f"This classifier is learning: epoch {k} of 4" in page
        assert f"这个分类器正在学习：第 {k} 轮，共 4 轮" in page
        assert "The training is under way" in page
        assert "Who was taken for whom" in page
        assert page.count(REFRESH) == 1
        assert page.rstrip().endswith("</html>")
    assert len(pages) == 4
    assert result.out.count(f"  report     {run / 'report.html'} shows how it goes") == 1
    finished = text_of(run / "report.html")
    assert FINISHED in finished
    assert REFRESH not in finished
    assert "under way" not in finished
    assert names(run / "checkpoint") == ["last.safetensors"]


def test_the_weights_are_the_same_with_and_without(train, often, after_epoch, tmp_path):
    seen = []
    after_epoch(lambda progress: seen.append((tmp_path / "pages" / "report.html").is_file()))
    train("pages", "--epochs", "4", "--dropout", "0.3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LivePage, "__call__", lambda page, progress: None)
        train("none", "--epochs", "4", "--dropout", "0.3")
    assert seen == [True] * 4
    for name in SAME:
        assert (tmp_path / "pages" / name).read_bytes() == (tmp_path / "none" / name).read_bytes()


def test_an_older_run_keeps_its_own(train, often, after_epoch, tmp_path):
    run, seen = tmp_path / "run", []
    train("run", "--seed", "1")
    older = (run / "report.html").read_bytes()

    def look(progress):
        assert (run / "report.html").read_bytes() == older
        seen.append(REFRESH in text_of(run / "checkpoint" / "report.html"))

    after_epoch(look)
    result = train("run", "--seed", "2")
    assert seen == [True, True]
    assert f"{run / 'checkpoint' / 'report.html'} shows how it goes" in result.out
    assert names(tmp_path) == ["run", "run.bak-1", "terms.csv"]
    assert (tmp_path / "run.bak-1" / "report.html").read_bytes() == older
    for place in (run, tmp_path / "run.bak-1"):
        assert names(place / "checkpoint") == ["last.safetensors"]
    assert REFRESH not in text_of(run / "report.html")


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("older", [False, True])
def test_what_a_training_that_fails_leaves(
    train, often, after_epoch, monkeypatch, tmp_path, checkpoint, older
):
    """What can be gone on with, and its page; else nothing."""
    run = tmp_path / "run"
    if older:
        train("run", "--seed", "1")
    before = names(tmp_path)
    monkeypatch.setattr("elman.train.Checkpoint.due", lambda self: checkpoint)

    class Broken(Exception):
        pass

    def fail(progress):
        if progress.epoch == 2:
            raise Broken

    after_epoch(fail)
    with pytest.raises(Broken):
        train("run", "--seed", "2", "--epochs", "3")
    page = run / "checkpoint" / "report.html" if older else run / "report.html"
    if checkpoint:
        assert "epoch 2 of 3" in text_of(page)
        after_epoch(lambda progress: None)
        assert train("run", "--seed", "2", "--epochs", "3", "--resume").code == 0
    else:
        assert names(tmp_path) == before
        assert not page.exists() or (older and names(run / "checkpoint") == ["last.safetensors"])
        assert not (run / "checkpoint" / "report.html").exists()


def test_it_outlives_a_resume_until_there_is_a_newer_one(
    train, often, after_epoch, monkeypatch, tmp_path
):
    run, seen = tmp_path / "run", []
    monkeypatch.setattr("elman.train.Checkpoint.due", lambda self: True)

    class Killed(BaseException):
        pass

    def die(progress):
        if progress.epoch == 2:
            raise Killed

    after_epoch(die)
    with pytest.raises(Killed):
        train("run", "--epochs", "4")
    show = Log.__call__

    def shown(log, progress):
        seen.append(re.search(r"epoch (\d) of 4", text_of(run / "report.html"))[1])
        show(log, progress)

    monkeypatch.setattr(Log, "__call__", shown)
    after_epoch(lambda progress: None)
    assert train("run", "--epochs", "4", "--resume").code == 0
    assert list(dict.fromkeys(seen)) == ["2", "3"]  # the last is written after the last word
    assert FINISHED in text_of(run / "report.html")
    # begun anew, the page of the other training is taken away at once
    monkeypatch.setattr(Log, "__call__", show)
    after_epoch(die)
    with pytest.raises(Killed):
        train("anew", "--epochs", "4")
    seen.clear()
    monkeypatch.setattr(
        Log, "__call__",
        lambda log, progress: seen.append((tmp_path / "anew" / "report.html").exists()),
    )  # fmt: skip
    with pytest.raises(Killed):
        train("anew", "--epochs", "4")
    assert seen[0] is False


def test_a_page_that_cannot_be_written_stops_nothing(train, often, monkeypatch, tmp_path):
    def full(run, page):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(NewRun, "put_page", full)
    result = train("run", "--epochs", "4")
    assert (result.code, result.err) == (0, "")
    told = "  report     cannot be written: No space left on device; the training goes on without"
    assert result.out.count(told) == 1
    assert FINISHED in text_of(tmp_path / "run" / "report.html")


def test_it_costs_a_hundredth_of_the_time_at_most(tmp_path, monkeypatch):
    """Epochs of a second, pages of two seconds: one in two hundred seconds."""
    now, made = [0.0], []
    monkeypatch.setattr("elman.tasks.livepage.time.monotonic", lambda: now[0])
    folder = tmp_path / "run" / "checkpoint"
    folder.mkdir(parents=True)
    page = LivePage(NewRun(tmp_path / "run", tmp_path / "run"), tmp_path / "run", print)

    def make():
        now[0] += 2.0
        made.append(now[0])
        return "page"

    for epoch in range(1, 1001):
        now[0] += 1.0
        page(Progress(epoch, 1000, 5, 5, 0.5, now[0], record={"epoch": epoch}, page=make))
    assert 4 <= len(made) <= 6
    assert 2.0 * len(made) <= 0.01 * now[0] + 2.0  # but for the first
    # a page that costs nothing is made every three seconds
    monkeypatch.setattr("elman.tasks.livepage._SHARE", 1e9)
    page, made = LivePage(page.run, page.out, print), []
    for epoch in range(1, 101):
        now[0] += 1.0
        page(Progress(epoch, 100, 5, 5, 0.5, now[0], record={}, page=lambda: made.append(0) or ""))
    assert 32 <= len(made) <= 34


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_a_page_that_says_so(command, terms, chromium, tmp_path):
    start, environment = command
    run = tmp_path / "run"
    arguments = ["train", "classify", str(terms), "--text", "term", "--label", "label",
                 "--patience", "100000", "--hidden-size", "8", "--out", str(run)]  # fmt: skip
    child = subprocess.Popen(
        [*start, *arguments, "--epochs", "100000"], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    while "  report  " not in (line := child.stdout.readline()):
        assert line, child.stderr.read()
    assert line == f"  report     {run / 'report.html'} shows how it goes, anew after each epoch\n"
    until = time.monotonic() + 300  # a second of training has its checkpoint
    while not (
        (run / "checkpoint" / "unfinished.safetensors").exists()
        and 'card matrix"' in text_of(run / "report.html")
    ):
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    child.kill()
    child.communicate()
    assert names(run) == ["checkpoint", "report.html"]
    assert "unfinished.safetensors" in names(run / "checkpoint")
    said = {
        "en-US": ("This classifier is learning: epoch", "The training is under way: epoch "),
        "zh-CN": ("这个分类器正在学习：第", "训练进行中：共 100000 轮"),
    }
    for language, (title, words) in said.items():
        with opened(chromium, run / "report.html", language) as (page, seen):
            assert page.title().startswith(title)
            assert words in page.locator(".live").inner_text()
            assert page.locator("figure.chart").count() >= 4
            assert page.locator(".matrix td").count() == 4
            assert seen == []
    again = subprocess.run(
        [*start, *arguments, "--epochs", "2", "--resume"], env=environment, check=False,
        capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert FINISHED in text_of(run / "report.html")
    assert names(run / "checkpoint") == ["last.safetensors"]


def test_a_reader_stays_where_he_is(chromium, tmp_path, monkeypatch):
    """The browser looks again by itself; the place on the page and the language stay."""
    expect = pytest.importorskip("playwright.sync_api").expect
    monkeypatch.setattr("elman.tasks.underway._SOONEST", 3)
    file, pages = tmp_path / "report.html", []
    texts = ["abc", "abd", "abe", "cba", "dba", "eba"] * 4
    labels = ["up", "up", "up", "down", "down", "down"] * 4

    def keep(progress):
        if progress.page is not None:
            assert not hasattr(model, "model_")  # it knows nothing yet
            pages.append(progress.page())

    model = Classifier(epochs=3, hidden_size=8, embedding_size=4)
    model.fit(texts, labels, report=keep)
    file.write_text(pages[0], "utf-8")
    with opened(chromium, file, "en-US") as (page, seen):
        page.locator("#language").click()
        page.evaluate("window.scrollTo(0, 700)")
        for k in (1, 2):
            file.write_text(pages[k], "utf-8")
            expect(page).to_have_title(re.compile(f"第 {k + 1} 轮"), timeout=60_000)
            # What stood there stays, once it is drawn.
            page.wait_for_function("600 <= scrollY && scrollY <= 800", timeout=60_000)
            assert page.get_attribute("html", "lang") == "zh-CN"
        assert [said for said in seen if not said.startswith("request: file:")] == []
