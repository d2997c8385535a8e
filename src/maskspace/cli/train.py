"""`maskspace train`: an objective and datasets -> a student."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from maskspace.cli.frame import (
    DATA_HELP,
    DEFAULT_MODEL,
    DatasetArgument,
    Inputs,
    complain,
    count,
    dataset,
    table_names,
)

if TYPE_CHECKING:
    from maskspace.training.config import Workers
    from maskspace.training.finetune import Dataset
    from maskspace.training.own_data import OwnTraining

#: The kind of data that are shards already.
SHARDS = "shards"


def add(command: argparse.ArgumentParser) -> None:
    """Give a parser its options.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add(parser)
        >>> given = "--objective boundary --data rectangles:x --out out".split()
        >>> parser.parse_args(given).objective
        ('boundary', {})
    """
    command.description = (
        "Train a student on your own images. DIR becomes a model's folder: `maskspace segment "
        "--model DIR photo.jpg` takes it. DIR/shards holds your data as shards, DIR/run the "
        "progress, and in DIR/run/pictures what the model makes of validation images. A run that "
        "was killed goes on when the same command is called again. Tenths of the images are held "
        "out for validation where the data have no split of their own."
    )
    command.add_argument(
        "--objective",
        required=True,
        type=objective,
        metavar="NAME[@OPTION=VALUE,...]",
        help=f"what is learnt (docs/objectives.md), one of {', '.join(objective_names())}",
    )
    add_data(command)
    command.add_argument(
        "--from",
        dest="start",
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help="what the weights begin as: a bundled student, the folder of one, imagenet (needs the "
        f"extra photos) or fresh (default {DEFAULT_MODEL})",
    )
    add_recipe(command, rate="1e-3, and 3e-3 for fresh weights")
    command.add_argument(
        "--size",
        type=count,
        metavar="PIXELS",
        help="side of a training crop in pixels (default: that of the images, at most 193)",
    )
    command.add_argument("--batch", type=count, metavar="N", help="crops a step (default 4)")
    command.add_argument(
        "--turns",
        action="store_true",
        help="turn crops by quarters: for images that have no up, as in microscopy",
    )
    command.add_argument(
        "--unlabelled",
        action="store_true",
        help="what lies outside of all masks is unknown, not background: for images of which not "
        "all objects have a mask",
    )
    command.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of all that is random (default 0)"
    )
    command.set_defaults(run=run)


def add_data(command: argparse.ArgumentParser) -> None:
    """Give a parser the options for data and for what is written.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_data(parser)
        >>> parser.parse_args(["--data", "rectangles:x", "--out", "out"]).data[0].kind
        'rectangles'
    """
    command.add_argument(
        "--data",
        type=training_data,
        action="append",
        required=True,
        metavar="KIND:PATH",
        help=f"{DATA_HELP}; or shards:PATH, a folder of shards or its URL; may be repeated, all "
        "weigh the same",
    )
    command.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing"
    )
    command.add_argument(
        "--limit", type=count, metavar="N", help="the first N images of each dataset (default all)"
    )


def add_recipe(command: argparse.ArgumentParser, *, rate: str) -> None:
    """Give a parser the options of the recipe that all trainings have; `rate` is the default.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_recipe(parser, rate="1e-3")
        >>> parser.parse_args(["--steps", "500"]).steps
        500
    """
    command.add_argument(
        "--steps",
        type=count,
        metavar="N",
        help="steps to train (default: 15 passes over the images, 500 to 4000; a clicker's recipe)",
    )
    command.add_argument(
        "--learning-rate", type=float, metavar="R", help=f"its peak (default {rate})"
    )
    command.add_argument(
        "--workers", type=count, metavar="N", help="processes that train, by Ray (default 1)"
    )


def objective_names() -> list[str]:
    """Return the names of the objectives: without torch, which takes seconds to import.

    Example:
        >>> "boundary" in objective_names()
        True
    """
    known = sys.modules.get("maskspace.objectives")
    if known is not None:
        return sorted(known.OBJECTIVES)
    return sorted(table_names("maskspace.objectives", "OBJECTIVES"))


def objective(text: str) -> tuple[str, dict[str, str]]:
    """Return the name and the options, as text, of NAME@OPTION=VALUE,...

    Example:
        >>> objective("boundary@tolerance=1")
        ('boundary', {'tolerance': '1'})
    """
    from maskspace.config import option_texts

    name, at, rest = text.partition("@")
    if name not in objective_names():
        raise argparse.ArgumentTypeError(
            f"objective {name!r} is unknown; choose one of {', '.join(objective_names())}"
        )
    try:
        return name, option_texts(rest, place=text) if at else {}
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def training_data(text: str) -> DatasetArgument:
    """Return a dataset whose kind, options and place are known to be such; no torch is imported.

    Example:
        >>> training_data("rectangles:x")
        DatasetArgument(kind='rectangles', path='x', options={})
    """
    from maskspace.data.reading import bound_reader

    found = dataset(text)
    try:
        if found.kind != SHARDS:
            bound_reader(found.kind, found.options)
        elif found.options:
            raise ValueError(f"{text}: shards take no options")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return found


def datasets_of(options: argparse.Namespace) -> "dict[str, Dataset]":
    """Return the datasets by names that can be folders: the kind, with its number if repeated.

    Example:
        >>> given = [training_data("rectangles:x"), training_data("rectangles:y")]
        >>> list(datasets_of(argparse.Namespace(data=given, limit=None)))
        ['rectangles', 'rectangles-2']
    """
    from maskspace.training.finetune import Dataset

    found: dict[str, Dataset] = {}
    for one in options.data:
        times = sum(name.partition("-")[0] == one.kind for name in found)
        found[f"{one.kind}-{times + 1}" if times else one.kind] = Dataset(
            kind=one.kind, path=one.path, limit=options.limit, options=one.options
        )
    return found


def run(options: argparse.Namespace) -> int:
    """Do what the options ask and return the exit status.

    Example:
        >>> from maskspace.cli import main
        >>> main("train --objective boundary --data folder:nowhere --out out".split())
        2
    """
    keep_inputs(options, model=options.start)
    from maskspace.training.own_data import OwnTraining, objective_of_texts

    name, texts = options.objective
    asked = OwnTraining(
        objective=objective_of_texts(name, texts),
        start=options.start,
        steps=options.steps,
        size=options.size,
        batch=options.batch or 4,
        learning_rate=options.learning_rate,
        turns=options.turns,
        unlabelled=options.unlabelled,
        seed=options.seed,
        workers=workers_of(options.workers),
    )
    return train(asked, options)


def keep_inputs(options: argparse.Namespace, *, model: str) -> None:
    """Raise ValueError where DIR is an input, or a Ray is named that does not answer.

    Example:
        >>> given = argparse.Namespace(data=[training_data("rectangles:x")], out=Path("x"))
        >>> keep_inputs(given, model="fresh")
        Traceback (most recent call last):
            ...
        ValueError: x: would replace the input x; give another --out
    """
    from maskspace import parallel

    given = [model, *(one.path for one in options.data)]
    Inputs(map(Path, given)).keep([options.out, options.out / "model.safetensors"])
    parallel.require_cluster()


def workers_of(number: int | None) -> "Workers":
    """Return the processes that train: with a GPU where there is one.

    Example:
        >>> workers_of(None).number, workers_of(2).number
        (1, 2)
    """
    import torch

    from maskspace.training.config import Workers

    return Workers(
        number=number or 1,
        threads=torch.get_num_threads(),
        loaders=0,
        gpu=torch.cuda.is_available(),
    )


def train(asked: "OwnTraining", options: argparse.Namespace) -> int:
    """Train, print the folder and return the exit status.

    Example:
        >>> from maskspace.cli import main
        >>> main("train --objective boundary --data shards:nowhere --out out".split())
        2
    """
    from contextlib import nullcontext

    from maskspace import parallel
    from maskspace.training.own_data import train_student

    alone = asked.workers.number == 1
    try:
        with nullcontext() if alone else parallel.connect():
            train_student(asked, datasets_of(options), options.out)
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on where it was")
        return 130
    print(options.out)
    return 0
