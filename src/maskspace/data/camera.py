"""What cameras and files do to an image: tone, saturation, blur, noise and JPEG.

A student that has seen such images cuts a noisy or compressed photo like the clean one. The changes
are applied in the order in which they happen in a camera: light, lens, sensor, file.
"""

import numpy as np
import simplejpeg
from jaxtyping import Float32, UInt8
from scipy.ndimage import gaussian_filter

from maskspace.config import section


@section
class Camera:
    """How far a training image may be changed as a camera would; each change is drawn anew.

    Args:
        tone: share of images whose tone is changed, in [0, 1].
        gamma: largest absolute logarithm of the exponent of the values, >= 0.
        gain: largest share by which all values grow or shrink, in [0, 1].
        tint: the same for each channel by itself, in [0, 1].
        saturation: largest share by which the distance of colours from grey grows or shrinks, in
            [0, 1].
        grey: share of images that become grey, in [0, 1].
        damage: share of images, in [0, 1], that are blurred, made noisy and compressed; each of the
            three is drawn by itself.
        blur: largest standard deviation of the blur, in pixels.
        noise: largest standard deviation of the noise, in levels of 255.
        quality: lowest JPEG quality, 1 to 95; the highest is 95.

    Example:
        >>> camera = Camera(tone=0.8, gamma=0.35, gain=0.2, tint=0.08, saturation=0.5, grey=0.1,
        ...                 damage=0.3, blur=1.2, noise=8.0, quality=45)
        >>> image = np.full((16, 16, 3), 100, np.uint8)
        >>> photograph(image, camera, np.random.default_rng(0)).shape
        (16, 16, 3)
    """

    tone: float
    gamma: float
    gain: float
    tint: float
    saturation: float
    grey: float
    damage: float
    blur: float
    noise: float
    quality: int

    def __post_init__(self) -> None:
        """Refuse values outside these ranges."""
        for name in ("tone", "gain", "tint", "saturation", "grey", "damage"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"camera: {name} is in [0, 1]; got {getattr(self, name)}")
        if min(self.gamma, self.blur, self.noise) < 0:
            raise ValueError("camera: gamma, blur and noise are at least 0")
        if not 1 <= self.quality <= 95:
            raise ValueError(f"camera: quality is 1 to 95; got {self.quality}")


def photograph(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera, generator: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Return an image of the same size, changed as by another camera.

    Example:
        >>> still = Camera(tone=0.0, gamma=0.3, gain=0.2, tint=0.1, saturation=0.5, grey=0.0,
        ...                damage=0.0, blur=1.0, noise=8.0, quality=50)
        >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        >>> np.array_equal(photograph(image, still, np.random.default_rng(0)), image)
        True
    """
    values = image.astype(np.float32) / 255
    if generator.random() < camera.tone:
        values = _toned(values, camera, generator)
    if generator.random() < camera.grey:
        values = values.mean(-1, keepdims=True).repeat(3, -1)
    if generator.random() < camera.damage:
        sigma = generator.uniform(0, camera.blur)
        values = gaussian_filter(values, (sigma, sigma, 0), mode="nearest", truncate=3.0)
    if generator.random() < camera.damage:
        values = values + _noise(values.shape[:2], camera, generator)
    pixels = (values.clip(0, 1) * 255).round().astype(np.uint8)
    if generator.random() < camera.damage:
        pixels = _compressed(pixels, int(generator.integers(camera.quality, 96)))
    return pixels


def _toned(
    values: Float32[np.ndarray, "h w 3"], camera: Camera, generator: np.random.Generator
) -> Float32[np.ndarray, "h w 3"]:
    """Return values in [0, 1] with another gamma, gain, tint and saturation; they may leave it."""
    values = values ** np.float32(np.exp(camera.gamma * generator.uniform(-1, 1)))
    gains = (1 + camera.gain * generator.uniform(-1, 1)) * (
        1 + camera.tint * generator.uniform(-1, 1, 3)
    )
    values = values * gains.astype(np.float32)
    grey = values.mean(-1, keepdims=True)
    return grey + (values - grey) * np.float32(1 + camera.saturation * generator.uniform(-1, 1))


def _noise(
    size_hw: tuple[int, ...], camera: Camera, generator: np.random.Generator
) -> Float32[np.ndarray, "h w c"]:
    """Return grey noise or, as often, noise of each channel by itself."""
    channels = 1 if generator.random() < 0.5 else 3
    strength = np.float32(generator.uniform(0, camera.noise) / 255)
    return strength * generator.standard_normal((*size_hw, channels), dtype=np.float32)


def _compressed(pixels: UInt8[np.ndarray, "h w 3"], quality: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return the pixels after coding as a JPEG with colours at half the resolution."""
    encoded = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=quality, colorsubsampling="420"
    )
    return simplejpeg.decode_jpeg(encoded)
