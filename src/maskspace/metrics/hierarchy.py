"""Covering, Rand index and variation of information of hierarchies: ODS, OIS and best.

P. Arbeláez, M. Maire, C. Fowlkes, J. Malik, 2011, doi:10.1109/TPAMI.2010.161, pooled as the code of
the BSDS500 benchmark pools. A hierarchy is a partition a scale, the same number of scales for
every image. ODS takes one scale for the data set, OIS the best of each image; each measure has its
own. Covering sums the pixels covered over all true regions, annotators and images before it
divides; `best` lets each true region have a scale of its own. The other two are means over
annotators, then over images.
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
    """One image, by scale: pixels covered of `area`, Rand index, variation of information in nats.

    `area` counts the pixels of all annotators' regions, `best_covered` those covered when each true
    region has its own scale.

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
    """A data set: each measure at its best scale for all images (ODS) and for each (OIS).

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
    """Return the scores of partitions, which need not nest, against several annotators' maps.

    Partitions are looked at one after the other. Pixels that an annotator leaves unlabelled (0) are
    not counted for that annotator.

    Example:
        >>> halves = np.array([[1, 1, 2, 2]])
        >>> scores = region_scores([np.ones((1, 4), int), halves], [halves])
        >>> scores.rand.round(3).tolist(), scores.area
        ([0.333, 1.0], 4)
    """
    return scores_of_tables([[contingency(labels, one) for one in true] for labels in scales])


def scores_of_tables(scales: Sequence[Sequence[Contingency]]) -> RegionScores:
    """Return the scores given the tables with each annotator's map, scale by scale.

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
    """Return the scores of partitions made of the same pieces, pixels being counted once for all.

    `regions[s, p]` is the region, at scale s, of the piece that has the label p, from 0.

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
        finest = contingency(pieces, one)
        present = np.unique(pieces[one != 0])
        tables.append([merge_regions(finest, region[present]) for region in regions])
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

    Image i is held `times[:, i]` times, one time at least of all images together.

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
    # OIS: the scale that is best for an image's own ratio, which its area does not change
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
