"""FlashRNN's Elman network in the place of torch.nn.RNN, to be timed beside it.

Its kernels of FlashRNN 1.0.8 that alternate with cuBLAS: those called fused do not compile with
CUDA 13, since they read fields of cudaDeviceProp that are gone. nvcc compiles them at the first
call. On a CPU it is its plain loop.

Source: Pöppel, Beck and Hochreiter, FlashRNN: I/O-Aware Optimization of Traditional RNNs on modern
hardware (2024), https://arxiv.org/abs/2412.07752, https://pypi.org/project/flashrnn/
"""

from importlib import util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


def problem() -> str | None:
    """Why it cannot be called here, in words; None where it can."""
    if util.find_spec("flashrnn") is None:
        return "flashrnn is not installed: pip install flashrnn"
    if torch.cuda.is_available():
        from torch.utils.cpp_extension import CUDA_HOME  # where FlashRNN looks, too

        if not (Path(CUDA_HOME or "") / "bin" / "nvcc").exists():
            return "nvcc, which compiles it, is not here: install CUDA's toolkit and set CUDA_HOME"
    return None


class FlashRNN(nn.RNN):
    """One layer in one direction, dense, without h_0; arguments and parameters as torch.nn.RNN."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """As torch.nn.RNN's, of x (L, N, H_in)."""
        from flashrnn import flashrnn

        L, N, _ = x.shape
        a = functional.linear(x, self.weight_ih_l0, self.bias_ih_l0)
        states, last = flashrnn(
            a.transpose(0, 1).reshape(N, L, 1, 1, self.hidden_size),
            self.weight_hh_l0[None, None],
            self.bias_hh_l0[None, None],
            function="elman",
            backend="cuda" if x.is_cuda else "vanilla",
            dtype=str(x.dtype).removeprefix("torch."),
        )
        return states[0, :, :, 0].transpose(0, 1), last[0, :, :, 0].transpose(0, 1)
