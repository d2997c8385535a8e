from itertools import permutations, product

import pytest
import torch

from maskspace.mask_losses.lovasz import (
    jaccard_extension,
    jaccard_slopes,
    lovasz_hinge,
    lovasz_sigmoid,
    lovasz_softmax,
)


def jaccard_loss(wrong, true):
    """1 - IoU of the mask that differs from the true one where `wrong`."""
    predicted = wrong != true
    union = (predicted | true).sum()
    return 0.0 if union == 0 else float(1 - (predicted & true).sum() / union)


def convex_closure(errors, true):
    """The largest of all linear functions below the set function, one for each order of pixels.

    The vertices of the base polytope of a submodular function are its greedy vectors, and the
    convex closure is the support function of that polytope: no sorting takes part.
    """
    vectors = []
    for order in permutations(range(len(true))):
        wrong, before, vector = torch.zeros_like(true), 0.0, torch.zeros(len(true))
        for pixel in order:
            wrong[pixel] = True
            after = jaccard_loss(wrong, true)
            vector[pixel], before = after - before, after
        vectors.append(vector)
    return (torch.stack(vectors) @ errors).max()


@pytest.mark.parametrize("true", list(product([False, True], repeat=5)), ids=str)
def test_value_is_the_convex_closure_of_one_minus_iou(true):
    true = torch.tensor(true)
    for seed in range(3):
        errors = 3 * torch.rand(5, generator=torch.Generator().manual_seed(seed))
        value = jaccard_extension(
            errors.view(1, 1, 5), true.view(1, 1, 5), torch.ones(1, 1, 5, dtype=torch.bool)
        )
        torch.testing.assert_close(value[0], convex_closure(errors, true))


def test_at_the_corners_it_is_one_minus_iou():
    known = torch.ones(1, 2, 2, dtype=torch.bool)
    for true in product([False, True], repeat=4):
        for wrong in product([False, True], repeat=4):
            true_mask, wrong_mask = torch.tensor(true), torch.tensor(wrong)
            value = jaccard_extension(
                wrong_mask.float().view(1, 2, 2), true_mask.view(1, 2, 2), known
            )
            assert float(value) == pytest.approx(jaccard_loss(wrong_mask, true_mask))


def test_it_equals_the_difference_of_neighbouring_ious_in_double():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 20, 30, generator=generator, dtype=torch.double)
    truth = torch.randint(-1, 2, (3, 20, 30), generator=generator).double()
    values = []
    for z, y in zip(logits, truth, strict=True):
        true = y[y >= 0]
        errors, order = (1 - z[y >= 0] * (2 * true - 1)).clamp(min=0).sort(descending=True)
        true = true[order]
        shared, union = true.sum() - true.cumsum(0), true.sum() + (1 - true).cumsum(0)
        loss = torch.cat([torch.zeros(1), 1 - shared / union])
        values.append((errors * loss.diff()).sum())
    torch.testing.assert_close(lovasz_hinge(logits, truth), torch.stack(values).mean())


@pytest.mark.parametrize("seed", range(5))
def test_slopes_in_single_precision_are_those_of_the_sort(seed):
    generator = torch.Generator().manual_seed(seed)
    errors = 2 * torch.rand(4, 3000, generator=generator)
    errors[0] *= 1e-20
    errors[:, :9] = 0.0
    true = torch.rand(4, 3000, generator=generator) < 0.1
    true[3] = False
    known = torch.rand(4, 3000, generator=generator) < 0.8
    single = jaccard_slopes(errors, true, known)
    double = jaccard_slopes(errors.double(), true, known)
    # of equal errors any order is one of the gradients: the values are the same
    apart = errors > 0
    torch.testing.assert_close(single[apart], double[apart].float())
    torch.testing.assert_close((single * errors).sum(1), (double * errors).sum(1).float())
    assert (single[~known] == 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e30])
@pytest.mark.parametrize("span", [0.0, 1e-6, 1e-2, 1.0])
def test_slopes_are_those_of_the_sort_however_far_errors_lie_apart(scale, span):
    generator = torch.Generator().manual_seed(0)
    errors = scale * (1 + span * torch.rand(3, 2048, generator=generator))
    errors[:, ::2] = scale * torch.rand(3, 1024, generator=generator) ** 20
    true = torch.rand(3, 2048, generator=generator) < 0.05
    errors[1, true[1]] *= 3  # above all false ones
    errors[2, true[2]] *= 1e-3
    known = torch.rand(3, 2048, generator=generator) < 0.9
    found, expected = (jaccard_slopes(x, true, known) for x in (errors, errors.double()))
    for single, double, x in zip(found, expected, errors.double(), strict=True):
        torch.testing.assert_close((single * x).sum(), (double * x).sum(), rtol=1e-6, atol=0)
        alone = torch.isin(x, x.unique(return_counts=True)[0][x.unique(return_counts=True)[1] == 1])
        torch.testing.assert_close(single[alone].double(), double[alone], rtol=1e-6, atol=0)


