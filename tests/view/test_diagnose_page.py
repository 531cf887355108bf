"""docs/diagnose.md and its Chinese twin: their snippets run, and name what there is."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("diagnose.md", "diagnose.zh-CN.md")


def snippets(page):
    text = (DOCS / page).read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_snippets_run(page, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for snippet in snippets(page):
        exec(snippet, namespace)
    assert (tmp_path / "diagnosis.pdf").stat().st_size > 5000
    assert len(namespace["found"].layers) == 4


def test_both_say_the_same():
    english, chinese = PAGES
    bare = [re.sub(r" *# .*", "", "".join(snippets(page))) for page in PAGES]
    assert bare[0] == bare[1]
    for pattern in (r"https://\S+?(?=\))", r"^    elman .*$", r"^\|", r"`--?[\w-]+`"):
        found = [re.findall(pattern, (DOCS / p).read_text("utf-8"), re.MULTILINE) for p in PAGES]
        assert sorted(found[0]) == sorted(found[1]), pattern
    assert (DOCS / english).exists()
    assert (DOCS / chinese).exists()
