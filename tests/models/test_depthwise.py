import pytest
import torch
from torch.nn import functional as F

from maskspace.models.depthwise import depthwise


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_values_and_gradients_are_those_of_a_grouped_convolution(kernel, stride):
    generator = torch.Generator().manual_seed(kernel + stride)
    # whole numbers that bfloat16 holds, so that nothing but the order of sums differs
    x = torch.randint(-4, 5, (2, 8, 21, 25), generator=generator).float()
    weight = torch.randint(-2, 3, (8, 1, kernel, kernel), generator=generator).float()
    bias = torch.randint(-2, 3, (8,), generator=generator).float()
    inputs = [t.requires_grad_() for t in (x, weight, bias)]
    plain = F.conv2d(*inputs, stride, groups=8)
    grad = torch.randint(-1, 2, plain.shape, generator=generator).float()
    expected = (plain, *torch.autograd.grad(plain, inputs, grad))
    halves = [t.detach().bfloat16().requires_grad_() for t in inputs]
    half = depthwise(*halves, stride=stride)
    found = (half, *torch.autograd.grad(half, halves, grad.bfloat16()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=2**-8, atol=0)


def test_single_precision_is_plain():
    x, weight, bias = torch.randn(1, 4, 9, 9), torch.randn(4, 1, 3, 3), torch.randn(4)
    assert torch.equal(depthwise(x, weight, bias, stride=1), F.conv2d(x, weight, bias, groups=4))
