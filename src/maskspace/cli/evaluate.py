"""`maskspace evaluate`: models x datasets -> metrics and plots."""

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import maskspace
from maskspace.cli.frame import (
    DATA_HELP,
    MODEL_HELP,
    Inputs,
    check_model,
    complain,
    count,
    dataset,
    named,
    share,
    tell_notes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from maskspace.data.source import Source
    from maskspace.segmenter import Segmenter
    from maskspace.types import Sample


def add(command: argparse.ArgumentParser) -> None:
    """Give a parser its options.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add(parser)
        >>> parser.parse_args("--data bsds500:data --model lab --out out".split()).split
        'test'
    """
    command.description = (
        "Evaluate models on datasets; writes report.html (all of it on one page that needs no "
        "network), metrics.json, table.txt, curves.csv, clicks.csv, comparisons.csv (pairs of "
        "models, with intervals over images), per_image.csv, per_sample.csv, curve.png, "
        "clicks.png, regions.png, scatter.png, gallery.png and cases.png; findings.json and "
        "shown.npz hold what the page and its pictures are drawn from. IoU and recall are in "
        "[0, 1]; masks of fewer than 256 pixels are ignored, unless the protocol says otherwise. "
        "A run that was broken off goes on where it was, and a finished one says what it said, as "
        "long as images and masks are the same bytes."
    )
    command.add_argument(
        "--data",
        type=dataset,
        action="append",
        required=True,
        metavar="KIND:PATH",
        help=f"{DATA_HELP}; may be repeated",
    )
    command.add_argument(
        "--split",
        choices=("train", "val", "test"),
        default="test",
        help="the source's split: files of the others are not looked at, and a source without "
        "splits is used whole (default test)",
    )
    command.add_argument(
        "--model",
        dest="models",
        type=labelled,
        action="append",
        required=True,
        metavar="[LABEL=]NAME",
        help=f"{MODEL_HELP}; may be repeated. LABEL is its name in what is written (default NAME); "
        "a path with = before any / is given as ./PATH",
    )
    command.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing"
    )
    command.add_argument(
        "--limit",
        type=count,
        metavar="N",
        help="the first N images of each dataset (default all; generated datasets need it)",
    )
    command.add_argument(
        "--protocol",
        choices=("maskspace", "segnext"),
        default="maskspace",
        help="maskspace: one click, at the centre, anywhere and in the inner half, cut at 0.5 and "
        "0.49; segnext: as published, 20 clicks at centres of errors, each round given the last "
        "probability map, cut at 0.49, masks of any size (default maskspace)",
    )
    command.add_argument(
        "--min-area",
        type=count,
        metavar="PIXELS",
        help="ignore masks of fewer pixels: no such truth is asked for, and of instances no such "
        "prediction is wrong (default: the protocol's 256 or 1)",
    )
    command.add_argument(
        "--proposals",
        type=count,
        metavar="N",
        help="at most N proposals of an image are asked for (default 100)",
    )
    command.add_argument(
        "--clicks", type=count, metavar="N", help="clicks a mask (default: the protocol's 1 or 20)"
    )
    command.add_argument(
        "--clicker",
        dest="clickers",
        choices=("center", "random", "inner"),
        action="append",
        help="where clicks fall; may be repeated (default: the protocol's)",
    )
    command.add_argument(
        "--mode",
        dest="modes",
        choices=("claims", "largest", "iterative"),
        action="append",
        help="how further clicks are answered: each with a map of its own, of which the surest "
        "claims or the largest certainty win, or all together with the last round's map; may be "
        "repeated (default: the protocol's claims or iterative)",
    )
    command.add_argument(
        "--max-left-out",
        type=share,
        default=0.05,
        metavar="SHARE",
        help="images that cannot be read or that a model does not answer are left out, counted and "
        "named, up to this share of a dataset, one at least; 0: none (default 0.05)",
    )
    command.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="images measured at once: 1 in this process, more by Ray (default 1)",
    )
    command.set_defaults(run=run)


