"""Mean IoU after one click, for each way of clicking."""

from collections.abc import Iterator

from maskspace.evaluation.config import ClickRun, EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Measure

#: Runs that have a column in the tables: name -> heading, and what is said of where the click is.
SHOWN = {"center": ("mIoU@1", "at the mask's centre"), "random": ("random", "anywhere in the mask")}


def measure_click_iou(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `miou_at_1_RUN`, a mean over masks.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> [measure.name for measure in measure_click_iou(config)][0]
        'miou_at_1_center'
    """
    yield from map(_of_run, config.interactive.runs)


def _of_run(run: ClickRun) -> Measure:
    heading, place = SHOWN.get(run.name, ("", f"of the run {run.name}"))
    name = f"miou_at_1_{run.name}"
    return Measure(
        name=name,
        question="click",
        run=run.name,
        of_image=lambda ious, truth: ious,
        figures=(
            Figure(
                name=name,
                title=heading,
                explained=f"mean IoU over masks after one click {place}.",
            ),
        ),
    )
