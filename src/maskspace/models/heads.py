"""Heads: a decoder's maps at several strides -> one output each, as an objective declared them."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace.heads import DenseMap, Head, Queries, maps_of


class Heads(nn.ModuleDict):
    """A 1x1 convolution a map, a table of vectors for queries.

    declared: the heads by name.
    dims: channels of the decoder's map at each stride.
    finest: stride of the finest map (default 1). Heads of smaller strides are read off it and then
        enlarged, which the 1x1 convolution commutes with; the cell i of stride s is then centred on
        the pixel s i.

    Example:
        >>> from maskspace.heads import Level
        >>> heads = Heads({"2": Level(channels=3, stride=2)}, {2: 8})
        >>> heads({2: torch.zeros(1, 8, 5, 7)}, (10, 13))["2"].shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self, declared: Mapping[str, Head], dims: Mapping[int, int], *, finest: int = 1
    ) -> None:
        for name, head in maps_of(declared).items():
            if head.stride not in dims:
                known = ", ".join(map(str, dims))
                raise ValueError(f"head {name}: stride {head.stride}; the network has {known}")
        super().__init__({name: _new_head(head, dims) for name, head in declared.items()})
        self.declared, self.finest = dict(declared), finest

    def forward(
        self, maps: Mapping[int, Float[Tensor, "_ _ _ _"]], size_hw: tuple[int, int]
    ) -> dict[str, Float[Tensor, "..."]]:
        """Return {head: output} of an image of this size, to which larger maps are cut.

        A map of stride s has ceil(h / s) rows and ceil(w / s) columns; queries are `b n c`.
        """
        batch = len(next(iter(maps.values())))
        outputs = {}
        for name, head in self.declared.items():
            if isinstance(head, Queries):
                outputs[name] = self[name](batch)
                continue
            rows, columns = (-(-side // head.stride) for side in size_hw)
            factor = max(self.finest // head.stride, 1)
            x = self._at(name, maps[head.stride * factor], (rows, columns), factor=factor)
            x = ACTIVATIONS[head.activation](x)
            outputs[name] = _placed(x if head.scale == 1 else x * head.scale, head)
        return outputs

    def _at(
        self, name: str, x: Float[Tensor, "b c _ _"], size_hw: tuple[int, int], *, factor: int
    ) -> Float[Tensor, "b d h w"]:
        """Return a head's values, enlarged by a factor, of so many rows and columns."""
        rows, columns = (-(-(side - 1) // factor) + 1 for side in size_hw)
        x = self[name](x[..., :rows, :columns])
        if factor > 1:
            whole = ((rows - 1) * factor + 1, (columns - 1) * factor + 1)
            x = F.interpolate(x, whole, mode="bilinear", align_corners=True)
        return x[..., : size_hw[0], : size_hw[1]]


class LearntQueries(nn.Module):
    """Vectors that are the same in every image.

    Example:
        >>> LearntQueries(Queries(number=5, channels=3))(2).shape
        torch.Size([2, 5, 3])
    """

    def __init__(self, head: Queries) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(head.number, head.channels))
        if head.start is None:
            nn.init.normal_(self.vectors)
        else:
            nn.init.constant_(self.vectors, head.start)

    def forward(self, batch: int) -> Float[Tensor, "b n c"]:
        """Return the vectors for each image of a batch."""
        return self.vectors.expand(batch, -1, -1)


def _unit(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    return F.normalize(x, dim=1)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "unit": _unit,
}


def _new_head(head: Head, dims: Mapping[int, int]) -> nn.Module:
    if isinstance(head, Queries):
        return LearntQueries(head)
    layer = nn.Conv2d(dims[head.stride], head.channels, 1)
    assert layer.bias is not None
    if head.bias is not None:
        nn.init.zeros_(layer.weight)
        layer.bias.data = torch.tensor(head.bias)
    return layer


def _placed(x: Float[Tensor, "b c h w"], head: DenseMap) -> Float[Tensor, "b d h w"]:
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
