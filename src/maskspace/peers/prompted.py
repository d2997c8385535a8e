"""Networks of the SAM family: they look at an image once, then answer clicks by ranked masks.

How clicks are answered is that of the authors' predictors (Kirillov et al. 2023, arXiv:2304.02643;
Ke et al. 2023, arXiv:2306.01567; Ravi et al. 2024, arXiv:2408.00714). They give a click its column
and row as coordinates, which the network takes for the pixel's centre.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor, nn

from maskspace.types import Click, ClickAnswer

#: Clicks for which a network is asked for several masks, of which one is chosen.
Multimask = Literal["one", "always", "never"]


@dataclass(frozen=True, eq=False)
class PlacedImage:
    """An image in a network's square: where it ends there, and its own size.

    Example:
        >>> PlacedImage(torch.zeros(1, 3, 64, 64), inside_hw=(32, 64), size_hw=(20, 40)).size_hw
        (20, 40)
    """

    pixels: Float32[Tensor, "1 3 s s"]
    inside_hw: tuple[int, int]
    size_hw: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network computed of an image, for any number of clicks on it.

    Example:
        >>> Seen(features={}, inside_hw=(32, 64), size_hw=(20, 40)).inside_hw
        (32, 64)
    """

    features: Mapping[str, Tensor | Sequence[Tensor]]
    inside_hw: tuple[int, int]
    size_hw: tuple[int, int]


@runtime_checkable
class Decoded(Protocol):
    """What a network of the library answers."""

    @property
    def pred_masks(self) -> Float32[Tensor, "1 p m r s"]:
        """Return logits."""
        ...

    @property
    def iou_scores(self) -> Float32[Tensor, "1 p m"]:
        """Return the predicted IoU of each mask."""
        ...


@runtime_checkable
class LibraryModel(Protocol):
    """What is used of a network of the library."""

    def get_image_embeddings(
        self, pixel_values: Float32[Tensor, "1 3 s s"]
    ) -> Tensor | Sequence[Tensor | Sequence[Tensor]]:
        """Return what is computed once an image."""
        ...

    def __call__(
        self,
        *,
        input_points: Float[Tensor, "1 p k 2"],
        input_labels: Tensor,
        multimask_output: bool,
        **features: Tensor | Sequence[Tensor],
    ) -> Decoded:
        """Return the masks of p sets of k points each; labels are 1 or, for negative ones, 0."""
        ...


class PromptedNetwork(nn.Module):
    """A network of the family with how images go in and maps come out.

    `place` puts an image into the square of `side` pixels, `enlarge` brings maps to the image's
    size; `features` names what the network computes of an image; of its masks of a set of clicks
    the first `num_masks` count.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        side: int,
        place: Callable[[UInt8[np.ndarray, "h w 3"], int], PlacedImage],
        enlarge: Callable[[Float32[Tensor, "n r s"], Seen, int], Float32[Tensor, "n h w"]],
        features: Callable[[object], Mapping[str, Tensor | Sequence[Tensor]]],
        num_masks: int | None = None,
    ) -> None:
        super().__init__()
        self.model, self.side, self.num_masks = model, side, num_masks
        self._place, self._enlarge, self._features = place, enlarge, features

    @torch.inference_mode()
    def look(self, image: UInt8[np.ndarray, "h w 3"]) -> Seen:
        """Return what the network computes once an image."""
        placed = self._place(image, self.side)
        pixels = placed.pixels.to(self._device())
        embeddings = cast("LibraryModel", self.model).get_image_embeddings(pixels)
        return Seen(self._features(embeddings), placed.inside_hw, placed.size_hw)

    @torch.inference_mode()
    def decode(
        self,
        seen: Seen,
        points_xy: Float[np.ndarray, "p k 2"],
        positive: Bool[np.ndarray, "p k"],
        *,
        multimask: bool,
    ) -> tuple[Float32[Tensor, "p m r s"], Float32[Tensor, "p m"]]:
        """Return logits and predicted IoU of the masks of p sets of k clicks, in pixels.

        `multimask` asks for several masks a set, one otherwise; a network may have one to give.
        """
        (height, width), (rows, columns) = seen.size_hw, seen.inside_hw
        inside_xy = points_xy.astype(np.float64) * (columns / width, rows / height)
        decoded = cast("LibraryModel", self.model)(
            input_points=torch.from_numpy(inside_xy).to(self._device())[None],
            input_labels=torch.from_numpy(positive.astype(np.int64)).to(self._device())[None],
            multimask_output=multimask,
            **seen.features,
        )
        some = slice(self.num_masks)
        return decoded.pred_masks[0, :, some], decoded.iou_scores[0, :, some]

    @torch.inference_mode()
    def enlarge(self, logits: Float32[Tensor, "n r s"], seen: Seen) -> Float32[Tensor, "n h w"]:
        """Return logits at the size of the image."""
        return self._enlarge(logits, seen, self.side)

    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def clicked_mask(
    network: Callable[..., PromptedNetwork],
    image: UInt8[np.ndarray, "h w 3"],
    *,
    weights: str,
    device: str = "cpu",
    multimask: Multimask = "one",
    mask_threshold: float = 0.0,
) -> ClickAnswer:
    """Return what answers clicks, given together, by the mask of the largest predicted IoU.

    `multimask` says when that is chosen out of several masks: for one click, always or never; more
    clicks are then answered by the mask that the network has for prompts that leave no doubt.
    Clicks are a set: one given twice counts once. Without a positive click the mask is empty.
    """
    asked = network(weights=weights, device=device)
    seen = asked.look(image)
    return partial(_answer, asked, seen, multimask=multimask, mask_threshold=mask_threshold)


def _answer(
    network: PromptedNetwork,
    seen: Seen,
    clicks: Sequence[Click],
    *,
    multimask: Multimask,
    mask_threshold: float,
) -> Bool[np.ndarray, "h w"]:
    # one order, so that sums come out the same to the last bit
    asked = sorted({(click.x, click.y, click.positive) for click in clicks})
    if not any(positive for _, _, positive in asked):
        return np.zeros(seen.size_hw, bool)
    points_xy = np.array([[(x, y) for x, y, _ in asked]], np.float64)
    positive = np.array([[positive for _, _, positive in asked]])
    several = multimask == "always" or (multimask == "one" and len(asked) == 1)
    logits, predicted_iou = network.decode(seen, points_xy, positive, multimask=several)
    best = int(predicted_iou[0].argmax())
    return (network.enlarge(logits[0, best : best + 1], seen)[0] > mask_threshold).cpu().numpy()
