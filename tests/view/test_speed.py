"""How quick the page is, measured in the browser."""

import pytest
import torch
from torch import nn

import elman

STEPS, UNITS = 200, 256
OPENS, PICTURES = 2.0, 30  # seconds until it answers, pictures a second


@pytest.fixture(scope="module")
def large():
    torch.manual_seed(0)
    return elman.view(nn.RNN(128, UNITS), torch.randn(STEPS, 128), steps=STEPS)


RUN = """async (n) => {
  const picture = () => new Promise(requestAnimationFrame);
  const press = (key) => document.body.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true }));
  press("Home");
  await picture();
  await picture();
  const start = performance.now();
  for (let k = 0; k < n; k += 1) { press("ArrowRight"); await picture(); }
  await picture();
  return (performance.now() - start) / 1e3 / (n + 1);
}"""
TRIED = 120


def work(session):
    """The seconds of work that all processes of the browser have done."""
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(process["cpuTime"] for process in processes)


def test_it_opens_and_steps_in_time(chromium, large, tmp_path):
    """The least of several tries: what else runs on the machine only adds. Where it is so busy
    that no try is quick, a step's own work on all cores together tells how many would fit.
    """
    file = tmp_path / "page.html"
    file.write_text(large.html, "utf-8")
    session = chromium.new_browser_cdp_session()
    opening, steps = [], []
    while len(opening) < 2 or (
        (min(opening) > OPENS or 1 / min(steps) < PICTURES) and len(opening) < 5
    ):
        tab = chromium.new_page(viewport={"width": 1280, "height": 800})
        tab.goto(file.as_uri())
        tab.wait_for_selector("html[data-ready]", timeout=60_000)
        opening.append(tab.evaluate("performance.getEntriesByName('ready')[0].startTime") / 1e3)
        before = work(session)
        wall = tab.evaluate(RUN, TRIED)
        own = (work(session) - before) / TRIED
        steps.append(min(wall, own))
        print(
            f"opens in {opening[-1]:.2f} s; a step takes {wall * 1e3:.1f} ms, "
            f"{own * 1e3:.1f} ms of work"
        )
        assert f"Step {TRIED + 1} of {STEPS}" in tab.inner_text("#where")
        tab.close()
    assert min(opening) < OPENS
    assert 1 / min(steps) >= PICTURES
