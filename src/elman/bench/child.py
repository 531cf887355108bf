"""One case in a process of its own: `python -m elman.bench.child`, a job in, an outcome out.

A process has as many cores as the case has threads: the pool of jax, for one, takes its size
from that alone, and at its start. So nothing of weight is imported before the cores are chosen.
"""

import json
import os
import sys
from typing import Any

from elman.bench.cases import Case
from elman.bench.gate import RedGateError
from elman.bench.timing import Effort


def main() -> None:
    """Read the job from standard input, write the outcome as the last line of standard output."""
    job = json.load(sys.stdin)
    case = job["case"]
    case["lengths"] = case["lengths"] and tuple(case["lengths"])
    try:
        outcome = outcome_of(Case(**case), job["names"], Effort(**job["effort"]))
    except RedGateError as error:
        outcome = {"red": str(error)}
    sys.stdout.write("\n" + json.dumps(outcome) + "\n")


def outcome_of(case: Case, names: list[str], effort: Effort) -> dict[str, Any]:
    """Gate, then clock.

    Returns:
        "samples", seconds by pass and contestant; "shares", errors as shares of what they may be;
        "left_out", why, by name; "facts", of versions and machine.

    Raises:
        RedGateError: an answer is wrong.
    """
    held = hasattr(os, "sched_setaffinity")  # macOS and Windows have none
    if held:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: case.threads])
    import torch

    torch.set_num_threads(case.threads)
    from elman.bench.facts import facts
    from elman.bench.gate import Answer, gated, hold
    from elman.bench.layers import truth
    from elman.bench.rivals import entered
    from elman.bench.timing import alternate
    from elman.bench.work import new_work

    kinds, left_out = entered(case, [name for name in names if held or name != "jax"])
    if "jax" in names and not held:
        left_out["jax"] = "only cores can hold its threads to so many, and only Linux gives them"
    smaller = gated(case)
    work = new_work(smaller)
    answers = {kind.name: _answer(kind(work)) for kind in kinds}
    output, gradients = truth(work)
    shares = hold(smaller, answers, Answer(output, gradients))
    del answers, output, gradients
    if smaller is not case:
        work = new_work(case)
    contestants = [kind(work) for kind in kinds]
    with torch.no_grad():
        samples = {"forward": alternate({c.name: c.forward for c in contestants}, effort)}
    if "train" in case.passes:
        trained = {c.name: c.train for c in contestants if type(c).can_train}
        samples["train"] = alternate(trained, effort)
    return {"samples": samples, "shares": shares, "left_out": left_out, "facts": facts(kinds)}


def _answer(contestant: Any) -> Any:
    from elman.bench.gate import Answer

    return Answer(contestant.output(), contestant.gradients())


if __name__ == "__main__":
    main()
