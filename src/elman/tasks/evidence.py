"""report.json: what report.html shows besides metrics.jsonl, so that a copy can show it again."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

On = Literal["held out", "stopping"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Index = Annotated[int, Field(ge=0)]


class Evidence(BaseModel):
    """What the answers of a model were on rows it did not learn from.

    Attributes:
        on: "held out", rows that had no part in training at all; or "stopping", rows that told
            when to stop it, which flatters a little.
    """

    model_config = ConfigDict(extra="forbid")

    on: On


class Wrong(BaseModel):
    """An answer that was wrong.

    Attributes:
        shown: the input, in short.
        truth, answer: numbers of classes.
        probability: what the model gave its answer.
    """

    model_config = ConfigDict(extra="forbid")

    shown: str
    truth: Index
    answer: Index
    probability: Finite


class ClassifierEvidence(Evidence):
    """A classifier's answers.

    Attributes:
        classes: their names.
        counts: (truth, answer, how often), where that is not 0.
        wrong: the wrong answers the model was surest of, the surest first.
    """

    classes: list[str] = Field(min_length=2)
    counts: list[tuple[Index, Index, Index]]
    wrong: list[Wrong]


class Told(BaseModel):
    """A forecast from one row: a value for each step ahead; None for an end that is infinite.

    Attributes:
        row: the number, in `ForecasterEvidence.labels`, of the first row forecast.
        model, lower, upper, naive, seasonal: forecasts, and the ends of the model's interval.
    """

    model_config = ConfigDict(extra="forbid")

    row: Index
    model: list[Finite]
    lower: list[Finite | None]
    upper: list[Finite | None]
    naive: list[Finite]
    seasonal: list[Finite]


class Column(BaseModel):
    """One series: what came, what was said of it, and how far that was off.

    Attributes:
        name, season: of the series.
        truth: a value for each of the labels.
        told: forecasts, from one row in each H.
        mae, naive, seasonal: mean absolute errors over all origins, for each step ahead.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    season: int
    truth: list[Finite]
    told: list[Told]
    mae: list[Finite]
    naive: list[Finite]
    seasonal: list[Finite]


class ForecasterEvidence(Evidence):
    """A forecaster's forecasts.

    Attributes:
        labels: when the rows shown were.
        nominal: share of the values that should lie in their interval.
        columns: the series.
    """

    labels: list[str]
    nominal: Finite
    columns: list[Column]


def in_short(value: Any, most: int = 160) -> str:
    """An input as a person reads it, cut where it is long.

    >>> in_short("abc"), in_short([[1.0], [2.5]]), in_short([[1, 2], [3, 4]])
    ('abc', '1, 2.5', '1 2, 3 4')
    """
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]}…"
    words = []
    for step in value:
        row = step if hasattr(step, "__iter__") else [step]
        words.append(" ".join(f"{number:.4g}" for number in row))
        if sum(map(len, words)) > most:
            return ", ".join(words)[:most] + f"… ({len(value)} steps)"
    return ", ".join(words)
