"""What the clicker is trained on: clicks drawn from masks, and the nest of masks that they mean.

Regimes: many clicks with simulated corrections (SegNext, Liu et al. 2024, arXiv 2404.00741), one
positive click, one positive or negative click. With `levels` of 1 the truth of a click is the mask
that it was drawn from. With more it is the chain of all masks that the clicks agree with
(level-line loss).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn

from maskspace.config import Choice, choose
from maskspace.data.click_sampling import CLICK_SAMPLERS, DrawnClicks, next_training_clicks
from maskspace.data.crops import Crop, random_crop
from maskspace.data.stream import Mixture, Turn, open_mixture, stream
from maskspace.files import AnyPath
from maskspace.mask_losses import MASK_LOSSES, cut_levels, level_line
from maskspace.masks import nested_chain
from maskspace.models import MODELS, load_mae, load_model, load_published
from maskspace.models.click_vit import ClickVit, Decode
from maskspace.shown import NUMBER, keep_shown
from maskspace.training.colour import recolour, to_float, to_uint8
from maskspace.training.config import ClickerConfig
from maskspace.training.feed import FeedPart, positions_of
from maskspace.training.monitors import feature_std
from maskspace.types import Sample


class ClickBatch(NamedTuple):
    """Images, the clicks on them, and the masks that the clicks mean.

    images: values in [0, 1].
    clicks: p prompts an image, each of k clicks: row, column, and 1 (positive), -1 or 0 (no click).
    nests: the masks that each prompt means, finest first: 1 on, 0 off, -1 unknown. A level that a
        nest does not have is -1 everywhere.
    positions: position of each image in the order of training.

    Example:
        >>> batch = ClickBatch(
        ...     images=torch.zeros(2, 3, 8, 8), clicks=torch.zeros(2, 4, 1, 3),
        ...     nests=torch.zeros(2, 4, 1, 8, 8), positions=torch.arange(2))
        >>> batch.clicks.shape  # 2 images, 4 prompts of one click each: row, column, sign
        torch.Size([2, 4, 1, 3])
    """

    images: Float[Tensor, "b 3 s s"]
    clicks: Float[Tensor, "b p k 3"]
    nests: Float[Tensor, "b p m s s"]
    positions: Int[Tensor, " b"]


#: One image of a batch: the fields of ClickBatch without their first axis.
Example = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class ClickTask:
    """Train a clicker: from clicks to the mask, or the nest of masks, that they mean.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> source = read_rectangles("", seed=0, limit=4)
        >>> mixture = Mixture(datasets={"rectangles": source}, weights={"rectangles": 1.0})
        >>> config = load_section(ClickerConfig, "clicker", path=params)
        >>> task = ClickTask(config=config, train=mixture, held_out=mixture)
        >>> batch = next(task.batches([(0, range(2))]))  # two rows of the batch of step 0
        >>> batch.images.shape[0] == 2 and batch.nests.shape[1] == config.clicks_per_image
        True
    """

    config: ClickerConfig
    train: Mixture
    held_out: Mixture

    @property
    def model(self) -> Choice:
        """Return the clicker as an entry of MODELS: that of `initial` if there is one."""
        if self.config.initial is None:
            return self.config.model
        initial = self.build()
        assert isinstance(initial, ClickVit)
        return Choice(name="click_vit", options=asdict(initial.architecture))

    def build(self) -> nn.Module:
        """Return the clicker: that of `initial`, or one with fresh or a backbone's weights."""
        config = self.config
        if config.initial is not None:
            place = Path(config.initial)
            return load_model(place) if place.is_dir() else load_published(place)
        model = choose(MODELS, config.model, kind="model")()
        if config.backbone is not None:
            load_mae(model.backbone, config.backbone)
        return model

    @property
    def sequence(self) -> dict[str, object]:
        """Return the values that decide on the order of the samples."""
        recipe = self.config.optimisation
        return {**self.train.order(seed=recipe.seed).sequence, "batch": recipe.batch}

    def batches(self, parts: Iterable[FeedPart]) -> Iterator[ClickBatch]:
        """Yield rows of batches; an image without a mask to click is replaced by another."""
        recipe = self.config.optimisation
        positions = positions_of(parts, batch=recipe.batch)
        for examples in stream(self.train, self._example, positions, seed=recipe.seed):
            yield _stacked(examples)

    def _example(self, sample: Sample, turn: Turn) -> Example | None:
        """Return an image with its clicks; None where there is no mask to click."""
        config, generator = self.config, turn.generator()
        draw = choose(CLICK_SAMPLERS, config.clicks, kind="clicks")
        crop = random_crop(sample, config.crops, generator)
        drawn = _draw_all(draw, crop, generator, config.clicks_per_image)
        if drawn is None:
            return None
        clicks = np.stack([draw_of_prompt.clicks for draw_of_prompt in drawn])
        nests = np.stack(
            [nest(draw_of_prompt, crop, levels=config.levels) for draw_of_prompt in drawn]
        )
        return to_float(crop.image), clicks, nests, np.array(turn.position)

    def terms(self, model: nn.Module, batch: ClickBatch) -> dict[str, Tensor]:
        """Return the weighted mask losses."""
        config = self.config
        images = recolour(
            batch.images, batch.positions, config.jitter, seed=config.optimisation.seed
        )
        if not config.rounds and not config.pseudo_share:
            return self._losses(model(images, batch.clicks), batch.nests)
        simulation = Simulation(
            batch.nests,
            rounds=config.rounds,
            pseudo_share=config.pseudo_share,
            stability=config.pseudo_stability,
        )
        logits = model(images, batch.clicks, refine=simulation)
        return self._losses(logits, simulation.nests)

    def _losses(
        self, logits: Float[Tensor, "b p s s"], nests: Float[Tensor, "b p m s s"]
    ) -> dict[str, Tensor]:
        flat, truth = logits.flatten(0, 1), nests.flatten(0, 1)
        return {
            name: weight * level_line(MASK_LOSSES[name], flat, truth)
            for name, weight in self.config.losses.items()
        }

    @cached_property
    def validation(self) -> ClickBatch:
        """Held-out crops with their clicks, the same at every validation and never augmented."""
        crops = replace(self.config.crops, augment=False)
        on_held_out = replace(self, config=replace(self.config, crops=crops), train=self.held_out)
        return next(on_held_out.batches([(0, range(self.config.validation_images))]))

    def validate(self, model: nn.Module, shown: Path) -> dict[str, float]:
        """Return each loss and the mean IoU on held-out images, each level cut at its threshold."""
        device = next(model.parameters()).device
        batch = self.validation
        pieces = [
            model(images.to(device), clicks.to(device)).float().cpu()
            for images, clicks in zip(batch.images.split(16), batch.clicks.split(16), strict=True)
        ]
        logits = torch.cat(pieces)
        losses = {f"val_{name}": float(v) for name, v in self._losses(logits, batch.nests).items()}
        _keep(batch, logits, shown)
        return losses | {
            "val_loss": sum(losses.values()),
            "val_iou": float(level_iou(logits.flatten(0, 1), batch.nests.flatten(0, 1)).mean()),
            "val_std": float(feature_std(logits.sigmoid())),
        }


