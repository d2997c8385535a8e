import math

import pytest
import torch

from maskspace.objectives.pixels import (
    LineCost,
    cost_of_others,
    dense_slots,
    distance_factors,
    instances,
    log_totals,
    mean_over_instances,
    mean_over_present,
    nearest_others,
    own_distance,
    pixel_shares,
    shares,
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
    left, right = distance_factors(found)
    torch.testing.assert_close(left @ right, expected, atol=1e-6, rtol=1e-4)
    own = torch.gather(expected, 2, found.slot[..., None])[..., 0].sqrt()
    torch.testing.assert_close(own_distance(found), own, atol=1e-5, rtol=1e-4)


def brute_force(found, image):
    """The squared distances of an image's pixels to the means that it has, and whose each is."""
    present = found.present[image]
    away = found.pixels[image, :, None] - found.means[image, present]
    own = torch.where(found.labelled[image], found.slot[image], -1)
    return away.square().sum(-1), own[:, None] == torch.arange(int(present.sum()))


@pytest.fixture
def found():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 5, (3, 5, 6), generator=generator)
    labels[1][labels[1] > 2] = 0  # fewer instances than the others
    labels[2][labels[2] > 0] = 0  # none
    embedding = torch.rand(3, 2, 5, 6, generator=generator, dtype=torch.double)
    return instances(embedding.requires_grad_(), labels)


@pytest.mark.parametrize("partly", [False, True])
def test_the_cost_of_others_is_that_of_all_pairs_but_the_own(found, partly):
    counted = torch.arange(90).view(3, 30) % 3 > 0 if partly else None
    weight = shares(found) * torch.arange(1, 5)
    expected = 0
    for image in range(3):
        squared, own = brute_force(found, image)
        costs = torch.where(own, 0, (0.4 - (squared + 1e-12).sqrt()).clamp(min=0))
        costs = costs if counted is None else costs[counted[image]]
        expected = expected + (costs.sum(0) * weight[image, : own.shape[1]]).sum()

    def cost(squared):
        short = (0.4 - squared.sqrt()).relu()
        return short, -0.5 * short.sign() / squared.sqrt()

    value = cost_of_others(found, cost, weight, counted)
    torch.testing.assert_close(value, expected)
    sources = (found.pixels, found.means)
    torch.testing.assert_close(
        *(torch.autograd.grad(x, sources, retain_graph=True) for x in (value, expected))
    )


LINES = [LineCost(0.0, 1.0), LineCost(0.6, -1.0, 0.6), LineCost(0.3, 2.0, 0.5)]
CASES = ["many", "one", "none", "at the mean", "turned"]


def one_of_others(cost, case, dtype, channels, *, partly=False):
    """The cost of others of random images, and its gradients by pixels and means."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 5, (3, 37, 41), generator=generator)
    labels[1][labels[1] > 2] = 0
    labels[2][labels[2] > 0] = 0
    embedding = torch.rand(3, channels, 37, 41, generator=generator) * channels**-0.5
    if case in ("one", "none"):
        labels = labels.clamp(max=1 if case == "one" else 0)
    elif case == "at the mean":  # also of others: instances 1 and 2 have the same
        embedding = (labels[:, None].clamp(min=2) / 8).expand_as(embedding)
    elif case == "turned":
        labels, embedding = labels.mT, embedding.transpose(1, 3).contiguous().transpose(1, 3).mT
    found = instances(embedding.to(dtype).requires_grad_(), labels)
    weight = shares(found) / (found.pixels.shape[1] - found.counts)
    counted = (torch.arange(labels.numel()) % 3 > 0).view(len(labels), -1) if partly else None
    value = cost_of_others(found, cost, weight, counted)
    return value, *torch.autograd.grad(value, (found.pixels, found.means))


@pytest.mark.parametrize("cost", LINES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("channels", "partly"), [(1, False), (3, True), (12, False)])
def test_costs_by_loops_are_those_of_double_precision(cost, case, channels, partly):
    ours, again, theirs = (
        one_of_others(cost, case, dtype, channels, partly=partly)
        for dtype in (torch.float32, torch.float32, torch.float64)
    )
    for single, same, double in zip(ours, again, theirs, strict=True):
        assert torch.equal(single, same)
        torch.testing.assert_close(single, double.float(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_its_values_and_their_derivative(line):
    squared = torch.linspace(0.01, 1, 50, dtype=torch.double).view(1, 5, 10).requires_grad_()
    distance = squared.sqrt()
    expected = torch.where(distance < line.reach, line.start + line.slope * distance, 0)
    values, slopes = line(squared.detach().clone())
    torch.testing.assert_close(values, expected.detach())
    torch.testing.assert_close(slopes, torch.autograd.grad(expected.sum(), squared)[0])


def test_lines_leave_out_what_is_not_counted_and_pass_on_what_is_no_number():
    labels = torch.tensor([[[1, 1, 2, 0]]])
    embedding = torch.tensor([[[[0.0, 0.0, 1.0, 3.0]]]])
    weight, counted = torch.ones(1, 2), torch.tensor([[True, True, True, False]])
    found = instances(embedding, labels)
    assert cost_of_others(found, LineCost(0.0, 1.0), weight) == pytest.approx(1 + 3 + 2 + 2)
    assert cost_of_others(found, LineCost(0.0, 1.0), weight, counted) == pytest.approx(1 + 2)
    embedding[..., 3] = torch.nan
    found = instances(embedding, labels)
    for reach in (math.inf, 0.5):
        assert cost_of_others(found, LineCost(1.0, -1.0, reach), weight).isnan()


@pytest.mark.parametrize("size", [1, 7, None])
def test_log_totals_are_those_of_the_instances_of_the_image(found, size):
    weight = pixel_shares(found)
    expected = sum(
        ((-3 * brute_force(found, i)[0]).logsumexp(1) * weight[i]).sum() for i in range(2)
    )
    value = log_totals(found, lambda x: (-3 * x, -3.0), weight, size=size)
    torch.testing.assert_close(value, expected)
    sources = (found.pixels, found.means)
    torch.testing.assert_close(
        *(torch.autograd.grad(x, sources, retain_graph=True) for x in (value, expected))
    )


def test_the_nearest_other_is_nearest_of_those_that_there_are(found):
    nearest = nearest_others(found)
    for image in range(2):
        squared, own = brute_force(found, image)
        expected = torch.where(own, torch.inf, squared).argmin(1)
        labelled = found.labelled[image]
        assert torch.equal(nearest[image][labelled], expected[labelled])


def test_shares_make_a_mean_a_sum(found):
    values = torch.rand(3, 30, dtype=torch.double)
    mean = mean_over_present(mean_over_instances(values, found), found)
    torch.testing.assert_close((values * pixel_shares(found)).sum(), mean)
    torch.testing.assert_close(shares(found).sum(1), torch.tensor([0.5, 0.5, 0.0]).double())


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


@pytest.mark.parametrize("background", [0, 3])
def test_names_too_large_for_a_table_give_the_same_slots(background):
    labels = torch.randint(1, 9, (3, 20), generator=torch.Generator().manual_seed(0))
    labels[:, ::4] -= background
    small, columns = dense_slots(labels)
    large, same = dense_slots(torch.where(labels > 0, labels * 10**12, labels))
    assert torch.equal(large, small)
    assert same == columns


def test_no_pixels_have_no_slots():
    assert dense_slots(torch.zeros(2, 0, dtype=torch.long))[1] == 0
