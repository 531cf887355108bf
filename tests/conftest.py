"""What every room's tests share: each begins from the same random numbers.

One thread serves: the sizes are tiny, and threads that wait for each other only cost time.
A test of threads asks for them itself.
"""

import os
import shutil

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_random_numbers():
    torch.manual_seed(0)


@pytest.fixture
def contents():
    """What a directory holds, in all its depth: each file's bytes by its path."""

    def of(directory):
        return {
            str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
            for path in sorted(directory.rglob("*"))
        }

    return of


def _no_browser(why):
    if os.environ.get("CI"):
        raise RuntimeError(f"the browser tests must run where CI is set: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def chromium():
    """Chromium, headless; without it the tests are skipped with a word, or fail where CI is set."""
    place = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if place is None:
        _no_browser("no chromium is installed; its path can be given in $CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _no_browser("the package playwright is not installed: pip install -e '.[dev]'")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=place, args=flags)
        yield browser
        browser.close()
