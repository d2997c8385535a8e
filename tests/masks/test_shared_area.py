import numpy as np
import pytest
import torch

from maskspace.masks import areas as mask_areas
from maskspace.masks import pairwise_intersections
from maskspace.masks import shared_area as module
from maskspace.masks.shared_area import atom_labels, atoms, shared_area, shared_area_of_tensors


def product(left: np.ndarray, right: np.ndarray, areas: np.ndarray) -> np.ndarray:
    return np.array([[int(areas[a & b].sum()) for b in right] for a in left])


@pytest.fixture(params=[2**26, 50])
def block(request, monkeypatch):
    """Whether the product is summed in one go or over a few pieces at a time."""
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", request.param)


@pytest.mark.parametrize("largest", [9, 2**11, 2**19, 2**30, 2**47])
def test_is_exact_below_and_above_what_float32_holds(largest, block):
    rng = np.random.default_rng(largest)
    left, right = rng.random((5, 60)) < 0.6, rng.random((7, 60)) < 0.6
    areas = rng.integers(0, largest, 60)
    expected = product(left, right, areas)
    np.testing.assert_array_equal(shared_area(left, right, areas), expected)
    tensors = (torch.from_numpy(each) for each in (left, right, areas))
    np.testing.assert_array_equal(shared_area_of_tensors(*tensors).numpy(), expected)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_what_the_program_asked_of_products_does_not_count_and_stays(precision, device):
    rng = np.random.default_rng(0)
    left, right, areas = (
        rng.random((40, 300)) < 0.6,
        rng.random((50, 300)) < 0.6,
        1 + np.arange(300),
    )
    tensors = [torch.from_numpy(each).to(device) for each in (left, right, areas * 181)]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast(device, torch.bfloat16):
            shared = shared_area_of_tensors(*tensors)
        assert torch.get_float32_matmul_precision() == precision
        assert torch.backends.cuda.matmul.allow_tf32 == (precision != "highest")
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(shared.cpu().numpy(), product(left, right, areas * 181))


@pytest.mark.parametrize("seed", range(30))
def test_atoms_are_the_fewest_pieces_that_the_masks_are_made_of(seed):
    rng = np.random.default_rng(seed)
    count, height, width = rng.integers(1, 20, 3)
    masks = rng.random((count, height, width)) < rng.random()
    masks[:, :, 1::2] = masks[:, :, 0 : 2 * (width // 2) : 2]
    covered, areas = atoms(masks)
    columns = np.unique(masks.reshape(count, -1), axis=1, return_counts=True)
    order = np.lexsort(covered[::-1])
    np.testing.assert_array_equal(covered[:, order], columns[0])
    np.testing.assert_array_equal(areas[order], columns[1])
    assert areas.sum() == height * width
    np.testing.assert_array_equal(covered @ areas, mask_areas(masks))
    shared = shared_area(covered, covered, areas)
    np.testing.assert_array_equal(shared, pairwise_intersections(masks, masks))


def test_labels_of_atoms_part_pixels_that_some_mask_parts():
    masks = np.random.default_rng(0).random((3, 7, 8)) < 0.5
    labels, flat = atom_labels(masks).ravel(), masks.reshape(3, -1)
    np.testing.assert_array_equal(
        labels[:, None] == labels, (flat[:, :, None] == flat[:, None]).all(axis=0)
    )
    assert labels.min() == 1 and labels.max() == len(atoms(masks)[1])
    assert (atom_labels(masks[:0]) == 1).all()


@pytest.mark.parametrize("shape", [(0, 4, 5), (3, 0, 5), (3, 4, 0), (0, 0, 0)])
def test_without_masks_or_pixels_there_are_no_atoms(shape):
    covered, areas = atoms(np.zeros(shape, bool))
    assert covered.shape == (shape[0], 0) and areas.shape == (0,)
    assert shared_area(covered, covered, areas).shape == (shape[0], shape[0])


def test_atoms_do_not_depend_on_how_the_masks_lie_in_memory():
    masks = np.random.default_rng(0).random((9, 7, 8)) < 0.5
    turned = np.ascontiguousarray(masks.transpose(2, 1, 0)).transpose(2, 1, 0)
    for one, other in zip(atoms(masks), atoms(turned), strict=True):
        np.testing.assert_array_equal(one, other)
