"""A training told to TensorBoard as it goes: one event file a call, a step an epoch."""

import importlib
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from elman.errors import SettingError
from elman.train.loop import Progress


def check_installed() -> None:
    """Raise SettingError where the package tensorboard is not there."""
    try:
        importlib.import_module("tensorboard")
    except ImportError as error:
        broken = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
        raise SettingError(
            f"--log tensorboard: the package tensorboard is not installed{broken}; pip install "
            "'elman[tensorboard]', or in a clone: pip install -c constraints.txt '.[tensorboard]'"
        ) from None


class TensorBoard:
    """Writes what `train` reports at the end of each epoch: every number of its record, the
    sample if there is one. `with TensorBoard(folder) as log: train(..., report=log)`.

    Args:
        folder: of the event files; made with the first of them. One more is added to those that
            are there.
        resumed: whether the training goes on from a checkpoint: what was told of the epochs from
            there on, before a kill, then no longer counts.

    Attributes:
        began: whether anything was written.

    Raises:
        SettingError: the package is not installed.
    """

    def __init__(self, folder: Path, resumed: bool = False) -> None:
        check_installed()
        self.folder, self.resumed = folder, resumed
        self._writer: Any = None

    @property
    def began(self) -> bool:
        """Whether an event file was made."""
        return self._writer is not None

    def __call__(self, progress: Progress) -> None:
        """Note an epoch that has ended; other reports are passed over."""
        if progress.record is None:
            return
        if self._writer is None:
            self._writer = self._opened(progress.epoch)
        for name, value in progress.record.items():
            if name in ("epoch", "sample"):
                continue
            several = value.items() if isinstance(value, dict) else [("", value)]
            for key, number in several:
                tag = f"{name}/{key}" if key else name
                self._writer.add_scalar(tag, number, progress.epoch)
        if isinstance(sample := progress.record.get("sample"), str):
            # as code, which TensorBoard shows as it is
            text = "\n".join(f"    {line}" for line in sample.split("\n"))
            self._writer.add_text("sample", text, progress.epoch)
        self._writer.flush()

    def _opened(self, epoch: int) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        try:
            return SummaryWriter(str(self.folder), purge_step=epoch if self.resumed else None)
        except OSError as error:
            raise SettingError(
                f"--log tensorboard: {self.folder} cannot be written: {error.strerror}"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()
