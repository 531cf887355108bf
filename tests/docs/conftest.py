"""The site, built once, and a browser to read it in."""

import pytest

from docs.site.build import build


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built into a folder of its own."""
    return build(tmp_path_factory.mktemp("built") / "site")


@pytest.fixture(scope="session")
def browser(chromium):
    return chromium
