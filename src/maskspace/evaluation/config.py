"""What evaluation reads from params.yaml."""

from maskspace.config import section


@section
class EvaluateConfig:
    """How models are measured.

    `limit` images of each dataset at most (None: all); truths of fewer than `min_area` pixels are
    left out; budgets `proposal_counts` of the curve and `recall_counts` of COCO's AR; clicked masks
    are cut where the probability exceeds each of `click_thresholds` (none: no click is asked);
    `click_seed` draws the random clicks; features whose standard deviation is below `collapse_std`
    are a constant output; the gallery shows the first `gallery_images` of each dataset.
    """

    limit: int | None
    min_area: int
    proposal_counts: tuple[int, ...]
    recall_counts: tuple[int, ...]
    click_thresholds: tuple[float, ...]
    click_seed: int
    collapse_std: float
    gallery_images: int

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.proposal_counts:
            raise ValueError("proposal_counts: the curve needs one budget or more")
        for name in ("proposal_counts", "recall_counts"):
            counts = getattr(self, name)
            if any(count < 1 for count in counts) or sorted(set(counts)) != list(counts):
                raise ValueError(f"{name}: budgets are 1 or more and ascending; got {counts}")
        if any(not 0 < threshold < 1 for threshold in self.click_thresholds):
            raise ValueError(f"click_thresholds: each in (0, 1); got {self.click_thresholds}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit: 1 or more images, or null for all; got {self.limit}")

    @property
    def proposal_limit(self) -> int:
        """Return the number of proposals that every budget can be answered from."""
        return max(*self.proposal_counts, *self.recall_counts, 1)

    @property
    def headline_count(self) -> int:
        """Return the budget of the per-image table and the scatter: 50, or the largest there is."""
        return 50 if 50 in self.proposal_counts else max(self.proposal_counts)


@section
class SelectConfig:
    """How trials are compared: mean best IoU of `proposals` proposals on the validation split."""

    limit: int | None
    min_area: int
    proposals: int

    @property
    def metric(self) -> str:
        """Return the name of the metric that decides."""
        return f"mean_best_iou_{self.proposals}"

    def measured(self) -> EvaluateConfig:
        """Return the settings that measure this metric and no other."""
        return EvaluateConfig(
            limit=self.limit,
            min_area=self.min_area,
            proposal_counts=(self.proposals,),
            recall_counts=(),
            click_thresholds=(),
            click_seed=0,
            collapse_std=0.0,
            gallery_images=0,
        )
