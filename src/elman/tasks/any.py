"""Whatever task a run directory is of."""

from pathlib import Path
from typing import Any

from elman.tasks.classify import Classifier
from elman.tasks.documents import CONFIG, task_of
from elman.tasks.forecast import Forecaster
from elman.tasks.generate import Generator
from elman.tasks.onnx.file import opened
from elman.tasks.task import Task

TASKS: dict[str, type[Task]] = {kind.task: kind for kind in (Classifier, Generator, Forecaster)}


def load(path: str | Path) -> Task[Any, Any]:
    """Read a run directory or an exported ONNX file of any task.

    Returns:
        A `Classifier`, `Generator` or `Forecaster`.

    Raises:
        RunDirectoryError: it is missing, damaged, or of no task this elman knows.
    """
    documents = opened(Path(path))
    task = task_of(documents)
    if task not in TASKS:
        known = ", ".join(TASKS)
        raise documents.damaged(CONFIG, f"task {task!r} is none of {known}")
    return TASKS[task].load(path)
