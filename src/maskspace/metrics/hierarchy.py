"""Covering, Rand index and variation of information of hierarchies: ODS, OIS and best.

P. Arbeláez, M. Maire, C. Fowlkes, J. Malik, 2011, doi:10.1109/TPAMI.2010.161, pooled as the code of
the BSDS500 benchmark pools. A hierarchy has a partition for each scale, the same number of scales
for every image. ODS takes one scale for the data set, OIS the best scale of each image; each
measure has its own. Covering first sums the covered pixels over all true regions, annotators and
images, then divides; `best` gives each true region a scale of its own. The other two measures are
means over annotators, then over images.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from maskspace.metrics.contingency import Contingency, contingency, merge_regions
from maskspace.metrics.covering import overlaps_of
from maskspace.metrics.information import entropies_of
from maskspace.metrics.rand import rand_of


@dataclass(frozen=True, kw_only=True)
class RegionScores:
    """The scores of one image by scale.

    Args:
        covered: covered pixels of all annotators' regions.
        best_covered: covered pixels when each true region has its own scale.
        area: pixels of all annotators' regions.
        rand: Rand index, mean over annotators.
        information: variation of information in nats, mean over annotators.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> region_scores([np.ones((1, 4), int), halves], [halves]).covered.tolist()  # two scales
        [2.0, 4.0]
    """

    covered: Float64[np.ndarray, " s"]
    best_covered: float
    area: int
    rand: Float64[np.ndarray, " s"]
    information: Float64[np.ndarray, " s"]


@dataclass(frozen=True)
class RegionSummary:
    """Each measure of a data set at its best scale for all images (ODS) and for each (OIS).

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> region_summary([region_scores([halves], [halves])]).covering_ods
        1.0
    """

    covering_ods: float
    covering_ois: float
    covering_best: float
    rand_ods: float
    rand_ois: float
    information_ods: float
    information_ois: float


def region_scores(
    scales: Iterable[Int[np.ndarray, "h w"]], true: Sequence[Int[np.ndarray, "h w"]]
) -> RegionScores:
    """Return the scores of partitions against several annotators' maps.

    The partitions, one a scale, need not nest; one is looked at after the other. Pixels without a
    label (0) of an annotator are not counted for that annotator.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> scores = region_scores([np.ones((1, 4), int), halves], [halves])
        >>> scores.rand.round(3).tolist(), scores.area
        ([0.333, 1.0], 4)
    """
    return scores_of_tables([[contingency(labels, one) for one in true] for labels in scales])


def scores_of_tables(scales: Sequence[Sequence[Contingency]]) -> RegionScores:
    """Return the scores, given for each scale the tables with each annotator's map.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> scores_of_tables([[contingency(halves, halves)]]).covered.tolist()
        [4.0]
    """
    _refuse_nothing(len(scales), len(scales[0]) if scales else 0)
    return _scores(list(zip(*scales, strict=True)))


def nested_region_scores(
    pieces: Int[np.ndarray, "h w"],
    regions: Int[np.ndarray, "s k"],
    true: Sequence[Int[np.ndarray, "h w"]],
) -> RegionScores:
    """Return the scores of partitions that are made of the same pieces.

    Pixels are counted only once, for all scales together.

    Args:
        pieces: label of each pixel's piece, from 0.
        regions: `regions[s, p]` is the region of piece p at scale s.
        true: label map of each annotator.

    Example:
        >>> halves = np.array([[0, 0, 1, 1]])  # two pieces
        >>> merged, apart = [0, 0], [0, 1]  # the region of each piece at two scales
        >>> scores = nested_region_scores(halves, np.array([merged, apart]), [halves + 1])
        >>> scores.covered.tolist()
        [2.0, 4.0]
    """
    _refuse_nothing(len(regions), len(true))
    tables = []
    for one in true:
        piece_table = contingency(pieces, one)
        present = np.unique(pieces[one != 0])
        tables.append([merge_regions(piece_table, region[present]) for region in regions])
    return _scores(tables)


def region_summary(images: Sequence[RegionScores]) -> RegionSummary:
    """Return ODS, OIS and best of the images of a data set, all of the same number of scales.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> scores = region_scores([np.ones((1, 4), int), halves], [halves])
        >>> region_summary([scores]).covering_ois
        1.0
    """
    return RegionSummary(*region_summaries(images, np.ones((1, len(images))))[0].tolist())


def region_summaries(
    images: Sequence[RegionScores], times: Float64[np.ndarray, "r n"]
) -> Float64[np.ndarray, "r 7"]:
    """Return the numbers of `RegionSummary`, in its order, of r resamples of the images.

    `times[j, i]` is how often resample j holds image i; each holds at least one image. Raises
    ValueError for images with different numbers of scales.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> scores = [region_scores([halves], [true]) for true in (halves, np.ones((1, 4), int))]
        >>> region_summaries(scores, np.array([[2.0, 0], [1, 1]]))[:, 0].tolist()
        [1.0, 0.75]
    """
    if len({len(image.covered) for image in images}) != 1:
        raise ValueError("images without scores, or of different numbers of scales")
    covered = np.array([image.covered for image in images])
    rand = np.array([image.rand for image in images])
    information = np.array([image.information for image in images])
    area = times @ np.array([float(image.area) for image in images])
    number = times.sum(axis=1)
    # OIS: the image's area does not change which of its scales is best
    columns = (
        (times @ covered).max(axis=1) / area,
        times @ covered.max(axis=1) / area,
        times @ np.array([image.best_covered for image in images]) / area,
        (times @ rand).max(axis=1) / number,
        times @ rand.max(axis=1) / number,
        (times @ information).min(axis=1) / number,
        times @ information.min(axis=1) / number,
    )
    return np.stack(columns, axis=1)


def _scores(tables: Sequence[Sequence[Contingency]]) -> RegionScores:
    """Return the scores given the tables of each annotator, by scale."""
    overlaps = [np.array([overlaps_of(table) for table in scales]) for scales in tables]  # s n
    areas = [scales[0].true_areas for scales in tables]
    pairs = list(zip(overlaps, areas, strict=True))
    rand = np.array([[rand_of(table) for table in scales] for scales in tables])
    entropies = np.array([[sum(entropies_of(table)) for table in scales] for scales in tables])
    return RegionScores(
        covered=sum((overlap @ area for overlap, area in pairs), np.zeros(len(tables[0]))),
        best_covered=float(sum(overlap.max(axis=0) @ area for overlap, area in pairs)),
        area=int(sum(area.sum() for area in areas)),
        rand=rand.mean(axis=0),
        information=entropies.mean(axis=0),
    )


def _refuse_nothing(scales: int, annotators: int) -> None:
    if not scales or not annotators:
        raise ValueError(f"{scales} scales and {annotators} true maps; one or more of each needed")
