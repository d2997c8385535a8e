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
from torch.autograd.function import FunctionCtx, once_differentiable

#: Pairs of a tile: on the CPU so few that some arrays of them stay in the cache of a core, on other
#: devices so many that the time to start a kernel is none.
PAIRS_CPU = 2**17
PAIRS_ELSEWHERE = 2**24


def tile_size(pairs: int, device: torch.device) -> int:
    """Return how many entries, each of so many pairs, make a tile; at least 1."""
    return max(1, (PAIRS_CPU if device.type == "cpu" else PAIRS_ELSEWHERE) // max(1, pairs))


@torch.compiler.disable  # which cannot look into gradients that are taken in a forward pass
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
    """
    return _SumOverTiles.apply(cost, size, len(tiled), torch.is_grad_enabled(), *tiled, *whole)


class _SumOverTiles(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        cost: Callable[..., Tensor],
        size: int,
        number: int,
        differentiable: bool,
        *tensors: Tensor,
    ) -> Tensor:
        needed = [differentiable and need for need in ctx.needs_input_grad[4:]]
        gradients = [
            torch.zeros_like(tensor) if need else None
            for tensor, need in zip(tensors, needed, strict=True)
        ]
        values = []
        # of no entries there is one empty tile, which tells the type of the sum
        for start in range(0, max(1, tensors[0].shape[1]), size):
            here = slice(start, start + size)
            parts = [
                (tensor[:, here] if index < number else tensor).detach().requires_grad_(need)
                for index, (tensor, need) in enumerate(zip(tensors, needed, strict=True))
            ]
            with torch.set_grad_enabled(any(needed)):
                value = cost(*parts)  # b
            values.append(value.detach())
            if any(needed):
                _add_gradients(value, parts, gradients, number, here)
        ctx.save_for_backward(*gradients)
        return torch.stack(values).sum(0, dtype=torch.float64).to(values[0].dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (None,) * 4 + tuple(
            None if found is None else found * gradient.view(-1, *(1,) * (found.dim() - 1))
            for found in ctx.saved_tensors
        )


def _add_gradients(
    value: Tensor,
    parts: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    number: int,
    here: slice,
) -> None:
    """Add the gradients of a tile's values: of the first `number` tensors to the tile's place."""
    sources = [part for part in parts if part.requires_grad]
    found = iter(torch.autograd.grad(value, sources, torch.ones_like(value), allow_unused=True))
    for index, total in enumerate(gradients):
        if total is None:
            continue
        part = next(found)
        if part is not None:
            place = total[:, here] if index < number else total
            place += part
