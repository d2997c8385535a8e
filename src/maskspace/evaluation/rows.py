"""Measure every model on every image: one row each, kept as they finish, reused after a kill.

A row is reused only if the image and its truth are the same bytes: `content` is their hash.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from maskspace import masks
from maskspace.data.records import encode_record
from maskspace.evaluation.asking import Asked
from maskspace.evaluation.classified import classify
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.interactive import Clicked, click_masks
from maskspace.evaluation.left_out import UNREADABLE, left_out_of, require_few, settled
from maskspace.evaluation.measures import Measure, measures_of
from maskspace.evaluation.measures.measure import Kept, Question
from maskspace.evaluation.partitions import ask_partitions
from maskspace.evaluation.ranked_proposals import ask_proposals
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.files import write_whole
from maskspace.loaded import Segmenter
from maskspace.types import MapUnits

#: What a model is asked of an image, each once.
QUESTIONS = get_args(Question)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model on one image. An image without a mask to measure has `masks` 0 and is not asked.

    dataset, model, key: what was measured.
    masks: true masks that are measured.
    masks_too_small: true masks that are too small to be measured.
    seconds: time of the model's answers.
    ids, areas: of the masks, in the order of every list below.
    pixels: pixels of the image that are not ignored.
    click_ious, changes, best_level: those of `Clicked`.
    kept: name of a measure -> what it keeps of the image.
    lacks: name of a measure -> what it needs and the truth does not have.
    combines: whether the model combined clicks in its own way.
    not_answered: question that the model could not answer -> the reason.
    content: hash of the image and of all its masks.
    left_out: why an image was not measured that should have been; "" if it was.
    annotations_left_out: annotations that the reader could not take.

    Example:
        >>> row = Row(
        ...     dataset="d",
        ...     model="student",
        ...     key="a",
        ...     masks=2,
        ...     masks_too_small=0,
        ...     click_ious={"center": [[0.5, 0.8], [0.6]]},
        ... )
        >>> row.first_ious("center")
        [0.5, 0.6]
    """

    dataset: str
    model: str
    key: str
    masks: int
    masks_too_small: int
    seconds: float = 0.0
    ids: Sequence[int] = ()
    areas: Sequence[int] = ()
    pixels: int = 0
    click_ious: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    changes: Mapping[str, Sequence[Sequence[Sequence[int]]]] = field(default_factory=dict)
    best_level: Mapping[str, Sequence[float]] = field(default_factory=dict)
    kept: Mapping[str, Kept] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    combines: bool = False
    not_answered: Mapping[str, str] = field(default_factory=dict)
    content: str = ""
    left_out: str = ""
    annotations_left_out: int = 0

    def first_ious(self, run: str) -> list[float]:
        """Return the IoU of each mask after one click of a run."""
        return [ious[0] for ious in self.click_ious[run]]


def measure_rows(
    dataset: str,
    samples: Sequence,  # of samples; a checked parameter would make beartype read one
    models: Mapping[str, Segmenter],
    *,
    config: EvaluateConfig,
    work: Path | None = None,
    map_units: MapUnits = map,
) -> list[Row]:
    """Return the rows of all models on the images of a dataset, sorted by model and key.

    Images are read where they are measured, one at a time. An image that cannot be read is left
    out, and so is one that a model refuses though it answers others, up to the share
    `config.max_left_out` (see `left_out`). ValueError names them if there are more.

    Args:
        dataset: its name.
        samples: its samples.
        models: name -> model.
        config: how models are measured.
        work: folder that keeps the rows of finished images. They are not computed again as long as
            the image and its truth are the same bytes. The folder's name must say which models
            these are (default None: nothing is kept).
        map_units: maps a function over images, here or on a cluster (default `map`).

    Example:
        >>> import numpy as np
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> samples = list(read_rectangles("", seed=0, limit=1))
        >>> from maskspace.types import Prediction
        >>> class Whole(Segmenter):  # proposes the whole image
        ...     name, ranking, answers = "whole", "nothing", frozenset({"propose"})
        ...
        ...     def propose(self, image, limit=100):
        ...         return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))
        >>> from maskspace.evaluation.config import SelectConfig
        >>> config = SelectConfig(
        ...     limit=None, min_area=1, proposals=1, decoder_factors=()
        ... ).measured()
        >>> rows = measure_rows("d", samples, {"whole": Whole()}, config=config)
        >>> [len(row.kept["mean_best_iou_1"]) == row.masks for row in rows]  # a best IoU a mask
        [True]
    """
    total = len(samples) if config.limit is None else min(config.limit, len(samples))
    journal = None if work is None else _journal(work, dataset, list(models), config)
    finished = _finished(journal)
    unit = partial(
        _measure_index,
        samples=samples,
        dataset=dataset,
        models=models,
        config=config,
        finished=frozenset(finished),
    )
    rows: list[Row] = []
    seen: set[str] = set()
    missing: dict[str, str] = {}
    for found in map_units(unit, range(total)):
        fresh = finished[found] if isinstance(found, str) else found
        key = fresh[0].key
        if key in seen:
            raise ValueError(f"{dataset}/{key}: two images have this key; make keys unique")
        seen.add(key)
        missing |= left_out_of(fresh)
        require_few(missing, dataset=dataset, images=total, share=config.max_left_out)
        rows += fresh
        if journal is not None and not isinstance(found, str):
            _keep(journal, fresh)
    order = {name: position for position, name in enumerate(models)}
    rows = settled(rows, share=config.max_left_out)
    return sorted(rows, key=lambda row: (order[row.model], row.key))


