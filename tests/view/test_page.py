"""The page as a file: one, small, locked, and the same words in both languages."""

import base64
import hashlib
import html
import re

import pytest
import torch
from torch import nn

import elman
from elman.view import page as pages
from tests.view.networks import array, document

SOURCES = pages._SOURCES
MODULES = sorted(SOURCES.glob("*.js"))


def test_every_number_goes_through_exactly():
    rnn, x = nn.RNN(3, 5), torch.randn(7, 3)
    found = document(elman.view(rnn, x).html)["chains"][0]
    with torch.no_grad():
        assert torch.equal(array(found["h"]), rnn(x)[0])
    assert torch.equal(array(found["weightHh"]), rnn.weight_hh_l0.detach())
    assert torch.equal(array(found["weightIh"]), rnn.weight_ih_l0.detach())
    assert torch.equal(array(found["x"]), x)


@pytest.mark.parametrize(
    ("F", "H", "layers", "both"),
    [
        (1, 1, 1, False),
        (128, 256, 1, False),
        (64, 128, 2, True),
        (256, 512, 2, False),
        (768, 128, 1, True),
        (40, 2000, 1, False),
        (30, 40, 8, True),
    ],
)
def test_a_hundred_steps_are_under_a_megabyte(F, H, layers, both):
    rnn = nn.RNN(F, H, num_layers=layers, bidirectional=both)
    page = elman.view(rnn, torch.randn(100, F))
    assert len(page.html.encode()) < 1_000_000
    for chain in document(page.html)["chains"]:
        assert len(chain["units"]) >= min(H, 8)
    if (F, H) == (128, 256):
        assert len(document(page.html)["chains"][0]["units"]) == H  # nothing is left out


def test_only_the_pages_own_program_may_run():
    page = elman.view(nn.RNN(1, 2), torch.zeros(2, 1)).html
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    for rule, element in (
        ("script-src", '<script type="module">(.*?)</script>'),
        ("style-src", "<style>(.*?)</style>"),
    ):
        (inside,) = re.findall(element, page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not re.search(r"\son\w+=|\sstyle=|https?://(?!www\.w3\.org/2000/svg)", page)


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{SCRIPT}}\u2028\ud800"


def test_hostile_words_cannot_end_an_element():
    page = elman.view(nn.RNN(1, 2), torch.zeros(2, 1), labels=[HOSTILE, "{{STYLE}}"], title=HOSTILE)
    text = page.html
    assert text.count("<script") == 2
    assert text.count("</script") == 2
    assert "<img" not in text
    assert document(text)["steps"][0]["label"] == HOSTILE
    assert document(text)["steps"][1]["label"] == "{{STYLE}}"
    frame = page._repr_html_()
    assert re.fullmatch(r'<iframe [^<>]*srcdoc="[^"<>]*"[^<>]*></iframe>', frame)
    assert 'sandbox="allow-scripts"' in frame
    assert html.unescape(re.search('srcdoc="([^"]*)"', frame)[1]) == text


def words(language):
    source = (SOURCES / f"words_{language}.js").read_text("utf-8")
    return {
        name: sorted(set(re.findall(r"\{(\w+)[|}]", text)))
        for name, text in re.findall(r'(\w+): "((?:[^"\\]|\\.)*)"', source)
    }


def test_both_languages_say_the_same():
    en, zh = words("en"), words("zh")
    assert en.keys() == zh.keys()
    different = {name for name in en if en[name] != zh[name]}
    assert not different


def test_every_word_is_there_and_used():
    program = "".join(
        file.read_text("utf-8") for file in MODULES if not file.name.startswith("words_")
    ) + (SOURCES / "page.html").read_text("utf-8")
    known = words("en")
    asked = set(re.findall(r'(?:say\(|data-word=)"(\w+)"', program))
    assert asked <= known.keys()
    # names of a step or kind are put together from parts
    parts = re.compile(r"(verdict|advice|x)_\w+|(gradient|gain|jacobian)Title")
    quoted = set(re.findall(r'"(\w+)"', program)) | {"first", "back", "play", "next", "last"}
    assert {name for name in known if not parts.fullmatch(name)} <= quoted


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_a_module_is_one_thought(file):
    source = file.read_text("utf-8")
    assert len(source.splitlines()) < 300
    assert source.startswith("// ")
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert unsafe not in source


def test_every_module_is_in_the_program():
    for file in MODULES:
        assert f"const in_{file.stem} = " in pages.program()
        assert not re.search(r"^(import|export)\b", pages.program(), re.MULTILINE)


def test_half_a_character_is_no_reason_not_to_save(tmp_path):
    page = elman.view(nn.RNN(1, 2), torch.zeros(1, 1), labels=["\ud800"], title="a\ud800")
    saved = page.save(tmp_path / "page.html")
    assert "<title>a? · elman</title>" in saved.target.read_text("utf-8")


def test_save_moves_an_older_page_aside(tmp_path):
    page = elman.view(nn.RNN(1, 2), torch.zeros(2, 1))
    place = tmp_path / "page.html"
    place.write_text("mine", "utf-8")
    saved = page.save(place)
    assert place.read_text("utf-8") == page.html
    assert saved.moved_aside.read_text("utf-8") == "mine"
    assert page.save(str(place)).unchanged


def test_the_room_is_called_like_a_function():
    assert elman.view(nn.RNN(1, 2), torch.zeros(2, 1)).title == "torch.RNN(1, 2)"
    assert elman.view.View.__module__ == "elman.view.show"
    assert "view" in dir(elman)
    with pytest.raises(AttributeError, match="nothing_such"):
        elman.view.nothing_such  # noqa: B018
