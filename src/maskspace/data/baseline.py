"""What connected components of equal colour score: on plain rectangles they are the truth."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from skimage.measure import label

from maskspace.data.dense import Dense, dense
from maskspace.data.shards import MANIFEST, SPLITS, open_shards, read_manifest, write_json
from maskspace.types import Sample

#: The manifest's key of the baseline.
BASELINE = "baseline_connected_components"


def equal_colour_components(image: UInt8[np.ndarray, "h w 3"]) -> Int64[np.ndarray, "h w"]:
    """Return the 4-connected components of equal colour, labelled from 0."""
    packed = image.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    components = label(packed, background=-1, connectivity=1)
    return np.asarray(components, np.int64) - 1


def best_component_iou(
    sample: Dense, components: Int64[np.ndarray, "h w"]
) -> Float64[np.ndarray, " n"]:
    """Return for each mask the highest IoU that one of the components has with it."""
    sizes = np.bincount(components.ravel())
    best = np.zeros(len(sample.masks))
    for index, mask in enumerate(sample.masks):
        shared = np.bincount(components[mask], minlength=len(sizes))
        best[index] = np.max(shared / (sizes + mask.sum() - shared))
    return best


def components_score(samples: Iterable[Sample]) -> float:
    """Return the mean over all masks of all samples of their best component's IoU."""
    scores = [np.zeros(0)]
    for sample in map(dense, samples):
        scores.append(best_component_iou(sample, equal_colour_components(sample.image)))
    every = np.concatenate(scores)
    if not len(every):
        raise ValueError("no sample has a mask, so that there is no baseline; check the dataset")
    return float(every.mean())


def write_baseline(folder: Path) -> float:
    """Add the baseline over all splits to the manifest of a folder of shards, and return it."""
    every = (sample for split in SPLITS for sample in open_shards(folder, split))
    baseline = round(components_score(every), 6)
    write_json(folder / MANIFEST, {**read_manifest(folder), BASELINE: baseline})
    return baseline
