"""A network writes: from a prompt on, and while it still learns."""

import time
from collections.abc import Iterator
from dataclasses import replace
from numbers import Integral

import torch
from torch import nn

from elman.data import Vocabulary
from elman.data.decoding import half_a_character
from elman.errors import SettingError
from elman.models import LanguageModel
from elman.tasks.devices import device_of
from elman.tasks.generate.corpus import ids_of
from elman.tasks.generate.sampling import is_number, sampled
from elman.train import Progress, Report

_SAMPLE_EVERY = 15.0  # seconds


def check_request(prompt: str, length: int, seed: int | None) -> None:
    """Raise SettingError where one of them is not what it should be."""
    if not isinstance(prompt, str):
        raise SettingError(f"the prompt should be a text, got {type(prompt).__name__}")
    if half_a_character(prompt):
        raise SettingError("the prompt holds half a character: give it in UTF-8")
    if not (is_number(length, Integral) and length >= 0):
        raise SettingError(f"length should be a whole number from 0 on, got {length!r:.60}")
    if seed is not None and not (is_number(seed, Integral) and 0 <= seed < 2**63):
        raise SettingError(
            f"seed should be a whole number from 0 to 2**63 - 1, or None, got {seed!r:.60}"
        )


def written(
    model: nn.Module,
    vocabulary: Vocabulary,
    prompt: str,
    length: int,
    rng: torch.Generator,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Iterator[str]:
    """The tokens that a network writes after a prompt; see `Generator.stream`."""
    device = device_of(model)
    # a blank at the end is the first character of the word that comes
    blank = " " if vocabulary.level == "word" and prompt.endswith(" ") else ""
    ids = ids_of(vocabulary, prompt.removesuffix(blank), begin=True).tolist()
    state = None
    for _ in range(length):
        with torch.inference_mode():
            log_probs, state = model(torch.tensor([ids], device=device), state)
            token = sampled(log_probs[0, -1].cpu(), rng, temperature, top_k, top_p)
        yield vocabulary.decode([token]).removeprefix(blank)
        ids, blank = [token], ""


class Showing:
    """Passes reports on, now and then with a sample of what the network writes."""

    def __init__(self, report: Report, model: LanguageModel, vocabulary: Vocabulary) -> None:
        self.report, self.model, self.vocabulary = report, model, vocabulary
        self.shown = time.monotonic()

    def __call__(self, progress: Progress) -> bool | None:
        """Report it; whether to stop."""
        last = progress.record is not None and progress.epoch == progress.epochs
        if not last and time.monotonic() - self.shown < _SAMPLE_EVERY:
            return self.report(progress)
        self.shown = time.monotonic()
        training = self.model.training
        self.model.eval()
        rng = torch.Generator()
        rng.manual_seed(progress.epoch)
        sample = "".join(written(self.model, self.vocabulary, "", 60, rng, 0.8))
        self.model.train(training)
        return self.report(replace(progress, sample=sample))
