"""What the register stage reads from params.yaml."""

from typing import Literal

from maskspace.config import section

#: Regions of a served answer when the caller does not say.
REGIONS = 24


@section
class PromotionMetric:
    """What versions are compared by: metric `name`, its mean over `datasets`; larger is better.

    Example:
        >>> PromotionMetric(datasets=("bsds500",), name="mean_best_iou_50").name
        'mean_best_iou_50'
    """

    datasets: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        """Refuse a mean over nothing."""
        if not self.datasets:
            raise ValueError("datasets: name one or more; the mean is over them")


@section
class RegisterConfig:
    """Section `register`: the registered model's name and what decides on its promotion.

    Args:
        model_name: what the registry calls the model.
        metric: what versions are compared by.
        promote: "own" lets a better version become champion, unless the run is an experiment of
            DVC, or of a profile in a store that others share; "always" in those too; "never" in
            none.

    Example:
        >>> metric = PromotionMetric(datasets=("bsds500",), name="mean_best_iou_50")
        >>> RegisterConfig(model_name="student", metric=metric).promote
        'own'
    """

    model_name: str
    metric: PromotionMetric
    promote: Literal["own", "always", "never"] = "own"
