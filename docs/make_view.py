"""Make docs/view_zh.png and docs/view_en.png: the pages of two of the demo's networks.

    elman demo && python docs/make_view.py

Needs the packages playwright and Pillow, and Chromium: its path in $CHROMIUM, or `chromium` on the
PATH. The pictures are what the browser shows, with as few colours as they have.
"""

import os
import shutil
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import elman
from elman.data import read_series, read_table
from elman.view.show import View, task_reading, view_reading

HERE = Path(__file__).resolve().parent
SUNSPOTS = HERE.parent / "examples" / "data" / "sunspots.csv"
COLOURS = 128


def main() -> None:
    """Write both."""
    series = read_series(read_table(SUNSPOTS), ["sunspots"], "year")
    reading = task_reading(elman.load("runs/demo/sunspots"), series.values, series=series)
    spots = view_reading(reading, 100, "sunspots.csv")
    term = elman.view(elman.load("runs/demo/terms"), "先天性喉软化")
    with sync_playwright() as playwright:
        place = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(
            executable_path=place, args=["--no-sandbox", "--disable-gpu"]
        )
        shoot(browser, term, "zh-CN", "#step=4", HERE / "view_zh.png")
        shoot(browser, spots, "en-US", "#step=280", HERE / "view_en.png")
        browser.close()


def shoot(browser: Browser, view: View, locale: str, address: str, target: Path) -> None:
    """A picture of the top of the page."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        view.save(page)
        tab = browser.new_page(locale=locale, viewport={"width": 1200, "height": 1060})
        tab.goto(page.as_uri() + address)
        tab.wait_for_selector('html[data-drawn="all"]')
        picture = Image.open(BytesIO(tab.screenshot()))
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
            target, optimize=True
        )
        tab.close()
    print(f"wrote {target.name}, {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
