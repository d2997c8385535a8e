"""`maskspace finetune`: a clicker or a student, and datasets -> another one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, cast

from maskspace.cli.frame import MODEL_HELP, check_model, named, tell_notes
from maskspace.cli.train import SHARDS, add_data, add_recipe, keep_inputs, train, workers_of

if TYPE_CHECKING:
    from maskspace.models.click_vit import ClickVit

#: Peak of the learning rate of a student that has been trained already.
RATE = 3e-4


def add(command: argparse.ArgumentParser) -> None:
    """Give a parser its options.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add(parser)
        >>> parser.parse_args("student --data folder:cells --out out".split()).model
        'student'
    """
    command.description = (
        "Train a clicker or a student further on other data. DIR becomes a model's folder, with "
        "its history and pictures; a run that was killed goes on when called again. Lengths are in "
        "steps. A clicker reads the data where they lie, and what no option says is as its recipe "
        "has it. A student keeps its objective and decoder, and is trained as by `maskspace train "
        "--from MODEL`."
    )
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    add_data(command)
    add_recipe(command, rate=f"the recipe's for a clicker, {RATE:g} for a student")
    command.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE",
        help="of a clicker: a YAML file whose section `clicker` is the recipe (default "
        "params.yaml)",
    )
    command.add_argument(
        "--regime",
        choices=("one", "many", "posneg"),
        help="of a clicker: one positive click, many clicks with corrections, or one click of "
        "either sign (default: the recipe's)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do what the options ask and return the exit status.

    Example:
        >>> from maskspace.cli import main
        >>> main("finetune nobody --data folder:cells --out out".split())
        2
    """
    keep_inputs(options, model=options.model)
    check_model(options.model)
    from maskspace.segmenter.loading import load

    loaded = load(options.model)
    if "refine" in loaded.answers:
        return _clicker(cast("ClickVit", loaded.networks()[0]), options)
    return _student(options)


def _student(options: argparse.Namespace) -> int:
    from maskspace.training.own_data import OwnTraining, trained_objective

    if options.regime or options.recipe:
        raise ValueError(f"{options.model}: no clicker; --regime and --recipe are for clickers")
    objective = trained_objective(options.model)
    if objective is None:
        raise ValueError(
            f"{options.model}: its model.json does not say its objective; use "
            "maskspace train --objective NAME --from MODEL"
        )
    asked = OwnTraining(
        objective=objective,
        start=options.model,
        steps=options.steps,
        learning_rate=options.learning_rate or RATE,
        workers=workers_of(options.workers),
    )
    return train(asked, options)


def _clicker(clicker: "ClickVit", options: argparse.Namespace) -> int:
    from maskspace import parallel
    from maskspace.config import load_section
    from maskspace.training.config import ClickerConfig
    from maskspace.training.finetune import Dataset, finetune, read_dataset, recipe

    if any(one.kind == SHARDS for one in options.data):
        raise ValueError("a clicker reads its data where they lie; give KIND:PATH, not shards:")
    datasets = named(
        options.data,
        lambda one: Dataset(kind=one.kind, path=one.path, limit=options.limit, options=one.options),
    )
    config = recipe(
        load_section(ClickerConfig, "clicker", path=options.recipe or Path("params.yaml")),
        data=dict.fromkeys(datasets, 1.0),
        regime=options.regime,
        steps=options.steps,
        learning_rate=options.learning_rate,
        workers=options.workers,
    )
    tell_notes({name: read_dataset(one) for name, one in datasets.items()})
    try:
        with parallel.connect():
            finetune(clicker, datasets, options.out, config=config)
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    print(options.out)
    return 0
