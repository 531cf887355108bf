"""What surrounds a page's text: head, navigation, the way to the other language."""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from docs.site.pages import Page, relative
from docs.site.words import WORDS

HERE = Path(__file__).resolve().parent
FIRST = {"en": "README.md", "zh-CN": "README.zh-CN.md"}
#: Pages the navigation calls by a word of its own.
SHORT = dict.fromkeys(("index.html", "index.zh-CN.html"), "home") | dict.fromkeys(
    ("learn/index.html", "learn/index.zh-CN.html"), "menu"
)


def layout(page: Page, body: str, navigation: list[Page], twin: Page | None) -> str:
    """The whole HTML file of a page."""
    words, css = WORDS[page.language], style()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self'; frame-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )
    home = next(each for each in navigation if each.source == FIRST[page.language])
    switch = ""
    if twin is not None:
        switch = (
            f'<a class="switch" lang="{twin.language}" hreflang="{twin.language}" '
            f'href="{_to(page, twin)}">{words["other"]}</a>'
        )
    return template().substitute(
        language=page.language,
        policy=policy,
        title=escape(page.title if page.title == "elman" else f"{page.title} · elman"),
        style=css,
        skip=words["skip"],
        home=_to(page, home),
        switch=switch,
        menu=words["menu"],
        links="".join(_navigation(page, navigation)),
        body=body,
    )


@cache
def style() -> str:
    """The style sheet; it stands in every page, whose policy admits this very text alone."""
    return (HERE / "style.css").read_text(encoding="utf-8")


@cache
def template() -> Template:
    """The frame of a page."""
    return Template((HERE / "page.html").read_text(encoding="utf-8"))


def _navigation(page: Page, pages: list[Page]) -> Iterator[str]:
    """The list of pages in the page's language, else in the other with a word."""
    words = WORDS[page.language]
    sources = {each.source: each for each in pages}
    groups: dict[str, list[Page]] = {"": [], "learn": [], "pages": [], "project": []}
    for each in pages:
        other = sources.get(each.twin)
        if each.language == page.language or other is None:
            groups[_group(each)].append(each)
    for name, members in groups.items():
        if name:
            yield f"<h2>{words[name]}</h2>"
        yield "<ul>"
        for each in members:
            here = ' aria-current="page"' if each.source == page.source else ""
            title = words[SHORT[each.target]] if each.target in SHORT else each.title
            only = "" if each.language == page.language else words["only"]
            yield f'<li><a href="{_to(page, each)}"{here}>{escape(title)}{only}</a></li>'
        yield "</ul>"


def _group(page: Page) -> str:
    if page.source.startswith("docs/learn/"):
        return "learn"
    if page.source.startswith("docs/"):
        return "pages"
    return "" if page.source in FIRST.values() else "project"


def _to(page: Page, other: Page) -> str:
    return relative(page.target, other.target)
