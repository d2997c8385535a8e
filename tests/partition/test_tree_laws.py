"""Laws of every tree, on random small images: exact, nested, connected, covering, repeatable."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskspace.masks import split_components
from maskspace.partition.border_tree import border_tree
from maskspace.partition.merge_tree import LEVELS, build_tree
from maskspace.partition.saved_tree import load_tree, save_tree
from maskspace.peers.gpb_owt_ucm import contour_tree

BUILDERS = {
    "features": lambda image, regions: build_tree(image[None], regions=regions),
    "borders": lambda image, regions: border_tree(image, regions=regions),
}
#: Kind, size, least number of superpixels, seed, and shades: 1 is a constant image, 256 noise.
cases = st.tuples(
    st.sampled_from(sorted(BUILDERS)),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.integers(1, 49),
    st.integers(0, 99),
    st.sampled_from([1, 2, 3, 256]),
)


def grown(case):
    kind, size_hw, regions, seed, shades = case
    steps = np.random.default_rng(seed).integers(0, shades, size_hw)
    return BUILDERS[kind]((steps / max(1, shades - 1)).astype(np.float32), regions)


@settings(max_examples=25, deadline=None)
@given(cases)
def test_every_number_of_regions_is_exact_connected_covering_and_nested(case):
    tree = grown(case)
    finer = None
    for number in range(tree.max_regions, 0, -1):
        labels = tree.partition(number)
        assert labels.min() == 1 and len(np.unique(labels)) == labels.max() == number
        assert split_components(labels).max() == number
        if finer is not None:
            assert len(np.unique(np.stack([finer.ravel(), labels.ravel()]), axis=1).T) == number + 1
        finer = labels
    for number in (0, tree.max_regions + 1):
        with pytest.raises(ValueError, match=rf"in 1..{tree.max_regions} "):
            tree.partition(number)


@settings(max_examples=25, deadline=None)
@given(cases)
def test_the_contour_map_has_the_cuts_of_the_tree(case):
    """Read as other people's contour maps are, it gives each cut again."""
    tree = grown(case)
    contours = tree.ucm()
    again = contour_tree(contours.astype(float), place="here")
    for height in {0.0, 0.5, *tree.heights.tolist()}:
        np.testing.assert_array_equal(again.cut(height), tree.cut(height))


@settings(max_examples=20, deadline=None)
@given(cases, st.data())
def test_subpart_part_and_object_nest_around_the_pixel(case, data):
    tree = grown(case)
    y, x = (data.draw(st.integers(0, side - 1)) for side in tree.size_hw)
    regions = [tree.regions_like(x, y, level) for level in LEVELS]
    for larger, smaller in pairwise(regions):
        assert larger[y, x] and smaller[y, x] and not (smaller & ~larger).any()
        assert (smaller == larger).all() or 2 * smaller.sum() <= larger.sum()
    np.testing.assert_array_equal(regions[0], tree.region_at(x, y))
    np.testing.assert_array_equal(tree.regions_like(x, y, 0.3), tree.region_at(x, y, 0.3))
    with pytest.raises(ValueError, match="level is object, part, subpart or a height"):
        tree.regions_like(x, y, "whole")


MOVES = {
    "mirrored": lambda x: x[:, ::-1],
    "turned over": lambda x: x[::-1],
    "transposed": lambda x: x.T,
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("seed", range(3))
def test_the_tree_of_a_moved_image_is_the_moved_tree(move, seed):
    """Every pixel is a superpixel and no two differences are equal."""
    image = np.random.default_rng(seed).random((1, 7, 6))
    moved = np.ascontiguousarray(MOVES[move](image[0]))[None]
    tree, other = build_tree(image), build_tree(moved)
    for number in range(1, tree.max_regions + 1):
        labels, found = MOVES[move](tree.partition(number)), other.partition(number)
        pairs = np.unique(np.stack([labels.ravel(), found.ravel()]), axis=1)
        assert pairs.shape[1] == number


@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_a_saved_tree_is_the_tree(kind, tmp_path):
    tree = BUILDERS[kind](np.random.default_rng(0).random((9, 8)).astype(np.float32), 30)
    save_tree(tree, tmp_path / "tree.npz")
    again = load_tree(tmp_path / "tree.npz")
    np.testing.assert_array_equal(again.partition(7), tree.partition(7))
    assert again.heights.tobytes() == tree.heights.tobytes() and again.size_hw == tree.size_hw
    for name in ("pairs", "lengths", "sums", "areas", "means", "spreads", "superpixels"):
        np.testing.assert_array_equal(getattr(again.graph, name), getattr(tree.graph, name))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": np.array(99)}, "version 99, not 1"),
        ({"version": None}, "version None"),
        ({"merges": None}, "without merges"),
        ({"merges": np.array([[0, 1], [0, 1]])}, "its merges are those of no tree"),
        ({"merges": np.array([[0, 3], [1, 2]])}, "its merges are those of no tree"),
        ({"heights": np.array([0.5, 0.2], np.float32)}, "its heights are those of no tree"),
        ({"heights": np.array([0.5, np.nan], np.float32)}, "its heights are those of no tree"),
        ({"superpixels": np.array([[1, 2, 2]], np.int32)}, "its superpixels are those of no tree"),
        ({"superpixels": np.array([[1, 2, -3]], np.int32)}, "its superpixels are those of no tree"),
        ({"size_hw": np.array([1, 2])}, "its size_hw are those of no tree"),
    ],
)
def test_a_file_that_is_no_tree_is_told_in_one_line(changes, told, tmp_path):
    right = {
        "version": np.array(1),
        "superpixels": np.array([[1, 2, 3]], np.int32),
        "merges": np.array([[0, 1], [2, 3]]),
        "heights": np.array([0.2, 0.5], np.float32),
        "size_hw": np.array([1, 3]),
    }
    path = tmp_path / "tree.npz"
    np.savez(path, **right)
    assert load_tree(path).max_regions == 3
    np.savez(path, **{k: v for k, v in (right | changes).items() if v is not None})
    with pytest.raises(ValueError, match=told) as error:
        load_tree(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", "pickled"])
def test_a_file_of_another_kind_is_told_in_one_line(content, tmp_path):
    path = tmp_path / "tree.npz"
    if content == "pickled":
        np.savez(path, version=np.array([{}], object))
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"tree.npz: .* save_tree wrote") as error:
        load_tree(path)
    assert "\n" not in str(error.value)
