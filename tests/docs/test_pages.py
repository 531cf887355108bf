"""The pages that teach: their code, their numbers, and that both languages say the same."""

import re

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import elman
from docs.learn.scripts import draw, gradients, remedies, tables, truncation
from docs.site.markdown import slug
from docs.site.pages import CHINESE, target_of
from tests.snippets import ROOT, bare, blocks, run

LEARN = ROOT / "docs" / "learn"
CHAPTERS = sorted(path.name for path in LEARN.glob("0*.md") if not path.name.endswith(CHINESE))
ENGLISH = [f"docs/learn/{name}" for name in ("README.md", *CHAPTERS)]
PAGES = [page for name in ENGLISH for page in (name, name.removesuffix(".md") + CHINESE)]
#: Pages whose links are followed, these and all others of the documentation.
LINKED = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))]


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def headings(page):
    """The headings' text without marks, by level and in order."""
    prose = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^(#+) (.+)$", prose, flags=re.MULTILINE)


def twin(page):
    return page.removesuffix(".md") + CHINESE


def test_there_are_nine_chapters_and_no_other_page():
    assert [name[:2] for name in CHAPTERS] == [f"0{k}" for k in range(1, 10)]
    assert sorted(PAGES) == sorted(path.relative_to(ROOT).as_posix() for path in LEARN.glob("*.md"))


@pytest.mark.parametrize("page", [page for page in PAGES if "README" not in page])
def test_the_code_gives_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(page) >= 3


@pytest.mark.parametrize("page", ENGLISH)
def test_both_languages_have_the_same_code_pictures_and_parts(page):
    assert bare(page) == bare(twin(page))
    for name in (r"interactive: .+", r"measured: .+"):
        assert re.findall(name, text_of(page)) == re.findall(name, text_of(twin(page)))
    levels = [mark for mark, _ in headings(page)]
    assert levels == [mark for mark, _ in headings(twin(page))]
    pictures = re.findall(r"\]\((figures/.+?)\.svg\)", text_of(page))
    chinese = re.findall(r"\]\((figures/.+?)\.zh-CN\.svg\)", text_of(twin(page)))
    assert pictures == chinese


@pytest.mark.parametrize("page", PAGES)
def test_only_comments_are_in_the_page_s_language(page):
    code = "".join(blocks(page, "python"))
    comments = [line.partition("  # ")[2] for line in code.splitlines() if "→" not in line]
    chinese = any(re.search(r"[一-鿿]", comment) for comment in comments)
    assert not chinese or page.endswith(CHINESE)


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_to_a_page_and_a_heading(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert file.is_file(), f"{page}: {target}"
        if anchor:
            taken = set()
            found = [slug(words, taken) for _, words in headings(file.relative_to(ROOT))]
            assert anchor in found, f"{page}: {target}"


@pytest.mark.parametrize("end", [".md", CHINESE])
def test_each_page_leads_to_the_one_before_the_next_and_its_twin(end):
    names = [name.removesuffix(".md") + end for name in CHAPTERS]
    other = CHINESE if end == ".md" else ".md"
    for k, name in enumerate(names):
        text = text_of(f"docs/learn/{name}")
        last = text.strip().splitlines()[-1]
        around = [*names[max(k - 1, 0) : k], f"README{end}", *names[k + 1 : k + 2]]
        assert re.findall(r"\]\((.+?)\)", last) == around
        assert f"]({name.removesuffix(end) + other})" in text.splitlines()[2]
        for target, told in zip(around, re.findall(r"\[(.+?)\]", last), strict=True):
            if "README" not in target:
                assert headings(f"docs/learn/{target}")[0][1] == told
    index = re.findall(r"^\| \[(.+?)\]\((.+?)\)", text_of(f"docs/learn/README{end}"), re.MULTILINE)
    assert index == [(headings(f"docs/learn/{name}")[0][1], name) for name in names]


@pytest.mark.parametrize("page", PAGES)
def test_what_was_measured_is_in_the_page(page):
    found = tables.json.loads(tables.FILE.read_text(encoding="utf-8"))
    assert tables.filled(ROOT / page, found) == text_of(page)


def test_the_pictures_are_what_the_scripts_draw():
    drawn = draw.pictures()
    assert {path.name for path in draw.FIGURES.iterdir()} == set(drawn)
    for name, picture in drawn.items():
        assert (draw.FIGURES / name).read_text(encoding="utf-8") == picture, name


def _rows(page):
    """The rows of the table of shapes: (arguments, words after it, three shapes)."""
    pattern = r"^\| `(RNN\(.+?\))`(.*?) \| (\(.+?\)) \| (\(.+?\)) \| (\(.+?\)) \|$"
    return re.findall(pattern, text_of(page), flags=re.MULTILINE)


@pytest.mark.parametrize("page", ["docs/learn/03-shapes.md", "docs/learn/03-shapes.zh-CN.md"])
def test_the_table_of_shapes(page):
    lengths = [7, 2, 5, 1]
    sizes = {"L": 7, "N": 4, "H_in": 3, "H": 5, "S": sum(lengths)}
    rows = _rows(page)
    assert len(rows) == 10
    for call, also, *shapes in rows:
        rnn = eval(call, {"RNN": elman.RNN, **sizes})
        given, state, wanted = (eval(shape, dict(sizes)) for shape in shapes)
        h_0 = torch.zeros(state)
        if "PackedSequence" in also:
            x = torch.randn(sizes["L"], sizes["N"], sizes["H_in"])
            packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
            assert packed.data.shape == given
            output, h_n = rnn(packed, h_0)
            output = output.data
        elif "lengths" in also:
            output, h_n = rnn(torch.randn(given), h_0, lengths=lengths)
        else:
            output, h_n = rnn(torch.randn(given), h_0)
        assert (output.shape, h_n.shape) == (wanted, state), (call, also)


def test_the_numbers_worked_out_by_hand():
    W_ih, W_hh = torch.tensor([[0.5, -0.3], [0.2, 0.8]]), torch.tensor([[0.1, 0.4], [-0.5, 0.3]])
    x, h = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -0.5])
    rows = [W_ih @ x, torch.tensor([0.1, 0.0]), W_hh @ h, torch.tensor([0.0, -0.2])]
    rows += [sum(rows), sum(rows).tanh()]
    for page in ("docs/learn/02-one-step.md", "docs/learn/02-one-step.zh-CN.md"):
        table = [line.split("|")[2:4] for line in text_of(page).splitlines() if line[:2] == "| "]
        for row, cells in zip(rows, table[1:], strict=True):
            for value, cell in zip(row.tolist(), cells, strict=True):
                told = cell.rpartition("=")[2].replace("−", "-").strip()
                assert abs(float(told) - value) < 0.0006, cell


