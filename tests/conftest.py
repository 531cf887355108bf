"""What every room's tests share: each begins from the same random numbers.

One thread serves: the sizes are tiny, and threads that wait for each other only cost time.
A test of threads asks for them itself.
"""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_random_numbers():
    torch.manual_seed(0)


@pytest.fixture
def contents():
    """What a directory holds, in all its depth: each file's bytes by its path."""

    def of(directory):
        return {
            str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
            for path in sorted(directory.rglob("*"))
        }

    return of
