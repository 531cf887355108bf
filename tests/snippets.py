"""The code in pages, run as a reader runs it, and held to what its lines say they give.

A line `expression  # → value` in a block of Python promises that repr(expression) is value.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARROW = "  # → "


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a language in a page, whose path is from the repository's root."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def bare(page: str) -> list[str]:
    """The lines of Python without the comments in the page's language; the results stay."""
    code = "".join(blocks(page, "python"))
    return [re.sub(r"\s*# (?!→).*", "", line) for line in code.splitlines()]


def run(page: str) -> int:
    """Run the page's Python as one program, and return how many values were held to it."""
    namespace: dict = {}
    return sum(_run(block, page, namespace) for block in blocks(page, "python"))


def _run(block: str, page: str, namespace: dict) -> int:
    lines, held = block.splitlines(), 0
    for statement in ast.parse(block).body:
        line = lines[statement.end_lineno - 1]
        _, arrow, expected = line.partition(ARROW)
        if arrow and isinstance(statement, ast.Expr):
            code = compile(ast.Expression(statement.value), page, "eval")
            assert repr(eval(code, namespace)) == expected, f"{page}: {line}"
            held += 1
        else:
            exec(compile(ast.Module([statement], []), page, "exec"), namespace)
    assert held == block.count(ARROW), f"{page}: an arrow that stands behind no expression"
    return held
