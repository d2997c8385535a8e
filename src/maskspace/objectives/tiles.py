"""A sum over parts of large tensors, with its gradient taken part by part.

What compares every pixel with every instance is one number in the end. Taken at once, the matrix of
pairs goes to memory and back a dozen times, forward and backward; in tiles it stays in the cache.
As the gradient of one number is known but for a factor, every tile's is taken while the tile is
there: no pair is kept, and none is computed twice.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import BackwardCFunction, once_differentiable

from maskspace.eager import eager

#: Pairs of a tile: on the CPU so few that some arrays of them stay in the cache of a core, on other
#: devices so many that the time to start a kernel is none.
PAIRS_CPU = 2**18
PAIRS_ELSEWHERE = 2**24


def tile_size(pairs: int, device: torch.device) -> int:
    """Return how many entries, each of so many pairs, make a tile; at least 1.

    Example:
        >>> tile_size(2**10, torch.device("cpu"))
        256
    """
    return max(1, (PAIRS_CPU if device.type == "cpu" else PAIRS_ELSEWHERE) // max(1, pairs))


#: The tensors of a tile, and which of them want a gradient -> the value of each image, and those.
Step = Callable[[Sequence[Tensor], Sequence[bool]], tuple[Tensor, Sequence[Tensor | None]]]


@eager  # compilers cannot look into gradients that are taken in a forward pass
def sum_over_tiles(
    cost: Callable[..., Tensor],
    tiled: Sequence[Tensor],
    whole: Sequence[Tensor] = (),
    *,
    size: int,
) -> Float[Tensor, " b"]:
    """Return each image's sum of cost(*tiles, *whole) over tiles of `size` entries.

    `tiled` are equally long in dimension 1, along which they are cut; every tile has all of
    `whole`. Dimension 0 of all is the image, and `cost` returns a number for each, of which another
    image's rows are no part. Gradients reach these tensors alone, not what else `cost` refers to,
    and they have no gradients themselves. Values are added in double precision.

    Example:
        >>> x = torch.arange(6.0).view(1, 6).requires_grad_()
        >>> total = sum_over_tiles(lambda tile: tile.square().sum(1), [x], size=2)
        >>> total.sum().backward()
        >>> total.item(), x.grad.tolist()
        (55.0, [[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]])
    """

    def step(
        parts: Sequence[Tensor], needed: Sequence[bool]
    ) -> tuple[Tensor, Sequence[Tensor | None]]:
        sources = [part.requires_grad_() for part, need in zip(parts, needed, strict=True) if need]
        with torch.set_grad_enabled(any(needed)):
            value = cost(*parts)
        if not sources:
            return value, ()
        one = torch.ones_like(value)
        gradients = iter(torch.autograd.grad(value, sources, one, allow_unused=True))
        return value.detach(), [next(gradients) if need else None for need in needed]

    return sum_of_steps(step, size, len(tiled), *tiled, *whole)


@eager
def sum_over_pairs(
    left: Float[Tensor, "b p d"],
    right: Float[Tensor, "b d n"],
    cost: Callable[..., tuple[Tensor, Tensor]],
    *tiled: Tensor,
    size: int,
) -> Float[Tensor, " b"]:
    """Return each image's sum of a cost of the product of two matrices, by tiles of `size` rows.

    cost(product, *tiles) returns each image's value of some rows of the product, which it may
    overwrite, and its derivative by them; `tiled` are cut as `left` is. Derivatives that are
    written by hand take half the passes over a tile that those of each operation do. Gradients
    reach `left` and `right` alone.

    Example:
        >>> def squares(product):
        ...     return product.square().sum((1, 2)), 2 * product
        >>> left, right = torch.ones(1, 4, 1), torch.tensor([[[1.0, 2.0]]])
        >>> sum_over_pairs(left, right, squares, size=2).item()  # 4 (1 + 4)
        20.0
    """

    def step(
        parts: Sequence[Tensor], needed: Sequence[bool]
    ) -> tuple[Tensor, Sequence[Tensor | None]]:
        rows, *others, columns = parts
        value, slopes = cost(rows @ columns, *others)
        by_rows = slopes @ columns.transpose(1, 2) if needed[0] else None
        by_columns = rows.transpose(1, 2) @ slopes if needed[-1] else None
        return value, [by_rows, *(None for _ in others), by_columns]

    tiled = tuple(x.detach() for x in tiled)
    return sum_of_steps(step, size, 1 + len(tiled), left, *tiled, right)


@eager
def sum_of_steps(step: Step, size: int, number: int, *tensors: Tensor) -> Float[Tensor, " b"]:
    """Return the sum of what a step returns for each tile: of `size` entries of the first `number`.

    The others are whole in each.

    Example:
        >>> def step(parts, needed):
        ...     return parts[0].sum(1), [torch.ones_like(parts[0])]
        >>> sum_of_steps(step, 2, 1, torch.arange(5.0).view(1, 5)).item()
        10.0
    """
    needed = [torch.is_grad_enabled() and tensor.requires_grad for tensor in tensors]
    return _SumOverTiles.apply(step, size, number, needed, *tensors)


class _SumOverTiles(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: BackwardCFunction,
        step: Step,
        size: int,
        number: int,
        needed: Sequence[bool],
        *tensors: Tensor,
    ) -> Tensor:
        totals = [
            torch.zeros_like(tensor) if need else None
            for tensor, need in zip(tensors, needed, strict=True)
        ]
        values = []
        # of no entries there is one empty tile, which tells the type of the sum
        for start in range(0, max(1, tensors[0].shape[1]), size):
            here = slice(start, start + size)
            cut = [x[:, here] if i < number else x for i, x in enumerate(tensors)]
            value, gradients = step([part.detach() for part in cut], needed)
            values.append(value)
            for index, (total, part) in enumerate(zip(totals, gradients, strict=False)):
                if total is not None and part is not None:
                    place = total[:, here] if index < number else total
                    place += part
        ctx.save_for_backward(*totals)  # pyright: ignore[reportArgumentType]
        return torch.stack(values).sum(0, dtype=torch.float64).to(values[0].dtype)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: BackwardCFunction, gradient: Tensor
    ) -> tuple[Tensor | None, ...]:
        return (None,) * 4 + tuple(
            None if saved is None else saved * gradient.view(-1, *(1,) * (saved.dim() - 1))
            for saved in ctx.saved_tensors
        )
