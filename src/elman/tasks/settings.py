"""The ranges of the tasks' arguments."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Size = Annotated[int, Field(ge=1, le=16384, strict=True)]
_Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
_Share = Annotated[float, Field(ge=0, lt=1, strict=True)]
_Rate = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]


class ClassifierSettings(BaseModel):
    """The ranges of `Classifier`'s arguments."""

    model_config = ConfigDict(extra="forbid")

    embedding_size: _Size
    hidden_size: _Size
    num_layers: Annotated[int, Field(ge=1, le=64, strict=True)]
    nonlinearity: Literal["tanh", "relu", "identity"]
    bidirectional: Annotated[bool, Field(strict=True)]
    dropout: _Share
    token_dropout: _Share
    epochs: _Count
    batch_size: _Count
    lr: _Rate
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
    label_smoothing: _Share
    clip: _Rate
    patience: _Count
    validation: Annotated[float, Field(gt=0, lt=1, strict=True)]
    random_state: Annotated[int, Field(ge=0, lt=2**32, strict=True)]
