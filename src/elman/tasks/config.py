"""config.json of a run directory: what a trained model is and where it came from."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
)

FORMAT_VERSION = 2
Figure = StrictInt | StrictFloat | StrictStr | None


def readable(name: str) -> str:
    """A name of a file or a folder in letters: what is not UTF-8 in it becomes �.

    The system gives such bytes as halves of a pair, which no file in UTF-8 can hold.

    >>> readable(chr(0xDCB2) + ".csv"), readable("测试.csv")
    ('�.csv', '测试.csv')
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class DataFacts(BaseModel):
    """What a model learned from.

    Attributes:
        file: its name.
        sha256: of its bytes, in hexadecimal.
        rows: how many it has; of a text, its characters.
        seen: which of them the model learned from, in words.
    """

    file: Annotated[str, BeforeValidator(readable)]
    sha256: str
    rows: int
    seen: str | None = None


class HeldOut(BaseModel):
    """How good a model is on what it never saw, beside a baseline; figures by their names."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Figure]

    rows: int

    def figure(self, name: str) -> float | None:
        """The number of that name, if it is there."""
        value = getattr(self, name, None)
        return float(value) if isinstance(value, (int, float)) else None


class About(BaseModel):
    """Where a run came from and how good it is, as far as known; other facts may be added.

    Attributes:
        columns: which column of a file is the "text", the "label", the "group", ...
        data, held_out: see their classes.
        command: what made it.
    """

    model_config = ConfigDict(extra="allow")

    columns: dict[str, str | list[str]] = {}
    data: DataFacts | None = None
    held_out: HeldOut | None = None
    command: str | None = None


class RunConfig(BaseModel):
    """config.json, as far as all tasks share it.

    Attributes:
        format, format_version: what kind of directory this is.
        task: "classify", "generate" or "forecast".
        settings: the arguments of the task's class.
        about: where it came from and how good it is.
        files: the SHA-256 of each file that holds what was learned.
        versions: of elman, torch and Python when it was made.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["elman run"] = "elman run"
    format_version: int = FORMAT_VERSION
    task: str
    settings: dict[str, Any]
    about: About = About()
    files: dict[str, str] = {}
    versions: dict[str, str] = {}


def _check_columns(about: About, single: set[str], several: set[str]) -> About:
    """Raise ValueError where a column is of no known use, or several are named for one use."""
    for use, name in about.columns.items():
        if use not in single | several:
            raise ValueError(f"columns: {use!r} is none of {sorted(single | several)}")
        if isinstance(name, list) is (use in single):
            raise ValueError(f"columns: {use!r} should be {'one' if use in single else 'a list'}")
    return about


class ClassifierConfig(RunConfig):
    """config.json of a `Classifier`.

    Attributes:
        classes: the answers, in the order of the scores.
        reader: what turns an input into what the network reads (`elman.tasks.classify.readers`).
    """

    task: Literal["classify"] = "classify"
    classes: list[StrictStr] | list[StrictBool] | list[StrictInt] = Field(min_length=2)
    reader: dict[str, Any]

    @field_validator("about")
    @classmethod
    def _columns(cls, about: About) -> About:
        single = {"text", "sequence", "id", "time", "label", "group"}
        return _check_columns(about, single, {"values"})

    @field_validator("classes")
    @classmethod
    def _each_once(cls, classes: list) -> list:
        if len(set(classes)) < len(classes):
            raise ValueError("each class should be there once")
        return classes


class GeneratorConfig(RunConfig):
    """config.json of a `Generator`."""

    task: Literal["generate"] = "generate"


class Learned(BaseModel):
    """Which rows a forecaster learned from.

    Attributes:
        rows: how many.
        sha256: a digest of their values.
        head: the same of the first of them.
    """

    model_config = ConfigDict(extra="forbid")

    rows: StrictInt = Field(ge=1)
    sha256: StrictStr
    head: StrictStr


class ForecasterConfig(RunConfig):
    """config.json of a `Forecaster`.

    Attributes:
        columns: the names of the series, in the order of the values.
        learned: the digest of the rows learned from, and how many they are.
    """

    task: Literal["forecast"] = "forecast"
    columns: list[StrictStr] = Field(min_length=1)
    learned: Learned

    @field_validator("about")
    @classmethod
    def _columns(cls, about: About) -> About:
        return _check_columns(about, {"time"}, {"target"})


def upgraded(raw: dict[str, Any]) -> dict[str, Any]:
    """The config of an older format as this one has it.

    Format 1 knew classifiers of characters only; what came since gets the value it had then.
    """
    if raw.get("format_version") != 1:
        return raw
    settings = raw.get("settings")
    if isinstance(settings, dict):
        new = {"level": "char", "encoder": None, "init": "orthogonal", "device": "cpu"}
        settings = {**new, **settings}
    return {
        **raw,
        "format_version": FORMAT_VERSION,
        "settings": settings,
        "reader": {"kind": "text"},
    }


def first_problem(error: ValidationError) -> tuple[str, str]:
    """A pydantic error in a few words: which entry; what was wrong, and what came."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(map(str, problem["loc"]))
    said = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return where, f"{said}, got {problem['input']!r:.60}"
