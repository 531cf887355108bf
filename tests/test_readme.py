"""README and its Chinese twin: every command and snippet does what the page says."""

import csv
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from elman.bench import read_rows
from tests.snippets import ROOT, bare, blocks, run

PAGES = ("README.md", "README.zh-CN.md")


def commands(page: str) -> list[str]:
    """The command lines without what comments say in the page's language."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line.partition("#")[0].strip() for line in lines]


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A directory with the examples in it and the elman of this environment on the path."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    bin_dir = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{bin_dir}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_snippets_run_and_give_what_they_say(page, workdir):
    assert run(page) >= 8


def test_commands_run_in_order(workdir):
    ran = []
    for command in commands("README.md"):
        if command.startswith("elman "):
            done = subprocess.run(
                command, shell=True, capture_output=True, text=True, encoding="utf-8", timeout=300
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            ran.append(command.split()[1])
    jobs = ["train", "predict", "evaluate"], ["train", "generate", "evaluate"]
    last = ["info", "bench", "view", "view", "diagnose", "export", "predict"]
    assert ran == [*jobs[0], *jobs[1], *jobs[0], *last]
    answers = (workdir / "answers.csv").read_text(encoding="utf-8").splitlines()
    terms = (ROOT / "examples/data/terms_zh.csv").read_text(encoding="utf-8").splitlines()
    assert len(answers) == len(terms)
    assert answers[0] == "term,label,group,predicted,probability_fake,probability_real"


def test_both_pages_hold_the_same_commands_and_snippets():
    english, chinese = PAGES
    assert commands(english) == commands(chinese)
    assert bare(english) == bare(chinese)
    assert blocks(english, "text") == blocks(chinese, "text")


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "examples/data/README.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    for target in targets:
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_the_pages_name_the_number_of_terms():
    rows = (ROOT / "examples/data/terms_zh.csv").read_text(encoding="utf-8").splitlines()[1:]
    for page in PAGES:
        assert f" {len(rows) // 2} " in (ROOT / page).read_text(encoding="utf-8"), page


#: A processor's instructions, as torch names them and as the pages do.
SPELT = {"AVX2": "AVX2", "AVX512": "AVX-512"}


def on_one_line(page):
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_the_pages_name_the_processor_of_the_chart():
    rows = read_rows(ROOT / "benchmarks/results/cpu.csv")
    (instructions,) = {row["instructions"] for row in rows}
    for page, words in zip(PAGES, ("two cores with {}:", "两个带 {} 的核心："), strict=True):
        text = on_one_line(page)
        assert words.format(SPELT[instructions]) in text


def test_the_pages_tell_of_the_grid_as_it_was_measured():
    rows = read_rows(ROOT / "benchmarks/results/grid.csv")
    ratios = [float(row["ratio"]) for row in rows if row["ratio"]]
    (instructions,) = {row["instructions"] for row in rows}
    assert statistics.median(ratios) > 2
    for page, words in zip(PAGES, ("of the {} ratios", "共 {} 个比值"), strict=True):
        text = on_one_line(page)
        said = text.partition("grid.csv")[2][:300]
        assert f" {SPELT[instructions]}" in said
        assert words.format(len(ratios)) in said
        assert f" {min(ratios):.2f}" in said


def test_the_pages_tell_of_the_gpu_as_it_was_measured():
    with (ROOT / "benchmarks/results/gpu.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["contestant"] == "elman"]
    assert {row["card"] for row in rows} == {"NVIDIA H200"}
    grid = [row for row in rows if row["case"].startswith("grid")]
    half, full = ([float(r["ratio"]) for r in grid if r["dtype"] == dtype]
                  for dtype in ("bfloat16", "float32"))  # fmt: skip
    assert (len(half), len(full)) == (48, 48)
    assert min(half) >= 1.35
    assert min(full) > 1
    (step,) = (row["us_per_step"] for row in rows if row["pass"] == "forward")
    for page, between in zip(PAGES, ("{:.1f} to {:.0f} times", "{:.1f} 到 {:.0f} 倍"), strict=True):
        assert f"{step} µs" in on_one_line(page) or f"{step} 微秒" in on_one_line(page)
        said = on_one_line(page).partition("gpu.csv")[2][:900]
        assert between.format(min(half), max(half)) in said
        assert f"{statistics.median(full):.1f}" in said
        assert f"{min(full):.2f}" in said
        assert len(rows) - len(grid) == 10  # "ten cases"


def test_the_reference_is_short_enough_to_read():
    lines = (ROOT / "src/elman/ops/reference.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 60
