"""`elman demo`: four networks learn three jobs from real data, in under two minutes."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elman.cli.console import line
from elman.cli.training import Place
from elman.errors import DataError

if TYPE_CHECKING:
    from numpy import ndarray

    from elman.data import Text
    from elman.tasks import Classifier, Forecaster
    from elman.tasks.classify.files import Outcome

_AGAIN = "`elman demo` begins anew"


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of the run directories.")
    ] = Path("runs/demo"),
) -> None:
    """Classify medical terms, write Chinese and English, forecast sunspots; and show how well."""
    from elman.cli.train_classify import run_classifier
    from elman.cli.train_forecast import run_forecaster
    from elman.cli.train_generate import run_generator
    from elman.data import read_series, read_table, read_text
    from elman.tasks import Classifier, Forecaster, Generator
    from elman.tasks.classify.files import Columns

    print("1. Classify: which of these strings are real Chinese medical terms, which counterfeits?")
    classifier = Classifier()
    with example("terms_zh.csv") as path:
        columns = Columns("term", "label", "group")
        terms = run_classifier(
            classifier, read_table(path), columns, 0.2, Place(out / "terms", again=_AGAIN)
        )
    _show_answers(classifier, terms)

    print("\n2. Generate: what comes next in simple Chinese sentences?")
    chinese = Generator()
    with example("sentences_zh.txt") as path:
        sentences = run_generator(
            chinese, read_text(path), 0.1, Place(out / "chinese", again=_AGAIN)
        )
    completion = chinese.generate("我爱", 20, temperature=0).partition("\n")[0]
    line("completed", f"我爱 → {completion}")

    print("\n3. Generate: what comes next in English, in Python's own help pages?")
    english = Generator(epochs=4)
    prose = run_generator(english, english_text(), 0.1, Place(out / "english", again=_AGAIN))
    written = english.generate("The statement", 160, seed=1).replace("\n", " ")
    line("written", f"The statement{written}")

    print("\n4. Forecast: how many sunspots will there be in each of the next 11 years?")
    forecaster = Forecaster(horizon=11)
    with example("sunspots.csv") as path:
        series = read_series(read_table(path), ["sunspots"], "year")
        spots = run_forecaster(forecaster, series, 0.2, Place(out / "sunspots", again=_AGAIN))
    _show_forecast(forecaster, series.values, series.next_times(11))

    print("\nOn what they never saw                        elman   baseline")
    report, evaluation = terms.report, spots.evaluation
    _compare("terms: accuracy; majority class", report.accuracy, [report.majority])
    bits = "bits per character; unigram"
    _compare(f"Chinese: {bits}", sentences.bits_per_character, [sentences.unigram_bits])
    _compare(f"English: {bits}", prose.bits_per_character, [prose.unigram_bits])
    naive = [evaluation.naive.mean(), evaluation.seasonal.mean()]
    _compare("sunspots: MAE; naive, seasonal-naive", float(evaluation.mae.mean()), naive)
    line("completed", f"我爱 → {completion}")
    line("saved", f"{out}/terms, chinese, english, sunspots")
    line("next", f"elman predict {out}/terms YOUR.csv --text COLUMN")
    line("", f"elman generate {out}/chinese --prompt 我爱")


@contextmanager
def example(name: str) -> Iterator[Path]:
    """A file of the example data."""
    with resources.as_file(resources.files("elman.examples") / "data" / name) as path:
        yield path


def english_text() -> "Text":
    """The help pages that come with Python, as one text."""
    import hashlib

    from elman.data import Text

    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            "this Python comes without its help pages (pydoc_data); install the whole standard "
            "library, or train on a text of your own: elman train generate FILE"
        ) from None
    text = "\n".join(topics[name] for name in sorted(topics))
    return Text(Path("pydoc_data.topics"), text, hashlib.sha256(text.encode()).hexdigest())


def _show_answers(model: "Classifier", outcome: "Outcome") -> None:
    shown = outcome.held_out.inputs[:5]
    probabilities = model.predict_proba(shown).max(1)
    line("examples", "five of the rows held out, the first in the file:")
    for text, truth, answer, p in zip(
        shown, outcome.held_out.labels, outcome.answers, probabilities, strict=False
    ):
        verdict = "right" if truth == answer else f"wrong, it is {truth}"
        line("", f"{text}  →  {answer} ({p:.2f})  {verdict}")


def _show_forecast(model: "Forecaster", values: "ndarray", when: list[str]) -> None:
    following = model.predict(values)[:, 0]
    lower, upper = (end[:, 0] for end in model.predict_interval(values))
    for k in (0, len(when) // 2, len(when) - 1):
        line("forecast" if k == 0 else "", f"{when[k]}: {following[k]:.0f}, with an interval from "
             f"{lower[k]:.0f} to {upper[k]:.0f}")  # fmt: skip


def _compare(what: str, ours: float, theirs: list[float]) -> None:
    print(f"  {what:<40} {ours:8.3f}   {', '.join(f'{figure:.3f}' for figure in theirs)}")
