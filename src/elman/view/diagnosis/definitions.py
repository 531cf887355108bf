"""What each measure of a diagnosis is, in which unit, and where it comes from."""

from typing import NamedTuple


class Definition(NamedTuple):
    """One measure.

    Attributes:
        name: in the table.
        unit: of the number.
        meaning: what it is.
        source: who says so.
    """

    name: str
    unit: str
    meaning: str
    source: str


_PASCANU = "Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063"
_ENGELKEN = "Engelken, Wolf, Abbott 2023, Phys. Rev. Research 5, arXiv 2006.02427"

DEFINITIONS = {
    "spectral_radius": Definition(
        "spectral radius",
        "1",
        "largest |eigenvalue| of W_hh; for a tanh, below 1 small states fade",
        f"Jaeger 2001, GMD Report 148; {_PASCANU}",
    ),
    "gradient_first": Definition(
        "|dL/dh|, first step",
        "loss",
        "norm of the loss's gradient with respect to the first state read, later states "
        "included; mean of the rows that are as long as the longest",
        f"Hochreiter 1991; {_PASCANU}",
    ),
    "gradient_last": Definition(
        "|dL/dh|, last step",
        "loss",
        "the same for the last state of each row, mean of the rows",
        _PASCANU,
    ),
    "gradient_factor": Definition(
        "gradient, a step back",
        "1",
        "(first / last)^(1/(T-1)), T the last step the loss depends on, median of the rows: "
        "below 1 it vanishes, above 1 it explodes",
        _PASCANU,
    ),
    "saturated": Definition(
        "saturated states",
        "share",
        "states on the flat part of f, where its slope is below 0.0199 of the largest it has "
        "anywhere: |f| > 0.99 of a tanh, f = 0 of a relu",
        "Glorot, Bengio 2010, AISTATS; Karpathy, Johnson, Li 2015, arXiv 1506.02078",
    ),
    "stuck_units": Definition(
        "stuck units",
        "units",
        "saturated in more than 95 of 100 steps",
        "Glorot, Bengio 2010, AISTATS",
    ),
    "dead_units": Definition(
        "dead units",
        "units",
        "relu: 0 at every step; otherwise: never differs by 0.01 or more",
        "Lu, Shin, Su, Karniadakis 2020, arXiv 1903.06733",
    ),
    "lyapunov": Definition(
        "largest Lyapunov exponent",
        "nats/step",
        "mean log growth of a small change along the states gone through, by QR of the Jacobians "
        "dh_t/dh_(t-1): above 0 chaos, below 0 forgetting",
        f"Benettin et al. 1980, Meccanica 15; {_ENGELKEN}",
    ),
    "horizon": Definition(
        "memory horizon",
        "steps",
        "first k at which the spectral norm of dh_(t+k)/dh_t is under 1 %, median over t",
        f"{_PASCANU}; Bengio, Simard, Frasconi 1994, IEEE TNN 5",
    ),
}
