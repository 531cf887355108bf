"""The site: every page rendered, what they link to brought along, nothing from elsewhere."""

import posixpath
import re
import shutil
import tempfile
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

from docs.site import demos
from docs.site.layout import layout
from docs.site.markdown import coloured, html_of
from docs.site.pages import ROOT, Page, first_pages, page_of, relative
from docs.site.words import WORDS

PICTURES = {".svg", ".png"}
#: Files that are shown as code; others as plain text.
LEXERS = {".py": "python", ".toml": "toml", ".cpp": "cpp", ".h": "cpp", ".sh": "bash"}
MARK = ".elman-site"  # only a folder that holds this is ever replaced


class Site:
    """A site being built.

    Attributes:
        out: the folder it is written to.
        navigation: the pages that every page leads to, in order.
        pages: these and those they link to, by source; grows as links are followed.
        demos: names of the interactive pages there are.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.navigation = list(first_pages())
        self.pages = {page.source: page for page in self.navigation}
        self.demos: list[str] = []
        self._files: set[str] = set()

    def write(self) -> None:
        """Write everything."""
        self.demos = demos.write(self.out)
        done: set[str] = set()
        while left := [page for page in self.pages.values() if page.source not in done]:
            for page in left:
                done.add(page.source)
                self._save(page.target, self._page(page))

    def _page(self, page: Page) -> str:
        text = (ROOT / page.source).read_text(encoding="utf-8")
        if page.twin in self.pages:  # the head of the page has this link already
            text = re.sub(
                rf"^\[[^]]*\]\({re.escape(Path(page.twin).name)}\)\n", "", text, flags=re.M
            )
        body = html_of(
            text, lambda address: self.link(page, address), lambda name: self.demo(page, name)
        )
        return layout(page, body, self.navigation, self.pages.get(page.twin))

    def link(self, page: Page, address: str) -> str:
        """An address in a page's Markdown as the site has it; brings along what it leads to.

        Raises:
            FileNotFoundError: it leads nowhere.
        """
        if address.startswith(("https://", "http://", "#")):
            return address
        path, _, anchor = unquote(address).partition("#")
        source = posixpath.normpath(posixpath.join(posixpath.dirname(page.source), path))
        if not (ROOT / source).is_file():
            raise FileNotFoundError(f"{page.source}: the link {address} leads to no file")
        if source.endswith(".md"):
            if source not in self.pages:
                self.pages[source] = page_of(source)
            target = self.pages[source].target
        else:
            target = self._bring(source)
        return relative(page.target, target) + (f"#{quote(anchor)}" if anchor else "")

    def _bring(self, source: str) -> str:
        """Copy a picture, or show a file of text; where it lies in the site."""
        picture = Path(source).suffix in PICTURES
        target = source.removeprefix("docs/") if picture else f"source/{source}.html"
        if target not in self._files:
            self._files.add(target)
            if picture:
                self._save(target, (ROOT / source).read_bytes())
            else:
                self._save(target, self._source(Page(source, target, source)))
        return target

    def _source(self, page: Page) -> str:
        code = (ROOT / page.source).read_text(encoding="utf-8")
        shown = coloured(code, LEXERS.get(Path(page.source).suffix, ""))
        body = f"<h1><code>{escape(page.source)}</code></h1>\n<pre><code>{shown}</code></pre>\n"
        return layout(page, body, self.navigation, None)

    def demo(self, page: Page, name: str) -> str:
        """The frame with an interactive page; nothing where it was not written.

        Raises:
            KeyError: there never is one of this name.
        """
        title = demos.DEMOS[name].titles[page.language]
        if name not in self.demos:
            return ""
        words = WORDS[page.language]
        address = relative(page.target, f"{demos.FOLDER}/{name}.html")
        told = escape(words["interactive"].format(name=title))
        return (
            f'<figure class="interactive"><iframe src="{address}" title="{told}" '
            f'sandbox="allow-scripts" loading="lazy"></iframe><figcaption>{told} · '
            f'<a href="{address}">{words["open"]}</a></figcaption></figure>\n'
        )

    def _save(self, target: str, content: str | bytes) -> None:
        path = self.out / target
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:  # no two pages in one place
            file.write(content.encode() if isinstance(content, str) else content)


def build(out: Path) -> Site:
    """Build the site in a folder of its own, and put it in place when it is whole.

    Args:
        out: the folder; one that this has made before is replaced.

    Raises:
        FileExistsError: the folder is there and is something else.
    """
    if out.exists() and any(out.iterdir()) and not (out / MARK).is_file():
        raise FileExistsError(f"{out} holds something else than this site; name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        new = Path(folder) / "site"
        new.mkdir()
        (new / MARK).write_text("made by python -m docs.site\n", encoding="utf-8")
        site = Site(new)
        site.write()
        if out.exists():
            shutil.rmtree(out)
        new.replace(out)
    site.out = out
    return site
