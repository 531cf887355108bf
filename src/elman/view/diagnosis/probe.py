"""Every layer and direction of a model's RNNs as they read a batch: states and gradients.

Each RNN is run a second time, layer by layer through `elman.ops.scan`, in the place where the model
calls it, and what the model gets is that. To each state a zero is added that asks for its gradient:
that is ∂L/∂h_t as it arrives from outside the recurrence, by torch's own backward pass.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from elman.errors import SettingError
from elman.nn import RNN
from elman.nn.lengths import as_lengths, check_lengths
from elman.ops import scan
from elman.view.stack import PLAIN, beyond_plain

_FORWARD = (RNN.forward, nn.RNN.forward)


@dataclass
class Pass:
    """One layer in one direction, and what happened in it; time runs as the direction reads.

    Attributes:
        name: of the layer, as its parameters have it: "rnn.l0_reverse".
        nonlinearity: f.
        weight: W_hh, (H, H), float64 on the CPU, as all below.
        z: what f was applied to, (L, N, H).
        h: the states, (L, N, H).
        lengths: steps of each row, (N,); what lies beyond is nothing.
        nudge: the zeros that were added to the states.
        arriving: ∂L/∂h_t from outside the recurrence, (L, N, H); None where no loss was asked.
    """

    name: str
    nonlinearity: str
    weight: Tensor
    z: Tensor
    h: Tensor
    lengths: Tensor
    nudge: Tensor
    arriving: Tensor | None = None

    @property
    def slope(self) -> Tensor:
        """f'(z_t), (L, N, H): with it the Jacobian ∂h_t/∂h_{t-1} is diag(slope_t) W_hh."""
        if self.nonlinearity == "tanh":
            return self.z.cosh().square().reciprocal()  # 1 - tanh² loses all digits near 1
        return (self.h > 0).double() if self.nonlinearity == "relu" else torch.ones_like(self.z)

    @property
    def there(self) -> Tensor:
        """Which steps are some row's, (L, N)."""
        return torch.arange(len(self.h), device="cpu")[:, None] < self.lengths


def recurrent(model: nn.Module) -> dict[str, nn.Module]:
    """The Elman RNNs inside a model, or the model itself, by their names."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (RNN, nn.RNN)) and type(module).forward in _FORWARD
    }


def _check_plain(name: str, module: nn.Module) -> None:
    """Refuse what is more than f of a sum: its Jacobians are others than those measured here.

    Raises:
        SettingError: the layer has dynamics, a wiring, or another f than torch's.
    """
    said = beyond_plain(module) if isinstance(module, RNN) else None
    if said is not None:
        raise SettingError(
            f"a diagnosis is of plain layers with {', '.join(PLAIN)}; "
            f"{name or 'the RNN'} has {said}"
        )


@contextmanager
def watched(model: nn.Module) -> Iterator[list[Pass]]:
    """While it lasts, what each RNN reads is noted in the list; the model is in eval mode."""
    training = {module: module.training for module in model.modules()}
    passes: list[Pass] = []
    with ExitStack() as stack:
        for name, module in recurrent(model).items():
            _check_plain(name, module)
            hook = _Watch(name, passes)
            stack.enter_context(module.register_forward_hook(hook, with_kwargs=True))
        model.eval()
        try:
            yield passes
        finally:
            for module, mode in training.items():
                module.training = mode


@dataclass
class _Watch:
    """The hook of one RNN."""

    name: str
    passes: list[Pass]
    calls: int = field(default=0)

    def __call__(self, module: Any, args: tuple, kwargs: dict, output: Any) -> Any:
        self.calls += 1
        again = f"#{self.calls}" if self.calls > 1 else ""
        given = dict(zip(("input", "hx"), args, strict=False)) | kwargs
        batch = _Batch.of(module, given["input"], given.get("lengths"))
        hx = given.get("hx")
        if hx is None:
            D = 2 if module.bidirectional else 1
            N = len(batch.lengths)
            hx = batch.x.new_zeros(module.num_layers * D, N, module.hidden_size)
        elif hx.dim() == 2:
            hx = hx[:, None]
        prefix = f"{self.name}{again}." if self.name or again else ""
        x, h_n = _layers(module, batch, hx, prefix, self.passes)
        return batch.as_given(x), h_n[:, 0] if batch.unbatched else h_n


@dataclass
class _Batch:
    """Input of any form as padded (L, N, F), and the way back.

    Attributes:
        x: zero beyond the end of each row.
        lengths: (N,).
        packed: the caller's, if it was packed.
        unbatched, batch_first: of the caller's, if it was not.
    """

    x: Tensor
    lengths: Tensor
    packed: PackedSequence | None = None
    unbatched: bool = False
    batch_first: bool = False

    @classmethod
    def of(cls, module: Any, given: Any, lengths: Any) -> "_Batch":
        if isinstance(given, PackedSequence):
            order = given.sorted_indices
            N = len(order) if order is not None else int(given.batch_sizes[0])
            live = (
                torch.arange(N, device="cpu") < given.batch_sizes[:, None]
            )  # (L, N), the longest row first
            shape = (*live.shape, given.data.shape[-1])
            x = given.data.new_zeros(shape)
            x = x.index_put(tuple(live.to(x.device).nonzero(as_tuple=True)), given.data)
            steps = live.sum(0)
            if given.unsorted_indices is not None:
                x = x.index_select(1, given.unsorted_indices)
                steps = steps[given.unsorted_indices.cpu()]
            return cls(x, steps, packed=given)
        if given.dim() == 2:
            return cls(given[:, None], torch.tensor([len(given)], device="cpu"), unbatched=True)
        x = given.transpose(0, 1) if module.batch_first else given
        L, N = x.shape[:2]
        steps = torch.full((N,), L, device="cpu")
        if lengths is not None:
            steps = as_lengths(lengths).cpu().long()
            check_lengths(steps, N, L)
            beyond = torch.arange(L, device="cpu")[:, None] >= steps
            x = x.masked_fill(beyond.to(x.device)[..., None], 0.0)
        return cls(x, steps, batch_first=module.batch_first)

    def as_given(self, x: Tensor) -> Any:
        """Output in the caller's form."""
        if self.packed is not None:
            _, sizes, order, back = self.packed
            if order is not None:
                x = x.index_select(1, order)
            live = torch.arange(x.shape[1], device="cpu") < sizes[:, None]
            return PackedSequence(x[live.to(x.device)], sizes, order, back)
        if self.unbatched:
            return x[:, 0]
        return x.transpose(0, 1) if self.batch_first else x

    def turned(self, x: Tensor) -> Tensor:
        """Each row from its last step to its first, (L, N, F); twice is nothing."""
        t = torch.arange(len(x), device="cpu")[:, None]
        there = t < self.lengths
        from_end = torch.where(there, self.lengths - 1 - t, t).to(x.device)
        return x.gather(0, from_end[..., None].expand_as(x))