@pytest.mark.parametrize("pixels", [1 << 18, (1 << 20) + 1])
@pytest.mark.parametrize("least", [0.0, 0.05])
def test_slopes_of_large_maps_are_those_of_the_sort(pixels, least):
    """What is sorted fits into 32 bits with an index of 18 and two digits, not with one of 20."""
    generator = torch.Generator().manual_seed(0)
    errors = torch.rand(1, pixels, generator=generator)
    true = torch.rand(1, pixels, generator=generator) < 0.01
    errors[true] = errors[true].clamp(min=least)
    known = torch.rand(1, pixels, generator=generator) < 0.9
    single, double = (jaccard_slopes(x, true, known) for x in (errors, errors.double()))
    _, value, count = errors[0].unique(return_inverse=True, return_counts=True)
    alone = count[value] == 1
    torch.testing.assert_close(single[0, alone].double(), double[0, alone], rtol=1e-6, atol=0)
    totals = ((x.double() * errors).sum() for x in (single, double))
    torch.testing.assert_close(*totals, rtol=1e-6, atol=0)


def test_no_pixels_have_no_slopes():
    nothing = torch.zeros(2, 0, dtype=torch.bool)
    assert jaccard_slopes(torch.zeros(2, 0), nothing, nothing).shape == (2, 0)


def test_the_hinge_is_convex_and_bounds_one_minus_iou():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(-1, 2, (1, 6, 6), generator=generator).float()
    for _ in range(20):
        one, other = 2 * torch.randn(2, 1, 6, 6, generator=generator)
        middle = lovasz_hinge((one + other) / 2, truth)
        assert middle <= (lovasz_hinge(one, truth) + lovasz_hinge(other, truth)) / 2 + 1e-6
        wrong = ((one > 0) != (truth > 0.5))[truth >= 0]
        assert lovasz_hinge(one, truth) >= jaccard_loss(wrong, truth[truth >= 0] > 0.5) - 1e-6


def test_the_margin_is_a_change_of_unit():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 5, generator=generator)
    truth = torch.randint(-1, 2, (2, 5, 5), generator=generator).float()
    scaled = 0.5 * lovasz_hinge(logits / 0.5, truth)
    torch.testing.assert_close(lovasz_hinge(logits, truth, margin=0.5), scaled)


def test_small_gradients_of_a_large_mask_are_exact():
    """On a megapixel every true pixel that is missed loses one part in the union."""
    side = 1024
    truth = torch.ones(1, side, side)
    logits = torch.linspace(-0.9, 0.9, side * side).view(1, side, side).requires_grad_()
    lovasz_hinge(logits, truth).backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.full_like(truth, -1 / side**2), rtol=1e-6, atol=0)


def test_of_sure_probabilities_it_is_one_minus_iou():
    truth = torch.zeros(1, 4, 4)
    truth[:, :2] = 1
    predicted = torch.zeros(1, 4, 4)
    predicted[:, 1:3] = 1
    value = lovasz_sigmoid((predicted * 2 - 1) * 50, truth)
    assert value == pytest.approx(1 - 4 / 12)


@pytest.mark.parametrize(
    ("logits", "labels", "loss"),
    [
        ([2.0, -0.5, 0.3, -1.2, 0.1], [1, 1, 0, 0, 0], 1.0583333333),
        ([1.5, 2.0, -1.0, -3.0], [1, 1, 0, 0], 0.0),
        ([-2.0, 0.5, -0.25], [0, 0, 0], 1.5),
        ([0.9, 0.2, -0.6, -0.9, 0.4, -1.0], [1, 1, 1, 0, 0, 0], 0.9916666667),
    ],
)
def test_the_hinge_is_what_the_set_function_gives(logits, labels, loss):
    """Values computed from the definition of the extension, without sorted cumulative sums."""
    logits = torch.tensor(logits, dtype=torch.double).view(1, 1, -1)
    truth = torch.tensor(labels, dtype=torch.double).view(1, 1, -1)
    assert float(lovasz_hinge(logits, truth)) == pytest.approx(loss, abs=1e-9)


@pytest.mark.parametrize(
    ("probabilities", "labels", "classes"),
    [
        (
            [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4], [0.5, 0.25, 0.25]],
            [0, 1, 1, 0],
            [0.4, 0.55, 0.4],
        ),
        ([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], [0, 0, 1], [0.3666666667, 0.4]),
    ],
)
def test_the_softmax_is_what_the_set_function_gives_for_each_class(probabilities, labels, classes):
    found = lovasz_softmax(
        torch.tensor(probabilities, dtype=torch.double).T[None, :, None],
        torch.tensor(labels).view(1, 1, -1),
    )
    assert found[0].tolist() == pytest.approx(classes, abs=1e-9)


def test_unknown_pixels_are_in_no_class_and_others_outside_of_all():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(1, 2, 1, 6, generator=generator)
    truth = torch.tensor([[[0, 1, 0, 5, -1, -1]]])
    found = lovasz_softmax(probabilities, truth)
    torch.testing.assert_close(found, lovasz_softmax(probabilities[..., :4], truth[..., :4]))
    masks = torch.stack([(truth[0] == 0).float(), (truth[0] == 1).float()])
    masks[:, truth[0] < 0] = -1
    each = [
        lovasz_sigmoid(p.logit()[None], m[None])
        for p, m in zip(probabilities[0], masks, strict=True)
    ]
    torch.testing.assert_close(found[0], torch.stack(each))