def labelled(text: str) -> tuple[str, str]:
    """Return the label and the name of [LABEL=]NAME, the name where there is no label.

    What is before the first = is a label if it holds no @, / or . : options and paths have those.

    Example:
        >>> labelled("ours=build/student"), labelled("lab")
        (('ours', 'build/student'), ('lab', 'lab'))
    """
    label, equals, name = text.partition("=")
    if not equals or any(character in label for character in "@/."):
        return text, text
    if not (label and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=NAME, such as ours=build/clicker")
    return label, name


def run(options: argparse.Namespace) -> int:
    """Do what the options ask and return the exit status.

    Example:
        >>> from maskspace.cli import main
        >>> main("evaluate --data folder:nowhere --out out --model nobody".split())
        2
    """
    for _, name in options.models:
        check_model(name)
    from functools import partial

    from maskspace.evaluation import Origin, evaluate_models
    from maskspace.evaluation.config import protocol_config
    from maskspace.parallel import map_here, map_units, require_cluster
    from maskspace.segmenter.loading import load

    Inputs(Path(one.path) for one in options.data).keep([options.out])
    if options.workers > 1:
        require_cluster()
    for label, times in Counter(label for label, _ in options.models).items():
        if times > 1:
            raise ValueError(f"{times} models are called {label!r}; give --model LABEL=NAME")
    models = {label: load(name) for label, name in options.models}
    datasets = named(
        options.data,
        lambda one: read_split(
            one.kind, one.path, split=options.split, limit=options.limit, options=one.options
        ),
    )
    tell_notes(datasets)
    kinds = named(options.data, lambda one: one.kind)
    config = protocol_config(
        options.protocol,
        limit=options.limit,
        clicks=options.clicks,
        clickers=options.clickers,
        modes=options.modes,
        max_left_out=options.max_left_out,
        min_area=options.min_area,
        proposals=options.proposals,
    )
    workers = partial(map_units, workers=options.workers) if options.workers > 1 else map_here
    work = options.out / f".rows-{_question(options, models)}"
    for other in options.out.glob(".rows-*"):
        if other != work:
            shutil.rmtree(other)
    try:
        evaluate_models(
            datasets,
            models,
            options.out,
            config=config,
            origins={
                name: Origin(kind=kinds[name], split=options.split if any(source.splits) else None)
                for name, source in datasets.items()
            },
            work=work,
            map_units=partial(workers, describe="evaluate: images"),
        )
        print((options.out / "table.txt").read_text(), end="")
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on where it was")
        return 130
    return 0


def _question(options: argparse.Namespace, models: "Mapping[str, Segmenter]") -> str:
    """Return a name of the data and of the models, their code and weights: what rows depend on."""
    import hashlib

    from maskspace.evaluation.versions import weights_version

    weights = [weights_version(model) for model in models.values()]
    asked = [options.data, options.split, options.models, weights]
    digest = hashlib.sha256(json.dumps(asked).encode())
    for source in sorted(Path(maskspace.__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def read_split(
    kind: str,
    path: str,
    *,
    split: str,
    limit: int | None,
    options: "Mapping[str, str] | None" = None,
) -> "Source":
    """Return the first `limit` samples of one split of a dataset, read when they are asked for.

    Files of other splits are not looked at. A source that has no splits is used whole; an option
    `split` counts before `split`. Raises ValueError for an unknown kind and for a split without
    images.

    Example:
        >>> source = read_split("rectangles", "", split="all", limit=3)
        >>> len(source), source[0].key
        (3, 'rectangles-000000')
    """
    from maskspace.config import keyword_options
    from maskspace.data import READERS
    from maskspace.data.drawn import is_drawn
    from maskspace.data.reading import bound_reader
    from maskspace.data.source import Source

    options = dict(options or {})
    split = options.pop("split", split)
    read = bound_reader(kind, options)
    plain = READERS[kind]
    first = limit if is_drawn(plain) else None
    found = _read(
        lambda **own: read(path, seed=0, limit=first, **own),
        split if "split" in keyword_options(plain) else None,
        path,
    )
    chosen = [i for i, own in enumerate(found.splits) if own in (None, split)][:limit]
    if not chosen:
        raise _no_split(path, split, {own for own in found.splits if own is not None})
    return Source(
        keys=tuple(found.keys[i] for i in chosen),
        splits=tuple(found.splits[i] for i in chosen),
        read=lambda index: found.read(chosen[index]),
        notes=found.notes,
    )


def _read(read: "Callable[..., Sequence[Sample]]", split: str | None, path: str) -> "Source":
    from maskspace.data.listings import NoSplitError
    from maskspace.data.source import Source

    try:
        found = read() if split is None else read(split=split)
    except NoSplitError as error:
        if error.known:
            raise _no_split(path, split or "", set(error.known)) from None
        found = read()
    assert isinstance(found, Source)
    return found


def _no_split(path: str, split: str, known: set[str]) -> ValueError:
    there = ", ".join(sorted(known)) or "none"
    return ValueError(f"{path}: no images in split {split}; this source has {there}")
