import numpy as np
import torch

from maskspace.objectives.pixels import (
    UNLABELLED,
    belongs,
    dense_slots,
    instances,
    labels_at,
    mean_over_instances,
    own_distance,
    squared_distances,
)


def test_statistics_equal_the_loop_over_instances():
    torch.manual_seed(0)
    embedding, labels = torch.rand(3, 4, 5, 6), torch.randint(0, 6, (3, 5, 6))
    found = instances(embedding, labels)
    for image in range(3):
        for column, label in enumerate(sorted(set(labels[image].flatten().tolist()) - {0})):
            pixels = embedding[image].flatten(1).T[labels[image].flatten() == label]
            assert found.counts[image, column] == len(pixels)
            torch.testing.assert_close(found.means[image, column], pixels.mean(0))


def test_distances_are_those_of_the_broadcast():
    torch.manual_seed(0)
    embedding, labels = torch.rand(2, 4, 5, 6), torch.randint(0, 4, (2, 5, 6))
    found = instances(embedding, labels)
    expected = (found.pixels[:, :, None] - found.means[:, None]).square().sum(-1)
    torch.testing.assert_close(squared_distances(found), expected, atol=1e-6, rtol=1e-4)
    own = torch.gather(expected, 2, found.slot[..., None])[..., 0].sqrt()
    torch.testing.assert_close(own_distance(found), own, atol=1e-5, rtol=1e-4)


def test_every_labelled_pixel_belongs_to_its_own_instance_alone():
    labels = torch.randint(-1, 4, (2, 5, 6), generator=torch.Generator().manual_seed(0))
    found = belongs(instances(torch.zeros(2, 1, 5, 6), labels))
    for image in range(2):
        for column, label in enumerate((1, 2, 3)):
            assert torch.equal(found[image, :, column], labels[image].flatten() == label)


def test_means_over_instances_equal_the_loop():
    torch.manual_seed(0)
    labels, values = torch.randint(0, 4, (2, 5, 6)), torch.rand(2, 30)
    found = instances(torch.rand(2, 1, 5, 6), labels)
    result = mean_over_instances(values, found)
    for image in range(2):
        present = sorted(set(labels[image].flatten().tolist()) - {0})
        for column, label in enumerate(present):
            expected = values[image][labels[image].flatten() == label].mean()
            torch.testing.assert_close(result[image, column], expected)


def test_slots_are_dense_in_every_image():
    labels = torch.tensor([[0, 9, 9, 4], [0, 0, 0, 0], [2, 5, 7, 5]])
    slots, columns = dense_slots(labels)
    assert columns == 3
    assert slots.tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 2, 1]]


def test_cells_of_one_label_keep_it_and_mixed_cells_have_none():
    labels = torch.randint(0, 3, (2, 8, 12), generator=torch.Generator().manual_seed(0))
    labels[:, :4, :4] = 2
    cells = labels_at(labels, 4).numpy()
    for image, row, column in np.ndindex(*cells.shape):
        values = labels[image, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4].unique()
        assert cells[image, row, column] == (values.item() if len(values) == 1 else UNLABELLED)


def test_odd_sizes_have_a_cell_for_every_pixel():
    assert labels_at(torch.ones(1, 9, 10, dtype=torch.long), 4).shape == (1, 3, 3)
