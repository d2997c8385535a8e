"""What follows from a peer's merge tree: ranked proposals, and the region under a click."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from pydantic import Field, PositiveInt

from maskspace.masks import encode, enlarge
from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.tree_clicks import click_mask
from maskspace.types import Click, Prediction

#: How the proposals of a tree can be ranked; ties go to the larger region.
NodeRanking = Literal["persistence", "area", "strength"]


@runtime_checkable
class TreeProposer(Protocol):
    """What chooses and ranks regions of a tree."""

    def __call__(self, tree: MergeTree, *, limit: int = 100) -> Prediction:
        """Return at most `limit` regions, best first."""
        ...


@runtime_checkable
class TreeClick(Protocol):
    """What answers clicks by regions of a tree."""

    def __call__(
        self,
        tree: MergeTree,
        clicks: Sequence[Click],
        *,
        start: Bool[np.ndarray, "h w"] | None = None,
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask that one click or more describe; they correct `start`."""
        ...


def ranked_regions(
    tree: MergeTree,
    *,
    limit: int = 100,
    ranking: NodeRanking = "persistence",
    min_area: PositiveInt = 16,
) -> Prediction:
    """Return up to `limit` nodes of the tree, best first; no two are equal.

    The scores: "persistence" is the height at which a node is merged into another less that at
    which it came to be, times the root of its share of the image; "area" its share of the image;
    "strength" the height at which it is merged. The whole image is never merged and has persistence
    and strength 0. Nodes of fewer than `min_area` pixels of the working resolution are left out.

    Example:
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> from maskspace.peers.lab import lab_tree
        >>> ranked_regions(lab_tree(halves), limit=2).masks.sum((1, 2)).tolist()
        [128, 128]
    """
    if limit < 1:
        raise ValueError(f"proposals: limit is at least 1; got {limit}")
    runs = _runs(tree.merges)
    leaf_areas = np.bincount(tree.superpixels.ravel(), minlength=tree.max_regions + 1)[1:]
    until = np.concatenate([[0], np.cumsum(leaf_areas[runs.leaves])])
    areas = until[runs.starts + runs.counts] - until[runs.starts]
    scores = _scores(tree, areas, ranking)
    enough = np.flatnonzero((areas >= min_area) | (areas == areas[-1]))
    best = enough[np.lexsort((enough, -areas[enough], -scores[enough]))][:limit]
    place = np.empty(tree.max_regions + 1, np.int32)
    place[runs.leaves + 1] = np.arange(tree.max_regions, dtype=np.int32)
    places: Int32[np.ndarray, "r s"] = place[tree.superpixels]
    strings = [  # one at a time: a hundred dense masks of twelve megapixels are 1.2 GB
        encode(enlarge((places >= start) & (places < start + count), tree.size_hw)[None])[0]
        for start, count in zip(runs.starts[best], runs.counts[best], strict=True)
    ]
    return Prediction.of_strings(strings, tree.size_hw, scores[best])


def regions_under(
    tree: MergeTree,
    clicks: Sequence[Click],
    *,
    start: Bool[np.ndarray, "h w"] | None = None,
    level: Annotated[float, Field(ge=0, le=1)] | None = None,
) -> Bool[np.ndarray, "h w"]:
    """Return the mask that clicks on a tree describe.

    Args:
        tree: the tree.
        clicks: one or more pixels of the image.
        start: the mask that the clicks correct (default None: empty).
        level: height at which the tree is cut: the regions of positive clicks less those of
            negative ones (default None: the rule of `click_mask`).

    Example:
        >>> from maskspace.types import Click
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> from maskspace.peers.lab import lab_tree
        >>> regions_under(lab_tree(halves), [Click(x=2, y=2)]).sum()
        np.int64(128)
    """
    if level is None:
        return click_mask(tree, clicks, start=start)
    labels = tree.cut(level)
    wanted, removed = (
        np.isin(labels, [labels[click.y, click.x] for click in clicks if click.positive == sign])
        for sign in (True, False)
    )
    return (wanted if start is None else wanted | start) & ~removed


def _scores(
    tree: MergeTree, areas: Int64[np.ndarray, " n"], ranking: NodeRanking
) -> Float32[np.ndarray, " n"]:
    share = areas / areas[-1]
    if ranking == "area":
        return share.astype(np.float32)
    born = np.concatenate([np.zeros(tree.max_regions, np.float32), tree.heights])
    merged = np.zeros_like(born)
    for child in tree.merges.T:
        merged[child] = tree.heights
    if ranking == "strength":
        return merged
    merged[-1] = born[-1]
    return (merged - born) * np.sqrt(share).astype(np.float32)


@dataclass(frozen=True)
class _Runs:
    """The superpixels in an order in which node i is `counts[i]` of them from `starts[i]`."""

    leaves: Int64[np.ndarray, " k"]
    starts: Int64[np.ndarray, " n"]
    counts: Int64[np.ndarray, " n"]


def _runs(merges: Int64[np.ndarray, "m 2"]) -> _Runs:
    num_leaves = len(merges) + 1
    starts, counts = [0] * (2 * num_leaves - 1), [1] * (2 * num_leaves - 1)
    pairs = merges.tolist()
    for node, (left, right) in enumerate(pairs, start=num_leaves):
        counts[node] = counts[left] + counts[right]
    for node in reversed(range(num_leaves, len(starts))):
        left, right = pairs[node - num_leaves]
        starts[left] = starts[node]
        starts[right] = starts[left] + counts[left]
    leaves = np.empty(num_leaves, np.int64)
    leaves[starts[:num_leaves]] = np.arange(num_leaves)
    return _Runs(leaves, np.array(starts), np.array(counts))