def _keep(batch: ClickBatch, logits: Float[Tensor, "b p s s"], shown: Path) -> None:
    """Write the first images with the clicks, the nest and the map of their first prompt."""
    arrays = {
        "images": np.stack([to_uint8(image) for image in batch.images[:NUMBER]]),
        "clicks": batch.clicks[:NUMBER, 0].numpy(),
        "nests": batch.nests[:NUMBER, 0].numpy(),
        "logits": logits[:NUMBER, 0].numpy(),
    }
    keep_shown(shown, arrays, about={"kind": "clicks"})


class Simulation:
    """Change clicks while they are trained on: add corrections, and use stable answers as truth.

    The network calls it between encoding and decoding, with a `decode` that has no gradient. Random
    numbers are torch's own. Afterwards `nests` is the truth of the clicks.

    Args:
        nests: the truth, as in `ClickBatch`.
        rounds: corrections that are added at most. Their number is drawn evenly from 0 to `rounds`,
            one number for the batch; each is clicked where the map of the round before errs
            (SegNext).
        pseudo_share: share of the prompts, in [0, 1], that are replaced by a click anywhere. Where
            the network's map of that click is stable, the map becomes the truth of another click,
            drawn inside it.
        stability: least IoU of a map's cuts at logits of 1 and -1 for the map to be stable, in (0,
            1].

    Example:
        >>> nests = torch.zeros(1, 1, 1, 8, 8)
        >>> nests[..., :4, :] = 1
        >>> simulation = Simulation(nests, rounds=0, pseudo_share=0.0, stability=0.9)
        >>> clicks = torch.tensor([[[[2.0, 3.0, 1.0]]]])
        >>> after, _ = simulation(lambda clicks, previous: nests[:, :, 0], clicks, None)
        >>> torch.equal(after, clicks)  # no rounds: no correction is added
        True
    """

    def __init__(
        self,
        nests: Float[Tensor, "b p m s s"],
        *,
        rounds: int,
        pseudo_share: float,
        stability: float,
    ) -> None:
        self.nests = nests
        self._rounds, self._share, self._stability = rounds, pseudo_share, stability

    def __call__(
        self, decode: Decode, clicks: Float[Tensor, "b p k 3"], previous: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the clicks, and the last map, that the network is to decode."""
        generator = np.random.default_rng(int(torch.randint(2**62, ())))
        if self._share:
            clicks = self._believe(decode, clicks, generator)
        for _ in range(int(generator.integers(self._rounds + 1))):
            probability = decode(clicks, previous).float().sigmoid()
            clicks = torch.cat([clicks, self._corrections(probability, generator)], dim=2)
            previous = probability
        return clicks, previous

    def _corrections(
        self, probability: Float[Tensor, "b p s s"], generator: np.random.Generator
    ) -> Float[Tensor, "b p 1 3"]:
        drawn = next_training_clicks(
            probability.flatten(0, 1).cpu().numpy(),
            self.nests[:, :, 0].flatten(0, 1).cpu().numpy(),
            generator,
        )
        added = torch.from_numpy(drawn).to(probability.device)
        return added.unflatten(0, probability.shape[:2])[:, :, None]

    def _believe(
        self, decode: Decode, clicks: Float[Tensor, "b p k 3"], generator: np.random.Generator
    ) -> Float[Tensor, "b p k 3"]:
        size = self.nests.shape[-1]
        anywhere = torch.zeros_like(clicks)
        places = generator.integers(size, size=(*clicks.shape[:2], 2))
        anywhere[:, :, 0, :2] = torch.from_numpy(places).to(clicks)
        anywhere[:, :, 0, 2] = 1
        logits = decode(anywhere, None).float().cpu().numpy()
        chosen = generator.random(clicks.shape[:2]) < self._share
        clicks, self.nests = clicks.clone(), self.nests.clone()
        for image, prompt in np.argwhere(chosen).tolist():
            stable = _confident(logits[image, prompt], self._stability)
            if stable is None:
                continue
            row, column = divmod(int(generator.choice(np.flatnonzero(stable))), size)
            clicks[image, prompt] = 0
            clicks[image, prompt, 0] = clicks.new_tensor([row, column, 1])
            self.nests[image, prompt] = -1
            self.nests[image, prompt, 0] = torch.from_numpy(stable).to(self.nests)
        return clicks


def _confident(
    logits: Float32[np.ndarray, "s s"], stability: float
) -> Bool[np.ndarray, "s s"] | None:
    """Return the mask of a map whose IoU between its cuts at logits of 1 and -1 is large enough."""
    high, low = int((logits > 1).sum()), int((logits > -1).sum())
    return logits > 0 if high and high >= stability * low else None


def _stacked(examples: Sequence[Example]) -> ClickBatch:
    parts = zip(*examples, strict=True)
    return ClickBatch(*(torch.from_numpy(np.stack(part)) for part in parts))


def _draw_all(
    draw: Callable[..., DrawnClicks | None],
    crop: Crop,
    generator: np.random.Generator,
    number: int,
) -> list[DrawnClicks] | None:
    """Return so many draws from a crop; None as soon as there is nothing to click."""
    drawn: list[DrawnClicks] = []
    for _ in range(number):
        clicks = draw(crop.masks, crop.depths, generator)
        if clicks is None:
            return None
        drawn.append(clicks)
    return drawn


def nest(drawn: DrawnClicks, crop: Crop, *, levels: int) -> Float32[np.ndarray, "m s s"]:
    """Return the truth of some clicks: up to `levels` masks, finest first, padded with -1.

    With one level it is the mask that the clicks were drawn from. With more it is the chain of the
    masks that hold every click of the decisive sign and no click of the other sign; if there is
    none, it is the mask that the clicks were drawn from. The decisive sign is positive, unless all
    clicks are negative.

    Example:
        >>> masks = np.zeros((2, 4, 4), bool)
        >>> masks[0, :, :2], masks[1, :2, :2] = True, True  # a part in an object
        >>> crop = Crop(
        ...     image=np.zeros((4, 4, 3), np.uint8), masks=masks, depths=np.array([0, 1]),
        ...     scores=np.array([1.0, 0.5], np.float32), layers=np.zeros(2, int),
        ...     categories=np.full(2, -1), ignore=np.zeros((4, 4), bool))
        >>> click = np.array([[0, 0, 1]], np.float32)  # row, column, positive
        >>> truth = nest(DrawnClicks(clicks=click, target=masks[0]), crop, levels=3)
        >>> truth.shape, truth.max(axis=(1, 2)).tolist()  # the part, the object, and no third mask
        ((3, 4, 4), [1.0, 1.0, -1.0])
        >>> truth.clip(min=0).sum(axis=(1, 2)).tolist()
        [4.0, 8.0, 0.0]
    """
    chain = drawn.target[None]
    if levels > 1:
        rows, columns = drawn.clicks[:, :2].astype(np.int64).T
        signs = drawn.clicks[:, 2]
        decisive = 1 if (signs > 0).any() else -1
        holds_click = crop.masks[:, rows, columns]  # n k
        agree = (holds_click | (signs != decisive)).all(axis=1) & ~(
            holds_click & (signs == -decisive)
        ).any(axis=1)
        if agree.any():
            chain, _ = nested_chain(crop.masks[agree], limit=levels)
    padded = np.full((levels, *drawn.target.shape), -1, np.float32)
    padded[: len(chain)] = np.where(crop.ignore, -1, chain)
    return padded


def level_iou(
    logits: Float[Tensor, "b s s"], nests: Float[Tensor, "b m s s"]
) -> Float[Tensor, " n"]:
    """Return the IoU of every mask of every nest with the map, cut at the mask's own level.

    Example:
        >>> truth = torch.zeros(1, 1, 4, 4)
        >>> truth[0, 0, :2] = 1
        >>> level_iou(10 * (truth[:, 0] - 0.5), truth).tolist()
        [1.0]
    """
    ious = []
    for map_, masks in zip(logits, nests, strict=True):
        real = masks[(masks >= 0).any(-1).any(-1)]
        cuts = torch.tensor(cut_levels(len(real))).logit().to(map_)
        true, known = real > 0.5, real >= 0
        predicted = (map_ > cuts[:, None, None]) & known
        union = (predicted | true).sum((1, 2)).clamp(min=1)
        ious.append((predicted & true).sum((1, 2)) / union)
    return torch.cat(ious)


def make_click_task(config: ClickerConfig, shards: str | AnyPath) -> ClickTask:
    """Return the clicker's task on the shard folders under `shards`, a path or a URL.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> from maskspace.training.config import ClickerConfig
        >>> config = load_section(ClickerConfig, "clicker", path=params)
        >>> make_click_task(config, Path("no-shards"))
        Traceback (most recent call last):
            ...
        ValueError: no-shards/rectangles: no manifest.json; run `dvc repro --pull` to make it
    """
    return ClickTask(
        config=config,
        train=open_mixture(shards, config.data, "train"),
        held_out=open_mixture(shards, config.data, "val"),
    )
