"""`diagnose`: where gradients go, which units are used, how long a network remembers."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman.errors import RunDirectoryError
from elman.view.diagnosis import measures
from elman.view.diagnosis.probe import Pass, recurrent, watched
from elman.view.diagnosis.result import Diagnosis, LayerDiagnosis
from elman.view.functions import Function


@runtime_checkable
class Job(Protocol):
    """What a Classifier, Generator and Forecaster have in common here."""

    model_: nn.Module

    def loss_on(self, X: Any, y: Any = None) -> Tensor:
        """The mean loss on some data, to differentiate."""


def diagnose(
    model: nn.Module | Job,
    batch: Any = None,
    targets: Any = None,
    *,
    loss: Callable[[Any], Tensor] | None = None,
    exponents: int = 32,
    rows: int = 4,
    ahead: int = 100,
) -> Diagnosis:
    """Look into the recurrent layers of a model while it reads a batch.

        J_t = ∂h_t/∂h_{t-1}, which is diag(f'(z_t)) W_hh in a plain layer

    Of every layer and direction: the spectral radius of W_hh; |∂L/∂h_t| at every step, by the real
    backward pass; saturated, stuck and dead units; Lyapunov exponents by the QR method along the
    states gone through; and the memory horizon, the steps until the spectral norm of
    ∂h_{t+k}/∂h_t is under 1 %. `elman.view.diagnosis.definitions` has each with unit and source.

    Args:
        model: any `elman.RNN`, whatever its dynamics, wiring and nonlinearity, or
            `torch.nn.RNN`, any module with such inside, or a fitted or loaded `Classifier`,
            `Generator` or `Forecaster`. It is run in eval mode and left as it was; no `.grad` is
            touched.
        batch: what to read. Of a module its input, or a tuple or dict of its arguments; of a job
            what its `fit` takes: texts or sequences, one text, a series. Default: None, and what
            the weights alone tell, the spectral radius, is all there is.
        targets: labels, for a Classifier. Default: its own answers.
        loss: of what a module returns, a scalar. Default: half the sum of squares of a layer's
            last states (h_n of the top layer), or of the first tensor that another module returns.
            A job has its own: that of its training.
        exponents: so many Lyapunov exponents at most. Default: 32.
        rows: exponents and horizon are of so many of the longest rows. Default: 4.
        ahead: steps to look ahead for the horizon. Default: 100.

    Returns:
        A `Diagnosis`: `print` it, or take its `layers`, `as_dict()`, or plots (`elman.view.plots`).

    Raises:
        TypeError: the model is none of these.
        ValueError: it has no Elman RNN inside, an argument is out of range, the batch has no
            steps, or the states or the loss are not finite.

    Source: Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063; Engelken, Wolf, Abbott 2023, arXiv
    2006.02427.

    A network that halves its one state at each step, by hand: ln ½ = -0.693, and 2⁻⁷ < 1 %:

    >>> from elman import RNN
    >>> rnn = RNN(1, 1, nonlinearity="identity")
    >>> for parameter in rnn.parameters():
    ...     _ = nn.init.constant_(parameter, 0.5)
    >>> print(diagnose(rnn, torch.ones(20, 1, 1), loss=lambda out: out[0][-1].sum()))
    measure                    unit             l0
    spectral radius            1               0.5
    |dL/dh|, first step        loss       1.907e-06
    |dL/dh|, last step         loss               1
    gradient, a step back      1                0.5
    saturated states           share              0
    stuck units                units              0
    dead units                 units              0
    largest Lyapunov exponent  nats/step    -0.6931
    memory horizon             steps              7
    """
    for name, value in (("exponents", exponents), ("rows", rows), ("ahead", ahead)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} should be a whole number from 1 on, got {value!r:.60}")
    network = _network_of(model)
    if batch is None:
        if targets is not None or loss is not None:
            raise ValueError("targets and loss go with a batch; give one")
        return Diagnosis(_weights_alone(network))
    with torch.inference_mode(False), torch.enable_grad(), watched(network) as passes:
        total = _loss_of(model, network, batch, targets, loss)
        _note_gradients(total, passes)
    if not passes:
        raise ValueError("the model did not call its RNN on this batch")
    return Diagnosis([_looked_at(of, exponents, rows, ahead) for of in passes], total.item())


def _network_of(model: Any) -> nn.Module:
    """The module to look into."""
    network = model if isinstance(model, nn.Module) else getattr(model, "model_", None)
    if not isinstance(network, nn.Module):
        raise TypeError(
            "model should be a torch.nn.Module with an RNN inside, or a fitted Classifier, "
            f"Generator or Forecaster, got {type(model).__name__}"
        )
    if recurrent(network):
        return network
    if not list(network.parameters()):  # an ONNX file's, run by ONNX Runtime
        raise RunDirectoryError(
            "an ONNX file has no layers to look into; load the run directory it was exported from"
        )
    cell = "; of a ConcatRNN look into model.to_rnn()" if hasattr(network, "to_rnn") else ""
    raise ValueError(
        f"the {type(network).__name__} has no elman.RNN or torch.nn.RNN inside (LSTM and GRU are "
        f"other networks, and cells are called by loops of one's own){cell}"
    )


def _weights_alone(network: nn.Module) -> list[LayerDiagnosis]:
    found = []
    for name, module in recurrent(network).items():
        rnn: Any = module
        for k in range(rnn.num_layers):
            for suffix in ("", "_reverse")[: 2 if rnn.bidirectional else 1]:
                weight = getattr(rnn, f"weight_hh_l{k}{suffix}").detach().to("cpu", torch.float64)
                layer = f"{name}.l{k}{suffix}" if name else f"l{k}{suffix}"
                values = measures.eigenvalues(_checked(weight, "weights"))
                f = Function(rnn.nonlinearity).name
                found.append(LayerDiagnosis(layer, len(weight), f, values.numpy()))
    return found


def _loss_of(
    model: Any,
    network: nn.Module,
    batch: Any,
    targets: Any,
    loss: Callable[[Any], Tensor] | None,
) -> Tensor:
    """L, a scalar with its graph."""
    if not isinstance(model, nn.Module):
        if loss is not None:
            raise ValueError(
                "loss: a Classifier, Generator or Forecaster has its own; leave it out"
            )
        return model.loss_on(batch, targets)
    if targets is not None:
        raise ValueError(
            "targets are for a Classifier; of a module give loss=..., which knows them"
        )
    if isinstance(batch, dict):
        out = network(**batch)
    elif isinstance(batch, tuple) and not isinstance(batch, PackedSequence):
        out = network(*batch)
    else:
        out = network(batch)
    total = _default_loss(network, out) if loss is None else loss(out)
    if not isinstance(total, Tensor) or total.numel() != 1:
        what = tuple(total.shape) if isinstance(total, Tensor) else type(total).__name__
        raise ValueError(f"loss should give a scalar tensor, got {what}")
    return total.reshape(())


def _default_loss(network: Any, out: Any) -> Tensor:
    if "" in recurrent(network):  # the model itself is the layer
        directions = 2 if network.bidirectional else 1
        h_n = out[1]  # of each layer apart where their sizes differ
        top = h_n[-1] if isinstance(h_n, tuple) else h_n[-directions:]
        return top.square().sum() / 2
    while isinstance(out, (tuple, list)) and out:
        out = out[0]
    if not isinstance(out, Tensor) or not out.is_floating_point():
        raise ValueError(
            f"the model returns {type(out).__name__}: say which number to differentiate, loss=..."
        )
    return out.square().sum() / 2


def _note_gradients(total: Tensor, passes: list[Pass]) -> None:
    """∂L/∂h_t from outside each recurrence, by torch's backward pass."""
    for of in passes:
        if not of.there.any():
            raise ValueError(f"{of.name}: the batch has no steps; give rows of at least one")
    _checked(total.detach(), "loss")
    nudges = [of.nudge for of in passes]
    if not nudges:
        return
    if not total.requires_grad:
        raise ValueError(
            "the loss has no gradient: it does not depend on the states, or the model runs under "
            "torch.no_grad"
        )
    found = torch.autograd.grad(total, nudges, allow_unused=True)
    for of, gradient in zip(passes, found, strict=True):
        given = torch.zeros_like(of.nudge) if gradient is None else gradient
        of.arriving = given.detach().to("cpu", torch.float64)


def _looked_at(of: Pass, exponents: int, rows: int, ahead: int) -> LayerDiagnosis:
    """Every measure of one layer and direction."""
    _checked(of.z[of.there], "states")
    activity = measures.activity(of)
    spectrum, counted = measures.lyapunov(of, exponents, rows)
    horizon = measures.horizon(of, rows, ahead)
    row = measures.longest(of, 1)[0]
    return LayerDiagnosis(
        name=of.name,
        units=len(of.weight),
        nonlinearity=of.step.f.name,
        eigenvalues=measures.eigenvalues(_checked(of.weight, "weights")).numpy(),
        steps=int(of.lengths.max()),
        rows=int((of.lengths > 0).sum()),
        gradient_flow=measures.gradient_flow(of).numpy(),
        gradient_factor=measures.gradient_factor(of),
        saturated=activity.saturated,
        stuck=activity.stuck,
        dead=activity.dead,
        lyapunov=np.array(spectrum),
        lyapunov_steps=counted,
        horizon=horizon.steps,
        horizon_exceeds=horizon.exceeds,
        influence=np.array(horizon.curve),
        states=of.h[: int(of.lengths[row]), row].numpy(),
    )


def _checked(x: Tensor, what: str) -> Tensor:
    if not x.isfinite().all():
        raise ValueError(
            f"the {what} hold numbers that are not finite; nothing can be said of them"
        )
    return x
