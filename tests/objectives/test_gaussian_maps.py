import pytest
import torch

from maskspace.mask_losses.lovasz import lovasz_hinge
from maskspace.objectives.gaussian_maps import gaussian_costs
from maskspace.objectives.pixels import instances, shares

CHANNELS = [1, 2, 3, 8]


def hinge(phi, truth):
    return lovasz_hinge(2 * phi[None] - 1, truth[None])


def labels_of(kind):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 6, (3, 23, 31), generator=generator)
    labels[1][labels[1] > 2] = 0  # fewer instances than the others
    labels[2][labels[2] > 0] = 0  # none
    if kind == "one":
        labels = (labels == 1).long()
    elif kind == "all":
        labels = torch.full_like(labels, 4)
    elif kind == "none":
        labels = labels.clamp(max=0)
    return labels


def gaussians(labels, channels, scale=1.0, embedding=None):
    """Leaves of double precision: pixels, centres and sharpness."""
    generator = torch.Generator().manual_seed(1)
    if embedding is None:
        embedding = torch.randn(len(labels), channels, *labels.shape[1:], generator=generator)
    found = instances(embedding, labels)
    sharpness = scale * (0.5 + torch.rand(found.means.shape, generator=generator))
    return embedding.double(), found.means.double(), sharpness.double()


def by_loops(leaves, labels, **options):
    embedding, centres, sharpness = (x.float().requires_grad_() for x in leaves)
    found = instances(embedding, labels)
    known = (labels >= 0).flatten(1)
    value = gaussian_costs(found, centres, sharpness, known, shares(found), **options)
    factor = torch.arange(1.0, 1 + len(value))
    gradients = torch.autograd.grad(value @ factor, (embedding, centres, sharpness))
    return value, gradients


def by_force(leaves, labels):
    """The same in double precision, an instance at a time."""
    embedding, centres, sharpness = (x.clone().requires_grad_() for x in leaves)
    weight = shares(instances(embedding, labels))
    images = []
    for i, (x, y) in enumerate(zip(embedding, labels, strict=True)):
        total = (x.sum() + centres.sum() + sharpness.sum()) * 0
        for n, k in enumerate(k for k in sorted(set(y.flatten().tolist())) if k > 0):
            away = (x - centres[i, n, :, None, None]).square()
            phi = (-(sharpness[i, n, :, None, None] * away).sum(0)).exp()
            truth = torch.where(y >= 0, (y == k).double(), -1.0)
            total = total + weight[i, n] * hinge(phi, truth)
        images.append(total)
    value = torch.stack(images)
    factor = torch.arange(1.0, 1 + len(value)).double()
    return value, torch.autograd.grad(value @ factor, (embedding, centres, sharpness))


def assert_same(found, expected, atol=1e-6):
    for ours, theirs in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(ours, theirs.float(), atol=atol, rtol=2e-4)


@pytest.mark.parametrize("kind", ["many", "one", "all", "none"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_value_and_gradients_are_those_of_double_precision(kind, channels):
    labels = labels_of(kind)
    leaves = gaussians(labels, channels)
    assert_same(by_loops(leaves, labels, chunk=2), by_force(leaves, labels))


@pytest.mark.parametrize("scale", [1e-3, 30.0, 3e4])
def test_wide_and_narrow_gaussians(scale):
    labels = labels_of("many")
    leaves = gaussians(labels, 2, scale)
    expected = by_force(leaves, labels)
    # errors near 1 of narrow Gaussians are equal in single precision: any order of them is right
    atol = 1e-2 if scale > 1e4 else 1e-6
    assert_same(by_loops(leaves, labels, chunk=3), expected, atol)


def test_pixels_at_their_centre_have_no_gradient():
    labels = labels_of("many").clamp(min=0)
    embedding = labels[:, None].float().expand(-1, 3, -1, -1).clone()
    value, gradients = by_loops(gaussians(labels, 3, 50.0, embedding), labels, chunk=2)
    assert value.tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert gradients[0].abs().max() < 1e-6


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
def test_the_chunk_and_the_batch_change_nothing(chunk):
    labels = labels_of("many")
    leaves = gaussians(labels, 3)
    value, gradients = by_loops(leaves, labels, chunk=3)
    other, same = by_loops(leaves, labels, chunk=chunk)
    assert torch.equal(value, other)
    torch.testing.assert_close(same, gradients, rtol=1e-5, atol=1e-7)
    single, (alone, *_) = by_loops([x[:1] for x in leaves], labels[:1], chunk=chunk)
    # an image weighs as one of two that have instances
    torch.testing.assert_close(single / 2, value[:1])
    torch.testing.assert_close(alone / 2, gradients[0][:1])


def test_the_same_call_gives_the_same_bits():
    labels = labels_of("many")
    leaves = gaussians(labels, 8)
    one, other = (by_loops(leaves, labels, chunk=2) for _ in range(2))
    assert all(
        torch.equal(x, y) for x, y in zip((one[0], *one[1]), (other[0], *other[1]), strict=True)
    )


def test_how_tensors_lie_in_memory_does_not_matter():
    labels = labels_of("many")
    leaves = gaussians(labels, 3)
    turned = [x.transpose(1, -1).contiguous().transpose(1, -1) for x in leaves]
    assert not any(x.is_contiguous() for x in turned)
    strange = labels.mT.contiguous().mT
    assert_same(by_loops(turned, strange, chunk=2), by_loops(leaves, labels, chunk=2))


def test_what_is_no_number_is_passed_on():
    labels = labels_of("many").clamp(min=0)
    leaves = gaussians(labels, 3)
    leaves[0][0, 1, 2, 3] = torch.nan
    value, _ = by_loops(leaves, labels, chunk=2)
    assert value.isnan().tolist() == [True, False, False]


def test_far_pixels_cost_nothing():
    labels = torch.tensor([[[1, 1, 0, 0]]])
    embedding = torch.tensor([[[[0.0, 0.0, 1e3, 1e30]]]])
    value, gradients = by_loops(gaussians(labels, 1, 1.0, embedding), labels, chunk=1)
    assert value.tolist() == [0.0]
    assert all(torch.equal(x, torch.zeros_like(x)) for x in gradients)


def test_without_gradients_and_compiled():
    labels = labels_of("many")
    leaves = gaussians(labels, 3)
    expected, _ = by_loops(leaves, labels, chunk=2)
    found = instances(leaves[0].float(), labels)
    known, weight = (labels >= 0).flatten(1), shares(found)
    centres, sharpness = (x.float() for x in leaves[1:])

    def value(found, centres, sharpness):
        return gaussian_costs(found, centres, sharpness, known, weight, chunk=2)

    with torch.no_grad():
        assert torch.equal(value(found, centres, sharpness), expected)
    fast = torch.compile(value, backend="eager")
    assert torch.equal(fast(found, centres, sharpness), expected)
