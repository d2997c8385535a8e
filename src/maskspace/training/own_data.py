"""Train a student on one's own images: from datasets where they lie to a model's folder.

Input: kinds and places of datasets, an objective, the weights to begin with.
Steps: write the shards of each dataset, once; look at some of the images; choose the recipe that
    suits them; train with the loop, feed and task of the stages; export the folder.
The request is kept in the run's folder: a killed training goes on, another request is refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from maskspace.bundled import INSTALLED, model_folder
from maskspace.config import Choice, choose, keyword_options, read_texts
from maskspace.data import READERS
from maskspace.data.config import ShardBytes, ShardsConfig
from maskspace.data.crops import Crops
from maskspace.data.drawn import is_drawn
from maskspace.data.listings import files_stamp
from maskspace.data.manifest import read_manifest
from maskspace.data.open_shards import open_shards
from maskspace.data.reading import bound_reader
from maskspace.data.shards import absolute, write_dataset
from maskspace.data.splits import own_splits
from maskspace.data.stream import mix_shards
from maskspace.files import locate
from maskspace.models.weights import DESCRIPTION, WEIGHTS, read_description
from maskspace.objectives import OBJECTIVES
from maskspace.parallel import PaceLine, map_here
from maskspace.training.config import DistillConfig, Optimisation, Workers
from maskspace.training.embedding_task import EmbeddingTask
from maskspace.training.export import export_training
from maskspace.training.finetune import Dataset, read_dataset
from maskspace.training.loop import LossRow, Worker, fit
from maskspace.training.progress import line
from maskspace.training.request import keep_request, require_same
from maskspace.training.workers import fit_distributed

#: What weights may begin as, beside the folder or the name of a student: ImageNet's (the extra
#: `photos`), or none.
IMAGENET, FRESH = "imagenet", "fresh"
#: The kind of data that are shards already.
SHARDS = "shards"
#: The bundled student, whose architecture is that of students with other weights too.
_STUDENT = "student"
#: Options of a model that follow from the objective.
_OF_OBJECTIVE = ("heads", "decoder", "categories")
#: Images that the recipe is chosen by.
_LOOKED_AT = 64


@dataclass(frozen=True, kw_only=True)
class OwnTraining:
    """What a student is to be trained on, and how; None leaves the choice to the data.

    objective: one of OBJECTIVES with its options.
    start: the weights to begin with: a student's folder or bundled name, "imagenet" or "fresh"
        (default "student").
    steps: steps to train (default None: 15 passes over the images, 500 to 4000 steps).
    size: pixels in the side of a training crop (default None: that of the images, at most 193).
    batch: crops a step (default 4).
    learning_rate: the largest rate (default None: 1e-3; 3e-3 for fresh weights).
    turns: whether crops are turned by quarters, for images without an up (default False).
    unlabelled: whether pixels outside all masks are unknown, not background (default False).
    seed: of the order of images, of the crops and of fresh weights (default 0).
    workers: the processes that train (default: one, with one thread).

    Example:
        >>> OwnTraining(objective=Choice(name="balls", options={}), steps=100).start
        'student'
    """

    objective: Choice
    start: str = _STUDENT
    steps: int | None = None
    size: int | None = None
    batch: int = 4
    learning_rate: float | None = None
    turns: bool = False
    unlabelled: bool = False
    seed: int = 0
    workers: Workers = field(
        default_factory=lambda: Workers(number=1, threads=1, loaders=0, gpu=False)
    )


class Facts(NamedTuple):
    """What the recipe is chosen by: the number of training images, and their median shorter side.

    Example:
        >>> Facts(images=280, side=256).side
        256
    """

    images: int
    side: int


def train_student(asked: OwnTraining, datasets: Mapping[str, Dataset], out: Path) -> list[LossRow]:
    """Train a student and write its folder `out`; return the history of validations.

    Shards are in `out/shards`, progress and pictures in `out/run`. Where a training was killed, the
    same call continues it. ValueError, before anything is trained, for data that cannot be read,
    for a request that cannot be trained, and if `out` holds another training.

    Example:
        >>> import tempfile
        >>> asked = OwnTraining(objective=Choice(name="balls", options={"radius": 0.1}))
        >>> datasets = {"mine": Dataset(kind="folder", path="no-folder")}
        >>> train_student(asked, datasets, Path(tempfile.mkdtemp()))
        Traceback (most recent call last):
            ...
        ValueError: no-folder: no such file or folder; fetch the dataset, or correct the root
    """
    run = out / "run"
    if (out / DESCRIPTION).is_file() and not run.is_dir():
        raise ValueError(f"{out}: holds a model already; give another --out")
    objective = checked_objective(asked.objective)
    decoder = _kept_decoder(asked)
    data = _described(datasets)
    require_same(run / "data.json", data, out=out)
    places = {name: _shards(name, one, out / "shards") for name, one in datasets.items()}
    config = own_recipe(asked, look_at(places), data=dict.fromkeys(datasets, 1.0))
    recipe = {"objective": asdict(objective), **asdict(config), "start": _start_stamp(asked.start)}
    recipe["workers"] = None  # of them nothing but rounding depends
    require_same(run / "recipe.json", recipe, out=out)
    keep_request(run / "data.json", data)
    keep_request(run / "recipe.json", recipe)
    make_task = partial(make_own_task, objective, config=config, places=places, decoder=decoder)
    task = make_task()
    if config.workers.number > 1:
        fit_distributed(make_task, config.optimisation, run, workers=config.workers)
    else:
        _fit_here(task, run, config)
    provenance = {
        "data": {name: f"{one.kind}:{one.path}" for name, one in datasets.items()},
        "objective": asdict(objective),
        "start": asked.start,
        "crop": config.crops.size,
        "batch": config.optimisation.batch,
    }
    return export_training(task, run, out, provenance=provenance)


def make_own_task(
    objective: Choice,
    *,
    config: DistillConfig,
    places: Mapping[str, str],
    decoder: Choice | None = None,
) -> EmbeddingTask:
    """Return the student's task on shard folders.

    Args:
        objective: one of OBJECTIVES with its options.
        config: the recipe, see `own_recipe`.
        places: name of a dataset -> its shard folder, a path or a URL.
        decoder: reads the outputs in place of the objective's own decoder (default None: its own).

    Example:
        >>> asked = OwnTraining(objective=Choice(name="balls", options={}))
        >>> config = own_recipe(asked, Facts(images=20, side=64), data={"mine": 1.0})
        >>> make_own_task(asked.objective, config=config, places={"mine": "no-folder"})
        Traceback (most recent call last):
            ...
        ValueError: no-folder: no manifest.json; run `dvc repro --pull` to make it
    """
    return EmbeddingTask(
        config=config,
        objective=objective,
        train=mix_shards(places, config.data, "train"),
        held_out=mix_shards(places, config.data, "val"),
        decoder=decoder,
    )


def own_recipe(asked: OwnTraining, facts: Facts, *, data: Mapping[str, float]) -> DistillConfig:
    """Return the recipe that suits some images; where `asked` says something, that counts.

    A crop of n pixels a side shows 3/4 n to 4/3 n pixels of the image, so that objects are trained
    at about the size at which they are looked for.

    Example:
        >>> asked = OwnTraining(objective=Choice(name="deep_watershed", options={}))
        >>> recipe = own_recipe(asked, Facts(images=280, side=256), data={"dsb2018": 1.0})
        >>> recipe.optimisation.steps, recipe.crops.size, round(recipe.crops.min_scale, 2)
        (1050, 193, 0.57)
    """
    steps = asked.steps or int(np.clip(15 * facts.images // asked.batch, 500, 4000))
    size = asked.size or 32 * min(max(round((facts.side - 1) / 32), 1), 6) + 1
    share = size / facts.side
    rate = asked.learning_rate or (3e-3 if asked.start == FRESH else 1e-3)
    return DistillConfig(
        data=dict(data),
        unlabelled=tuple(data) if asked.unlabelled else (),
        model=_architecture(asked.start),
        backbone=INSTALLED if asked.start == IMAGENET else None,
        initial=None if asked.start in (IMAGENET, FRESH) else asked.start,
        crops=Crops(
            size=size,
            placement="square",
            augment=True,
            min_scale=min(0.75 * share, 1.0),
            max_scale=min(share / 0.75, 1.0),
            turns=asked.turns,
            shuffle_channels=False,
            contrast=0.25,
            brightness=0.1,
        ),
        teacher_share=0.0,
        teacher_weight=1.0,
        confidence="none",
        min_proposal_score=0.0,
        max_instances=1024,
        jitter=None,
        optimisation=_optimisation(steps, batch=asked.batch, rate=rate, seed=asked.seed),
        validation_images=16,
        workers=asked.workers,
    )


def _optimisation(steps: int, *, batch: int, rate: float, seed: int) -> Optimisation:
    return Optimisation(
        steps=steps,
        batch=batch,
        accumulate=1,
        optimiser="adamw",
        betas=(0.9, 0.98),
        learning_rate=rate,
        schedule=Choice(name="cosine", options={"final_share": 0.02}),
        warmup=min(50, steps // 10),
        layer_decay=1.0,
        weight_decay=0.01,
        clip_norm=1.0,
        ema=0.99 if steps >= 500 else 0.0,
        precision="float32",
        compile=False,
        seed=seed,
        validate_every=max(steps // 10, 1),
        early_stop=None,
        checkpoint_seconds=30.0,
    )


def look_at(places: Mapping[str, str]) -> Facts:
    """Return the facts of the training images of shard folders; ValueError if there is none.

    Example:
        >>> import tempfile
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.shards import write_manifest, write_shard
        >>> folder = Path(tempfile.mkdtemp())
        >>> facts = write_shard(folder / "train-000000.tar", read_rectangles("", seed=0, limit=2))
        >>> _ = write_manifest(folder, [facts], dataset="rectangles", details={})
        >>> look_at({"rectangles": str(folder)})
        Facts(images=2, side=64)
    """
    opened = [open_shards(place, "train") for place in places.values()]
    sides = []
    for shards in opened:
        looked_at = np.linspace(0, len(shards) - 1, min(len(shards), _LOOKED_AT)).astype(int)
        sides += [min(shards[index].size_hw) for index in np.unique(looked_at).tolist()]
    if not sides:
        raise ValueError(f"{', '.join(places.values())}: no image to train on; give more images")
    return Facts(images=sum(map(len, opened)), side=int(np.median(sides)))


def checked_objective(objective: Choice) -> Choice:
    """Return an objective; ValueError in one line for an unknown option or a wrong value.

    Example:
        >>> checked_objective(Choice(name="balls", options={"radius": 0.2})).options
        {'radius': 0.2}
        >>> checked_objective(Choice(name="balls", options={"raduis": 0.2}))
        Traceback (most recent call last):
            ...
        ValueError: objective balls: unknown option 'raduis'; it takes radius, ...
    """
    choose(OBJECTIVES, objective, kind="objective")()
    return objective


def objective_of_texts(name: str, options: Mapping[str, str]) -> Choice:
    """Return an objective whose options are given as text.

    Example:
        >>> objective_of_texts("discriminative", {"channels": "4"}).options
        {'channels': 4}
    """
    known = keyword_options(OBJECTIVES[name])
    for option in options:
        if option not in known:
            takes = ", ".join(known) or "none"
            raise ValueError(f"objective {name}: unknown option {option!r}; it takes {takes}")
    return Choice(name=name, options=read_texts(OBJECTIVES[name], options, place=name))


def trained_objective(start: str) -> Choice | None:
    """Return the objective that a student was trained with; None if its folder does not say.

    Example:
        >>> trained_objective("student").name
        'borders_and_cuts'
    """
    objective = read_description(model_folder(start)).get("provenance", {}).get("objective")
    return Choice(**objective) if isinstance(objective, Mapping) else None


def _architecture(start: str) -> Choice:
    """Return the model without what follows from the objective."""
    description = _student(_STUDENT if start in (IMAGENET, FRESH) else start)
    options = {k: v for k, v in description["options"].items() if k not in _OF_OBJECTIVE}
    return Choice(name=description["name"], options=options)


def _student(start: str) -> dict[str, Any]:
    description = read_description(model_folder(start))
    if "heads" not in description["options"]:
        raise ValueError(f"{start}: no student; a clicker is trained by maskspace finetune")
    return description


def _kept_decoder(asked: OwnTraining) -> Choice | None:
    """Return the decoder of a student that goes on with its own objective: it may be fitted."""
    if asked.start in (IMAGENET, FRESH):
        return None
    description = _student(asked.start)
    if trained_objective(asked.start) != asked.objective:
        return None
    decoder = description["options"].get("decoder")
    return None if decoder is None else Choice(**decoder)


def _start_stamp(start: str) -> dict[str, object]:
    """Return what the weights begin as, by name and size: another file there is another start."""
    if start in (IMAGENET, FRESH):
        return {"name": start}
    return {"name": start, "bytes": (model_folder(start) / WEIGHTS).stat().st_size}


def _described(datasets: Mapping[str, Dataset]) -> dict[str, object]:
    """Return what the data are: where, how they are read, and the state of their files."""
    return {name: {**asdict(one), "files": _stamp(one)} for name, one in datasets.items()}


def _stamp(dataset: Dataset) -> str | None:
    if dataset.kind == SHARDS:
        splits = read_manifest(dataset.path)["splits"]
        return "".join(one["sha256"][:16] for part in splits.values() for one in part["shards"])
    return None if is_drawn(READERS[dataset.kind]) else files_stamp(locate(dataset.path))


def _shards(name: str, dataset: Dataset, folder: Path) -> str:
    """Return the folder of a dataset's shards, written if they are not there."""
    if dataset.kind == SHARDS:
        if dataset.options or dataset.limit:
            raise ValueError(f"{SHARDS}:{dataset.path}: shards are read whole, without options")
        return str(absolute(dataset.path))
    options = getattr(bound_reader(dataset.kind, dataset.options), "keywords", {})
    config = ShardsConfig(
        reader=Choice(name=dataset.kind, options=dict(options)),
        root=dataset.path,
        seed=0,
        limit=dataset.limit,
        split=own_splits(read_dataset(dataset)),
        split_components=False,
        min_component_area=1,
        containment=0.95,
        samples_per_shard=ShardBytes(bytes=2**26),
        repack=True,
        store=".",
    )
    write_dataset(
        folder / name, name, config, READERS, map_units=partial(map_here, describe="shards")
    )
    return str((folder / name).resolve())


def _fit_here(task: EmbeddingTask, run: Path, config: DistillConfig) -> None:
    """Train in this process, and tell how it goes."""
    device = torch.device("cuda" if config.workers.gpu else "cpu")
    worker = Worker(loaders=config.workers.loaders, device=device)
    pace: list[PaceLine] = []

    def step(done: int) -> None:
        if not pace:
            pace.append(PaceLine("train: steps", config.optimisation.steps - done + 1))
        pace[0].step()

    fit(task, config.optimisation, run, worker=worker, report=_report(config), on_step=step)


def _report(config: DistillConfig) -> Callable[[LossRow], None]:
    return lambda row: print(line(row, config.optimisation), flush=True)  # noqa: T201
