"""Where a task computes, and with which random numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from elman.errors import SettingError


@contextmanager
def seeded(seed: int, device: str) -> Iterator[torch.device]:
    """The device to train on, with torch's random numbers from `seed`, and as before afterwards.

    Raises:
        SettingError: there is no such device here.
    """
    place = found_device(device)
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        yield place


def device_of(network: nn.Module) -> torch.device:
    """Where the weights of a network lie; the CPU where torch does not have them."""
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def found_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        SettingError: torch cannot use it here.
    """
    place = torch.device(name)
    if place.type == "cpu":
        return place
    if place.type == "mps":
        if not torch.backends.mps.is_available():
            raise SettingError("device mps: torch cannot use it here; use cpu")
        return place
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(name.partition(":")[2] or (torch.cuda.current_device() if count else 0))
    if index >= count:
        raise SettingError(f"device {name}: torch sees {count} CUDA devices here; use cpu")
    return torch.device("cuda", index)
