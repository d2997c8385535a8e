"""Whether a new version becomes the champion: only like is compared, image by image.

Two versions are compared if they were measured by the same metric on the same images with the same
masks. The new one becomes champion if it is better by more than chance: the 95 % interval of the
mean difference over the same images, by resampling images, lies above 0.
"""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from maskspace.metrics.bootstrap import paired_difference

#: The file of an evaluation that holds a line an image and model.
PER_IMAGE = "per_image.csv"
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a version was measured by, image by image.

    metric: a column of per_image.csv; larger is better.
    images: of each `DATASET/KEY`, the metric's mean over its masks, and how many masks it has.

    Example:
        >>> measured = Measured(metric="dice", images={"d/a": (0.5, 1), "d/b": (1.0, 3)})
        >>> measured.value  # every dataset counts the same, in it every mask
        0.875
    """

    metric: str
    images: Mapping[str, tuple[float, int]]

    @property
    def value(self) -> float:
        """Return the mean over datasets of the mean over masks."""
        return float(self.values @ self.weights)

    @property
    def comparison(self) -> str:
        """Return a hash of all that two versions must share to be compared."""
        lines = [
            self.metric,
            *(f"{key} {masks}" for key, (_, masks) in sorted(self.images.items())),
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    @property
    def values(self) -> Float64[np.ndarray, " n"]:
        """Return the metric of each image, in order of their names."""
        return np.array([value for _, (value, _) in sorted(self.images.items())], float)

    @property
    def weights(self) -> Float64[np.ndarray, " n"]:
        """Return each image's share of the value: all datasets count the same, in one all masks."""
        masks = {key: masks for key, (_, masks) in sorted(self.images.items())}
        totals: dict[str, int] = {}
        for key, number in masks.items():
            dataset = key.partition("/")[0]
            totals[dataset] = totals.get(dataset, 0) + number
        shares = [number / totals[key.partition("/")[0]] for key, number in masks.items()]
        return np.array(shares, float) / len(totals)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a version becomes champion, and why in one line.

    Example:
        >>> Verdict(champion=True, reason="the first version").champion
        True
    """

    champion: bool
    reason: str


def read_measured(folders: Mapping[str, Path], *, model: str, metric: str) -> Measured:
    r"""Return what per_image.csv of each dataset's evaluation says of a model.

    Raises ValueError that names the file where it is missing, has no such column, or where the
    model did not answer.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / PER_IMAGE).write_text("model,key,masks,dice\nstudent,a,2,0.75\n")
        >>> read_measured({"d": folder}, model="student", metric="dice").images
        {'d/a': (0.75, 2)}
    """
    images = {}
    for dataset, folder in sorted(folders.items()):
        path = folder / PER_IMAGE
        try:
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if row["model"] == model]
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file; run the stage evaluate") from None
        for row in rows:
            if not row.get(metric):
                raise ValueError(f"{path}: no {metric} of {model} on {row['key']}; {_known(row)}")
            images[f"{dataset}/{row['key']}"] = float(row[metric]), int(row["masks"])
        if not rows:
            raise ValueError(f"{path}: no line of {model}; run the stage evaluate again")
    return Measured(metric=metric, images=images)


def _known(row: Mapping[str, str]) -> str:
    known = [name for name, value in row.items() if value and name not in ("dataset", "model")]
    return f"it has {', '.join(known)}"


def judge(candidate: Measured, champion: Measured | None) -> Verdict:
    """Return whether the candidate becomes champion after the one there is, None for none.

    Example:
        >>> before = Measured(metric="dice", images={f"d/{n}": (0.5, 1) for n in range(9)})
        >>> after = Measured(metric="dice", images={f"d/{n}": (0.6, 1) for n in range(9)})
        >>> judge(after, before).reason
        'better by 0.1000 (95 % interval 0.1000 to 0.1000, 9 images)'
        >>> judge(before, before).champion
        False
    """
    if champion is None:
        return Verdict(champion=True, reason="the first version")
    if candidate.comparison != champion.comparison:
        return Verdict(
            champion=False,
            reason="the champion was measured by another metric or on other images; compare them "
            "by hand, then `maskspace registry promote`",
        )
    weights = candidate.weights
    found = paired_difference(
        (candidate.values * weights)[:, None],
        (champion.values * weights)[:, None],
        weights,
        generator=np.random.default_rng(_SEED),
    )
    difference, low, high = (float(x.item()) for x in (found.value, found.low, found.high))
    number = len(candidate.images)
    told = f"{difference:.4f} (95 % interval {low:.4f} to {high:.4f}, {number} images)"
    if low > 0:
        return Verdict(champion=True, reason=f"better by {told}")
    return Verdict(champion=False, reason=f"not better beyond chance: {told}")
