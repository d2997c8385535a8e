"""The clicker's recipe with one thing changed at a time, on the same budget: regimes and losses."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from maskspace.training.click_task import make_click_task
from maskspace.training.config import ClickerConfig, Regime, RegimesConfig
from maskspace.training.export import export_training
from maskspace.training.loop import Worker, fit
from maskspace.training.progress import followed


@dataclass(frozen=True)
class Trial:
    """One regime on one dataset; `name` is that of its folders."""

    dataset: str
    regime: str
    config: ClickerConfig

    @property
    def name(self) -> str:
        """Return DATASET/REGIME."""
        return f"{self.dataset}/{self.regime}"


@runtime_checkable
class MapTrials(Protocol):
    """Apply a function to trials, here or elsewhere; `map` is one."""

    def __call__(self, function: Callable[[Trial], str], units: list[Trial], /) -> Iterable[str]:
        """Return the results in the order of the trials."""
        ...


def regime_trials(clicker: ClickerConfig, config: RegimesConfig) -> list[Trial]:
    """Return every regime on every dataset: the clicker's recipe, shortened, with its changes."""
    optimisation = clicker.optimisation.shortened(config.steps, config.validate_every)
    return [
        Trial(
            dataset=dataset,
            regime=name,
            config=_changed(
                replace(clicker, data={dataset: 1.0}, optimisation=optimisation), regime
            ),
        )
        for dataset in config.datasets
        for name, regime in config.regimes.items()
    ]


def _changed(base: ClickerConfig, regime: Regime) -> ClickerConfig:
    return replace(
        base,
        clicks=regime.clicks,
        rounds=regime.rounds,
        losses=regime.losses,
        levels=regime.levels,
        crops=replace(base.crops, augment=regime.augment),
        pseudo_share=regime.pseudo_share,
    )


def train_regimes(
    trials: list[Trial],
    shards: Path,
    run: Path,
    out: Path,
    *,
    threads: int,
    map_trials: MapTrials = map,
) -> None:
    """Write `out/DATASET/REGIME`, a model's folder each; progress is kept under `run`."""
    unit = partial(
        _train, shards=shards.resolve(), run=run.resolve(), out=out.resolve(), threads=threads
    )
    with followed({t.name: run / t.name for t in trials}, trials[0].config.optimisation):
        for _ in map_trials(unit, trials):
            pass


def _train(trial: Trial, *, shards: Path, run: Path, out: Path, threads: int) -> str:
    torch.set_num_threads(threads)
    config = trial.config
    task = make_click_task(config, shards)
    device = torch.device("cuda" if config.workers.gpu else "cpu")
    worker = Worker(loaders=config.workers.loaders, device=device)
    fit(task, config.optimisation, run / trial.name, worker=worker)
    provenance = {"stage": "regimes", "data": config.data, "regime": trial.regime}
    export_training(task, run / trial.name, out / trial.name, provenance=provenance)
    return trial.name
