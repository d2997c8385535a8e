import pytest
import torch

from maskspace.objectives.tiles import sum_over_pairs, sum_over_tiles, tile_size


def kernel(x, weight, y):
    """Something of every pair of rows that is neither linear nor symmetric."""
    pairs = (x @ y.transpose(1, 2)).sigmoid()  # b p n
    return (pairs.square().sum(2) * weight).sum(1)


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 7, 3), (2, 7), (2, 4, 3))
    return [torch.randn(s, generator=generator).double().requires_grad_() for s in shapes]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_values_and_gradients_are_those_of_all_at_once_whatever_the_size(tensors, size):
    factor = torch.tensor([2.0, -3.0]).double()
    ours = sum_over_tiles(kernel, tensors[:2], tensors[2:], size=size)
    theirs = kernel(*tensors)
    torch.testing.assert_close(ours, theirs)
    found, expected = (torch.autograd.grad(x @ factor, tensors) for x in (ours, theirs))
    torch.testing.assert_close(found, expected)


def test_gradients_are_those_of_finite_differences(tensors):
    assert torch.autograd.gradcheck(
        lambda *x: sum_over_tiles(kernel, x[:2], x[2:], size=3), tensors
    )


@pytest.mark.parametrize("size", [1, 3, 100])
def test_pairs_whose_derivative_is_given_are_those_that_are_differentiated(tensors, size):
    x, weight, y = tensors

    def given(product, weight):
        p = product.sigmoid_()
        value = (p.square().sum(2) * weight).sum(1)
        return value, 2 * p.square() * (1 - p) * weight[..., None]

    factor = torch.tensor([2.0, -3.0]).double()
    ours = sum_over_pairs(x, y.transpose(1, 2), given, weight, size=size)
    theirs = kernel(x, weight.detach(), y)
    torch.testing.assert_close(ours, theirs)
    found, expected = (torch.autograd.grad(v @ factor, (x, y)) for v in (ours, theirs))
    torch.testing.assert_close(found, expected)


def test_what_wants_no_gradient_gets_none_and_what_has_no_part_0(tensors):
    x, weight, y = tensors
    weight, index = weight.detach(), torch.arange(7).expand(2, 7)
    idle = torch.ones(2, 5, requires_grad=True)

    def cost(x, weight, index, y, idle):
        return kernel(x, weight, y) * (index >= 0).all()

    sum_over_tiles(cost, (x, weight, index), (y, idle), size=2).sum().backward()
    assert weight.grad is None
    assert torch.equal(idle.grad, torch.zeros(2, 5))
    torch.testing.assert_close(
        (x.grad, y.grad), torch.autograd.grad(kernel(x, weight, y).sum(), (x, y))
    )


def test_without_gradients_no_graph_is_made(tensors):
    seen = []

    def cost(*given):
        value = kernel(*given)
        seen.append(value.requires_grad)
        return value

    with torch.no_grad():
        value = sum_over_tiles(cost, tensors[:2], tensors[2:], size=2)
    assert not value.requires_grad
    assert seen == [False] * 4
    torch.testing.assert_close(value, kernel(*tensors))


@pytest.mark.parametrize("shape", [(2, 0), (0, 7)])
def test_no_entries_and_no_images(shape):
    x, y = torch.zeros(*shape, 3, requires_grad=True), torch.zeros(shape[0], 4, 3)
    value = sum_over_tiles(kernel, (x, torch.ones(shape)), (y,), size=3)
    assert value.tolist() == [0.0] * shape[0]
    value.sum().backward()
    assert x.grad.shape == x.shape


def test_the_gradient_can_be_asked_for_twice(tensors):
    value = sum_over_tiles(kernel, tensors[:2], tensors[2:], size=3).sum()
    first = torch.autograd.grad(value, tensors, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(value, tensors), first)


def test_small_values_are_not_lost_in_many_tiles():
    x = torch.full((1, 100_000), 0.1)
    x[0, 0] = 1e6
    value = sum_over_tiles(lambda x: x.sum(1), (x,), size=1)
    assert value.item() == pytest.approx(1e6 + 9999.9, rel=1e-7)


def test_a_compiled_function_may_hold_it(tensors):
    def value(x, weight, y):
        return sum_over_tiles(kernel, (2 * x, weight), (y,), size=3).sum() * 3

    fast = torch.compile(value, backend="eager")
    found, expected = (torch.autograd.grad(f(*tensors), tensors) for f in (fast, value))
    torch.testing.assert_close(found, expected)


def test_tiles_hold_an_entry_at_least_and_more_where_starting_a_kernel_takes_long():
    assert tile_size(10**9, torch.device("cpu")) == 1
    assert tile_size(0, torch.device("cpu")) > 1
    assert tile_size(64, torch.device("cuda")) > tile_size(64, torch.device("cpu"))
