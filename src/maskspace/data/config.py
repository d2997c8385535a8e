"""What the shards stage reads from params.yaml for one dataset."""

from typing import Literal

from maskspace.config import Choice, section


@section
class SplitConfig:
    """How samples are divided; `val` and `test` are shares of them, in [0, 1).

    "hash" divides by a hash of the key. "source" keeps the source's own division: its train is
    divided in train and val by the hash, its val and test are our test, and `test` is not used.
    """

    mode: Literal["hash", "source"]
    val: float
    test: float

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to train on."""
        if self.val < 0 or self.test < 0 or self.val + self.test >= 1:
            raise ValueError("val and test are shares >= 0 whose sum is below 1")


@section
class ShardsConfig:
    """One dataset: which reader reads what, and what becomes of its masks.

    `root` is a folder or a file under version control, also for the generated datasets: DVC's graph
    wants one. `limit` cuts the dataset short (null: all of it). With `split_components` each mask
    gives one mask per 4-connected component of at least `min_component_area` pixels. `containment`
    is the share of a mask that has to lie in its parent.
    """

    reader: Choice
    root: str
    seed: int
    limit: int | None
    split: SplitConfig
    split_components: bool
    min_component_area: int
    containment: float
    samples_per_shard: int

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        if self.seed < 0 or (self.limit is not None and self.limit < 1):
            raise ValueError("seed is at least 0 and limit at least 1, or null")
        if self.min_component_area < 1 or self.samples_per_shard < 1:
            raise ValueError("min_component_area and samples_per_shard are at least 1")
        if not 0.5 < self.containment <= 1:
            raise ValueError("containment is in (0.5, 1]")
