"""Ask a model; take the time of its answers, and note what it refuses."""

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Answer = TypeVar("Answer")


class Refusal(Exception):
    """A model does not answer a question: it raised ValueError, or the memory was exhausted.

    Example:
        >>> Asked().answer(lambda: [][0:0] or int("no mask here"))
        Traceback (most recent call last):
            ...
        maskspace.evaluation.asking.Refusal: invalid literal for int() with base 10: 'no mask here'
    """


class Asked:
    """What one model was asked about one image.

    seconds: the time of its answers.
    not_answered: question that it refused -> the reason.

    Example:
        >>> asked = Asked()
        >>> asked.ask("propose", lambda: 3)
        3
        >>> asked.ask("embed", lambda: int("features"))
        >>> list(asked.not_answered)
        ['embed']
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.not_answered: dict[str, str] = {}

    def answer(self, answer: Callable[[], Answer]) -> Answer:
        """Return the model's answer, or raise Refusal with the model's reason."""
        start = time.perf_counter()
        try:
            return answer()
        except ValueError as error:
            raise Refusal(str(error)) from error
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise Refusal(f"out of memory ({str(error).partition('. ')[0]})") from error
        finally:
            self.seconds += time.perf_counter() - start

    def ask(self, question: str, answer: Callable[[], Answer]) -> Answer | None:
        """Return the model's answer; None if it refuses, with the reason in `not_answered`."""
        try:
            return self.answer(answer)
        except Refusal as refusal:
            self.not_answered[question] = str(refusal)
            return None
