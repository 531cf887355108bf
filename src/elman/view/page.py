"""One HTML file of a trace: words, styles and program inside, and nothing fetched.

The program's sources in `page/` are ES modules, a thought each. Here they are joined into one, in
the order of their imports, and allowed by their digest; nothing else may run.
"""

import base64
import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from elman.view.packing import packed

_SOURCES = Path(__file__).parent / "page"
_MAIN = "main.js"
_TITLE = 120  # letters of a window's
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([a-z_]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|function|class) (\w+))", re.MULTILINE)


def page_of(document: dict[str, Any], title: str) -> str:
    """The page, whole.

    Args:
        document: of `Trace.document`.
        title: of the page.
    """
    script, style = program(), styles()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    fields = {
        "POLICY": policy,
        "TITLE": escape(title[:_TITLE].encode("utf-8", "replace").decode()),  # no half characters
        "STYLE": style,
        "TRACE": packed({"title": title, **document}),
        "SCRIPT": script,
    }
    page = (_SOURCES / "page.html").read_text("utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda field: fields[field[1]], page)


@cache
def program() -> str:
    """The modules of `page/` as one, each in a scope of its own, after those it imports."""
    done: list[str] = []

    def add(name: str) -> str:
        if name in done:
            return ""
        done.append(name)
        source = (_SOURCES / name).read_text("utf-8")
        before = "".join(add(other) for _, other in _IMPORT.findall(source))
        exports = ", ".join(_EXPORT.findall(source))
        inside = _IMPORT.sub(lambda found: f"const {found[1]} = {_scope(found[2])};\n", source)
        inside = _EXPORT.sub("", inside)
        return (
            f"{before}const {_scope(name)} = (() => {{\n{inside}return {{ {exports} }};\n}})();\n"
        )

    return '"use strict";\n' + add(_MAIN)


def _scope(name: str) -> str:
    return "in_" + name.removesuffix(".js")


@cache
def styles() -> str:
    """The style sheets of `page/`, in the order of their names."""
    return "\n" + "".join(file.read_text("utf-8") for file in sorted(_SOURCES.glob("*.css")))


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
