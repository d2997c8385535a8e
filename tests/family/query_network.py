"""The model file: queries look at the image once; each gives a class and a mask."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maskspace.config import Choice, build_section
from maskspace.heads import DenseMap, Head, Queries, heads_of_options
from maskspace.types import Category, read_categories


class QueryNetwork(nn.Module):
    """RGB in [0, 1] -> `mask`, a logit map a query at stride 4, and `class`, its class logits."""

    def __init__(
        self,
        heads: Mapping[str, Head],
        *,
        width: int,
        decoder: Choice | None,
        categories: tuple[Category, ...],
    ) -> None:
        super().__init__()
        classes, masks = heads["class"], heads["mask"]
        assert isinstance(classes, Queries) and isinstance(masks, DenseMap)
        self.declared, self.decoder, self.categories = dict(heads), decoder, categories
        self.pixels = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.queries = nn.Parameter(torch.randn(classes.number, width))
        self.look = nn.MultiheadAttention(width, 1, batch_first=True)
        self.classify = nn.Linear(width, classes.channels)
        self.paint = nn.Linear(width, width)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> dict[str, Tensor]:
        """Return the outputs by head."""
        pixels = self.pixels(image)
        memory = pixels.flatten(2).transpose(1, 2)
        queries = self.queries.expand(len(image), -1, -1)
        queries = queries + self.look(queries, memory, memory, need_weights=False)[0]
        masks = torch.einsum("bqc,bchw->bqhw", self.paint(queries), pixels)
        return {"mask": masks, "class": self.classify(queries)}


def build_query_network(
    *,
    width: int = 16,
    heads: Mapping[str, Mapping[str, object]],
    decoder: Mapping[str, object] | None = None,
    categories: Sequence[Mapping[str, object]] = (),
) -> QueryNetwork:
    """Return the network for the heads of its objective."""
    return QueryNetwork(
        heads_of_options(heads),
        width=width,
        decoder=None if decoder is None else build_section(Choice, decoder, place="decoder"),
        categories=read_categories(categories),
    )
