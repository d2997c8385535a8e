"""Choose among the models of a sweep by what they are for, not by their losses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from maskspace.config import Choice, section
from maskspace.evaluation.config import EvaluateConfig, SelectConfig
from maskspace.evaluation.model import Model
from maskspace.evaluation.rows import MapUnits, measure_rows
from maskspace.evaluation.summary import summarize
from maskspace.types import Sample


@section
class Trial:
    """One trial of a sweep: the name of its model's folder, its objective and its own loss."""

    trial: str
    objective: Choice
    validation_loss: float
    finished: bool


@dataclass(frozen=True, kw_only=True)
class Score:
    """A trial's mean best IoU on each dataset, and the mean over datasets: what is compared."""

    trial: Trial
    score: float
    by_dataset: Mapping[str, float]


def rank_trials(
    trials: Iterable[Trial],
    models: Mapping[str, Model],
    datasets: Mapping[str, Iterable[Sample]],
    *,
    config: SelectConfig,
    work: Path | None = None,
    map_units: MapUnits = map,
) -> list[Score]:
    """Return the trials, best first; ties go to the smaller loss, then to the name.

    `models` holds each trial's model by its folder's name; datasets weigh the same.
    """
    settings = EvaluateConfig(
        limit=config.limit,
        min_area=config.min_area,
        proposal_counts=(config.proposals,),
        recall_counts=(),
        click_thresholds=(),
        click_seed=0,
        collapse_std=0.0,
        gallery_images=0,
    )
    ranking = {name: model.ranking for name, model in models.items()}
    measured = {
        name: summarize(
            measure_rows(name, samples, models, config=settings, work=work, map_units=map_units),
            config=settings,
            ranking=ranking,
        )
        for name, samples in datasets.items()
    }
    metric = f"mean_best_iou_{config.proposals}"
    scores = []
    for trial in trials:
        values = {name: models[trial.trial][metric] for name, models in measured.items()}
        by_dataset = {name: value for name, value in values.items() if isinstance(value, float)}
        score = sum(by_dataset.values()) / len(by_dataset)
        scores.append(Score(trial=trial, score=score, by_dataset=by_dataset))
    return sorted(scores, key=lambda s: (-s.score, s.trial.validation_loss, s.trial.trial))
