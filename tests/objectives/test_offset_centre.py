import math

import pytest
import torch

from maskspace.objectives.balls import ball_terms
from maskspace.objectives.instance_softmax import softmax_terms
from maskspace.objectives.offset_centre import offset_centre
from maskspace.objectives.positions import positions
from maskspace.objectives.spatial_embedding import spatial_terms
from maskspace.partition import DECODERS
from maskspace.targets import Targets

FORMS = ["balls", "gaussian", "softmax"]


def total(terms):
    return torch.stack(list(terms.values())).sum()


@pytest.fixture
def labels():
    labels = torch.zeros(1, 12, 16, dtype=torch.long)
    labels[:, 1:11, 1:7], labels[:, 1:11, 9:15] = 1, 2
    return labels


def outputs_at(place):
    """Outputs of an embedding in units of 32 pixels."""
    return {
        "1": place / 32,
        "bandwidth": torch.full_like(place[:, :1], 0.3),
        "seed": torch.full_like(place[:, :1], 0.5),
        "foreground": torch.zeros_like(place[:, :1]),
    }


def perfect(labels):
    """Pixels of an instance at one point of the image, background ones where they are."""
    place = positions(labels).clone()
    place[:, :, 1:11, 1:7] = torch.tensor([-20.0, 0.0]).view(2, 1, 1).double()
    place[:, :, 1:11, 9:15] = torch.tensor([40.0, 0.0]).view(2, 1, 1).double()
    return outputs_at(place)


@pytest.mark.parametrize("form", FORMS)
def test_terms_are_those_of_the_form_in_units(form, labels):
    torch.manual_seed(0)
    outputs = outputs_at(positions(labels) + torch.randn(1, 2, 12, 16) * 5)
    terms = offset_centre(form=form).terms(outputs, Targets.of_labels(labels))
    expected = {
        "balls": lambda: ball_terms(outputs["1"], labels, radius=6 / 32),
        "gaussian": lambda: spatial_terms(outputs, labels, centre="learnt", pixels_per_unit=32.0),
        "softmax": lambda: softmax_terms(outputs["1"], labels, bandwidth=6 / 32),
    }[form]()
    assert terms.pop("foreground").item() == pytest.approx(math.log(2))
    torch.testing.assert_close(terms, expected)


@pytest.mark.parametrize("form", FORMS)
def test_instances_that_meet_cost_less_than_shuffled_ones(form, labels):
    terms = offset_centre(form=form).terms
    outputs = perfect(labels)
    torch.manual_seed(0)
    order = torch.randperm(12 * 16)
    shuffled = {h: x.flatten(2)[..., order].view_as(x) for h, x in outputs.items()}
    good, bad = (total(terms(x, Targets.of_labels(labels))) for x in (outputs, shuffled))
    assert good < 0.7 * bad


@pytest.mark.parametrize("form", ["balls", "softmax"])
def test_embeddings_all_at_one_point_are_stationary(form, labels):
    """Which a convolution cannot emit: it would have to undo the position of every pixel."""
    e = torch.full((1, 2, 12, 16), 0.2, dtype=torch.double, requires_grad=True)
    objective = offset_centre(form=form, foreground=0.0)
    value = total(objective.terms({**outputs_at(e), "1": e}, Targets.of_labels(labels)))
    (gradient,) = torch.autograd.grad(value, e)
    assert gradient.abs().max() < 1e-3
    assert value.item() == pytest.approx({"balls": 18 / 32, "softmax": math.log(2)}[form], rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_no_offsets_at_all_are_not_stationary(form, labels):
    e = (positions(labels) / 32).clone().requires_grad_()
    outputs = {**outputs_at(positions(labels)), "1": e}
    value = total(offset_centre(form=form, radius=2.0).terms(outputs, Targets.of_labels(labels)))
    (gradient,) = torch.autograd.grad(value, e)
    assert gradient.abs().max() > 1e-4


@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_finite_differences(form):
    labels = torch.tensor([[[1, 1, 2], [1, 2, 2], [0, 0, 2]]])
    torch.manual_seed(0)
    outputs = outputs_at(positions(labels) + torch.randn(1, 2, 3, 3))

    def value(e, logits):
        found = {**outputs, "1": e, "foreground": logits}
        terms = offset_centre(form=form, radius=1.0).terms(found, Targets.of_labels(labels))
        terms.pop("seed", None)  # its target is detached: see the tests of spatial_embedding
        return total(terms)

    given = tuple(outputs[h].requires_grad_() for h in ("1", "foreground"))
    assert torch.autograd.gradcheck(value, given)


@pytest.mark.parametrize("form", FORMS)
def test_without_its_weight_there_is_no_foreground_head(form):
    assert "foreground" not in offset_centre(form=form, foreground=0.0).heads


def test_a_new_gaussian_is_one_half_at_the_radius():
    (raw,) = offset_centre(form="gaussian", radius=5.0).heads["bandwidth"].bias or (0.0,)
    assert math.exp(-math.exp(10 * raw) * (5 / 32) ** 2) == pytest.approx(0.5)


@pytest.mark.parametrize("form", FORMS)
def test_the_decoder_finds_the_instances_of_perfect_outputs(form, labels):
    objective = offset_centre(form=form)
    outputs = {h: x[0].float() for h, x in perfect(labels).items() if h in objective.heads}
    on = (labels > 0).float()
    outputs["foreground"] = on * 20 - 10
    if form == "gaussian":
        outputs["seed"] = on
    found = DECODERS[objective.decoder.name](outputs, **objective.decoder.options)
    for k in (1, 2):
        inside = found.labels[labels[0].numpy() == k]
        assert inside.min() == inside.max() > 0
    assert found.labels.max() == 2


def test_an_unknown_form_is_told():
    with pytest.raises((ValueError, TypeError)):
        offset_centre(form="rings")  # pyright: ignore[reportArgumentType]
