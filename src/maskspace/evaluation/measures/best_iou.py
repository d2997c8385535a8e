"""Mean best IoU of the first N proposals, for each number N of the protocol."""

from collections.abc import Iterator

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Measure
from maskspace.evaluation.metric_names import CURVE
from maskspace.evaluation.ranked_proposals import Proposed
from maskspace.evaluation.truth import Truth
from maskspace.metrics.best_iou import best_iou as best_iou_of_table

#: Numbers of proposals that have a column in the tables.
SHOWN = (10, 50)


def measure_best_iou(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `mean_best_iou_N`, a mean over masks, and how many proposals there were.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> [measure.name for measure in measure_best_iou(config)][-2:]
        ['mean_best_iou_100', 'proposals']
    """
    for count in config.proposal_counts:

        def of_image(proposed: Proposed, truth: Truth, *, count: int = count) -> list[float]:
            del truth
            return best_iou_of_table(proposed.iou, [count])[0].tolist()

        yield Measure(
            name=f"{CURVE}_{count}",
            question="propose",
            of_image=of_image,
            figures=(
                Figure(
                    name=f"{CURVE}_{count}",
                    title=f"best@{count}" if count in SHOWN else "",
                    explained=f"mean over masks of the best IoU among the first {count} proposals.",
                    curve=CURVE,
                    at=count,
                ),
            ),
        )
    yield Measure(
        name="proposals",
        question="propose",
        of_image=lambda proposed, truth: [float(len(proposed.iou))],
        figures=(Figure(name="proposals", interval=False),),
    )
