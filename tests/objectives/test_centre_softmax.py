import math

import pytest
import torch

from maskspace.objectives.centre_softmax import centre_classification_terms, centre_softmax
from maskspace.objectives.cluster_costs import cluster_costs
from maskspace.objectives.pixels import instances
from maskspace.objectives.positions import positions


@pytest.fixture
def labels():
    labels = torch.zeros(1, 12, 16, dtype=torch.long)
    labels[:, 1:6, 1:7], labels[:, 4:11, 9:15], labels[:, 11] = 1, 2, -1
    return labels


def terms_of(outputs, labels, **options):
    torch.manual_seed(4)
    return centre_classification_terms(outputs, labels, pixels_per_unit=64.0, **options)


def random_outputs(labels, scale=4.0):
    torch.manual_seed(0)
    place = positions(labels)
    e = (place + scale * torch.randn(place.shape, dtype=torch.double)) / 64
    return {"1": e, "foreground": torch.randn(place[:, :1].shape, dtype=torch.double)}


def test_terms_equal_the_loop_over_pixels(labels):
    outputs = random_outputs(labels)
    e, place = outputs["1"][0].flatten(1).T, positions(labels)[0].flatten(1).T / 64
    y = labels[0].flatten()
    centres = {k: place[y == k].mean(0) for k in (1, 2)}

    def smooth(x):
        return torch.where(x.abs() < 1, x.square() / 2, x.abs() - 0.5).sum(-1)

    offsets = [smooth(e[y == k] - centres[k]).mean() for k in (1, 2)]
    offsets.append(smooth(e[y == 0] - place[y == 0]).mean())
    separations = []
    for index, k in enumerate((1, 2)):
        logits = torch.stack([-15 * (e[y == k] - centres[j]).norm(dim=1) for j in (1, 2)], 1)
        separations.append(-logits.log_softmax(1)[:, index].mean())
    terms = terms_of(outputs, labels)
    torch.testing.assert_close(terms["offset"], 5 * torch.stack(offsets).mean())
    torch.testing.assert_close(terms["separation"], torch.stack(separations).mean())
    torch.manual_seed(4)
    (cluster,) = cluster_costs(
        instances(outputs["1"], labels), sigma=0.02, delta=0.1, seeds=50, steps=10
    )
    torch.testing.assert_close(terms["cluster"], cluster)
    p = outputs["foreground"].flatten().sigmoid()
    expected = -1.5 * (p[y > 0].log().mean() + (1 - p[y == 0]).log().mean())
    torch.testing.assert_close(terms["foreground"], expected)


def perfect(labels):
    place = positions(labels).clone()
    for k in (1, 2):
        place[0, :, labels[0] == k] = place[0, :, labels[0] == k].mean(1, keepdim=True)
    on = torch.where(labels > 0, 20.0, -20.0)[:, None]
    return {"1": place / 64, "foreground": on}


def test_pixels_at_their_centres_cost_least(labels):
    terms = terms_of(perfect(labels), labels, delta=0.05)
    assert terms["offset"] < 1e-9
    assert terms["cluster"] < 1e-6
    # the centres are 9 pixels apart in x and 5 in y: a softmax is never quite sure
    away = math.hypot(8.0, 4.0) / 64
    assert terms["separation"].item() == pytest.approx(math.log1p(math.exp(-15 * away)), rel=1e-3)
    order = torch.randperm(12 * 16, generator=torch.Generator().manual_seed(0))
    shuffled = {h: x.flatten(2)[..., order].view_as(x) for h, x in perfect(labels).items()}
    worse = terms_of(shuffled, labels, delta=0.05)
    assert all(worse[name] > value for name, value in terms.items())


def test_embeddings_all_at_one_point_cost_the_logarithm_of_the_number_and_are_not_stationary(
    labels,
):
    centres = [positions(labels)[0][:, labels[0] == k].mean(1) for k in (1, 2)]
    middle = (centres[0] + centres[1]) / 2 / 64
    e = middle.view(1, 2, 1, 1).expand(1, 2, 12, 16).clone().requires_grad_()
    terms = terms_of({"1": e}, labels, foreground=0.0)
    assert terms["separation"].item() == pytest.approx(math.log(2), abs=1e-6)
    (gradient,) = torch.autograd.grad(terms["separation"], e)
    assert gradient.abs().max() > 1e-3


def test_gradients_are_those_of_finite_differences(labels):
    outputs = {h: x.requires_grad_() for h, x in random_outputs(labels).items()}

    def value(*given):
        found = terms_of(dict(zip(outputs, given, strict=True)), labels, steps=2)
        return torch.stack(list(found.values()))

    assert torch.autograd.gradcheck(value, tuple(outputs.values()), fast_mode=True)


def test_names_do_not_matter_and_images_without_instances_only_teach_the_background(labels):
    outputs = random_outputs(labels)
    terms = terms_of(outputs, labels)
    renamed = torch.tensor([0, 9, 4, -1])[labels]
    torch.testing.assert_close(terms_of(outputs, renamed), terms)
    empty = terms_of(outputs, torch.zeros_like(labels))
    assert empty["separation"] == 0
    assert empty["cluster"] == 0
    assert empty["offset"] > 0


def test_a_batch_is_the_mean_of_its_images(labels):
    both = {h: x.repeat(2, 1, 1, 1) for h, x in random_outputs(labels).items()}
    double = torch.cat([labels, torch.full_like(labels, -1)])
    options = {"cluster_weight": 0.0}  # it samples
    alone = terms_of(random_outputs(labels), labels, **options)
    torch.testing.assert_close(terms_of(both, double, **options), alone)


def test_the_bandwidth_is_that_of_training():
    objective = centre_softmax(sigma=0.03)
    assert objective.decoder.options == {"bandwidth": 0.03}
    assert objective.heads["1"].unit == 256.0
