"""The ranges of the tasks' arguments."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from elman.nn.dynamics import Dynamics
from elman.ops.activations import NONLINEARITIES
from elman.train import Plan

Size = Annotated[int, Field(ge=1, le=16384, strict=True)]
Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Share = Annotated[float, Field(ge=0, lt=1, strict=True)]
Part = Annotated[float, Field(gt=0, lt=1, strict=True)]
Rate = Annotated[float, Field(gt=0, le=1e30, strict=True)]  # torch takes them as float32
Weight = Annotated[float, Field(ge=0, le=1e30, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Level = Literal["char", "word"]


def _known_device(name: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?|mps", name):
        raise ValueError("should be cpu, cuda, cuda:0, cuda:1, ... or mps")
    return name


def _known_nonlinearity(name: str) -> str:
    if name not in NONLINEARITIES:
        raise ValueError(f"should be one of {', '.join(NONLINEARITIES)}")
    return name


#: What runs say nothing of that were written before it could be set, and what it was then.
SINCE = {"leak": 1.0, "zoneout": 0.0, "recurrent_dropout": 0.0, "layer_norm": False}


class Settings(BaseModel):
    """What every task lets one set."""

    model_config = ConfigDict(extra="forbid")

    hidden_size: Size
    num_layers: Annotated[int, Field(ge=1, le=64, strict=True)]
    nonlinearity: Annotated[str, Field(strict=True), AfterValidator(_known_nonlinearity)]
    leak: Annotated[float, Field(gt=0, le=1, strict=True)]
    zoneout: Share
    recurrent_dropout: Share
    layer_norm: Flag
    dropout: Share
    init: Literal["torch", "orthogonal", "identity", "critical", "integrator"]
    epochs: Count
    batch_size: Count
    lr: Rate
    weight_decay: Weight
    clip: Rate
    patience: Count
    validation: Part
    random_state: Annotated[int, Field(ge=0, lt=2**32, strict=True)]
    device: Annotated[str, Field(strict=True), AfterValidator(_known_device)]

    def dynamics(self) -> Dynamics | None:
        """What a step of the RNN does besides; None where that is nothing."""
        said = Dynamics(
            leak=self.leak,
            zoneout=self.zoneout,
            recurrent_dropout=self.recurrent_dropout,
            layer_norm=self.layer_norm,
        )
        return None if said == Dynamics() else said

    def plan(self, decay: bool = False, judge_first: bool = False) -> Plan:
        """How to train by these settings; for the rest see `elman.train.Plan`."""
        return Plan(
            epochs=self.epochs,
            lr=self.lr,
            weight_decay=self.weight_decay,
            clip=self.clip,
            patience=self.patience,
            seed=self.random_state,
            decay=decay,
            judge_first=judge_first,
        )


class ClassifierSettings(Settings):
    """The ranges of `Classifier`'s arguments."""

    level: Level
    encoder: Annotated[str, Field(strict=True)] | None
    embedding_size: Size
    bidirectional: Flag
    token_dropout: Share
    label_smoothing: Share


class GeneratorSettings(Settings):
    """The ranges of `Generator`'s arguments."""

    level: Level
    max_vocab: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] | None
    embedding_size: Size
    chunk: Count
    token_dropout: Share


class ForecasterSettings(Settings):
    """The ranges of `Forecaster`'s arguments."""

    horizon: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    season: Count | None
    chunk: Count
    coverage: Part
