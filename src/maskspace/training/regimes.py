"""The trainings of the stage `regimes`: the clicker's recipe with one regime or loss changed."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from maskspace.training.click_task import make_click_task
from maskspace.training.config import ClickerConfig, Regime, RegimesConfig
from maskspace.training.trainings import Training


def regime_trainings(clicker: ClickerConfig, config: RegimesConfig, shards: Path) -> list[Training]:
    """Return the trainings DATASET/REGIME: the shortened recipe, changed by each regime.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> clicker = load_section(ClickerConfig, "clicker", path=params)
        >>> config = load_section(RegimesConfig, "regimes", path=params)
        >>> [each.name for each in regime_trainings(clicker, config, Path("shards"))][:2]
        ['scenes/one-click', 'scenes/many-clicks']
    """
    optimisation = clicker.optimisation.shortened(config.steps, config.validate_every)
    workers = replace(clicker.workers, threads=config.threads)
    base = replace(clicker, optimisation=optimisation)
    return [
        Training(
            name=f"{dataset}/{name}",
            make_task=partial(
                make_click_task, _changed(replace(base, data={dataset: 1.0}), regime), shards
            ),
            optimisation=optimisation,
            workers=workers,
            provenance={"stage": "regimes", "data": {dataset: 1.0}, "regime": name},
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
