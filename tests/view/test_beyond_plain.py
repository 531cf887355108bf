"""Layers that are more than f of a sum are not shown or diagnosed as if they were plain."""

import pytest
import torch

import elman
from elman.errors import SettingError

BEYOND = {
    "dynamics": ({"dynamics": elman.Dynamics(leak=0.5)}, "leak=0.5"),
    "wiring": ({"wiring": elman.Wiring(one_bias=True)}, "one_bias=True"),
    "another f": ({"nonlinearity": "elu"}, "elu"),
}


@pytest.mark.parametrize(("arguments", "says"), BEYOND.values(), ids=BEYOND)
@pytest.mark.parametrize("look", [elman.view, elman.diagnose], ids=["view", "diagnose"])
def test_what_is_not_plain_is_named(look, arguments, says):
    with pytest.raises(SettingError, match=says):
        look(elman.RNN(3, 4, **arguments), torch.randn(5, 2, 3))


@pytest.mark.parametrize("look", [elman.view, elman.diagnose], ids=["view", "diagnose"])
def test_what_is_left_off_in_eval_mode_is_no_hindrance(look):
    rnn = elman.RNN(3, 4, dynamics=elman.Dynamics(recurrent_dropout=0.5)).eval()
    look(rnn, torch.randn(5, 2, 3))
