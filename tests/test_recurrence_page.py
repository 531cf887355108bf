"""docs/recurrence.md and its Chinese twin: snippets, pictures and links are what they say."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from elman.nn import RNN, Dynamics, Stateful, Stream, Wiring
from elman.ops.activations import NONLINEARITIES

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = ("recurrence.md", "recurrence.zh-CN.md")


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: str, kind: str = "python") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text(page), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_snippets_give_what_they_say(page, capsys):
    namespace: dict = {}
    held = 0
    for block in blocks(page):
        above: list[str] = []
        for line in block.splitlines():
            expression, arrow, expected = line.partition("  # → ")
            if arrow:
                # what stands above it in the block, then the line itself
                _run(above, namespace, page)
                above = []
                assert repr(eval(expression, namespace)) == expected, line
                held += 1
            else:
                above.append(line)
        _run(above, namespace, page)
    assert held >= 25
    assert "checkpoint_every goes forward only" in capsys.readouterr().out


def _run(lines: list[str], namespace: dict, page: str) -> None:
    exec(compile("\n".join(lines), page, "exec"), namespace)


def test_both_pages_hold_the_same_snippets():
    english, chinese = PAGES
    for kind in ("python", "python off"):
        assert blocks(english, kind) == blocks(chinese, kind)
    pictures = [re.findall(r"\]\((recurrence/\w+\.svg)\)", text(page)) for page in PAGES]
    assert pictures[0] == pictures[1]
    tables = [
        [line.count("|") for line in text(page).splitlines() if line[:1] == "|"] for page in PAGES
    ]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    whole = text(page)
    for target, place in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", whole):
        if target.startswith("http"):
            continue
        assert not target or (DOCS / target).exists(), target
        if not target:
            heads = re.findall(r"^#+ (.*)$", whole, flags=re.MULTILINE)
            assert place in {head.lower().replace(" ", "-") for head in heads}, place


@pytest.mark.parametrize("page", PAGES)
def test_every_argument_is_on_the_page(page):
    whole = text(page)
    for name in (*Dynamics.__dataclass_fields__, *Wiring.__dataclass_fields__):
        assert f"{name}=" in whole, name
    for name in NONLINEARITIES:
        assert f"| `{name}` |" in whole, name


def test_what_the_table_refuses():
    x, flags = torch.randn(7, 3, 4), torch.ones(7, 3, dtype=torch.bool)
    packed = pack_sequence([x[:, 0], x[:4, 1]])
    nested = torch.nested.nested_tensor([x[:, 0], x[:4, 1]], layout=torch.jagged)
    rnn, leaky = RNN(4, 5), RNN(4, 5, dynamics=Dynamics(leak=0.3))
    parts = RNN(4, 5, checkpoint_every=3)
    goes, forward = "go(es)? with .*padded input", "goes forward only"
    refused = [
        *((goes, lambda t=t: rnn(t, mask=flags)) for t in (packed, nested)),
        *((goes, lambda t=t: rnn(t, reset=flags)) for t in (packed, nested)),
        *((goes, lambda t=t: rnn(t, lengths=[7, 4])) for t in (packed, nested)),
        ("checkpoint_every goes with padded input and lengths", lambda: parts(packed)),
        (forward, lambda: RNN(4, 5, bidirectional=True, checkpoint_every=3)),
        (forward, lambda: RNN(4, 5, wiring=Wiring(reverse=True), checkpoint_every=3)),
        (forward, lambda: Stateful(RNN(4, 5, bidirectional=True))),
        (forward, lambda: Stateful(RNN(4, 5, wiring=Wiring(reverse=True)))),
        ("a Stream runs plain layers", lambda: Stream(leaky)),
        ("a Stream runs plain layers", lambda: Stream(RNN(4, 5, wiring=Wiring(one_bias=True)))),
    ]
    for says, call in refused:
        with pytest.raises(ValueError, match=says):
            call()
    loss = parts(x)[0].square().sum()
    with pytest.raises(RuntimeError, match="gradients that cannot be differentiated again"):
        torch.autograd.grad(loss, parts.weight_hh_l0, create_graph=True)
    with pytest.raises(torch.onnx.errors.OnnxExporterError) as stopped:
        torch.onnx.export(leaky.eval(), (x,), dynamo=True, verbose=False)
    assert "ONNX's RNN node should get a plain layer" in str(stopped.value.__cause__)


def test_the_pictures_are_of_this_elman(tmp_path, monkeypatch):
    """Drawn anew they have the same shapes, and the same numbers but for rounding."""
    spec = importlib.util.spec_from_file_location("make_recurrence", DOCS / "make_recurrence.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    for name in ("time", "leak", "masks", "nonlinearities"):
        torch.manual_seed(0)
        drawn, there = getattr(made, name)(), text(f"recurrence/{name}.svg")
        number = re.compile(r"-?\d+(?:\.\d+)?")
        assert number.sub("#", drawn) == number.sub("#", there), name
        for a, b in zip(number.findall(drawn), number.findall(there), strict=True):
            assert abs(float(a) - float(b)) <= 0.2, name  # the pictures round to 0.1
