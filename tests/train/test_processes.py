"""Two real processes, started as `torchrun` does, train to what one process trains to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from elman.train.processes import parallel, rank, share, world_size
from tests.train.two_processes import SIZES, alone

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="needs torch.distributed with gloo",
)
STEPS = 6  # of an epoch: 41 rows, 7 in a batch


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What each of two processes came to, and the folder they wrote to."""
    folder = tmp_path_factory.mktemp("together")
    child = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "tests.train.two_processes", str(folder)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    return folder, [json.loads((folder / f"{k}.json").read_text()) for k in range(2)]


def assert_close(one, other):
    assert one["weights"].keys() == other["weights"].keys()
    for name, weight in other["weights"].items():
        torch.testing.assert_close(
            torch.tensor(one["weights"][name]), torch.tensor(weight), atol=1e-5, rtol=0
        )
    for mine, theirs in zip(one["records"], other["records"], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_they_come_to_what_one_process_comes_to(together, size):
    _, (first, second) = together
    name = f"rows {size}"
    assert first[name] == second[name]  # bit for bit
    assert_close(first[name], alone()[name])
    assert len(first[name]["records"]) == 3


def test_the_shares_are_all_the_rows_and_no_row_counts_twice(together):
    _, found = together
    assert [f["shares"] for f in found] == [[[0, 2, 4], [0], [0]], [[1, 3], [1], [0]]]
    assert [f["weights"] for f in found] == [[1, 1, 1], [1, 1, 0]]


def test_one_that_is_asked_to_stop_stops_all(together):
    """They agree in the step after; then the weights are judged."""
    _, (first, second) = together
    for found in (first, second):
        assert found["stopped"]["seen"] == [1, 2, 3, 4, 4]
        assert found["stopped"]["steps"] == 4
        assert found["stopped"]["interrupted"]
        assert found["stopped"]["records"][0]["steps"] == 4
    assert first["stopped"]["weights"] == second["stopped"]["weights"]


def test_only_the_first_writes_checkpoints_and_where_no_state_is_carried(together):
    """A state lies in all processes: at the end of an epoch there is none to note."""
    folder, (first, second) = together
    assert (first["written"], second["written"]) == (4, 0)  # three epochs, and the end
    assert (folder / "rank-0.safetensors").is_file()
    assert not (folder / "rank-1.safetensors").exists()
    assert first["carried"]["weights"] == second["carried"]["weights"]


def test_together_they_go_on_as_if_never_stopped(together):
    _, (first, second) = together
    assert first["resumed"]["weights"] == second["resumed"]["weights"] == first["rows 7"]["weights"]
    assert first["resumed"]["records"] == first["rows 7"]["records"]
    assert 0 < first["resumed"]["steps"] < 3 * STEPS


def test_no_thread_outlives_the_group(together):
    """Such a thread may abort the process as it ends."""
    _, found = together
    assert [f["threads left"] for f in found] == [[], []]


def test_one_process_alone_is_the_plain_case():
    model = torch.nn.Linear(1, 1)
    rows = torch.arange(3).numpy()
    assert (rank(), world_size()) == (0, 1)
    assert parallel(model) is model
    assert share(rows)[0].tolist() == [0, 1, 2]
    assert share(rows[:0])[0].tolist() == []