def _layers(
    module: Any, batch: _Batch, hx: Tensor, prefix: str, passes: list[Pass]
) -> tuple[Tensor, Tensor]:
    """The layers over a batch: the outputs of the last, (L, N, D·H), and h_n."""
    x, last = batch.x, list[Tensor]()
    beyond = (torch.arange(len(x), device="cpu")[:, None] >= batch.lengths).to(x.device)[..., None]
    for k in range(module.num_layers):
        outputs = []
        for suffix in ("", "_reverse")[: 2 if module.bidirectional else 1]:
            tail = f"l{k}{suffix}"
            biases = [getattr(module, f"bias_{of}_{tail}") for of in ("ih", "hh") if module.bias]
            read = batch.turned(x) if suffix else x
            a = functional.linear(read, getattr(module, f"weight_ih_{tail}"), *biases[:1])
            a = a + biases[1] if biases else a
            weight, h_0 = getattr(module, f"weight_hh_{tail}"), hx[len(last)]
            h = scan(a, weight, h_0, module.nonlinearity)
            nudge = torch.zeros_like(h, requires_grad=True)
            passes.append(_noted(f"{prefix}{tail}", module, a, weight, h_0, h, nudge, batch))
            h = h + nudge
            last.append(_last(h, h_0, batch.lengths))
            outputs.append(batch.turned(h) if suffix else h)
        x = torch.cat(outputs, -1).masked_fill(beyond, 0.0)
    return x, torch.stack(last)


def _last(h: Tensor, h_0: Tensor, lengths: Tensor) -> Tensor:
    """The state after each row's last step, (N, H); the first one of a row without steps."""
    if not len(h):
        return h_0
    place = (lengths - 1).clamp(min=0).to(h.device)[None, :, None].expand(1, *h.shape[1:])
    empty = (lengths == 0).to(h.device)[:, None]
    return torch.where(empty, h_0, h.gather(0, place)[0])


def _noted(
    name: str,
    module: Any,
    a: Tensor,
    weight: Tensor,
    h_0: Tensor,
    h: Tensor,
    nudge: Tensor,
    batch: _Batch,
) -> Pass:
    W, states = _wide(weight), _wide(h)
    before = torch.cat([_wide(h_0)[None], states])[: len(states)]  # (L, N, H), h_{t-1}
    z = _wide(a) + before @ W.mT
    return Pass(name, module.nonlinearity, W, z, states, batch.lengths, nudge)


def _wide(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float64)
