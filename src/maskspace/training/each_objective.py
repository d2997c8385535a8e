"""The trainings of the stage `objectives`: one for each objective, on the same data and budget.

Peers are trained beside them: other networks, or objectives that train no embedding.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from maskspace.config import Choice
from maskspace.training.config import DistillConfig, ObjectivesConfig
from maskspace.training.embedding_task import make_embedding_task
from maskspace.training.trainings import Training


def objective_trainings(
    recipe: DistillConfig, config: ObjectivesConfig, shards: Path
) -> list[Training]:
    """Return the trainings DATASET/NAME-seedSEED of every seed, dataset, and objective or peer.

    Only the truth teaches. The seeds are the outermost loop, so that every row of the table has one
    result before any has two.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> distill = load_section(DistillConfig, "distill", path=params)
        >>> config = load_section(ObjectivesConfig, "objectives", path=params)
        >>> [each.name for each in objective_trainings(distill, config, Path("shards"))]
        ['rectangles/balls-seed0', 'rectangles/instance_softmax-seed0']
    """
    chosen = {
        name: (Choice(name=name, options=options), recipe.model)
        for name, options in config.objectives.items()
    }
    chosen |= {name: (peer.objective, peer.model) for name, peer in config.peers.items()}
    trainings = []
    for seed in config.seeds:
        optimisation = replace(
            recipe.optimisation.shortened(config.steps, config.validate_every), seed=seed
        )
        base = replace(recipe, teacher_share=0.0, optimisation=optimisation)
        for dataset in config.datasets:
            for name, (objective, model) in chosen.items():
                crops = config.crops.get(dataset, recipe.crops)
                config_of_training = replace(base, data={dataset: 1.0}, model=model, crops=crops)
                trainings.append(
                    Training(
                        name=f"{dataset}/{name}-seed{seed}",
                        make_task=partial(
                            make_embedding_task, objective, config=config_of_training, shards=shards
                        ),
                        optimisation=optimisation,
                        workers=replace(recipe.workers, threads=config.threads),
                        provenance={
                            "stage": "objectives",
                            "data": config_of_training.data,
                            "objective": {"name": objective.name, "options": objective.options},
                            "seed": seed,
                        },
                    )
                )
    return trainings
