"""Clicks on one image that can be added, undone, done again, saved and loaded.

A session knows no models: it is given a function that answers clicks on its image. It keeps the
mask of every state as run lengths, a few kilobytes each, so that undo and redo ask nobody.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from maskspace.config import build_section, section
from maskspace.files import write_whole
from maskspace.masks import decode, encode
from maskspace.types import Click

ClickLike = Click | tuple[int | float, int | float, bool]

FORMAT, VERSION = "maskspace-clicks", 1
MAX_BYTES = 1 << 26


@runtime_checkable
class SessionAnswer(Protocol):
    """What answers clicks on one image; it refuses settings that it does not use.

    Example:
        >>> class Column:  # a click means its column of an image of 2 x 3 pixels
        ...     def __call__(self, clicks, *, level, start, rule):
        ...         mask = np.zeros((2, 3), bool)
        ...         mask[:, [click.x for click in clicks]] = True
        ...         return mask
        >>> isinstance(Column(), SessionAnswer)
        True
    """

    def __call__(
        self,
        clicks: Sequence[Click],
        *,
        level: float,
        start: Bool[np.ndarray, "h w"] | None,
        rule: str,
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask; without clicks it is the start mask, or empty."""
        ...


def checked_clicks(clicks: Sequence[ClickLike], size_hw: tuple[int, int]) -> list[Click]:
    """Return the clicks as records; ValueError for one that is no pixel of the image.

    Example:
        >>> checked_clicks([(1, 0, True)], (4, 4))
        [Click(x=1, y=0, positive=True)]
        >>> checked_clicks([(4, 0, True)], (4, 4))
        Traceback (most recent call last):
            ...
        ValueError: click (4, 0) is outside the image: x is in 0..3 and y in 0..3
    """
    height, width = size_hw
    checked = []
    for click in clicks:
        x, y, positive = (click.x, click.y, click.positive) if isinstance(click, Click) else click
        if x % 1 != 0 or y % 1 != 0:
            raise ValueError(f"click ({x}, {y}) is between pixels; give whole ones")
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(
                f"click ({x}, {y}) is outside the image: x is in 0..{width - 1} and "
                f"y in 0..{height - 1}"
            )
        checked.append(Click(int(x), int(y), bool(positive)))
    return checked


@section
class SavedClick:
    """A click in a file.

    Example:
        >>> SavedClick(x=3, y=5, positive=True).x
        3
    """

    x: int
    y: int
    positive: bool


@section
class SavedSession:
    """The content of a file of clicks.

    Args:
        format, version: the format of the file.
        size_hw: height and width of the image.
        sha256: of the image's RGB bytes, row by row, after its EXIF rotation.
        model: name of the model that answered.
        rule: how clicks are combined.
        level: the probability at which the mask is cut.
        clicks: the clicks, in their order.
        start: the start mask in COCO's compressed run lengths; None if there is none.

    Example:
        >>> saved = SavedSession(
        ...     format="maskspace-clicks", version=1, size_hw=(4, 6), sha256="", model="student",
        ...     rule="claims", level=0.5, clicks=(), start=None)
        >>> saved.size_hw
        (4, 6)
    """

    format: str
    version: int
    size_hw: tuple[int, int]
    sha256: str
    model: str
    rule: str
    level: float
    clicks: tuple[SavedClick, ...]
    start: str | None


@dataclass(frozen=True)
class Settings:
    """How a session's clicks are answered; see `SavedSession`.

    Example:
        >>> Settings(level=0.5, rule="claims", start=None).rule
        'claims'
    """

    level: float
    rule: str
    start: str | None


