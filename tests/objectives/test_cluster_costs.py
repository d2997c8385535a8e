import numpy as np
import pytest
import torch

from maskspace.objectives.cluster_costs import cluster_costs, fifth_pixels, seeds_in_turns
from maskspace.objectives.pixels import instances


@pytest.fixture
def labels():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 4, (2, 8, 9), generator=generator)
    labels[1][labels[1] == 3] = 0
    return labels


@pytest.fixture
def embedding():
    return torch.rand(2, 2, 8, 9, generator=torch.Generator().manual_seed(1), dtype=torch.double)


def test_costs_equal_the_loop_over_seeds_and_pixels(embedding, labels):
    sigma, delta, steps = 0.2, 0.4, 3
    found = instances(embedding, labels)
    torch.manual_seed(5)
    value = cluster_costs(found, sigma=sigma, delta=delta, seeds=7, steps=steps)
    torch.manual_seed(5)
    seeds = seeds_in_turns(fifth_pixels(found), 7, columns=3)
    for image in range(2):
        y = labels[image].flatten().numpy()
        x = embedding[image].flatten(1).T.numpy()
        chosen = np.flatnonzero(y > 0)[::5]
        x, y = x[chosen], y[chosen]
        drawn = seeds.valid[image]  # an image may have fewer points than seeds
        z = seeds.place[image][drawn].numpy()
        z_label = seeds.slot[image][drawn].numpy() + 1
        costs = []
        for _ in range(steps):
            kernel = np.exp(-((z[:, None] - x[None]) ** 2).sum(-1) / (2 * sigma**2))
            z = kernel @ x / kernel.sum(1, keepdims=True)
            cost = 0.0
            for i in range(len(z)):
                for j in range(len(x)):
                    weight = 1 / (z_label == z_label[i]).sum() / (y == y[j]).sum()
                    d = np.linalg.norm(z[i] - x[j])
                    same = z_label[i] == y[j]
                    cost += weight * (d**2 if same else max(0.0, delta - d) ** 2)
            costs.append(cost)
        assert value[image].item() == pytest.approx(np.mean(costs), abs=1e-6)


def test_points_are_every_fifth_pixel_of_instances(embedding, labels):
    points = fifth_pixels(instances(embedding, labels))
    for image in range(2):
        on = (labels[image].flatten() > 0).nonzero()[:, 0][::5]
        expected = embedding[image].flatten(1).T[on]
        assert points.valid[image].sum() == len(on)
        torch.testing.assert_close(points.place[image][points.valid[image]], expected)


def test_seeds_are_spread_evenly_over_instances():
    labels = torch.ones(1, 20, 20, dtype=torch.long)
    labels[:, :5], labels[:, 18:] = 2, 3
    points = fifth_pixels(instances(torch.rand(1, 2, 20, 20), labels))
    seeds = seeds_in_turns(points, 12, columns=3)
    assert seeds.slot[0].bincount().tolist() == [4, 4, 4]
    assert len(seeds.place[0].unique(dim=0)) == 12
    many = seeds_in_turns(points, 50, columns=3)
    assert many.slot[0].bincount().tolist() == [22, 20, 8]
    torch.testing.assert_close(many.weight[0].sum(), torch.tensor(3.0))


def test_fewer_pixels_than_seeds_and_none_at_all_are_finite():
    labels = torch.zeros(2, 4, 4, dtype=torch.long)
    labels[0, 0, 0] = 1
    embedding = torch.rand(2, 2, 4, 4, requires_grad=True)
    costs = cluster_costs(instances(embedding, labels), sigma=0.02, delta=0.1, seeds=50, steps=2)
    costs.sum().backward()
    assert costs.tolist() == [0.0, 0.0]
    assert embedding.grad is not None
    assert embedding.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences(embedding, labels):
    def value(x):
        torch.manual_seed(5)
        return cluster_costs(instances(x, labels), sigma=0.2, delta=0.4, seeds=7, steps=2)

    assert torch.autograd.gradcheck(value, embedding.requires_grad_(), fast_mode=True)
