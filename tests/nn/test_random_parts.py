"""What is drawn at random: dropout of every kind, zoneout, noise. One seed, one result."""

import pytest
import torch

import elman
from elman import Dynamics, Wiring
from elman.nn.masks import _draws, kept, scaled_mask
from elman.ops import cpu, use_backend
from tests.nn.by_hand import Masks, by_hand

L, N, K, H = 6, 4, 3, 4
CPU = torch.device("cpu")


def near_half(share, draws):
    """Whether it is within five standard deviations of a half, or of a quarter."""
    return abs(share - round(4 * share) / 4) <= 5 * (0.25 / draws) ** 0.5


def test_a_mask_drops_as_many_as_it_should():
    torch.manual_seed(0)
    size = 1 << 20
    for p in (0.0, 0.1, 0.5, 0.9, 1.0):
        share = 1 - kept((size,), p, CPU).float().mean().item()
        assert abs(share - p) <= 5 * (p * (1 - p) / size) ** 0.5 + 2**-17
    assert scaled_mask((8,), 0.5, torch.zeros(1)).unique().tolist() in ([0, 2], [0], [2])


def test_places_of_a_mask_know_nothing_of_each_other():
    """Neighbours, the two halves of a word, and words that differ in one bit; nor do two masks."""
    torch.manual_seed(0)
    size = 1 << 20
    mask, other = kept((size,), 0.5, CPU), kept((size,), 0.5, CPU)
    assert near_half((mask == other).float().mean().item(), size)
    for apart in (1, 2, 3, 64, 65, 127, 128, 256, 4096, 1 << 15):
        same = (mask[apart:] == mask[:-apart]).float().mean().item()
        assert near_half(same, size - apart), apart
    for k in range(128):  # each place of a block
        column = mask.view(-1, 128)[:, k].float().mean().item()
        assert near_half(column, size // 128), k


@pytest.mark.skipif(cpu.problem() is not None, reason="needs the compiled kernels")
@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 100_003, 600_000])
@pytest.mark.parametrize("dropped", [0.0, 0.1, 0.5, 1.0])
def test_the_kernels_draw_what_torch_does(dropped, size):
    key = torch.tensor(-0x123456789ABCDEF)
    mask = torch.empty(size, dtype=torch.bool)
    edge = round(dropped * 65536)
    cpu.draw_mask(int(key), edge, mask)
    assert torch.equal(mask, _draws(key, size) >= edge)


def made(**arguments):
    torch.manual_seed(0)
    return elman.RNN(K, H, dtype=torch.float64, **arguments)


def test_zoneout_keeps_the_old_state_where_it_says():
    rnn = made(dynamics=Dynamics(zoneout=0.4, leak=0.7), bidirectional=True)
    x = torch.randn(L, N, K, dtype=torch.float64)
    torch.manual_seed(5)
    output, _ = rnn(x)
    torch.manual_seed(5)
    new = {(0, d): kept((L, N, H), 0.4, CPU).double() for d in range(2)}
    want, _ = by_hand(rnn, x, masks=Masks(new=new))
    torch.testing.assert_close(output, want[0], rtol=1e-12, atol=1e-12)


def test_one_mask_for_a_whole_sequence():
    rnn = made(
        num_layers=2, bidirectional=True, dynamics=Dynamics(recurrent_dropout=0.3),
        wiring=Wiring(input_dropout=0.2, output_dropout=0.4),
    )  # fmt: skip
    x = torch.randn(L, N, K, dtype=torch.float64)
    torch.manual_seed(5)
    output, _ = rnn(x)
    torch.manual_seed(5)
    masks = Masks()
    for k, width in enumerate((K, 2 * H)):
        masks.input[k] = scaled_mask((1, N, width), 0.2, x)
        masks.output[k] = scaled_mask((1, N, 2 * H), 0.4, x)
        for d in range(2):
            masks.inside[k, d] = scaled_mask((1, N, H), 0.3, x)
    want, _ = by_hand(rnn, x, masks=masks)
    torch.testing.assert_close(output, want[-1], rtol=1e-12, atol=1e-12)


def test_masks_stay_with_their_rows_in_any_order():
    """Rows of unequal length are sorted on the way; each keeps the mask it would have had."""
    rnn = made(dynamics=Dynamics(recurrent_dropout=0.5), wiring=Wiring(output_dropout=0.5))
    x = torch.randn(L, N, K, dtype=torch.float64)
    torch.manual_seed(5)
    whole, _ = rnn(x)
    torch.manual_seed(5)
    some, _ = rnn(x, lengths=[2, 6, 1, 4])
    for n, length in enumerate([2, 6, 1, 4]):
        torch.testing.assert_close(some[:length, n], whole[:length, n], rtol=1e-12, atol=1e-12)


def test_noise_is_added_inside():
    rnn = made(dynamics=Dynamics(noise=0.5, leak=0.3), bidirectional=True)
    x = torch.randn(L, N, K, dtype=torch.float64)
    torch.manual_seed(5)
    output, _ = rnn(x)
    torch.manual_seed(5)
    noise = 0.5 * torch.randn(L, N, 2 * H, dtype=torch.float64)
    masks = Masks(noise={(0, 0): noise[..., :H], (0, 1): noise[..., H:]})
    want, _ = by_hand(rnn, x, masks=masks)
    torch.testing.assert_close(output, want[0], rtol=1e-12, atol=1e-12)


ALL = {
    "dynamics": Dynamics(zoneout=0.3, recurrent_dropout=0.3, noise=0.1),
    "wiring": Wiring(input_dropout=0.3, output_dropout=0.3),
}


def test_nothing_is_drawn_without_training():
    rnn = made(**ALL).eval()
    x = torch.randn(L, N, K, dtype=torch.float64)
    before = torch.get_rng_state()
    assert torch.equal(rnn(x)[0], rnn(x)[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("backend", ["cpu", "aten", "reference"])
def test_one_seed_is_one_result_on_every_backend(backend):
    rnn = made(**ALL)
    x = torch.randn(L, N, K, dtype=torch.float64)

    def run(name):
        torch.manual_seed(7)
        with use_backend(name):
            return rnn(x, lengths=[3, 6, 1, 5])[0]

    torch.testing.assert_close(run(backend), run("reference"), rtol=1e-12, atol=1e-12)
    assert not torch.equal(rnn(x)[0], rnn(x)[0])


def test_drawn_anew_within_vmap():
    rnn = made(**ALL)
    x = torch.randn(3, L, N, K, dtype=torch.float64)
    once = torch.func.vmap(lambda x: rnn(x)[0], randomness="different")(x[:1].expand(3, -1, -1, -1))
    assert not torch.equal(once[0], once[1])
