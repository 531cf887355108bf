"""One case from end to end, in its process."""

import pytest

from elman.bench import Case, Effort, measure, rows_of
from elman.bench.measure import cores
from elman.errors import SettingError


def test_a_case_from_end_to_end():
    case = Case("tiny", 2, 3, 4, 5, bars={"torch": {"forward": 2.0}})
    outcome = measure(case, ["torch"], Effort(rounds=2, seconds=0.0, sample=0.0))
    assert outcome.case is case
    assert set(outcome.samples) == {"forward", "train"}
    for samples in outcome.samples.values():
        assert list(samples) == ["elman", "torch"]
        assert all(len(s) == 2 and min(s) > 0 for s in samples.values())
    assert all(0 <= share <= 1 for share in outcome.shares.values())
    assert outcome.facts["torch"]
    assert (outcome.facts["jax"], outcome.left_out) == ("", {})
    assert len(rows_of(outcome, "")) == 4


def test_more_threads_than_cores_are_refused():
    with pytest.raises(SettingError, match=f"here are {cores()}"):
        measure(Case("wide", 1, 1, 1, 1, threads=cores() + 1))
