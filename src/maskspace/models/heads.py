"""Heads: a decoder's maps at several strides -> one output each, as an objective declared them."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace.types import Head


class Heads(nn.ModuleDict):
    """A 1x1 convolution a head; `dims` are the channels of the decoder's map at each stride."""

    def __init__(self, declared: Mapping[str, Head], dims: Mapping[int, int]) -> None:
        for name, head in declared.items():
            if head.stride not in dims:
                known = ", ".join(map(str, dims))
                raise ValueError(f"head {name}: stride {head.stride}; the network has {known}")
        super().__init__({name: _new_head(h, dims[h.stride]) for name, h in declared.items()})
        self.declared = dict(declared)

    def forward(
        self, maps: Mapping[int, Float[Tensor, "_ _ _ _"]], size_hw: tuple[int, int]
    ) -> dict[str, Float[Tensor, "_ _ _ _"]]:
        """Return {head: map} of an image of this size, to which larger maps are cut.

        A head of stride s has ceil(h / s) rows and ceil(w / s) columns.
        """
        outputs = {}
        for name, head in self.declared.items():
            x = maps[head.stride]
            if head.constant:
                x = x[..., :1, :1] * 0
            else:
                rows, columns = (-(-side // head.stride) for side in size_hw)
                x = x[..., :rows, :columns]
            x = ACTIVATIONS[head.activation](self[name](x))
            outputs[name] = _placed(x if head.scale == 1 else x * head.scale, head)
        return outputs


def read_heads(declared: Mapping[str, Mapping[str, object]]) -> dict[str, Head]:
    """Return heads that are given as plain dictionaries; ValueError in one line for a wrong one."""
    return {name: _read_head(name, options) for name, options in declared.items()}


def _read_head(name: str, options: Mapping[str, object]) -> Head:
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    try:
        return Head(**values)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError) as error:
        raise ValueError(f"head {name}: {error}") from None


def _unit(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    return F.normalize(x, dim=1)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "unit": _unit,
}


def _new_head(head: Head, dim: int) -> nn.Conv2d:
    layer = nn.Conv2d(dim, head.channels, 1)
    assert layer.bias is not None
    if head.bias is not None:
        nn.init.zeros_(layer.weight)
        layer.bias.data = torch.tensor(head.bias)
    elif head.constant:
        nn.init.normal_(layer.bias)
    return layer


def _placed(x: Float[Tensor, "b c h w"], head: Head) -> Float[Tensor, "b d h w"]:
    """Return an output with the positions of its cells, if the head wants them.

    In float32 also of half precision, which cannot count pixels beyond 256.
    """
    if head.position == "none":
        return x
    x = x.float()
    rows, columns = (
        (torch.arange(length, device=x.device, dtype=x.dtype) + 0.5) * (head.stride / head.unit)
        for length in x.shape[2:]
    )
    place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))  # x y
    place = place.expand(len(x), -1, -1, -1)
    if head.position == "concat":
        return torch.cat([x, place], dim=1)
    return torch.cat([x[:, :2] + place, x[:, 2:]], dim=1)
