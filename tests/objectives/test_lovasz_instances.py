import pytest
import torch

from maskspace.mask_losses.lovasz import lovasz_hinge, lovasz_softmax
from maskspace.objectives.lovasz_instances import lovasz_terms

FORMS = ["hinge", "softmax"]


def naive(embedding, labels, form, bandwidth):
    """The term, an instance at a time."""
    images = []
    for x, y in zip(embedding, labels, strict=True):
        present = [k for k in sorted(set(y.flatten().tolist())) if k > 0]
        if not present:
            continue
        means = [x[:, y == k].mean(1)[:, None, None] for k in present]
        exponents = torch.stack([-((x - m) ** 2).sum(0) / (2 * bandwidth**2) for m in means])
        if form == "softmax":
            slots = torch.full_like(y, -1)
            for index, k in enumerate(present):
                slots[y == k] = index
            images.append(lovasz_softmax(exponents.softmax(0)[None], slots[None]).mean())
        else:
            truths = [torch.where(y >= 0, (y == k).to(x.dtype), -1.0) for k in present]
            images.append(
                torch.stack(
                    [
                        lovasz_hinge(2 * z.exp()[None] - 1, t[None])
                        for z, t in zip(exponents, truths, strict=True)
                    ]
                ).mean()
            )
    return torch.stack(images).mean()


@pytest.fixture
def labels():
    labels = torch.randint(-1, 5, (3, 6, 7), generator=torch.Generator().manual_seed(0))
    labels[1][labels[1] > 2] = 0  # fewer instances than the others
    labels[2] = 0
    return labels


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_value_equals_the_loop_over_instances_whatever_the_chunk(labels, form, chunk):
    embedding = torch.randn(3, 3, 6, 7, generator=torch.Generator().manual_seed(1)).double()
    value = lovasz_terms(embedding, labels, form=form, bandwidth=0.9, chunk=chunk)["overlap"]
    torch.testing.assert_close(value, naive(embedding, labels, form, 0.9))


@pytest.mark.parametrize("form", FORMS)
def test_gradient_in_double_precision(labels, form):
    embedding = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(1)).double()
    corner = labels[::2, :3, :4]
    assert len(corner.unique()) > 3
    assert torch.autograd.gradcheck(
        lambda x: lovasz_terms(x, corner, form=form, bandwidth=1.0)["overlap"],
        embedding.requires_grad_(),
    )


@pytest.mark.parametrize("form", FORMS)
def test_order_of_labels_does_not_matter(labels, form):
    embedding = torch.randn(3, 3, 6, 7, generator=torch.Generator().manual_seed(1))
    turned = torch.where(labels > 0, 9 - labels, labels)
    torch.testing.assert_close(
        lovasz_terms(embedding, labels, form=form), lovasz_terms(embedding, turned, form=form)
    )


@pytest.mark.parametrize("form", FORMS)
def test_separated_instances_cost_nothing_and_shuffled_ones_do(labels, form):
    good = 10 * torch.eye(5)[labels.clamp(min=0)].permute(0, 3, 1, 2)
    assert lovasz_terms(good, labels, form=form)["overlap"] == pytest.approx(0, abs=1e-6)
    order = torch.randperm(42, generator=torch.Generator().manual_seed(0))
    shuffled = good.flatten(2)[..., order].view_as(good)
    assert lovasz_terms(shuffled, labels, form=form)["overlap"] > 0.2


def test_the_value_of_a_constant_output_and_the_gradient_beside_it():
    labels = torch.tensor([[[1, 1, 1, 2, 2, 0, 0, -1]]])
    constant = torch.full((1, 3, 1, 8), 0.3)
    value = lovasz_terms(constant, labels)["overlap"]
    assert value == pytest.approx((2 * (1 - 3 / 7) + 2 * (1 - 2 / 7)) / 2, abs=1e-5)
    noise = torch.randn(constant.shape, generator=torch.Generator().manual_seed(0))
    for form in FORMS:
        disturbed = (constant + 0.01 * noise).requires_grad_()
        lovasz_terms(disturbed, labels, form=form)["overlap"].backward()
        assert disturbed.grad is not None
        assert disturbed.grad.abs().max() > 1e-4


def test_background_is_outside_of_every_instance_for_the_hinge_and_of_no_matter_for_softmax():
    labels = torch.tensor([[[1, 1, 2, 2, 0]]])
    apart = torch.tensor([0.0, 0.0, 9.0, 9.0, 30.0]).view(1, 1, 1, 5)
    inside = torch.tensor([0.0, 0.0, 9.0, 9.0, 0.0]).view(1, 1, 1, 5)
    for form, rise in (("hinge", 1 / 3), ("softmax", 0.0)):
        costs = [lovasz_terms(x, labels, form=form)["overlap"] for x in (apart, inside)]
        assert float(costs[1] - costs[0]) == pytest.approx(rise, abs=1e-6)
