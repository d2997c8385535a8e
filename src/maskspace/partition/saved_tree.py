"""Merge trees in files: numpy's compressed archives of plain numbers, with a version.

What is read is checked before it is used: a file from elsewhere is no reason for a wrong answer.
Nothing in it is code (`allow_pickle=False`).
"""

import zipfile
import zlib
from dataclasses import fields
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from maskspace.files import writing
from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.region_graph import RegionGraph

#: Of the layout of the file; another one is refused.
VERSION = 1
#: Arrays of the graph that the file holds; superpixels and size are those of the tree.
GRAPH = [f.name for f in fields(RegionGraph) if f.name not in ("superpixels", "size_hw")]


def save_tree(tree: MergeTree, path: str | Path) -> None:
    """Write a tree, and its graph if it has one, to a file that appears when it is complete.

    Example:
        >>> import tempfile
        >>> from maskspace.partition.merge_tree import build_tree
        >>> path = Path(tempfile.mkdtemp(), "tree.npz")
        >>> save_tree(build_tree(np.zeros((1, 4, 4), np.float32)), path)
        >>> load_tree(path).partition(2).max()
        np.int32(2)
    """
    arrays = {
        "version": np.array(VERSION),
        "superpixels": tree.superpixels,
        "merges": tree.merges.astype(np.int32),
        "heights": tree.heights,
        "size_hw": np.array(tree.size_hw),
    }
    if tree.ranks is not None:
        arrays["ranks"] = tree.ranks
    if tree.graph is not None:
        arrays |= {f"graph_{name}": getattr(tree.graph, name) for name in GRAPH}
    with writing(Path(path)) as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def load_tree(path: str | Path) -> MergeTree:
    """Return the tree of a file that `save_tree` wrote.

    Raises ValueError in one line, with the file's name, for a file that is missing, damaged, of
    another version or no tree.

    Example:
        >>> load_tree("nowhere.npz")
        Traceback (most recent call last):
        ValueError: nowhere.npz: no such file; give one that save_tree wrote
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; give one that save_tree wrote") from None
    except (OSError, ValueError, EOFError, AttributeError, TypeError) as error:
        raise _not_a_tree(path, f"{type(error).__name__}, no archive of arrays") from None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise _not_a_tree(path, f"damaged: {error}") from None
    version = held.get("version")
    if version is None or version.shape or version != VERSION:
        raise _not_a_tree(path, f"version {version}, not {VERSION}")
    try:
        return _tree(held)
    except KeyError as error:
        raise _not_a_tree(path, f"without {error.args[0]}") from None
    except (ValueError, TypeError, IndexError) as error:
        raise _not_a_tree(path, str(error)) from None


def _tree(held: dict[str, np.ndarray]) -> MergeTree:
    superpixels, merges = held["superpixels"], held["merges"].astype(np.int64)
    heights, size_hw = held["heights"], tuple(held["size_hw"].tolist())
    leaves = len(heights) + 1
    _require(superpixels.ndim == 2 and superpixels.dtype == np.int32, "superpixels")
    present = np.bincount(superpixels.ravel().clip(0), minlength=leaves + 1)
    _require(len(present) == leaves + 1 and not present[0] and present[1:].all(), "superpixels")
    _require(merges.shape == (leaves - 1, 2) and _is_tree(merges), "merges")
    is_height = heights.ndim == 1 and heights.dtype == np.float32 and (np.diff(heights) >= 0).all()
    _require(is_height and ((heights >= 0) & (heights <= 1)).all(), "heights")
    _require(
        len(size_hw) == 2
        and all(large >= small for large, small in zip(size_hw, superpixels.shape, strict=True)),
        "size_hw",
    )
    ranks = held.get("ranks")
    if ranks is not None:
        _require(ranks.shape == (2 * leaves - 1,) and ranks.dtype == np.float32, "ranks")
    graph = None
    if "graph_pairs" in held:
        graph = RegionGraph(
            superpixels=superpixels,
            size_hw=size_hw,
            **{name: held[f"graph_{name}"] for name in GRAPH},
        )
        pairs = graph.pairs
        _require(pairs.ndim == 2 and pairs.shape[1] == 2, "graph_pairs")
        _require(((pairs >= 0) & (pairs < leaves)).all(), "graph_pairs")
        _require(graph.lengths.shape == graph.sums.shape == pairs.shape[:1], "graph_lengths")
        _require(len(graph.means) == len(graph.areas) == len(graph.spreads) == leaves, "graph")
    return MergeTree(
        superpixels=superpixels,
        merges=merges,
        heights=heights,
        size_hw=size_hw,
        ranks=ranks,
        graph=graph,
    )


def _is_tree(merges: Int64[np.ndarray, "m 2"]) -> bool:
    """Return whether every node but the last is joined once, after it was made."""
    made = len(merges) + 1 + np.arange(len(merges))
    joined = np.sort(merges.ravel())
    return bool((merges < made[:, None]).all() and (joined == np.arange(2 * len(merges))).all())


def _require(holds: bool | np.bool_, name: str) -> None:
    if not holds:
        raise ValueError(f"its {name} are those of no tree")


def _not_a_tree(path: str | Path, reason: str) -> ValueError:
    return ValueError(f"{path}: {reason}; give a tree that save_tree wrote, with this version")
