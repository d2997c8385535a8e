"""Laws of the objectives of one embedding: `terms(embedding, labels)` of the colour family."""

import pytest
import torch

from maskspace.config import Choice
from maskspace.objectives.balls import ball_terms
from maskspace.objectives.instance_softmax import softmax_terms
from maskspace.objectives.objective import LEVEL_WEIGHTS, colours
from maskspace.objectives.plain import plain_terms
from maskspace.objectives.triplet import prototype_terms
from maskspace.targets import Targets

TERMS = {
    "balls": ball_terms,
    "instance_softmax": softmax_terms,
    "plain": plain_terms,
    "triplet": prototype_terms,
}


def total(name, embedding, labels, **options):
    return torch.stack(list(TERMS[name](embedding, labels, **options).values())).sum()


@pytest.fixture
def labels():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 5, (2, 12, 10), generator=generator)


def perfect(labels):
    """Each label in a colour of its own, far from the others."""
    return torch.eye(5)[labels].permute(0, 3, 1, 2).contiguous()


@pytest.mark.parametrize("name", TERMS)
def test_perfect_beats_shuffled_and_constant(name, labels):
    good = perfect(labels)
    order = torch.randperm(labels[0].numel(), generator=torch.Generator().manual_seed(1))
    shuffled = good.flatten(2)[..., order].view_as(good)
    assert total(name, good, labels) < total(name, shuffled, labels)
    assert total(name, good, labels) < total(name, torch.full_like(good, 0.5), labels)


@pytest.mark.parametrize("name", TERMS)
def test_the_order_of_pixels_does_not_matter(name, labels):
    embedding = torch.rand(2, 3, 12, 10)
    flipped = total(name, embedding.flip(2, 3), labels.flip(1, 2))
    torch.testing.assert_close(total(name, embedding, labels), flipped)


@pytest.mark.parametrize("name", TERMS)
def test_a_batch_is_the_mean_of_its_images(name, labels):
    embedding = torch.rand(2, 3, 12, 10)
    singles = [total(name, embedding[i : i + 1], labels[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(total(name, embedding, labels), torch.stack(singles).mean())


@pytest.mark.parametrize("name", TERMS)
def test_gradients_reach_a_disturbed_collapse(name, labels):
    generator = torch.Generator().manual_seed(0)
    noise = 1e-2 * torch.randn(2, 3, 12, 10, generator=generator)
    embedding = (0.5 + noise).requires_grad_()
    total(name, embedding, labels).backward()
    assert embedding.grad is not None
    assert embedding.grad.abs().max() > 0


@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_those_of_finite_differences(name):
    labels = torch.tensor([[[0, 1, 1], [2, 2, 1]]])
    generator = torch.Generator().manual_seed(3)
    embedding = torch.rand(1, 2, 2, 3, generator=generator, dtype=torch.float64) * 0.5
    assert torch.autograd.gradcheck(
        lambda x: total(name, x, labels), embedding.requires_grad_(), atol=1e-6
    )


def test_every_level_is_asked_the_same_in_proportion_to_its_weight(labels):
    def terms(embedding, labels):
        return {"spread": embedding.square().mean() * (labels >= 0).any()}

    decoder = Choice(name="mean_shift", options={"bandwidth": 0.1, "seeds": 3})
    objective = colours(terms, level_weights=LEVEL_WEIGHTS, channels=3, decoder=decoder)
    outputs = {h: torch.ones(2, d.channels, 1, 1) for h, d in objective.heads.items()}
    found = objective.terms(outputs, Targets.of_labels(labels[:, :1, :1]))
    # divided by the root of their number, features of 1 have a mean square of 1 over channels
    for level, channels in (("1", 3), ("2", 12), ("4", 48)):
        share = LEVEL_WEIGHTS[level] / 7
        assert float(found[f"spread/{level}"]) == pytest.approx(share / channels)
    assert objective.is_colours
    # 0.1 as a root mean square over 3 channels
    assert objective.decoder.options == {"bandwidth": pytest.approx(0.03**0.5), "seeds": 3}