class ClickSession:
    """The clicks on one image, and the mask that they describe.

    Every method that changes something returns the new mask, or raises ValueError in one line and
    changes nothing. Without clicks the mask is the start mask, or empty.

    Args:
        image: the image.
        answer: answers clicks on it.
        model: name of the model that answers.
        level: the probability at which the mask is cut (default 0.5).
        start: the mask to begin with (default None: empty).
        rule: how clicks are combined (default "claims").

    Example:
        >>> def column(clicks, **settings):  # a click means its column of the image
        ...     mask = np.zeros((2, 3), bool)
        ...     mask[:, [click.x for click in clicks]] = True
        ...     return mask
        >>> session = ClickSession(np.zeros((2, 3, 3), np.uint8), column, model="column")
        >>> session.add(1, 0).astype(int).tolist()
        [[0, 1, 0], [0, 1, 0]]
        >>> session.undo().any().item()
        False
    """

    def __init__(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        answer: SessionAnswer,
        *,
        model: str,
        level: float = 0.5,
        start: Bool[np.ndarray, "h w"] | None = None,
        rule: str = "claims",
    ) -> None:
        self.size_hw, self.model = (image.shape[0], image.shape[1]), model
        self._sha256 = hashlib.sha256(image.tobytes()).hexdigest()
        self._answer = answer
        self._states: list[tuple[Click, ...]] = [()]
        self._now = 0
        self._settings = Settings(level, rule, self._coded(start))
        self._masks: dict[tuple[Click, ...], str] = {(): self._asked((), self._settings)}

    @property
    def clicks(self) -> tuple[Click, ...]:
        """Return the clicks, in the order in which they were made."""
        return self._states[self._now]

    @property
    def settings(self) -> Settings:
        """Return how the clicks are answered."""
        return self._settings

    @property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """Return the mask of the clicks."""
        if self.clicks not in self._masks:
            self._masks[self.clicks] = self._asked(self.clicks, self._settings)
        return self._decoded(self._masks[self.clicks])

    def add(self, x: int, y: int, positive: bool = True) -> Bool[np.ndarray, "h w"]:
        """Make one more click at column x and row y; undone clicks are forgotten."""
        return self.extend([Click(x, y, positive)])

    def extend(self, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Make several clicks in their order; each can be undone by itself."""
        new = checked_clicks(clicks, self.size_hw)
        return self._continue([(*self.clicks, *new[: n + 1]) for n in range(len(new))])

    def clear(self) -> Bool[np.ndarray, "h w"]:
        """Remove all clicks; this can be undone."""
        return self._continue([()])

    def undo(self, count: int = 1) -> Bool[np.ndarray, "h w"]:
        """Go back by `count` changes."""
        return self._move(count, -1, "undo")

    def redo(self, count: int = 1) -> Bool[np.ndarray, "h w"]:
        """Go forward by `count` changes that were undone."""
        return self._move(count, 1, "redo")

    def change(
        self,
        *,
        level: float | None = None,
        rule: str | None = None,
        start: Bool[np.ndarray, "h w"] | None = None,
    ) -> Bool[np.ndarray, "h w"]:
        """Answer the same clicks with other settings; None keeps a setting. Undo skips this."""
        known = self._settings
        settings = Settings(
            known.level if level is None else level,
            rule or known.rule,
            known.start if start is None else self._coded(start),
        )
        self._masks = {self.clicks: self._asked(self.clicks, settings)}
        self._settings = settings
        return self.mask

    def to_json(self) -> bytes:
        """Return what `save` writes: image, model, settings and clicks; not the undone ones."""
        saved = {
            "format": FORMAT,
            "version": VERSION,
            "size_hw": self.size_hw,
            "sha256": self._sha256,
            "model": self.model,
            **asdict(self._settings),
            "clicks": [asdict(click) for click in self.clicks],
        }
        return json.dumps(saved, indent=1).encode() + b"\n"

    def save(self, path: Path) -> None:
        """Write the session as a JSON file, which appears whole or not at all; make its folder."""
        try:
            write_whole(path, self.to_json())
        except OSError as error:
            raise ValueError(f"{path}: cannot be written ({error.strerror})") from None

    def load(self, path: Path) -> Bool[np.ndarray, "h w"]:
        """Load a saved session of this image in place of this one.

        Clicks of another model are answered by this one. Each click can be undone by itself.
        """
        saved = read_session(path)
        self._check_image(saved, path)
        clicks = tuple(Click(click.x, click.y, click.positive) for click in saved.clicks)
        settings = Settings(saved.level, saved.rule, saved.start)
        try:
            checked_clicks(clicks, self.size_hw)
            mask = self._asked(clicks, settings)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        self._states = [clicks[:count] for count in range(len(clicks) + 1)]
        self._now, self._settings, self._masks = len(clicks), settings, {clicks: mask}
        return self.mask

    def _continue(self, states: list[tuple[Click, ...]]) -> Bool[np.ndarray, "h w"]:
        """Go on to new states, of which the last one is asked for at once."""
        if states:
            latest = states[-1]
            mask = self._masks.get(latest) or self._asked(latest, self._settings)
            self._states = self._states[: self._now + 1] + states
            self._now = len(self._states) - 1
            present = set(self._states)
            self._masks = {s: m for s, m in self._masks.items() if s in present} | {latest: mask}
        return self.mask

    def _move(self, count: int, direction: int, verb: str) -> Bool[np.ndarray, "h w"]:
        available = self._now if direction < 0 else len(self._states) - 1 - self._now
        if not 0 <= count <= available:
            raise ValueError(f"cannot {verb} {count} changes; there are {available} to {verb}")
        self._now += direction * count
        return self.mask

    def _asked(self, clicks: tuple[Click, ...], settings: Settings) -> str:
        start = None if settings.start is None else self._decoded(settings.start)
        mask = self._answer(clicks, level=settings.level, start=start, rule=settings.rule)
        return encode(mask[None])[0]

    def _decoded(self, counts: str) -> Bool[np.ndarray, "h w"]:
        return decode([counts], self.size_hw)[0]

    def _coded(self, mask: Bool[np.ndarray, "h w"] | None) -> str | None:
        if mask is None:
            return None
        if mask.shape != self.size_hw:
            raise ValueError(f"the start mask is {mask.shape}, the image {self.size_hw}")
        return encode(mask[None])[0]

    def _check_image(self, saved: SavedSession, path: Path) -> None:
        if saved.size_hw != self.size_hw:
            theirs, ours = ("{1} x {0}".format(*size) for size in (saved.size_hw, self.size_hw))
            raise ValueError(f"{path}: clicks on an image of {theirs} pixels; this one has {ours}")
        if saved.sha256 != self._sha256:
            raise ValueError(f"{path}: clicks on another image of this size; its pixels differ")


def read_session(path: Path) -> SavedSession:
    """Return the content of a file of clicks; ValueError in one line for any other file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "clicks.json")
        >>> def nothing(clicks, **settings):
        ...     return np.zeros((2, 3), bool)
        >>> session = ClickSession(np.zeros((2, 3, 3), np.uint8), nothing, model="none")
        >>> _ = session.add(1, 0)
        >>> session.save(path)
        >>> read_session(path).clicks
        (SavedClick(x=1, y=0, positive=True),)
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"{path}: {size} bytes; a file of clicks has at most {MAX_BYTES}")
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; give one that a session was saved to") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path}: not valid JSON; no file that a session was saved to") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{path}: not a file that a session was saved to")
    if document.get("version") != VERSION:
        raise ValueError(
            f"{path}: version {document.get('version')!r} of the format; this is {VERSION}"
        )
    return build_section(SavedSession, document, place=str(path))
