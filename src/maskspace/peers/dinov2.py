"""DINOv2's patch features as an embedding of pixels, by `transformers`.

Oquab et al. 2023 (arXiv:2304.07193). The features are those that its authors compare by their
cosine: the patch tokens after the last normalisation. A vector of length 1 has its values in
[-1, 1], so that (1 + x) / 2 is in [0, 1], the same map for every image and channel: distances are
those of the unit vectors times 1/2, and nothing is chosen by looking at the image (as extremes or
principal components would be). Over c channels their root mean square is at most 1 / sqrt(c);
`contrast` says so to whoever builds a tree, whose heights then are half the chord between the
features of two regions. Patches are brought to pixels bilinearly.

Departure: the library interpolates the encoding of positions for other sizes without the offset of
0.1 patches of the authors' code.
"""

from functools import partial
from typing import Annotated

from jaxtyping import Float32
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from maskspace.peers.kinds import EmbeddingNetwork, EmbeddingPeer
from maskspace.peers.pretrained import pretrained, setting

#: Of colours from 0 to 1.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PatchFeatures(EmbeddingNetwork):
    """A network from images in [0, 1] to features in [0, 1], one level at `stride`.

    The longer side of an image is brought to about `side` pixels, whole patches each way. Pickled,
    it is the name of its weights, which are read where they are used.
    """

    def __init__(
        self, model: nn.Module, *, weights: str, device: str, side: int, stride: int
    ) -> None:
        super().__init__()
        self.model, self.weights, self.device = model, weights, device
        self.side, self.stride = side, stride
        self.contrast = setting(model, "hidden_size") ** 0.5

    def __reduce__(self) -> tuple[partial["PatchFeatures"], tuple[()]]:
        """Pickle without weights."""
        options = {"side": self.side, "stride": self.stride}
        return partial(dinov2, weights=self.weights, device=self.device, **options), ()

    def forward(self, images: Float32[Tensor, "b 3 h w"]) -> dict[str, Float32[Tensor, "b c r s"]]:
        """Return the level of the images."""
        height, width = images.shape[2:]
        patch = setting(self.model, "patch_size")
        patches = self.side / patch / max(height, width)
        rows, columns = (max(1, round(length * patches)) for length in (height, width))
        resized = functional.interpolate(
            images, (rows * patch, columns * patch), mode="bilinear", antialias=True
        )
        mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
        tokens = self.model(pixel_values=(resized - mean) / std).last_hidden_state
        unit = functional.normalize(tokens[:, -rows * columns :], dim=2)  # b t c
        grid = unit.transpose(1, 2).unflatten(2, (rows, columns))
        size = [-(-length // self.stride) for length in (height, width)]
        fine = functional.interpolate(grid, size, mode="bilinear")
        return {str(self.stride): fine.add_(1).div_(2).clamp_(0, 1)}


def dinov2(
    *,
    weights: str,
    device: str = "cpu",
    side: Annotated[int, Field(ge=32)] = 518,
    stride: PositiveInt = 2,
) -> PatchFeatures:
    """Return DINOv2, with registers or without, as an embedding."""
    kinds = (("dinov2", "Dinov2Model"), ("dinov2_with_registers", "Dinov2WithRegistersModel"))
    model = pretrained(kinds, weights, device)
    return PatchFeatures(model, weights=weights, device=device, side=side, stride=stride)


DINOV2 = EmbeddingPeer(network=dinov2)
