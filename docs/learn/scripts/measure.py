"""Make the measurements of the pages.

    python -m docs.learn.scripts.measure [PART...]

Writes docs/learn/measured.json; twenty minutes on one slow core. Then `draw` and `tables` beside
this file bring figures and tables up to it. The parts are the keys of PARTS; none named: all.
"""

import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import elman
from docs.learn.scripts import gradients, remedies, speed, truncation

FILE = Path(__file__).resolve().parent.parent / "measured.json"
PARTS: dict[str, Callable[[], object]] = {
    "gradients": gradients.measure,
    "remedies": remedies.measure,
    "leak": remedies.measure_leak,
    "clipping": remedies.measure_clipping,
    "truncation": truncation.measure,
    "speed": speed.measure,
}


def main() -> None:
    """Measure, one part after the other; what is done is kept should the next one fail."""
    torch.set_num_threads(1)
    found = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for part in sys.argv[1:] or PARTS:
        began = time.perf_counter()
        found[part] = PARTS[part]()
        found["versions"] = {
            "elman": elman.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        FILE.write_text(json.dumps(rounded(found), indent=1) + "\n", encoding="utf-8")
        print(f"{part}: {time.perf_counter() - began:.0f} s", flush=True)


def rounded(value: object) -> object:
    """Every number to four significant digits: more would only look exact."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
