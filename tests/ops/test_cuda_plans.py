"""How a scan is cut up for a GPU, and which calls the CUDA kernel serves."""

import pytest
import torch

from elman.ops import cuda
from elman.ops import select as chosen
from elman.ops.cuda import compiled
from elman.ops.cuda.plans import AT_ONCE, fits, plan
from tests.tolerances import LOW_PRECISION

f32, bf16 = torch.float32, torch.bfloat16


@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
def test_every_plan_holds_the_weight_and_fits(dtype):
    wide = dtype == f32
    for H in (1, 16, 17, 100, 128, 129, 256, 300, 512, 700, 768, 999, 1024):
        for N in (1, 8, 64, 300, 5000):
            cut = plan(H, N, 2, dtype)
            assert cut is not None
            assert cut.BLOCKS * cut.UNITS >= H > (cut.BLOCKS - 1) * cut.UNITS
            assert cut.UNITS % (cut.SLICES * (4 if wide else 16)) == 0
            tall = 1 if wide else cut.UNITS // 16 // cut.TILES
            assert cut.WARPS == cut.SLICES * tall <= 16
            assert cut.threads * (4 * cut.KEPT * cut.TILES + 40) <= 65536, "registers"
            assert cut.shared(wide) <= 226 * 1024


def test_what_does_not_fit_is_not_served_and_said(monkeypatch):
    assert fits(1024, bf16)
    assert not fits(5000, bf16)
    device = torch.device("cuda")
    assert "not for cpu" in cuda.serves(torch.device("cpu"), f32)
    assert "not torch.float64" in cuda.serves(device, torch.float64)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cuda.serves(device, f32) == "torch finds no GPU here"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert "this GPU has 8.0" in cuda.serves(device, f32)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(compiled, "problem", lambda: None)
    monkeypatch.setattr(compiled, "at_once", lambda device: AT_ONCE)
    assert cuda.serves(device, f32, 256) is None
    assert "5000 by 5000 in torch.bfloat16 does not fit" in cuda.serves(device, bf16, 5000)
    assert chosen(device, f32, H=256).backend == "cuda"
    assert chosen(device, bf16, H=5000).backend == "aten"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (10, 0))
    assert chosen(device, f32, H=64).backend != "cuda"
    assert "has not been tried on compute capability 10.0" in chosen(device, f32, H=64).reason
    assert chosen(device, f32, "cuda", H=64).backend == "cuda"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    eight = tuple(0 if blocks > 8 else n for blocks, n in enumerate(AT_ONCE, start=1))
    monkeypatch.setattr(compiled, "at_once", lambda device: eight)  # as part of a GPU may be
    assert cuda.serves(device, f32, 768) is None
    assert "1024 by 1024 in torch.float32 does not fit" in cuda.serves(device, f32, 1024)
    monkeypatch.setattr(compiled, "problem", lambda: "it is not there")
    assert "not cuda: it is not there" in chosen(device, f32, H=64).reason


def test_fewer_clusters_at_once_want_fewer_blocks():
    few = (132, *(0 if blocks > 8 else n for blocks, n in enumerate(AT_ONCE[1:], start=2)))
    assert plan(1024, 8, 1, bf16).BLOCKS > 8
    assert plan(1024, 8, 1, bf16, few).BLOCKS <= 8
