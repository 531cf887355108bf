"""The interactive pages: tiny networks trained on the spot, each shown by elman.view.

Where this elman has no `elman.view`, there are no such pages and the others do not mention them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import elman
from docs.site.pages import ROOT

FOLDER = "interactive"


@dataclass(frozen=True)
class Demo:
    """A page in which a network can be stepped through.

    Attributes:
        make: what elman.view is given: the model, trained, and what it reads.
        titles: what it is, by language.
    """

    make: Callable[[], tuple[Any, ...]]
    titles: dict[str, str]


def available() -> bool:
    """Whether this elman can show a network at work."""
    return callable(getattr(elman, "view", None))


def write(site: Path) -> list[str]:
    """Train every demo's network and write its page; the names of those written."""
    if not available():
        return []
    (site / FOLDER).mkdir()
    for name, demo in DEMOS.items():
        torch.manual_seed(0)
        elman.view(*demo.make()).save(site / FOLDER / f"{name}.html")
    return list(DEMOS)


def one_step() -> tuple[elman.RNN, torch.Tensor, torch.Tensor]:
    """The network of page 2, its two inputs and h_0: the numbers worked out there by hand."""
    rnn = elman.RNN(2, 2)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.tensor([[0.5, -0.3], [0.2, 0.8]]))
        rnn.weight_hh_l0.copy_(torch.tensor([[0.1, 0.4], [-0.5, 0.3]]))
        rnn.bias_ih_l0.copy_(torch.tensor([0.1, 0.0]))
        rnn.bias_hh_l0.copy_(torch.tensor([0.0, -0.2]))
    return rnn, torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([[0.5, -0.5]])


def terms() -> tuple[elman.Classifier, str]:
    """A small classifier of real and counterfeit Chinese medical terms."""
    lines = (ROOT / "examples/data/terms_zh.csv").read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines[1:]]
    texts, labels = [row[0] for row in rows], [row[1] for row in rows]
    model = elman.Classifier(embedding_size=16, hidden_size=16, epochs=6, batch_size=128, lr=0.01)
    return model.fit(texts, labels), "糖尿病"


def love() -> tuple[elman.Generator, str]:
    """A generator that has read two sentences."""
    model = elman.Generator(embedding_size=8, hidden_size=16, epochs=8)
    return model.fit("我爱你。你爱我。" * 200), "我爱你。你"


DEMOS = {
    "one-step": Demo(one_step, {"en": "the step worked out above", "zh-CN": "上面手算的那一步"}),
    "terms": Demo(
        terms, {"en": "a network judging 糖尿病", "zh-CN": "一个网络在判断“糖尿病”是不是真的术语"}
    ),
    "love": Demo(love, {"en": "a network writing 我爱你", "zh-CN": "一个网络在写“我爱你”"}),
}
