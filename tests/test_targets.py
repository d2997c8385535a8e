import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace.masks import to_label_map
from maskspace.targets import NONE, UNLABELLED, Targets, labels_at
from maskspace.training.feed import on_device

STACKS = st.integers(0, 6).flatmap(lambda n: arrays(bool, (n, 4, 5)))


def visible(stack):
    """Masks that have a pixel: an empty one is no instance."""
    return [index for index, mask in enumerate(stack) if mask.any()]


@given(STACKS)
def test_masks_come_back_however_they_overlap_and_nest(stack):
    truth = Targets.of_masks(stack, classes=[10 + index for index in range(len(stack))])
    found = truth.instances(0)
    kept = visible(stack)
    assert found.labels.tolist() == [index + 1 for index in kept]
    np.testing.assert_array_equal(found.masks.numpy(), stack[kept])
    assert found.classes.tolist() == [10 + index for index in kept]
    assert found.known.all()


@given(STACKS)
def test_from_above_the_smallest_mask_shows(stack):
    labels = Targets.of_masks(stack).labels()[0].numpy()
    np.testing.assert_array_equal(labels, to_label_map(stack))


@given(STACKS, st.data())
def test_every_annotator_has_a_map_of_his_own(stack, data):
    people = data.draw(st.lists(st.integers(0, 2), min_size=len(stack), max_size=len(stack)))
    truth = Targets.of_masks(stack, annotators=people)
    maps = truth.by_annotator()[0].numpy()
    for number, person in enumerate(np.unique(people) if people else []):
        own = np.array(people) == person
        expected = to_label_map(stack[own])
        names = np.concatenate([[0], np.flatnonzero(own) + 1])
        np.testing.assert_array_equal(maps[number], names[expected])
    assert truth.instances(0).annotators.tolist() == [
        sorted(set(people)).index(people[index]) for index in visible(stack)
    ]


def test_disjoint_masks_need_one_layer_and_a_nest_as_many_as_it_is_deep():
    stack = np.zeros((4, 1, 6), bool)
    stack[0, 0, :3], stack[1, 0, 3:] = True, True
    assert Targets.of_masks(stack[:2]).layers.shape[1] == 1
    stack[2, 0, :2], stack[3, 0, :1] = True, True
    assert Targets.of_masks(stack).layers.shape[1] == 3


def test_label_maps_come_back_as_the_same_memory():
    labels = torch.tensor([[[0, 1, UNLABELLED]], [[2, 2, 0]]])
    truth = Targets.of_labels(labels)
    assert truth.labels().data_ptr() == labels.data_ptr()
    assert torch.equal(truth.labels(), labels)
    assert truth.instances(0).classes.tolist() == [NONE]


def test_what_nobody_knows_is_unlabelled_but_under_a_mask():
    stack = np.array([[[True, True, False, False]], [[True, False, False, False]]])
    truth = Targets.of_masks(stack, unknown=np.array([[False, True, True, False]]))
    assert truth.labels().tolist() == [[[2, 1, UNLABELLED, 0]]]
    known = truth.instances(0).known
    assert known[:, 0].tolist() == [[True, True, False, True], [True, False, False, True]]


def test_images_of_a_batch_stay_what_they_were_alone():
    one = Targets.of_masks(np.ones((2, 2, 3), bool) & np.array([True, False])[:, None, None])
    nested = np.ones((3, 2, 3), bool)
    nested[1, 0], nested[2, 0], nested[2, 1, 1:] = False, False, False
    three = Targets.of_masks(nested, classes=[4, 5, 6], annotators=[0, 0, 1])
    both = Targets.join([one, three])
    for image, alone in enumerate((one, three)):
        for found, expected in zip(both.instances(image), alone.instances(0), strict=True):
            assert torch.equal(found, expected)
        assert torch.equal(both.labels()[image], alone.labels()[0])
    assert (both.by_annotator()[0, 1] == UNLABELLED).all()
    picked = both.rows(torch.tensor([False, True]))
    assert torch.equal(picked.labels(), three.labels())


def test_targets_go_where_batches_go():
    truth = Targets.of_masks(np.ones((1, 2, 2), bool), classes=[3])
    moved = on_device((truth, torch.zeros(1)), torch.device("meta"))[0]
    assert isinstance(moved, Targets) and moved.layers.device.type == "meta"
    assert isinstance(truth.to("meta"), Targets)


def test_lists_of_another_length_are_told():
    with pytest.raises(ValueError, match="2 masks, 1 classes and 2 annotators"):
        Targets.of_masks(np.ones((2, 2, 2), bool), classes=[1])


def test_cells_of_layers_are_those_of_label_maps():
    generator = np.random.default_rng(0)
    stack = generator.random((5, 9, 7)) < 0.4
    truth = Targets.of_masks(stack)
    small = truth.at(2)
    for number in range(truth.layers.shape[1]):
        assert torch.equal(small.layers[:, number], labels_at(truth.layers[:, number], 2))
    assert truth.at(1) is truth


def test_cells_of_one_label_keep_it_and_mixed_cells_have_none():
    labels = torch.randint(0, 3, (2, 8, 12), generator=torch.Generator().manual_seed(0))
    labels[:, :4, :4] = 2
    cells = labels_at(labels, 4).numpy()
    for image, row, column in np.ndindex(*cells.shape):
        values = labels[image, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4].unique()
        assert cells[image, row, column] == (values.item() if len(values) == 1 else UNLABELLED)


def test_odd_sizes_have_a_cell_for_every_pixel():
    assert labels_at(torch.ones(1, 9, 10, dtype=torch.long), 4).shape == (1, 3, 3)


def test_cells_over_the_edge_hold_what_is_inside():
    labels = torch.tensor([[[1, 1, 2], [1, 1, 2], [3, 3, 4], [3, 0, 4], [5, 5, 6]]])
    assert labels_at(labels, 2).tolist() == [[[1, 2], [UNLABELLED, 4], [5, 6]]]


def test_nested_label_maps_put_finer_layers_on_coarser_ones_of_one_annotator():
    masks = np.zeros((4, 1, 6), bool)
    masks[0, 0, :4] = masks[1, 0, 1:3] = masks[2, 0, 4:] = True  # an object, its part, another
    masks[3, 0, :2] = True  # by somebody else
    truth = Targets.of_masks(masks, annotators=[0, 0, 0, 1])
    assert truth.nested_label_maps().tolist() == [
        [[[1, 1, 1, 1, 3, 3]], [[1, 2, 2, 1, 3, 3]], [[4, 4, 0, 0, 0, 0]]]
    ]
    other = Targets.join([truth, Targets.of_masks(masks[:1])]).nested_label_maps()
    assert (other[1, 1:] == UNLABELLED).all()
