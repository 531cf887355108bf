"""Numbers read off an open page."""

import re

SHOWN = 5e-7 + 1e-6  # the sixth decimal is rounded; before that, 1e-6


def number(text):
    return float(re.search(r"[−-]?\d+(\.\d+)?(e[−-]?\d+)?", text)[0].replace("−", "-"))


def sums(tab):
    """The arithmetic of the chosen unit: as shown, and in full."""
    lines = tab.query_selector_all("#arithmetic dd:not([hidden])")
    return {
        line.get_attribute("data-line"): (
            number(line.inner_text()),
            float(line.get_attribute("data-value")),
        )
        for line in lines
    }


def strips(tab):
    """The value of the chosen unit in each strip that is shown, by its name."""
    found = {}
    for strip in tab.query_selector_all("#strips .strip:not([hidden])"):
        value = strip.query_selector(".value")
        found[strip.get_attribute("data-row")] = float(value.get_attribute("data-value"))
    return found


def follow(tab, address):
    """Follow a link within the page; back when the page was told of it."""
    tab.evaluate(
        """(address) => new Promise((done) => {
          if (location.hash === address) return done();
          window.addEventListener("hashchange", () => done(), { once: true });
          location.hash = address;
        })""",
        address,
    )


def where(tab):
    """The step, layer and unit, as the address says them once the page rests."""
    tab.wait_for_selector('html[data-drawn="all"]', timeout=60_000)
    # Not at every step of a quick run is it written, but 150 ms after the last picture.
    tab.evaluate("() => new Promise((done) => setTimeout(done, 200))")
    return dict(re.findall(r"(\w+)=(\w+)", tab.evaluate("location.hash")))


def go(tab, picture, step, unit=None, **more):
    address = f"#step={step}" + f"&unit={unit}" * (unit is not None)
    address += "".join(f"&{name}={value}" for name, value in more.items())
    follow(tab, address)
    picture(tab)