def test_the_text_names_what_was_done():
    vanishing, cures = "docs/learn/07-gradients.md", "docs/learn/08-remedies.md"
    held = {
        vanishing: ["a hundred-thousandth", f"{gradients.L} steps", "seeds"],
        twin(vanishing): ["十万分之一", f"{gradients.L} 步"],
        cures: [
            f"With {remedies.UPDATES} updates",
            f"At L = {remedies.CLIPPED},",
            f"{truncation.UPDATES} updates each",
            f"bit of\n{({10: 'ten'})[truncation.LAG]} steps before",
        ],
        twin(cures): [
            f"训练 {remedies.UPDATES} 次更新",
            f"L = {remedies.CLIPPED}，",
            f"训练 {truncation.UPDATES} 次更新",
            f"说出{({10: '十'})[truncation.LAG]}步之前",
        ],
    }
    for page, phrases in held.items():
        for phrase in phrases:
            assert phrase in text_of(page), f"{page}: {phrase}"
    for page in (vanishing, twin(vanishing)):  # twenty steps back: what the code beside it gives
        assert "for k in (5, 10, 20, 50)]  # → ['4e-02', '2e-03', '1e-05', " in text_of(page)


def test_pages_lie_where_the_site_says():
    assert target_of("docs/learn/01-hidden-state.zh-CN.md") == "learn/01-hidden-state.zh-CN.html"
