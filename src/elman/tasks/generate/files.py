"""From a text file to a trained generator and an honest figure."""

from pathlib import Path

from elman.data import Text
from elman.errors import DataError
from elman.tasks.config import About, DataFacts, HeldOut
from elman.tasks.generate.corpus import split_at_line
from elman.tasks.generate.generator import Generator, Judgement
from elman.train import Report


def train_on_text(
    model: Generator,
    text: Text,
    hold_out: float,
    report: Report | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
) -> Judgement:
    """Hold out the end of a text, train on the rest, judge on the end.

    What was learned of file and figures is put into `model.about`.

    Raises:
        DataError, TrainingError: as `Generator.fit`.
    """
    known, unseen = split_at_line(text.text, hold_out)
    try:
        model.fit(known, report=report, checkpoint=checkpoint, resume=resume or False)
    except DataError as error:
        raise DataError(f"{text.path}: {error}") from None
    judgement = model.judge(unseen)
    model.about = About(
        data=DataFacts(
            file=text.path.name,
            sha256=text.sha256,
            rows=len(text.text),
            seen=f"the first {len(known)} characters",
        ),
        held_out=HeldOut.model_validate({"rows": judgement.characters, **vars(judgement)}),
    )
    return judgement
