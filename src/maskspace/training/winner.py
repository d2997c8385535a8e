"""The winner of the sweep: the objective that the student is trained with, and its decoder."""

import json
from dataclasses import fields, replace
from pathlib import Path

from maskspace.config import Choice, build_section, section
from maskspace.training.config import DistillConfig


@section
class Winner:
    """The winner of the stage `select`.

    Args:
        objective: the objective with its options.
        decoder: reads the outputs (default None: the objective's own).
        learning_rate: the largest rate (default None: that of the recipe).

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> recipe = load_section(DistillConfig, "distill", path=params)
        >>> winner = Winner(objective=Choice(name="balls", options={}), learning_rate=0.01)
        >>> winner.recipe(recipe).optimisation.learning_rate
        0.01
    """

    objective: Choice
    decoder: Choice | None = None
    learning_rate: float | None = None

    def recipe(self, config: DistillConfig) -> DistillConfig:
        """Return the recipe with the winner's learning rate, if the sweep had one."""
        if self.learning_rate is None:
            return config
        optimisation = replace(config.optimisation, learning_rate=self.learning_rate)
        return replace(config, optimisation=optimisation)


def read_winner(path: Path) -> Winner:
    """Return what a winner.json says for the training; ValueError that names the file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "winner.json"
        >>> _ = path.write_text('{"objective": {"name": "balls", "options": {}}, "score": 0.8}')
        >>> read_winner(path).objective.name
        'balls'
    """
    try:
        winner = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; run the stage select") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error}); run the stage select again") from None
    known = {field.name for field in fields(Winner)}
    return build_section(Winner, {k: v for k, v in winner.items() if k in known}, place=str(path))