def _measure_index(
    index: int,
    *,
    samples: Sequence,
    dataset: str,
    models: Mapping[str, Segmenter],
    config: EvaluateConfig,
    finished: frozenset[str],
) -> list[Row] | str:
    """Return the rows of an image, or its content's hash if that is among the finished ones."""
    keys = getattr(samples, "keys", None)
    key = f"#{index}" if keys is None else keys[index]
    try:
        sample = samples[index]
        key, content = sample.key, hashlib.sha256(encode_record(sample)).hexdigest()
        if content in finished:
            return content
        categories = getattr(samples, "categories", ())
        truth = read_truth(sample, min_area=config.min_area, categories=categories)
    except UNREADABLE as error:
        return [
            Row(
                dataset=dataset,
                model=name,
                key=key,
                masks=0,
                masks_too_small=0,
                left_out=str(error),
            )
            for name in models
        ]
    return [replace(row, content=content) for row in _rows(truth, dataset, models, config)]


def _rows(
    truth: Truth, dataset: str, models: Mapping[str, Segmenter], config: EvaluateConfig
) -> list[Row]:
    if len(truth.masks) == 0:
        return [
            Row(
                dataset=dataset,
                model=name,
                key=truth.key,
                masks=0,
                masks_too_small=truth.too_small,
                annotations_left_out=truth.left_out,
            )
            for name in models
        ]
    rows = []
    for name, model in models.items():
        try:
            rows.append(_measure(dataset, name, model.of_image(truth.key), truth, config))
        except ValueError as error:
            raise ValueError(f"{dataset}/{truth.key}: {name} {error}") from error
    return rows


def _measure(
    dataset: str, name: str, model: Segmenter, truth: Truth, config: EvaluateConfig
) -> Row:
    asked = Asked()
    measures = {
        key: one
        for key, one in measures_of(config).items()
        if one.question != "classes" or "classes" in model.answers
    }
    lacks = {key: why for key, one in measures.items() if (why := one.lacks(truth)) is not None}
    possible = [one for key, one in measures.items() if key not in lacks]
    clicked, kept = _kept(model, truth, possible, config, asked)
    return Row(
        dataset=dataset,
        model=name,
        key=truth.key,
        masks=len(truth.masks),
        masks_too_small=truth.too_small,
        seconds=asked.seconds,
        ids=list(truth.ids),
        areas=masks.areas(truth.masks).tolist(),
        pixels=int((~truth.ignore).sum()),
        click_ious=clicked.ious,
        changes=clicked.changes,
        best_level=clicked.best_level,
        kept=kept,
        lacks=lacks,
        annotations_left_out=truth.left_out,
        combines="click_probabilities" not in model.answers,
        not_answered=asked.not_answered,
    )


def _kept(
    model: Segmenter,
    truth: Truth,
    measures: Sequence[Measure],
    config: EvaluateConfig,
    asked: Asked,
) -> tuple[Clicked, dict[str, Kept]]:
    """Ask the model each question once; return its clicks, and what each measure keeps."""
    of = {question: [one for one in measures if one.question == question] for question in QUESTIONS}
    embedding = asked.ask("embed", lambda: model.embed(truth.image))
    most = max(config.recall_counts, default=0)
    proposed = ask_proposals(model, truth, asked, limit=config.proposal_limit, most=most)
    parts = ask_partitions(model, truth, of["regions"], counts=config.region_counts, asked=asked)
    clicked = click_masks(model, truth, config.interactive, asked, of["click"])
    answers: dict[str, Any] = parts or {}
    answers |= {one.name: proposed for one in of["propose"] if proposed is not None}
    if of["classes"] and proposed is not None:
        classified = classify(proposed, model.categories, truth)
        answers |= {one.name: classified for one in of["classes"]}
    answers |= {one.name: embedding for one in of["embed"] if embedding is not None}
    answers |= {one.name: clicked.of(one) for one in of["click"] if one.run in clicked.ious}
    kept = {m.name: m.of_image(answers[m.name], truth) for m in measures if m.name in answers}
    return clicked, kept


def _journal(work: Path, dataset: str, models: list[str], config: EvaluateConfig) -> Path:
    """Return the file of finished rows; another question than before has another file."""
    question = json.dumps([dataset, models, asdict(config)], sort_keys=True)
    digest = hashlib.sha256(question.encode()).hexdigest()
    return work / f"rows-{re.sub(r'[^A-Za-z0-9_-]+', '_', dataset)}-{digest[:12]}.jsonl"


def _finished(journal: Path | None) -> dict[str, list[Row]]:
    """Return the rows of a journal by content, and mend it: a kill may have cut its last line."""
    if journal is None:
        return {}
    if not journal.exists():
        journal.parent.mkdir(parents=True, exist_ok=True)
        return {}
    lines = journal.read_text().splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
        write_whole(journal, "".join(lines))
    rows_of_images = [[Row(**fields) for fields in json.loads(line)] for line in lines]
    return {rows[0].content: rows for rows in rows_of_images if rows[0].content}


def _keep(journal: Path, rows: list[Row]) -> None:
    with journal.open("a") as file:
        file.write(json.dumps([asdict(row) for row in rows]) + "\n")
