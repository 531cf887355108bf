"""The site: whole, at home on the disk alone, and readable on a phone, in both languages."""

import doctest
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from docs.learn.scripts import tables
from docs.site import demos, markdown, pages
from docs.site.build import build
from docs.site.markdown import html_of
from docs.site.pages import CHINESE


class Reader(HTMLParser):
    """What a page links to, what it loads, its anchors, its policy and its language."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.anchors, self.policy = [], [], set(), None
        self.tags, self.language = set(), None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        elif "src" in found:
            self.loads.append(found["src"])
        if tag == "html":
            self.language = found["lang"]
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]


@pytest.fixture(scope="module")
def read(site):
    """Every page of the site by its file, without the interactive ones, which have their own."""
    return {
        path: Reader(path.read_text(encoding="utf-8"))
        for path in sorted(site.out.rglob("*.html"))
        if demos.FOLDER not in path.relative_to(site.out).parts
    }


def test_every_link_leads_to_a_file_and_an_anchor(site, read):
    followed = 0
    for path, page in read.items():
        for address in page.links + page.loads:
            if address.startswith("https://") and address not in page.loads:
                continue
            target, _, anchor = unquote(address).partition("#")
            file = (path.parent / target).resolve() if target else path
            assert file.is_file(), f"{path}: {address}"
            assert file.is_relative_to(site.out), f"{path}: {address}"
            if anchor:
                assert anchor in read[file].anchors, f"{path}: {address}"
            followed += 1
    assert followed > 500


def test_nothing_runs_and_nothing_comes_from_elsewhere(read):
    for path, page in read.items():
        assert page.policy.startswith("default-src 'none'; style-src 'sha256-"), path
        assert not page.tags & {"script", "link", "object", "embed", "form"}, path


def test_every_page_of_the_way_in_is_there_in_both_languages(site, read):
    for source, page in site.pages.items():
        found = read[site.out / page.target]
        assert found.language == ("zh-CN" if source.endswith(CHINESE) else "en")
        if source.startswith("docs/learn/") or source.startswith("README"):
            twin = site.pages[page.twin]
            name = twin.target.rpartition("/")[2]
            assert name in found.links, source


def test_interactive_pages_stand_where_the_text_wants_them_if_there_are_any(site):
    wanted = set(demos.DEMOS) if demos.available() else set()
    assert set(site.demos) == wanted
    for name in demos.DEMOS:
        for end in ("", ".zh-CN"):
            pages = [
                path.read_text(encoding="utf-8") for path in site.out.glob(f"learn/0*{end}.html")
            ]
            assert any(f"interactive/{name}.html" in page for page in pages) == (name in wanted)
        assert (site.out / demos.FOLDER / f"{name}.html").is_file() == (name in wanted)


def test_the_demos_networks_learn_what_they_show():
    model, text = demos.love()
    assert model.generate(text, length=4, temperature=0) == "爱我。我"
    model, term = demos.terms()
    assert model.predict([term]).tolist() == ["real"]


@pytest.mark.parametrize("module", [markdown, pages, tables], ids=lambda m: m.__name__)
def test_the_builder_s_own_examples(module):
    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed


def test_chinese_lines_join_without_a_blank():
    def paragraph(text):
        return html_of(text, str, str)[len("<p>") : -len("</p>\n")]

    assert paragraph("一行\n**两**\n行") == "一行<strong>两</strong>行"
    assert paragraph("用 `h_n`，\nh 是状态") == "用 <code>h_n</code>，h 是状态"
    assert paragraph("层数 D\n为二") == "层数 D\n为二"
    assert paragraph("two\nlines") == "two\nlines"


def test_a_new_build_takes_the_place_of_an_old_one_and_of_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(demos, "DEMOS", {})
    monkeypatch.setattr("docs.site.build.Site.write", lambda self: self._save("a.html", "new"))
    build(tmp_path / "site")
    build(tmp_path / "site")
    assert (tmp_path / "site" / "a.html").read_text(encoding="utf-8") == "new"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(FileExistsError, match="mine holds something else"):
        build(tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "site"]


def test_links_to_nowhere_and_raw_html_are_refused(site):
    page = site.pages["README.md"]
    with pytest.raises(FileNotFoundError, match=r"README\.md: the link lost\.md leads to no file"):
        site.link(page, "lost.md")
    with pytest.raises(ValueError, match="no HTML but comments"):
        html_of("<div>x</div>\n", str, str)
    assert (
        html_of("<!-- unseen -->\n\nsaid `<b>`\n", str, str)
        == "<p>said <code>&lt;b&gt;</code></p>\n"
    )
    with pytest.raises(ValueError, match="no HTML but comments"):
        html_of("in a line <script>x</script>\n", str, str)


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_a_browser_shows_every_page_from_disk_alone(site, browser, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab = context.new_page()
    asked, complaints = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    root = site.out.as_uri()
    for page in site.pages.values():
        tab.goto(f"{root}/{page.target}")
        wide, room = tab.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= room == width, f"{page.target} is {wide} px wide"
        blank = tab.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
        assert blank == [], page.target
        coloured = "getComputedStyle(document.querySelector('main')).maxWidth"
        assert tab.evaluate(coloured) != "none", f"{page.target}: the style is not applied"
        here = tab.evaluate("document.querySelectorAll('.side a[aria-current]').length")
        assert here == (page in site.navigation), page.target
    for name in site.demos:
        tab.goto(f"{root}/{demos.FOLDER}/{name}.html")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, name
        assert tab.locator("svg").count(), name
    assert complaints == []
    assert {url for url in asked if not url.startswith(root)} == set()
    context.close()


def test_an_interactive_page_works_in_its_frame(site, browser):
    shown = {"one-step": "02-one-step", "terms": "01-hidden-state", "love": "05-tasks"}
    assert set(shown) == set(demos.DEMOS)
    tab = browser.new_page(viewport={"width": 360, "height": 800})
    for name in site.demos:
        tab.goto(f"{site.out.as_uri()}/learn/{shown[name]}.html")
        tab.locator("iframe").scroll_into_view_if_needed()
        tab.frame_locator("iframe").locator("svg").first.wait_for(timeout=60_000)
    tab.close()


def test_the_keyboard_and_the_phone_s_menu(site, browser):
    tab = browser.new_page(viewport={"width": 360, "height": 800})
    tab.goto(f"{site.out.as_uri()}/learn/01-hidden-state.html")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    following = tab.locator("details.menu a", has_text="2. One step by hand")
    assert not following.is_visible()
    tab.locator("details.menu summary").click()
    following.click()
    assert tab.title() == "2. One step by hand · elman"
    tab.locator("a.switch").click()
    assert tab.title() == "2. 手算一步 · elman"
    tab.locator("main > p:last-of-type a").last.click()
    assert tab.title() == "3. 形状 · elman"
    tab.close()
