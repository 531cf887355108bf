"""Markdown to HTML: anchors as GitHub's, coloured code, links that stay within the site."""

import re
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

Link = Callable[[str], str]  # what a page says of a link or picture → what the site says
Demo = Callable[[str], str]  # the name of an interactive page → HTML, empty where it is not


def html_of(text: str, link: Link, demo: Demo) -> str:
    r"""The body of a page.

    Args:
        text: the Markdown.
        link: called with every address in it.
        demo: called with NAME for every line `<!-- interactive: NAME -->`.

    Raises:
        ValueError: there is other HTML in the text than comments.

    >>> html_of("## Two words", str, str)
    '<h2 id="two-words">Two words</h2>\n'
    """
    parser = MarkdownIt("commonmark", {"html": True, "highlight": coloured})
    parser.enable(["table", "strikethrough"])
    tokens = parser.parse(text)
    _anchor(tokens)
    _keep_together(tokens)
    for token in _walk(tokens):
        for name in ("href", "src"):
            address = token.attrGet(name)
            if address is not None:
                token.attrSet(name, link(str(address)))
    for kind in ("html_block", "html_inline"):
        parser.add_render_rule(kind, lambda _, tokens, k, *rest: _comment(tokens[k], demo))
    parser.add_render_rule("image", _picture)
    parser.add_render_rule("softbreak", _softbreak)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return str(parser.renderer.render(tokens, parser.options, {}))


def coloured(code: str, language: str, _: str = "") -> str:
    """Code with Pygments' classes; what a line gives, `# → value`, has the class `gives`."""
    try:
        lexer = get_lexer_by_name(language) if language else None
    except ClassNotFound:
        lexer = None
    if lexer is None:
        return escape(code)
    html = highlight(code, lexer, HtmlFormatter(nowrap=True))
    return html.replace('<span class="c1"># →', '<span class="gives"># →')


def _picture(self: Any, tokens: Sequence[Token], k: int, options: Any, env: Any) -> str:
    # on a phone a picture is small; by itself it can be made larger
    shown = self.image(tokens, k, options, env)
    return f'<a class="picture" href="{escape(str(tokens[k].attrGet("src")))}">{shown}</a>'


def slug(heading: str, taken: set[str] | None = None) -> str:
    """The anchor GitHub gives a heading.

    >>> slug("What `h_n` holds"), slug("每一步（手算）"), slug("Twice", {"twice"})
    ('what-h_n-holds', '每一步手算', 'twice-1')
    """
    plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    taken = set() if taken is None else taken
    found, k = plain, 0
    while found in taken:
        k += 1
        found = f"{plain}-{k}"
    taken.add(found)
    return found


def _anchor(tokens: Sequence[Token]) -> None:
    taken: set[str] = set()
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(child.content for child in inline.children or ())
            opening.attrSet("id", slug(words, taken))


def _walk(tokens: Sequence[Token]) -> Sequence[Token]:
    return [each for token in tokens for each in (token, *(token.children or ()))]


def _comment(token: Token, demo: Demo) -> str:
    found = re.fullmatch(r"<!--\s*(.*?)\s*-->", token.content.strip(), flags=re.DOTALL)
    if found is None:
        raise ValueError(f"pages hold no HTML but comments, got {token.content.strip()!r}")
    kind, _, name = found[1].partition(": ")
    return demo(name) if kind == "interactive" else ""


def _keep_together(tokens: Sequence[Token]) -> None:
    """In tables no line ends within brackets: (L, N, H) stays whole."""
    for opening, inline in pairwise(tokens):
        if opening.type == "td_open":
            for child in inline.children or ():
                if child.type == "text":
                    whole = re.sub(r"\([^()]{1,30}\)", _unbroken, child.content)
                    child.content = whole


def _unbroken(match: re.Match[str]) -> str:
    return match[0].replace(" ", "\N{NO-BREAK SPACE}")


def _softbreak(_: Any, tokens: Sequence[Token], k: int, *rest: Any) -> str:
    # Chinese has no blanks between words, and so none where a line of the source ends
    before, after = _near(tokens[k - 1 :: -1])[-1:], _near(tokens[k + 1 :])[:1]
    marks = {before, after} & set("，。；：？！、（）“”")
    return "" if marks or min(before, after) > "\u2e80" else "\n"


def _near(tokens: Sequence[Token]) -> str:
    """The words of the first of the tokens that has any; of code none, it stands apart."""
    first = next((token for token in tokens if token.content), None)
    return first.content if first is not None and first.type == "text" else ""


def _table_open(*_: Any) -> str:
    # a wide table scrolls by itself, also from the keyboard; the page never does
    return '<div class="wide" tabindex="0" role="group"><table>\n'
