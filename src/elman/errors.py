"""What elman raises for a person's mistake: one line that says what to do."""


class ElmanError(Exception):
    """Something a person can mend; its text names the place and the remedy.

    The command line prints it as one line and exits with 2.
    """


class DataError(ElmanError, ValueError):
    """A file or a value in it cannot be used as it is."""


class RunDirectoryError(ElmanError, ValueError):
    """A run directory or an ONNX file is missing, damaged, or of another task or version."""


class SettingError(ElmanError, ValueError):
    """An argument is out of its range.

    Attributes:
        setting: the argument of a task that it is, and what is wrong with it; None of others.
    """

    def __init__(self, text: str, setting: tuple[str, str] | None = None) -> None:
        super().__init__(text)
        self.setting = setting


class TrainingError(ElmanError, RuntimeError):
    """Training cannot go on, for example because the loss is not finite."""


class InterruptedTrainingError(TrainingError):
    """Ctrl-C came before anything was learned."""


class NotFittedError(ElmanError, RuntimeError):
    """A task was asked for answers before `fit` or `load`."""
