"""Choose among the models of a sweep by what they are used for, not by their losses."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from maskspace.config import Choice, build_section, section
from maskspace.evaluation.config import SelectConfig
from maskspace.evaluation.rows import measure_rows
from maskspace.evaluation.summary import summarize
from maskspace.files import write_whole
from maskspace.loaded import Segmenter
from maskspace.partition.readings import readings
from maskspace.types import MapUnits


@section
class SweepTrial:
    """One trial of a sweep.

    Args:
        trial: name of its model's folder.
        objective: the objective with its options.
        validation_loss: its last validation loss.
        finished: whether it was trained to the end.
        collapsed: whether its output has collapsed (default False).
        point: name of its point; trials of one point differ in their seed alone.
        seed: its seed (default 0).
        learning_rate: the largest rate (default None: the recipe's).
        decoder: reads the outputs in place of the model's own decoder (default None: its own).

    Example:
        >>> objective = Choice(name="balls", options={"radius": 0.1})
        >>> trial = SweepTrial(
        ...     trial="balls", objective=objective, validation_loss=0.5, finished=True
        ... )
        >>> trial.decoder is None  # the outputs are read by the objective's own decoder
        True
    """

    trial: str
    objective: Choice
    validation_loss: float
    finished: bool
    collapsed: bool = False
    point: str = ""
    seed: int = 0
    learning_rate: float | None = None
    decoder: Choice | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """The mean best IoU of a trial.

    trial: the trial.
    score: mean over datasets, by which trials are compared.
    by_dataset: dataset -> mean best IoU.

    Example:
        >>> objective = Choice(name="balls", options={"radius": 0.1})
        >>> scores = [
        ...     Score(
        ...         trial=SweepTrial(
        ...             trial=name, objective=objective, validation_loss=1.0, finished=True
        ...         ),
        ...         score=value,
        ...         by_dataset={"d": value},
        ...     )
        ...     for name, value in (("wide", 0.8), ("narrow", 0.7))
        ... ]
        >>> scores[0].point, scores[0].score
        ('wide', 0.8)
    """

    trial: SweepTrial
    score: float
    by_dataset: Mapping[str, float]

    @property
    def point(self) -> str:
        """Return what trials of other seeds have in common with this one."""
        return self.trial.point or self.trial.trial


def read_sweep_trials(path: Path) -> list[SweepTrial]:
    """Return the trials of a trials.json; other keys are ignored. ValueError names the file.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> trial = {
        ...     "trial": "balls",
        ...     "objective": {"name": "balls", "options": {}},
        ...     "validation_loss": 0.5,
        ...     "finished": True,
        ...     "step": 180,
        ... }
        >>> _ = (folder / "trials.json").write_text(json.dumps([trial]))
        >>> read_sweep_trials(folder / "trials.json")[0].validation_loss
        0.5
    """
    try:
        entries = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; run the stage sweep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error}); run the stage sweep again") from None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: expected a list of trials; run the stage sweep again")
    known = {field.name for field in fields(SweepTrial)}
    return [
        build_section(
            SweepTrial,
            {k: v for k, v in entry.items() if k in known},
            place=f"{path}: trial {index}",
        )
        for index, entry in enumerate(entries)
    ]


def decoder_trials(
    trial: SweepTrial, decoder: Choice | None, factors: Sequence[float]
) -> list[SweepTrial]:
    """Return a trial as it is, and once for each other reading that its decoder has.

    Nothing is trained for these; see `readings`. A model without a decoder is one trial.

    Example:
        >>> objective = Choice(name="balls", options={})
        >>> trial = SweepTrial(
        ...     trial="balls", objective=objective, validation_loss=0.5, finished=True
        ... )
        >>> decoder = Choice(name="mean_shift", options={"bandwidth": 0.5})
        >>> [each.trial for each in decoder_trials(trial, decoder, [2.0])]
        ['balls', 'balls@bandwidth=1']
    """
    if decoder is None:
        return [trial]
    others = [
        replace(
            trial,
            trial=f"{trial.trial}@{label}",
            point=f"{trial.point or trial.trial}@{label}",
            decoder=reading,
        )
        for label, reading in readings(decoder, factors).items()
        if label
    ]
    return [trial, *others]


def rank_trials(
    trials: Iterable[SweepTrial],
    models: Mapping[str, Segmenter],
    datasets: Mapping[str, Sequence],  # of samples; beartype would read some if it knew
    *,
    config: SelectConfig,
    work: Path | None = None,
    map_units: MapUnits = map,
) -> list[Score]:
    """Return the trials, best first; trials whose output has collapsed come last.

    Trials that differ in seed alone are ranked by their mean, then among themselves. Datasets weigh
    the same. Of equal scores the smaller loss comes first, then the name.

    Args:
        trials: the trials.
        models: name of a trial -> its model.
        datasets: name -> samples.
        config: how trials are compared.
        work: folder that keeps finished rows, see `measure_rows` (default None).
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
        >>> objective = Choice(name="balls", options={})
        >>> trials = [
        ...     SweepTrial(trial=name, objective=objective, validation_loss=loss, finished=True)
        ...     for name, loss in (("first", 0.9), ("second", 0.5))
        ... ]
        >>> config = SelectConfig(limit=1, min_area=1, proposals=1, decoder_factors=())
        >>> models = {"first": Whole(), "second": Whole()}
        >>> ranked = rank_trials(trials, models, {"d": samples}, config=config)
        >>> [score.trial.trial for score in ranked]  # a tie goes to the smaller loss
        ['second', 'first']
    """
    settings = config.measured()
    ranking = {name: model.ranking for name, model in models.items()}
    measured = {
        name: summarize(
            measure_rows(name, samples, models, config=settings, work=work, map_units=map_units),
            config=settings,
            ranking=ranking,
        )
        for name, samples in datasets.items()
    }
    scores = [
        _score(trial, {name: m[trial.trial][config.metric] for name, m in measured.items()})
        for trial in trials
    ]
    by_point: dict[str, list[float]] = {}
    for score in scores:
        by_point.setdefault(score.point, []).append(score.score)
    means = {point: sum(values) / len(values) for point, values in by_point.items()}

    def order(score: Score) -> tuple[bool, float, float, float, str]:
        trial = score.trial
        mean = means[score.point]
        return trial.collapsed, -mean, -score.score, trial.validation_loss, trial.trial

    return sorted(scores, key=order)


def _score(trial: SweepTrial, values: Mapping[str, object]) -> Score:
    by_dataset = {name: value for name, value in values.items() if isinstance(value, float)}
    mean = sum(by_dataset.values()) / len(by_dataset)
    return Score(trial=trial, score=mean, by_dataset=by_dataset)


def write_ranking(scores: Sequence[Score], out: Path, *, metric: str) -> None:
    """Write `ranking.csv`, and `winner.json`: what to train, as the winner was, and all scores.

    In `winner.json`, `decoder` and `learning_rate` are null for those of the objective and the
    recipe; `seeds` are the scores of the winner's point.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> objective = Choice(name="balls", options={"radius": 0.1})
        >>> scores = [
        ...     Score(
        ...         trial=SweepTrial(
        ...             trial=name, objective=objective, validation_loss=1.0, finished=True
        ...         ),
        ...         score=value,
        ...         by_dataset={"d": value},
        ...     )
        ...     for name, value in (("wide", 0.8), ("narrow", 0.7))
        ... ]
        >>> write_ranking(scores, folder, metric="mean_best_iou_50")
        >>> json.loads((folder / "winner.json").read_text())["trial"]
        'wide'
    """
    winner = scores[0]
    write_whole(out / "ranking.csv", _ranking_csv(scores, metric))
    described = {
        "trial": winner.trial.trial,
        "objective": asdict(winner.trial.objective),
        "decoder": asdict(winner.trial.decoder) if winner.trial.decoder else None,
        "learning_rate": winner.trial.learning_rate,
        "metric": metric,
        "score": winner.score,
        "collapsed": winner.trial.collapsed,
        "seeds": [score.score for score in scores if score.point == winner.point],
        "trials": [
            {**asdict(score.trial), "score": score.score, "datasets": dict(score.by_dataset)}
            for score in scores
        ],
    }
    write_whole(out / "winner.json", json.dumps(described, indent=2, allow_nan=False) + "\n")


def ranking_table(scores: Sequence[Score]) -> str:
    """Return the ranking in plain text, one line a trial, the winner first.

    Example:
        >>> objective = Choice(name="balls", options={"radius": 0.1})
        >>> scores = [
        ...     Score(
        ...         trial=SweepTrial(
        ...             trial=name, objective=objective, validation_loss=1.0, finished=True
        ...         ),
        ...         score=value,
        ...         by_dataset={"d": value},
        ...     )
        ...     for name, value in (("wide", 0.8), ("narrow", 0.7))
        ... ]
        >>> print(ranking_table(scores).strip())
        wide    0.8000
        narrow  0.7000
    """
    width = max(len(score.trial.trial) for score in scores)
    return "".join(
        f"{score.trial.trial.ljust(width)}  {score.score:.4f}"
        f"{'' if score.trial.finished else '  stopped early'}"
        f"{'  constant output' if score.trial.collapsed else ''}\n"
        for score in scores
    )


def _ranking_csv(scores: Sequence[Score], metric: str) -> str:
    datasets = list(scores[0].by_dataset)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "trial",
            "objective",
            "options",
            metric,
            *datasets,
            "validation_loss",
            "finished",
            "collapsed",
        ]
    )
    for score in scores:
        trial = score.trial
        writer.writerow(
            [
                trial.trial,
                trial.objective.name,
                json.dumps(trial.objective.options, sort_keys=True),
                score.score,
                *(score.by_dataset[name] for name in datasets),
                trial.validation_loss,
                str(trial.finished).lower(),
                str(trial.collapsed).lower(),
            ]
        )
    return text.getvalue()
