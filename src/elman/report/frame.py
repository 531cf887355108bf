"""A report as one HTML file that works anywhere: its frame, its words, its safety.

Nothing is fetched and nothing runs but the one script that stands in it: the page's
Content-Security-Policy names both by their hashes. Every text of a user's is escaped. Words of
our own stand there in English and in Chinese, and a switch shows one or the other.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

_LARGEST = 1e300  # of a number on a page: twice that can still be reckoned with

_SIGNS = {n: chr(0x2400 + n) for n in range(32) if n not in (9, 10)} | {127: "␡"}
_SIGNS |= {n: f"⟨U+{n:04X}⟩" for n in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


class Words(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str


class Markup(str):
    """HTML that is safe as it is: made here, all users' texts in it escaped."""

    __slots__ = ()


def shown(text: Any) -> Markup:
    """A user's text, escaped; control characters as the signs for them, and those that turn the
    direction of writing by their numbers, so that nothing looks like what it is not.

    >>> shown("<b>&" + chr(7) + chr(0x202E))
    '&lt;b&gt;&amp;␇⟨U+202E⟩'
    """
    text = str(text).encode("utf-8", "replace").decode("utf-8")
    return Markup(html.escape(text.translate(_SIGNS), quote=True))


def both(words: Words | str) -> Markup:
    """Words in both languages, of which one is visible; a plain text as it is.

    >>> both(Words("loss", "损失"))
    '<span class="en" lang="en">loss</span><span class="zh" lang="zh-CN">损失</span>'
    """
    if isinstance(words, str):
        return words if isinstance(words, Markup) else shown(words)
    en, zh = shown(words.en), shown(words.zh)
    return Markup(
        f'<span class="en" lang="en">{en}</span><span class="zh" lang="zh-CN">{zh}</span>'
    )


def labelled(words: Words) -> str:
    """Attributes that name an element to those who do not see it, in the language of the page."""
    en, zh = shown(words.en), shown(words.zh)
    return f'aria-label="{en}" data-en="{en}" data-zh="{zh}"'


def number(value: Any, form: str = ".4g") -> Markup:
    """A number as a person reads it, the whole of it in the element's value; a dash for none.

    >>> number(0.123456)
    '<data value="0.123456">0.1235</data>'
    """
    found = as_number(value)
    if found is None:
        return Markup("–")
    whole = value if isinstance(value, int) else found
    return Markup(f'<data value="{whole!r}">{format(found, form)}</data>')


def as_number(value: Any) -> float | None:
    """A number, within what a drawing can span, of what may be anything; None where it is none.

    >>> as_number(3), as_number("3"), as_number(float("nan")), as_number(True), as_number(10**400)
    (3.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if abs(found) <= _LARGEST else None


def table(
    heads: Sequence[Words | str], rows: Iterable[Sequence[Words | str]], keys: Sequence[Any] = ()
) -> Markup:
    """A table that scrolls by itself where the page is too narrow.

    Args:
        heads: of the columns; the first column names the rows.
        rows: cells: words, users' texts, or `Markup`.
        keys: what a chart finds each row by: the numbers on its horizontal axis.
    """
    head = "".join(f'<th scope="col">{both(cell)}</th>' for cell in heads)
    lines = []
    for k, (first, *rest) in enumerate(rows):
        key = f' data-x="{keys[k]!r}"' if keys else ""
        cells = "".join(f"<td>{both(cell)}</td>" for cell in rest)
        lines.append(f'<tr{key}><th scope="row">{both(first)}</th>{cells}</tr>')
    body = "".join(lines)
    return Markup(
        f'<div class="scroll" tabindex="0" role="group" {labelled(Words("Table", "表格"))}>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def section(title: Words, *parts: str) -> Markup:
    """A part of the page under a headline of its own."""
    return Markup(f"<section><h2>{both(title)}</h2>{''.join(parts)}</section>")


def paragraph(words: Words, kind: str = "") -> Markup:
    """A paragraph; its kind is a class of the style sheet."""
    return Markup(f'<p class="{kind}">{both(words)}</p>' if kind else f"<p>{both(words)}</p>")


def tiles(figures: Sequence[tuple[Words, Markup, Words | None]]) -> Markup:
    """Figures in large type: what it is, the number, what to hold it against."""
    items = "".join(
        f"<div><dt>{both(name)}</dt><dd>{value}</dd>"
        + (f'<dd class="beside">{both(beside)}</dd>' if beside else "")
        + "</div>"
        for name, value, beside in figures
    )
    return Markup(f'<dl class="tiles">{items}</dl>' if items else "")


@cache
def _file(name: str) -> str:
    return (resources.files("elman.report") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def document(
    title: Words, lead: Sequence[str], parts: Sequence[str], again: int | None = None
) -> str:
    """The whole file.

    Args:
        title: of the page.
        lead: lines under it, safe markup.
        parts: sections, safe markup.
        again: seconds after which the browser looks at the file again. Default: never.
    """
    style, script = _file("report.css"), _file("report.js")
    policy = (
        f"default-src 'none'; style-src 'sha256-{_digest(style)}'; "
        f"script-src 'sha256-{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    en, zh = shown(title.en), shown(title.zh)
    lines = "".join(f"<p>{line}</p>" for line in lead)
    refresh = "" if again is None else f'<meta http-equiv="refresh" content="{again}">\n'
    switch = '<button type="button" id="language" lang="zh-CN">中文</button>'
    return (
        '<!doctype html>\n<html lang="en" data-language="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"{refresh}"
        f'<title data-en="{en}" data-zh="{zh}">{en}</title>\n<style>{style}</style>\n</head>\n'
        f"<body>\n<header><div>{switch}</div><h1>{both(title)}</h1>{lines}</header>\n"
        f"<main>\n{chr(10).join(parts)}\n</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )
