"""More than one process: who I am, my share of a batch, and the sums over all of us.

Started by `torchrun`, which gives each process its number; one process alone is the plain case
and never touches `torch.distributed`.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import distributed, nn

from elman.errors import SettingError


def world_size() -> int:
    """How many processes train together."""
    together = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if world_size() > 1 else 0


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Train together with the processes that `torchrun` has started, if it has.

    Args:
        device: "cpu" joins through gloo, "cuda" through NCCL.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or world_size() > 1:
        yield
        return
    on_gpu = device.startswith("cuda")
    if on_gpu:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise SettingError(
                f"torchrun started more processes than there are GPUs "
                f"({torch.cuda.device_count()}); start fewer"
            )
        torch.cuda.set_device(local)
    # torch's optimizers import it at their first step. Imported after the group was made, it keeps
    # the group's threads alive (2.13), and now and then these abort the process as it ends.
    importlib.import_module("torch._dynamo")

    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if world_size() > 1:
        distributed.barrier()


def share(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """This process's part of the rows of a batch, and the weight of each of them.

    Every process has at least one row, so that all of them call the network; where there are
    too few rows, the weight of such a row is 0.

    >>> share(np.arange(3))
    (array([0, 1, 2]), 1)
    """
    mine = rows[rank() :: world_size()]
    return (mine, 1) if len(mine) else (rows[:1], 0)


def parallel(model: nn.Module) -> nn.Module:
    """The network to call in training: it averages the gradients of all processes."""
    if world_size() == 1:
        return model
    return nn.parallel.DistributedDataParallel(model)


def summed(values: list[float], device: torch.device) -> list[float]:
    """Each value, summed over the processes."""
    if world_size() == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return total.tolist()


def of_the_first(values: list[float], device: torch.device) -> list[float]:
    """Each value as the first process has it, so that all decide alike."""
    if world_size() == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.broadcast(total, 0)
    return total.tolist()
