"""Changes of colour to a whole batch, on the device where the model is: kornia's, of `data.jitter`.

Crops, flips and turns are drawn with the clicks and masks that they move (`data.augment`); colour
moves nothing, and costs a worker's CPU more than a GPU.
"""

from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import section
from maskspace.data.jitter import JitterRanges, draw_jitter, jitter_images


@section
class ColourJitter:
    """How far the colours of training images may be changed.

    `brightness` is the largest shift of values in [0, 1]; `contrast` and `saturation` the largest
    share that is added to or taken from them; `hue` the largest turn in radians.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __post_init__(self) -> None:
        """Refuse ranges that are none."""
        _ = self.ranges

    @property
    def ranges(self) -> JitterRanges:
        """The ranges of the batch augmentation that moves nothing."""
        return JitterRanges(
            flip_columns=0.0,
            brightness=self.brightness,
            contrast=self.contrast,
            saturation=self.saturation,
            hue=self.hue,
        )


def recolour(
    images: Float[Tensor, "b 3 h w"],
    positions: Int[Tensor, " b"],
    jitter: ColourJitter | None,
    *,
    seed: int,
) -> Float[Tensor, "b 3 h w"]:
    """Return images in [0, 1] with other colours, by position in the order of training alone.

    Unchanged where `jitter` is None.
    """
    if jitter is None:
        return images
    keys = [(seed, 0, position) for position in positions.tolist()]
    return jitter_images(images, draw_jitter(jitter.ranges, keys))
