"""jax.jit of lax.scan, the input's product outside the scan: the strong form."""

from typing import Any

import numpy as np

from elman.bench.cases import Case
from elman.bench.contestant import Contestant, not_installed
from elman.bench.work import Work


class JaxScan(Contestant):
    """float32 on the CPU at the default precision; its threads are the cores it may use."""

    name = "jax"

    def __init__(self, work: Work) -> None:
        import jax

        cpu = jax.devices("cpu")[0]

        def put(tensor: Any) -> Any:
            return jax.device_put(tensor.numpy(), cpu)

        self.weights = {name: put(weight) for name, weight in work.weights.items()}
        self.x, self.cotangent = put(work.x), put(work.cotangent)
        self._forward = jax.jit(_run)
        self._train = jax.jit(_weight_gradients)

    @staticmethod
    def problem(case: Case) -> str | None:
        """One dense layer in one direction; the rest would measure how it is put together."""
        if case.step or case.lengths is not None or case.num_layers > 1 or case.bidirectional:
            return "written for one dense layer in one direction"
        return not_installed("jax", "jaxlib")

    def forward(self) -> Any:
        """The states, (L, N, H)."""
        return self._forward(self.weights, self.x).block_until_ready()

    def train(self) -> Any:
        """By name."""
        import jax

        return jax.block_until_ready(self._train(self.weights, self.x, self.cotangent))

    def output(self) -> np.ndarray:
        """(L, N, H)."""
        return np.asarray(self.forward())

    def gradients(self) -> dict[str, np.ndarray]:
        """By name."""
        return {name: np.asarray(gradient) for name, gradient in self.train().items()}


def _run(weights: dict[str, Any], x: Any) -> Any:
    import jax
    from jax import numpy as jnp

    a = x @ weights["weight_ih_l0"].T + (weights["bias_ih_l0"] + weights["bias_hh_l0"])

    def step(h: Any, a_t: Any) -> tuple[Any, Any]:
        h = jnp.tanh(a_t + h @ weights["weight_hh_l0"].T)
        return h, h

    return jax.lax.scan(step, jnp.zeros_like(a[0]), a)[1]  # (L, N, H)


def _weight_gradients(weights: dict[str, Any], x: Any, cotangent: Any) -> Any:
    import jax

    _, backward = jax.vjp(lambda given: _run(given, x), weights)
    return backward(cotangent)[0]
