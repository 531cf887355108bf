"""Build the site: python -m docs.site [FOLDER]; the folder is build/site if none is named."""

import sys
from pathlib import Path

from docs.site.build import build
from docs.site.pages import ROOT


def main() -> None:
    """Build, and say what was built."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    site = build(out)
    interactive = ", ".join(site.demos) or "none, this elman has no elman.view"
    print(f"pages        {len(site.pages)}, in English and Chinese")
    print(f"interactive  {interactive}")
    print(f"open         {out / 'index.html'}")


if __name__ == "__main__":
    main()
