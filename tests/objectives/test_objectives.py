"""Laws that every entry of the table of embedding objectives obeys."""

import pytest
import torch

from maskspace.objectives import OBJECTIVES

NAMES = sorted(OBJECTIVES)


def total(name, embedding, labels, **options):
    return torch.stack(list(OBJECTIVES[name](embedding, labels, **options).values())).sum()


@pytest.fixture
def labels():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 5, (2, 12, 10), generator=generator)


def perfect(labels):
    """Each label in a colour of its own, far from the others."""
    colours = torch.eye(5)
    return colours[labels].permute(0, 3, 1, 2).contiguous()


@pytest.mark.parametrize("name", NAMES)
def test_perfect_beats_shuffled_and_constant(name, labels):
    good = perfect(labels)
    order = torch.randperm(labels[0].numel(), generator=torch.Generator().manual_seed(1))
    shuffled = good.flatten(2)[..., order].view_as(good)
    assert total(name, good, labels) < total(name, shuffled, labels)
    assert total(name, good, labels) < total(name, torch.full_like(good, 0.5), labels)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_labels_do_not_matter(name, labels):
    embedding = torch.rand(2, 3, 12, 10)
    renamed = torch.tensor([0, 40, 7, 1000, 3])[labels]
    torch.testing.assert_close(total(name, embedding, labels), total(name, embedding, renamed))


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_pixels_does_not_matter(name, labels):
    embedding = torch.rand(2, 3, 12, 10)
    flipped = total(name, embedding.flip(2, 3), labels.flip(1, 2))
    torch.testing.assert_close(total(name, embedding, labels), flipped)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_the_mean_of_its_images(name, labels):
    embedding = torch.rand(2, 3, 12, 10)
    singles = [total(name, embedding[i : i + 1], labels[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(total(name, embedding, labels), torch.stack(singles).mean())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["constant", "one instance", "no instance", "one pixel"])
def test_degenerate_input_gives_finite_values_and_gradients(name, case):
    embedding = torch.full((2, 3, 6, 6), 0.5) if case == "constant" else torch.rand(2, 3, 6, 6)
    embedding.requires_grad_()
    labels = torch.zeros(2, 6, 6, dtype=torch.long)
    if case == "constant":
        labels[:, :3] = 1
        labels[:, 3:] = 2
    elif case == "one instance":
        labels[:] = 7
    elif case == "one pixel":
        labels[0, 0, 0] = 1
    value = total(name, embedding, labels)
    value.backward()
    assert value.isfinite()
    assert embedding.grad is not None
    assert embedding.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_a_disturbed_collapse(name, labels):
    generator = torch.Generator().manual_seed(0)
    noise = 1e-2 * torch.randn(2, 3, 12, 10, generator=generator)
    embedding = (0.5 + noise).requires_grad_()
    total(name, embedding, labels).backward()
    assert embedding.grad is not None
    assert embedding.grad.abs().max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name):
    labels = torch.tensor([[[0, 1, 1], [2, 2, 1]]])
    embedding = torch.rand(1, 2, 2, 3, generator=torch.Generator().manual_seed(3)) * 0.5
    embedding.requires_grad_()
    value = total(name, embedding, labels)
    (gradient,) = torch.autograd.grad(value, embedding)
    step = 1e-3
    for place in range(embedding.numel()):
        moved = torch.zeros(embedding.numel())
        moved[place] = step
        moved = moved.view_as(embedding)
        with torch.no_grad():
            rise = total(name, embedding + moved, labels) - total(name, embedding - moved, labels)
        assert rise / (2 * step) == pytest.approx(float(gradient.flatten()[place]), abs=2e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_on_the_gpu_are_those_on_the_cpu(name, labels):
    embedding = torch.rand(2, 3, 12, 10)
    found = []
    for device in ("cpu", "cuda"):
        leaf = embedding.to(device, copy=True).requires_grad_()
        value = total(name, leaf, labels.to(device))
        value.backward()
        found.append((value.detach().cpu(), leaf.grad.cpu()))
    torch.testing.assert_close(*found)
