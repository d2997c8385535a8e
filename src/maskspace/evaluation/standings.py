"""Compare models that were trained on equal budgets, and methods that need no training.

A contestant on a dataset is one unit of work, kept as it finishes. A model with an embedding is
also decoded by an oracle, which knows the true means. This shows what the embedding is worth,
whatever the model's own decoder does with it.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8

from maskspace.config import Choice, build_section, choose
from maskspace.evaluation.instances import (
    FoundInstances,
    InstanceScore,
    find_instances,
    score_instances,
)
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.files import write_whole
from maskspace.loaded import Segmenter
from maskspace.masks import from_label_map, to_label_map
from maskspace.masks.iou_table import iou_table
from maskspace.models.weights import read_description
from maskspace.objectives import OBJECTIVES
from maskspace.partition import DECODERS
from maskspace.partition.oracle import oracle_decode
from maskspace.partition.readings import readings
from maskspace.partition.resample import resize_maps
from maskspace.types import Prediction, Sample

Loaded = TypeVar("Loaded", bound=Segmenter)

#: Colour differences of neighbours, root of the sum of squares in [0, 1], that part regions.
COLOUR_STEP = 0.15


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model on a dataset.

    dataset, name: the dataset's and the model's.
    seed: of its training; None if it was not trained.
    propose: returns its proposals.
    model: the model; None for a method without one.
    cost: what its training cost.
    readings: label of a change in its decoder -> what proposes with it.

    Example:
        >>> one = Contestant(
        ...     dataset="d",
        ...     name="constant output",
        ...     seed=None,
        ...     propose=whole_image,
        ...     model=None,
        ...     cost={},
        ... )
        >>> len(one.read_as("")(np.zeros((4, 4, 3), np.uint8), limit=10))
        1
    """

    dataset: str
    name: str
    seed: int | None
    propose: Callable[..., Prediction]
    model: Segmenter | None
    cost: Mapping[str, float]
    readings: Mapping[str, Callable[..., Prediction]] = field(default_factory=dict)

    def read_as(self, reading: str) -> Callable[..., Prediction]:
        """Return what proposes by a reading; "" is the model's own."""
        return self.readings[reading] if reading else self.propose


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The figures of a contestant.

    dataset, name, seed, cost: those of the contestant.
    score: its score.
    oracle: mean best IoU of the oracle's instances; None without an embedding.
    reading: the reading by which it was measured; "" is the model's own.

    Example:
        >>> score = InstanceScore(
        ...     mean_best_iou=0.8,
        ...     low=0.7,
        ...     high=0.9,
        ...     average_precision=0.5,
        ...     found=0.6,
        ...     proposals=10.0,
        ...     seconds=0.1,
        ... )
        >>> Standing(dataset="d", name="student", seed=0, score=score, oracle=0.9, cost={}).oracle
        0.9
    """

    dataset: str
    name: str
    seed: int | None
    score: InstanceScore
    oracle: float | None
    cost: Mapping[str, float]
    reading: str = ""


@runtime_checkable
class MapContestants(Protocol):
    """Applies a function to contestants, here or elsewhere; `map` is one.

    Example:
        >>> isinstance(map, MapContestants)
        True
    """

    def __call__(
        self, function: Callable[[Contestant], Standing], units: list[Contestant], /
    ) -> Iterable[Standing]:
        """Return the results in the order of the contestants."""
        ...


def trained(
    folder: Path,
    *,
    seeds: Sequence[int],
    load: Callable[[str], Loaded],
    redecoded: Callable[[Loaded, Choice], Loaded],
    factors: Sequence[float] = (),
) -> list[Contestant]:
    """Return the models NAME-seedSEED in the folder of a dataset.

    A model whose outputs are colours comes twice: read by its merge tree, whose nodes are the
    proposals, and, as `NAME, DECODER`, by the decoder of its objective.

    Args:
        folder: the folder of a dataset.
        seeds: the seeds that count.
        load: loads a model's folder.
        redecoded: returns a model with another decoder.
        factors: what a decoder groups by is also tried times each of these, see `readings`
            (default: none).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "notes").mkdir()  # no NAME-seedSEED
        >>> trained(
        ...     folder, seeds=[0], load=lambda place: None, redecoded=lambda model, decoder: model
        ... )
        []
    """
    contestants = []
    for place in sorted(folder.iterdir()):
        match = re.fullmatch(r"(.+)-seed(\d+)", place.name)
        if match is None or int(match[2]) not in seeds:
            continue
        described = read_description(place)
        model = load(str(place))
        decoder = described["options"]["decoder"]
        if decoder is None:
            chosen = build_section(
                Choice, described["provenance"]["objective"], place=f"{place}: objective"
            )
            decoder = choose(OBJECTIVES, chosen, kind="objective")().decoder
            ways = {match[1]: (model, None), f"{match[1]}, {decoder.name}": (model, decoder)}
        else:
            ways = {match[1]: (model, build_section(Choice, decoder, place=f"{place}: decoder"))}
        cost = json.loads((place / "cost.json").read_text())
        for name, (read, choice) in ways.items():
            choices = {} if choice is None else readings(choice, factors)
            models = {label: redecoded(read, each) for label, each in choices.items()} or {"": read}
            contestants.append(
                Contestant(
                    dataset=folder.name,
                    name=name,
                    seed=int(match[2]),
                    propose=models[""].propose,
                    model=models[""],
                    cost=cost,
                    readings={label: one.propose for label, one in models.items() if label},
                )
            )
    return contestants


def untrained(dataset: str, peers: Mapping[str, Segmenter]) -> list[Contestant]:
    """Return the methods that every training is compared with: one region, colours, the peers.

    Example:
        >>> [one.name for one in untrained("d", {})]
        ['constant output', 'components of colour']
    """
    ways: dict[str, Callable[..., Prediction]] = {
        "constant output": whole_image,
        "components of colour": colour_components,
        **{name: peer.propose for name, peer in peers.items()},
    }
    return [
        Contestant(dataset=dataset, name=name, seed=None, propose=way, model=None, cost={})
        for name, way in ways.items()
    ]


def whole_image(image: UInt8[np.ndarray, "h w 3"], *, limit: int) -> Prediction:
    """Return the whole image as one region: all that a constant output can give.

    Example:
        >>> whole_image(np.zeros((4, 6, 3), np.uint8), limit=10).masks.shape
        (1, 4, 6)
    """
    del limit
    return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))


def colour_components(image: UInt8[np.ndarray, "h w 3"], *, limit: int) -> Prediction:
    """Return the components of neighbouring pixels whose colours differ by less than COLOUR_STEP.

    Example:
        >>> image = np.zeros((4, 4, 3), np.uint8)
        >>> image[:, 2:] = 255  # black and white halves
        >>> len(colour_components(image, limit=10))
        0
    """
    colours = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    regions = DECODERS["components"]({"1": colours}, threshold=COLOUR_STEP)
    return regions.at((image.shape[0], image.shape[1])).ranked(limit=limit)


def measure_standings(
    contestants: Sequence[Contestant],
    datasets: Mapping[str, Sequence[Sample]],
    *,
    min_area: int,
    proposals: int,
    tuning: Mapping[str, Sequence[Sample]] | None = None,
    work: Path | None = None,
    map_contestants: MapContestants = map,
) -> list[Standing]:
    """Return the standings in the order of the contestants.

    A contestant is measured with the reading that has the highest mean best IoU on the samples
    `tuning`; with its own if there are none, or if no other one is better. ValueError if fewer than
    two images of a dataset have masks.

    Args:
        contestants: the contestants.
        datasets: name -> samples.
        min_area: least pixels of a true mask.
        proposals: number of proposals.
        tuning: dataset -> samples on which readings are chosen (default None: each has its own).
        work: folder that keeps finished standings (default None: nothing is kept).
        map_contestants: applies a function to contestants (default `map`).

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> samples = list(read_rectangles("", seed=0, limit=2))
        >>> standings = measure_standings(
        ...     untrained("d", {}), {"d": samples}, min_area=1, proposals=10)
        >>> constant, components = (one.score.mean_best_iou for one in standings)
        >>> constant < components
        True
    """
    unit = partial(
        _measure,
        truths=_truths(datasets, min_area),
        tuning=_truths(tuning or {}, min_area),
        proposals=proposals,
        work=work,
    )
    return list(map_contestants(unit, list(contestants)))


def _truths(datasets: Mapping[str, Sequence[Sample]], min_area: int) -> dict[str, list[Truth]]:
    """Return what is true of the samples that have a mask."""
    return {
        name: [t for s in samples if len((t := read_truth(s, min_area=min_area)).masks)]
        for name, samples in datasets.items()
    }


def _measure(
    contestant: Contestant,
    *,
    truths: Mapping[str, Sequence[Truth]],
    tuning: Mapping[str, Sequence[Truth]],
    proposals: int,
    work: Path | None,
) -> Standing:
    identity = (contestant.dataset, contestant.name, contestant.seed)
    journal = None if work is None else _file(work, identity)
    if journal is not None and journal.is_file():
        stored = json.loads(journal.read_text())
        return Standing(**{**stored, "score": InstanceScore(**stored["score"])})
    images = truths[contestant.dataset]
    reading = _best_reading(contestant, tuning.get(contestant.dataset, ()), proposals)
    standing = Standing(
        dataset=contestant.dataset,
        name=contestant.name,
        seed=contestant.seed,
        score=score_instances(_measured(contestant, reading, images, proposals), seed=0),
        oracle=None if contestant.model is None else _oracle(contestant.model, images),
        cost=contestant.cost,
        reading=reading,
    )
    if journal is not None:
        write_whole(journal, json.dumps(asdict(standing)))
    return standing


def _best_reading(contestant: Contestant, images: Sequence[Truth], most: int) -> str:
    """Return the reading of the highest mean best IoU, of equal ones the first, its own first."""
    if not contestant.readings or not images:
        return ""
    scores = {
        reading: sum(found.best_iou.sum() for found in _measured(contestant, reading, images, most))
        for reading in ("", *contestant.readings)
    }
    return max(scores, key=lambda reading: scores[reading])


def _measured(
    contestant: Contestant, reading: str, images: Sequence[Truth], most: int
) -> list[FoundInstances]:
    propose = partial(contestant.read_as(reading), limit=most)
    return [find_instances(propose, truth, limit=most) for truth in images]


def _file(work: Path, identity: tuple[object, ...]) -> Path:
    name = "-".join(map(str, identity))
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:8]
    return work / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)}-{digest}.json"


def _oracle(model: Segmenter, images: Sequence[Truth]) -> float | None:
    """Return the mean best IoU of the oracle's instances; None for a model without embedding."""
    if "embed" not in model.answers:
        return None
    total, count = 0.0, 0
    for truth in images:
        levels = model.embed(truth.image).levels
        size_hw = truth.image.shape[:2]
        finest = torch.from_numpy(resize_maps(levels[min(levels)], size_hw))
        labels = torch.from_numpy(to_label_map(truth.masks))
        decoded = oracle_decode(finest, labels, bandwidth=math.inf)
        _, masks = from_label_map(decoded.labels)
        total += float(iou_table(masks, truth.masks).max(axis=0, initial=0.0).sum())
        count += len(truth.masks)
    return total / count
