"""Which pages the site has, where each one lies, and its twin in the other language."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent.parent
#: The entry, and what else the site is made of; pages these link to come along.
FIRST = (
    "README.md",
    "docs/learn/README.md",
    "docs/learn/*.md",
    "docs/*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
)
CHINESE = ".zh-CN.md"


@dataclass(frozen=True)
class Page:
    """One Markdown file.

    Attributes:
        source: from the repository's root, with slashes.
        target: the HTML file, from the site's root.
        title: the first heading.
    """

    source: str
    target: str
    title: str

    @property
    def language(self) -> str:
        """The value of HTML's lang."""
        return "zh-CN" if self.source.endswith(CHINESE) else "en"

    @property
    def twin(self) -> str:
        """The source of the same page in the other language, whether there is one or not."""
        if self.source.endswith(CHINESE):
            return self.source.removesuffix(CHINESE) + ".md"
        return self.source.removesuffix(".md") + CHINESE


def target_of(source: str) -> str:
    """Where a page lies in the site: README is the index of its folder, docs/ is the root.

    >>> target_of("README.zh-CN.md"), target_of("docs/learn/README.md"), target_of("docs/onnx.md")
    ('index.zh-CN.html', 'learn/index.html', 'onnx.html')
    """
    path = re.sub(r"(^|/)README\b", r"\1index", source.removeprefix("docs/"))
    return path.removesuffix(".md") + ".html"


def page_of(source: str) -> Page:
    """The page of a Markdown file.

    Raises:
        ValueError: it has no heading.
    """
    text = (ROOT / source).read_text(encoding="utf-8")
    heading = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    if heading is None:
        raise ValueError(f"{source} should have a heading, a line that begins with '# '")
    return Page(source, target_of(source), heading[1].strip())


def first_pages() -> Iterator[Page]:
    """The pages the site begins from, each with its twin behind it where there is one."""
    seen = set()
    for pattern in FIRST:
        for path in sorted(ROOT.glob(pattern)):
            source = path.relative_to(ROOT).as_posix()
            for page in (source, source.removesuffix(".md") + CHINESE):
                if page not in seen and (ROOT / page).is_file():
                    seen.add(page)
                    yield page_of(page)


def relative(here: str, there: str) -> str:
    """The address of one file of the site as another one says it.

    >>> relative("learn/index.html", "onnx.html")
    '../onnx.html'
    """
    return quote(posixpath.relpath(there, posixpath.dirname(here) or "."))
