"""The points of a sweep: every combination of the values in params.yaml, or Optuna's suggestions.

Optuna's tree-structured Parzen estimator: Bergstra et al. 2011; Akiba et al. 2019,
arXiv 1907.10902.
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from maskspace.config import Choice
from maskspace.training.config import SweepConfig


@dataclass(frozen=True)
class Trial:
    """One training of a sweep.

    name: that of its folder.
    objective: what it is trained for.
    learning_rate: the largest rate (default None: that of the recipe).
    seed: the seed (default 0).
    point: name of its point in the search space; trials of one point differ in their seed alone.

    Example:
        >>> Trial(name="pull-seed1", objective=Choice(name="pull", options={}), seed=1).seed
        1
    """

    name: str
    objective: Choice
    learning_rate: float | None = None
    seed: int = 0
    point: str = ""


@runtime_checkable
class Suggest(Protocol):
    """The part of an Optuna trial that suggests values.

    Example:
        >>> class First:
        ...     def suggest_categorical(self, name, choices):
        ...         return choices[0]
        ...
        ...     def suggest_float(self, name, low, high, *, log):
        ...         return low
        >>> isinstance(First(), Suggest)
        True
    """

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """Return one of the choices."""
        ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Return a number between two."""
        ...


def trials(config: SweepConfig) -> list[Trial]:
    """Return every combination of values, in the order of params.yaml.

    Each objective has its own options. Seeds change fastest, then learning rates.

    Example:
        >>> from maskspace.training.config import Workers
        >>> sweep = SweepConfig(
        ...     objectives={"pull": {"margin": (0.5, 1.0)}},
        ...     learning_rates=(),
        ...     seeds=(0, 1),
        ...     search="grid",
        ...     points=1,
        ...     scheduler="fifo",
        ...     steps=10,
        ...     grace_steps=1,
        ...     reduction_factor=2,
        ...     validate_every=5,
        ...     concurrent=1,
        ...     workers=Workers(number=1, threads=1, loaders=0, gpu=False),
        ... )
        >>> [trial.name for trial in trials(sweep)]
        ['pull-margin0.5-seed0', 'pull-margin0.5-seed1', 'pull-margin1-seed0', 'pull-margin1-seed1']
    """
    rates: Sequence[float | None] = config.learning_rates or (None,)
    return [
        trial
        for name, options in config.objectives.items()
        for values in itertools.product(*options.values())
        for rate in rates
        for trial in seeded(
            Choice(name=name, options=dict(zip(options, values, strict=True))), rate, config.seeds
        )
    ]


def seeded(
    objective: Choice, rate: float | None, seeds: Sequence[int], *, suffix: str = ""
) -> list[Trial]:
    """Return the trials of one point, one a seed.

    Example:
        >>> objective = Choice(name="pull", options={"margin": 0.5})
        >>> [trial.name for trial in seeded(objective, 0.001, [0, 1])]
        ['pull-margin0.5-rate0.001-seed0', 'pull-margin0.5-rate0.001-seed1']
    """
    parts = [
        objective.name,
        *(f"{key}{as_name(value)}" for key, value in objective.options.items()),
    ]
    point = "-".join(parts + ([] if rate is None else [f"rate{rate:g}"])) + suffix
    return [
        Trial(
            name=point if len(seeds) == 1 else f"{point}-seed{seed}",
            objective=objective,
            learning_rate=rate,
            seed=seed,
            point=point,
        )
        for seed in seeds
    ]


