import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from maskspace.masks.rings import trace_rings

maps = arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))
two = arrays(
    np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)
)
either = st.one_of(maps, two)


def steps(ring: np.ndarray) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    corners = [tuple(corner) for corner in ring.tolist()]
    return list(zip(corners, corners[1:] + corners[:1], strict=True))


def filled(rings: list[np.ndarray], size_hw: tuple[int, int]) -> np.ndarray:
    """A pixel is inside where a ray to the left crosses an odd number of sides."""
    crossings = np.zeros((size_hw[0], size_hw[1] + 1), int)
    for ring in rings:
        for (x, y), (to_x, to_y) in steps(ring):
            if x == to_x:
                crossings[min(y, to_y) : max(y, to_y), x] += 1
    return crossings.cumsum(1)[:, :-1] % 2 == 1


@given(either)
def test_rings_filled_by_even_odd_are_the_regions(labels):
    found = dict(trace_rings(labels).regions())
    assert list(found) == np.unique(labels[labels > 0]).tolist()
    for label, parts in found.items():
        rings = [ring for part in parts for ring in part]
        np.testing.assert_array_equal(filled(rings, labels.shape), labels == label)


@given(either)
def test_signed_areas_add_up_to_pixels(labels):
    rings = trace_rings(labels)
    areas = rings.areas()
    np.testing.assert_array_equal(areas > 0, rings.is_outer)
    for label in np.unique(labels[labels > 0]):
        assert areas[rings.labels == label].sum() == (labels == label).sum()


@given(either)
def test_a_part_is_a_4_connected_component_with_its_holes(labels):
    for label, parts in trace_rings(labels).regions():
        components, number = ndimage.label(labels == label)
        assert len(parts) == number
        for part in parts:
            inside = filled(part, labels.shape)
            assert len(np.unique(components[inside])) == 1
            assert inside.sum() == (components == components[inside][0]).sum()
            holes = ndimage.label(~np.pad(inside, 1))[1] - 1
            assert len(part) - 1 <= holes  # holes that touch at corners alone may be one ring


@given(either)
def test_no_ring_passes_a_corner_twice(labels):
    rings = trace_rings(labels)
    for begin, end in zip(rings.starts[:-1], rings.starts[1:], strict=True):
        corners = {tuple(corner) for corner in rings.corners_xy[begin:end].tolist()}
        assert len(corners) == end - begin


@given(maps)
def test_neighbours_have_the_same_corners_along_their_border(labels):
    height, width = labels.shape
    whole = labels + 1  # without unlabelled pixels every step has another region, or the edge
    walked: dict[tuple, int] = {}
    for label, parts in trace_rings(whole).regions():
        for ring in (ring for part in parts for ring in part):
            for step in steps(ring):
                assert step not in walked
                walked[step] = label
    for (begin, end), label in walked.items():
        on_edge = any(
            begin[axis] == end[axis] and begin[axis] in (0, size)
            for axis, size in ((0, width), (1, height))
        )
        assert on_edge or walked[end, begin] != label


@settings(max_examples=20)
@given(either)
def test_rings_of_a_mirrored_map_are_the_mirrored_ones(labels):
    rings, mirrored = trace_rings(labels), trace_rings(labels[:, ::-1])

    def corners(found, flip: bool) -> list:
        return sorted(
            sorted((abs(flip * labels.shape[1] - x), y) for x, y in found.corners_xy[a:b].tolist())
            for a, b in zip(found.starts[:-1], found.starts[1:], strict=True)
        )

    assert corners(rings, False) == corners(mirrored, True)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (3, 4)])
def test_nothing_has_no_rings(shape):
    rings = trace_rings(np.zeros(shape, np.int32))
    assert len(rings.labels) == len(rings.areas()) == 0 and list(rings.regions()) == []


def test_a_ring_that_closes_at_a_corner_has_a_hole_there():
    c_shape = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]])
    (_, (part,)), *_ = trace_rings(c_shape).regions()
    assert [len(ring) for ring in part] == [6, 4]
