"""The score of connected components of equal colour: on plain rectangles they are the truth."""

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
    """Return the 4-connected components of equal colour, labelled from 0.

    Example:
        >>> image = np.zeros((1, 3, 3), np.uint8)
        >>> image[0, 1] = 255  # black, white, black
        >>> equal_colour_components(image).tolist()
        [[0, 1, 2]]
    """
    packed = image.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    components = label(packed, background=-1, connectivity=1)
    return np.asarray(components, np.int64) - 1


def best_component_iou(
    sample: Dense, components: Int64[np.ndarray, "h w"]
) -> Float64[np.ndarray, " n"]:
    """Return for each mask the highest IoU of any component with it.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> arrays = dense(sample)
        >>> best_component_iou(arrays, equal_colour_components(arrays.image)).min().item()
        1.0
    """
    sizes = np.bincount(components.ravel())
    best = np.zeros(len(sample.masks))
    for index, mask in enumerate(sample.masks):
        shared = np.bincount(components[mask], minlength=len(sizes))
        best[index] = np.max(shared / (sizes + mask.sum() - shared))
    return best


def components_score(samples: Iterable[Sample]) -> float:
    """Return the mean best IoU of components, over all masks of all samples.

    ValueError if no sample has a mask.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> components_score(read_rectangles("", seed=0, limit=2))
        1.0
        >>> components_score(read_rectangles("", seed=0, limit=2, noise=20.0)) < 0.5
        True
    """
    scores = [np.zeros(0)]
    for sample in map(dense, samples):
        scores.append(best_component_iou(sample, equal_colour_components(sample.image)))
    all_scores = np.concatenate(scores)
    if not len(all_scores):
        raise ValueError("no sample has a mask, so that there is no baseline; check the dataset")
    return float(all_scores.mean())


def write_baseline(folder: Path) -> float:
    """Add the baseline over all splits to the manifest of a folder of shards, and return it.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="toy", details={})
        >>> write_baseline(folder)
        1.0
        >>> read_manifest(folder)[BASELINE]
        1.0
    """
    samples = (sample for split in SPLITS for sample in open_shards(folder, split))
    baseline = round(components_score(samples), 6)
    write_json(folder / MANIFEST, {**read_manifest(folder), BASELINE: baseline})
    return baseline
