"""One case, measured in a process of its own on its own number of cores."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from elman.bench.cases import Case
from elman.bench.gate import RedGateError
from elman.bench.timing import Effort
from elman.errors import ElmanError, SettingError

RIVALS = ("torch", "jax", "onnxruntime")


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        case: which.
        samples: seconds a call, by pass and contestant.
        shares: the largest error of each contestant as a share of what the gate allows.
        left_out: why, by rival.
        facts: versions, processor, instructions, elman's backend.
    """

    case: Case
    samples: dict[str, dict[str, list[float]]]
    shares: dict[str, float]
    left_out: dict[str, str]
    facts: dict[str, str]


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_cores(case: Case) -> None:
    """Equal threads need cores to run on.

    Raises:
        SettingError: there are fewer than the case has threads.
    """
    if cores() < case.threads:
        raise SettingError(
            f"{case.name}: {case.threads} threads need as many cores, here are {cores()}; "
            f"--threads {cores()} measures with fewer"
        )


def measure(case: Case, rivals: Sequence[str] = RIVALS, effort: Effort | None = None) -> Outcome:
    """Hold elman and its rivals against float64, then time them by turns.

    Args:
        case: what to measure.
        rivals: whom to ask in; "torch", the gate's measure, always takes part. Default: all.
        effort: how long. Default: `Effort()`.

    Raises:
        RedGateError: an answer is wrong; nothing is timed then.
        SettingError: there are fewer cores than the case has threads.
        ElmanError: the process came to grief.
    """
    check_cores(case)
    names = list(dict.fromkeys(["elman", "torch", *rivals]))
    job = {"case": asdict(case), "names": names, "effort": asdict(effort or Effort())}
    threads = str(case.threads)
    environment = os.environ | {
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "JAX_PLATFORMS": "cpu",
    }  # fmt: skip
    child = subprocess.run(
        [sys.executable, "-m", "elman.bench.child"],
        input=json.dumps(job), capture_output=True, encoding="utf-8", errors="replace",
        env=environment, check=False,
    )  # fmt: skip
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise ElmanError(
            f"{case.name}: the measuring process ended with {child.returncode}: {last}"
        )
    outcome = json.loads(child.stdout.splitlines()[-1])
    if "red" in outcome:
        raise RedGateError(outcome["red"])
    return Outcome(case, **outcome)