def as_name(value: object) -> str:
    """Return an option's value as part of a folder's name.

    Example:
        >>> as_name(0.50), as_name({"4": 1.0}), as_name("a b")
        ('0.5', '4x1', 'a_b')
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "_".join(f"{key}x{as_name(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return "_".join(as_name(one) for one in value)
    return re.sub(r"[^A-Za-z0-9.]+", "_", str(value))


@dataclass(frozen=True)
class Suggested:
    """Optuna's search space: a call takes a point and returns its trials as a Tune config.

    Numbers lie between the least and the largest of their values, with four digits; on a
    logarithmic scale if all are above 0. Other values are one of those given. Suggestions are
    written to `ledger`, so that a killed sweep begins again with the same points.

    Example:
        >>> from maskspace.training.config import Workers
        >>> sweep = SweepConfig(
        ...     objectives={"pull": {"margin": (0.5, 1.0)}},
        ...     learning_rates=(),
        ...     seeds=(0, 1),
        ...     search="grid",
        ...     points=1,
        ...     scheduler="fifo",
        ...     steps=10,
        ...     grace_steps=1,
        ...     reduction_factor=2,
        ...     validate_every=5,
        ...     concurrent=1,
        ...     workers=Workers(number=1, threads=1, loaders=0, gpu=False),
        ... )
        >>> class First:
        ...     def suggest_categorical(self, name, choices):
        ...         return choices[0]
        ...
        ...     def suggest_float(self, name, low, high, *, log):
        ...         return low
        >>> import tempfile
        >>> ledger = Path(tempfile.mkdtemp()) / "points.jsonl"
        >>> point = Suggested(sweep, ledger)(First())
        >>> [trial.name for trial in read_trials(point["trials"])]
        ['pull-margin0.5-seed0', 'pull-margin0.5-seed1']
        >>> read_ledger(ledger)[0]["parameters"]
        {'objective': 'pull', 'pull.margin': 0.5}
    """

    config: SweepConfig
    ledger: Path
    seen: list[str] = field(default_factory=list)

    def __call__(self, trial: Suggest) -> dict[str, str]:
        """Return `{"trials": JSON of the point's trials}`; a repeated point gets its own name."""
        parameters: dict[str, Any] = {}
        name = self._one_of(trial, "objective", list(self.config.objectives), parameters)
        options = {
            option: self._value(trial, f"{name}.{option}", values, parameters)
            for option, values in self.config.objectives[name].items()
        }
        rate = None
        if self.config.learning_rates:
            rate = self._value(trial, "learning_rate", self.config.learning_rates, parameters)
        objective = Choice(name=name, options=options)
        point = seeded(objective, rate, (0,))[0].point
        repetition = self.seen.count(point)
        suffix = f"-again{repetition}" if repetition else ""
        text = json.dumps(
            [asdict(t) for t in seeded(objective, rate, self.config.seeds, suffix=suffix)]
        )
        if len(self.seen) >= len(read_ledger(self.ledger)):
            self.ledger.parent.mkdir(parents=True, exist_ok=True)
            with self.ledger.open("a") as file:
                file.write(json.dumps({"parameters": parameters, "trials": text}) + "\n")
        self.seen.append(point)
        return {"trials": text}

    def _value(
        self, trial: Suggest, name: str, values: Sequence[Any], parameters: dict[str, Any]
    ) -> Any:
        if all(isinstance(v, float) for v in values):
            low, high = min(values), max(values)
            parameters[name] = trial.suggest_float(name, low, high, log=low > 0)
            return min(max(float(f"{parameters[name]:.4g}"), low), high)
        texts = [json.dumps(value) for value in values]
        return json.loads(self._one_of(trial, name, texts, parameters))

    def _one_of(
        self, trial: Suggest, name: str, choices: Sequence[str], parameters: dict[str, Any]
    ) -> str:
        parameters[name] = trial.suggest_categorical(name, choices)
        return parameters[name]


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """Return the suggestions so far: `parameters` for Optuna, and the `trials` of each point.

    Example:
        >>> import tempfile
        >>> ledger = Path(tempfile.mkdtemp()) / "points.jsonl"
        >>> read_ledger(ledger)
        []
        >>> _ = ledger.write_text(
        ...     json.dumps({"parameters": {"objective": "pull"}, "trials": "[]"}) + chr(10)
        ... )
        >>> read_ledger(ledger)[0]["parameters"]
        {'objective': 'pull'}
    """
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def read_trials(text: str) -> list[Trial]:
    """Return the trials of a point from a Tune config.

    Example:
        >>> point = json.dumps(
        ...     [asdict(t) for t in seeded(Choice(name="pull", options={}), None, [0, 1])]
        ... )
        >>> [trial.seed for trial in read_trials(point)]
        [0, 1]
    """
    return [Trial(**{**one, "objective": Choice(**one["objective"])}) for one in json.loads(text)]


def chosen_trial(config: Mapping[str, Any]) -> Trial:
    """Return the trial of a Tune config; of a point with several seeds, Tune's Repeater chooses it.

    Example:
        >>> point = json.dumps(
        ...     [asdict(t) for t in seeded(Choice(name="pull", options={}), None, [0, 1])]
        ... )
        >>> chosen_trial({"trials": point}).name
        'pull-seed0'
        >>> chosen_trial({"trials": point, "__trial_index__": 1}).name
        'pull-seed1'
    """
    return read_trials(config["trials"])[config.get("__trial_index__", 0)]
