"""How well a model finds instances: best IoU, COCO's AP, and the share found at IoU 0.5."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from maskspace.evaluation.truth import Truth
from maskspace.masks.iou_table import iou_table
from maskspace.metrics.average_precision import ScoredMatches, average_precision, scored_matches
from maskspace.metrics.best_iou import best_iou
from maskspace.metrics.bootstrap import confidence_interval
from maskspace.metrics.recall import THRESHOLDS
from maskspace.types import Prediction

Propose = Callable[[UInt8[np.ndarray, "h w 3"]], Prediction]


@dataclass(frozen=True, kw_only=True)
class FoundInstances:
    """How the proposals of one image match its true masks.

    best_iou: best IoU of each true mask among all proposals, in [0, 1].
    matches: COCO's matches.
    seconds: time of the answer.

    Example:
        >>> mask = np.ones((1, 4, 4), bool)
        >>> found = FoundInstances(
        ...     best_iou=np.array([1.0]),
        ...     matches=scored_matches(mask, np.array([0.9]), mask),
        ...     seconds=0.1,
        ... )
        >>> found.best_iou.mean().item()
        1.0
    """

    best_iou: Float64[np.ndarray, " m"]
    matches: ScoredMatches
    seconds: float


@dataclass(frozen=True, kw_only=True)
class InstanceScore:
    """The scores of a model on a dataset.

    mean_best_iou: mean over all true masks of the best IoU, in [0, 1].
    low, high: ends of its 95 % interval over images.
    average_precision: COCO's AP, in [0, 1].
    found: TP / (TP + FP + FN) at an IoU of 0.5, matched one to one and pooled over images (the 2018
        Data Science Bowl's precision at that threshold).
    proposals: mean number of proposals of an image.
    seconds: mean time of an image.

    Example:
        >>> score = InstanceScore(
        ...     mean_best_iou=0.8,
        ...     low=0.7,
        ...     high=0.9,
        ...     average_precision=0.5,
        ...     found=0.6,
        ...     proposals=10.0,
        ...     seconds=0.1,
        ... )
        >>> score.low <= score.mean_best_iou <= score.high
        True
    """

    mean_best_iou: float
    low: float
    high: float
    average_precision: float
    found: float
    proposals: float
    seconds: float


def find_instances(propose: Propose, truth: Truth, *, limit: int) -> FoundInstances:
    """Return how the proposals of an image match its true masks; ignored pixels are left out.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> truth = read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1)
        >>> def perfect(image):
        ...     return Prediction(truth.masks, np.ones(len(truth.masks), np.float32))
        >>> find_instances(perfect, truth, limit=100).best_iou.min().item()
        1.0
    """
    start = time.perf_counter()
    proposals = propose(truth.image)
    seconds = time.perf_counter() - start
    truth.require_size(proposals.masks.shape[1:], "proposes masks")
    masks = proposals.masks[:limit] & ~truth.ignore
    scores = proposals.scores[:limit]
    (best,) = best_iou(iou_table(masks, truth.masks), [max(len(masks), 1)])
    matches = scored_matches(masks, scores, truth.masks, limit=limit)
    return FoundInstances(best_iou=best, matches=matches, seconds=seconds)


def score_instances(images: Sequence[FoundInstances], *, seed: int) -> InstanceScore:
    """Return the score of a dataset.

    ValueError if no image has a true mask, or only one: an interval over images needs two.

    Args:
        images: the outcome of each image.
        seed: of the resampling of images.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> truths = [read_truth(s, min_area=1) for s in read_rectangles("", seed=0, limit=2)]
        >>> found = []
        >>> for truth in truths:  # proposals that are the true masks
        ...     perfect = Prediction(truth.masks, np.ones(len(truth.masks), np.float32))
        ...     found.append(find_instances(lambda image, p=perfect: p, truth, limit=100))
        >>> score = score_instances(found, seed=0)
        >>> score.mean_best_iou, score.found
        (1.0, 1.0)
    """
    counts = np.array([len(image.best_iou) for image in images])
    sums = np.array([[image.best_iou.sum()] for image in images])
    if counts.sum() == 0:
        raise ValueError("no true mask in any image; lower min_area or give other images")
    bounds = confidence_interval(sums, counts, generator=np.random.default_rng(seed))
    half = int(np.flatnonzero(np.isclose(THRESHOLDS, 0.5))[0])
    right = sum(int(image.matches.right[half].sum()) for image in images)
    proposed = sum(image.matches.right.shape[1] for image in images)
    return InstanceScore(
        mean_best_iou=float(sums.sum() / counts.sum()),
        low=float(bounds.low[0]),
        high=float(bounds.high[0]),
        average_precision=average_precision([image.matches for image in images]),
        found=right / (proposed + int(counts.sum()) - right),
        proposals=proposed / len(images),
        seconds=sum(image.seconds for image in images) / len(images),
    )
