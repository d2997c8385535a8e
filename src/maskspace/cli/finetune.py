"""`maskspace finetune`: a clicker and datasets -> another clicker."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, cast

from maskspace.cli.frame import DATA_HELP, MODEL_HELP, Inputs, count, dataset, named

if TYPE_CHECKING:
    from maskspace.models.click_vit import ClickVit


def add(command: argparse.ArgumentParser) -> None:
    """Give a parser its options."""
    command.description = (
        "Train a clicker further on other data, read where it lies. DIR becomes a model's folder, "
        "with its history and pictures; a run that was killed goes on when called again. Lengths "
        "are in steps; what no option says is as the recipe has it."
    )
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument(
        "--data",
        type=dataset,
        action="append",
        required=True,
        metavar="KIND:PATH",
        help=f"{DATA_HELP}; may be repeated, all weigh the same",
    )
    command.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing"
    )
    command.add_argument(
        "--recipe",
        type=Path,
        default=Path("params.yaml"),
        metavar="FILE",
        help="a YAML file whose section `clicker` is the recipe (default params.yaml)",
    )
    command.add_argument(
        "--regime",
        choices=("one", "many", "posneg"),
        help="one positive click, many clicks with corrections, or one click of either sign "
        "(default: the recipe's)",
    )
    command.add_argument(
        "--steps", type=count, metavar="N", help="steps to train (default: the recipe's)"
    )
    command.add_argument(
        "--learning-rate", type=float, metavar="R", help="its peak (default: the recipe's)"
    )
    command.add_argument(
        "--workers", type=count, metavar="N", help="processes that train (default: the recipe's)"
    )
    command.add_argument(
        "--limit", type=count, metavar="N", help="the first N images of each dataset (default all)"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do what the options ask and return the exit status."""
    from maskspace import parallel
    from maskspace.config import load_section
    from maskspace.segmenter.loading import load
    from maskspace.training.config import ClickerConfig
    from maskspace.training.finetune import Dataset, finetune, recipe

    given = [options.model, *(one.path for one in options.data)]
    Inputs(map(Path, given)).keep([options.out, options.out / "model.safetensors"])
    parallel.require_cluster()
    loaded = load(options.model)
    if "refine" not in loaded.answers:
        raise ValueError(f"{options.model}: no clicker; give the folder of one, or a checkpoint")
    datasets = named(
        options.data,
        lambda one: Dataset(kind=one.kind, path=one.path, limit=options.limit, options=one.options),
    )
    config = recipe(
        load_section(ClickerConfig, "clicker", path=options.recipe),
        data=dict.fromkeys(datasets, 1.0),
        regime=options.regime,
        steps=options.steps,
        learning_rate=options.learning_rate,
        workers=options.workers,
    )
    try:
        with parallel.connect():
            finetune(cast("ClickVit", loaded.networks()[0]), datasets, options.out, config=config)
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    print(options.out)
    return 0
