import json

import pytest
import torch

from maskspace.mask_losses.normalised_focal import EPSILON, normalised_focal


def options_of(case):
    """The options of a recorded case, whose defaults and names differ from ours."""
    given = {"alpha": 0.25, "gamma": 2.0} | case["kwargs"]
    return {
        "alpha": given["alpha"],
        "gamma": float(given["gamma"]),
        "max_focus": float(given["max_mult"]) if "max_mult" in given else None,
        "normaliser_gradient": not given.get("detach_delimeter", True),
    }


def test_losses_and_gradients_are_those_recorded_from_segnext(vectors):
    cases = json.loads((vectors / "segnext_vectors.json").read_text())["normalized_focal_loss"]
    assert len(cases) == 10
    for case in cases:
        expected = torch.tensor(case["loss_per_sample"])
        logits = torch.tensor(case["logits"]).view(len(expected), 3, 4).requires_grad_()
        truth = torch.tensor(case["label"]).view(len(expected), 3, 4)
        each = [
            normalised_focal(z[None], y[None], **options_of(case))
            for z, y in zip(logits, truth, strict=True)
        ]
        torch.testing.assert_close(torch.stack(each), expected, atol=1e-6, rtol=1e-6)
        if "grad" in case:
            (gradient,) = torch.autograd.grad(each[0], logits)
            recorded = torch.tensor(case["grad"])[None]
            torch.testing.assert_close(gradient, recorded, atol=1e-6, rtol=1e-5)


def test_losses_of_a_recorded_model_are_those_recorded_with_it(vectors):
    recorded = torch.load(vectors / "segnext_tiny_sax1_448.pt", weights_only=True)
    logits, truth = recorded["cases"]["B"]["logits"][:, 0], recorded["loss_case"]["gt"][:, 0]
    expected = recorded["loss_case"]["per_sample"]
    each = [normalised_focal(logits[i : i + 1], truth[i : i + 1]) for i in range(len(expected))]
    torch.testing.assert_close(torch.stack(each), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(normalised_focal(logits, truth), expected.mean())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_value_equals_its_definition_on_one_mask(gamma):
    torch.manual_seed(0)
    logits, truth = torch.randn(1, 5, 5), (torch.rand(1, 5, 5) > 0.5).float()
    agreement = 1 - (truth - logits.sigmoid()).abs()
    weight = (1 - agreement) ** gamma
    weight = weight * 25 / weight.sum()
    expected = (-0.5 * weight * agreement.log()).mean()
    torch.testing.assert_close(normalised_focal(logits, truth, gamma=gamma), expected)


def test_the_gradient_is_that_of_a_loss_with_a_frozen_normaliser():
    torch.manual_seed(0)
    logits = (2 * torch.randn(2, 4, 5, dtype=torch.double)).requires_grad_()
    truth = torch.randint(-1, 2, (2, 4, 5)).double()
    known = truth >= 0

    def focus(z):
        return torch.where(known, ((truth > 0.5).double() - z.sigmoid()).abs() ** 2, 0.0)

    frozen = (known.sum((1, 2)) / (focus(logits).sum((1, 2)) + EPSILON)).detach()

    def reference(z):
        agreement = 1 - ((truth > 0.5).double() - z.sigmoid()).abs()
        loss = -0.5 * focus(z) * frozen[:, None, None] * agreement.log()
        return ((loss * known).sum((1, 2)) / known.sum((1, 2))).mean()

    assert torch.autograd.gradcheck(reference, logits)
    (ours,) = torch.autograd.grad(normalised_focal(logits, truth), logits)
    (theirs,) = torch.autograd.grad(reference(logits), logits)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 5.0])
def test_any_gamma_gives_finite_gradients(gamma):
    logits = torch.tensor([[[-300.0, -3.0, 0.0, 3.0, 300.0]]], requires_grad=True)
    for truth in (torch.zeros(1, 1, 5), torch.ones(1, 1, 5), torch.full((1, 1, 5), -1.0)):
        (gradient,) = torch.autograd.grad(normalised_focal(logits, truth, gamma=gamma), logits)
        assert gradient.isfinite().all()
