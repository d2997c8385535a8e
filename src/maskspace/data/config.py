"""What the shards stage reads from params.yaml for one dataset."""

from typing import Literal

from maskspace.config import Choice, section


@section
class SplitConfig:
    """How samples are divided; `val` and `test` are shares of them, in [0, 1).

    "hash" divides by a hash of the group of a sample, or of its key where the source has no groups.
    "source" keeps the source's own train, val and test; a mapping from the source's splits to ours,
    such as {train: train, val: test}, does so under other names. With either, the shares count
    where the source has no val, or no test: then they are taken by the hash from its train.

    Example:
        >>> SplitConfig(mode="hash", val=0.1, test=0.1).test
        0.1
        >>> SplitConfig(mode={"train": "train", "val": "test"}, val=0.1, test=0.0).mode["val"]
        'test'
    """

    mode: Literal["hash", "source"] | dict[str, Literal["train", "val", "test"]]
    val: float
    test: float

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to train on."""
        if self.val < 0 or self.test < 0 or self.val + self.test >= 1:
            raise ValueError("val and test are shares >= 0 whose sum is below 1")


@section
class ShardBytes:
    """The size to aim at for a shard, in bytes.

    Example:
        >>> ShardBytes(bytes=2**28).bytes
        268435456
    """

    bytes: int

    def __post_init__(self) -> None:
        """Refuse what is no size."""
        if self.bytes < 1:
            raise ValueError("bytes is at least 1")


@section
class ShardsConfig:
    """One dataset: which reader reads what, and what becomes of its masks.

    `root` is a folder, a file or a URL that the stage graph depends on; for the generated datasets
    a file under version control. `limit` cuts the dataset short (null: all of it). With
    `split_components` each mask gives one mask per 4-connected component of at least
    `min_component_area` pixels. `containment` is the share of a mask that has to lie in its parent.

    `samples_per_shard` is a number, or {bytes: N} for as many as make up N bytes: their number is
    found once, from 32 samples spread over the source. With `repack: false` images are not copied:
    a shard holds records, which point to the images in `root`, for readers that know where these
    lie. `store` is where the shards are written: "." beside the manifest, else a folder or a URL in
    which they get a folder of their own.

    Example:
        >>> config = ShardsConfig(
        ...     reader=Choice(name="rectangles", options={}),
        ...     root="params.yaml",
        ...     seed=0,
        ...     limit=100,
        ...     split=SplitConfig(mode="hash", val=0.1, test=0.1),
        ...     split_components=False,
        ...     min_component_area=1,
        ...     containment=0.95,
        ...     samples_per_shard=50,
        ...     repack=True,
        ...     store=".",
        ... )
        >>> config.reader.name
        'rectangles'
    """

    reader: Choice
    root: str
    seed: int
    limit: int | None
    split: SplitConfig
    split_components: bool
    min_component_area: int
    containment: float
    samples_per_shard: int | ShardBytes
    repack: bool
    store: str

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        if self.seed < 0 or (self.limit is not None and self.limit < 1):
            raise ValueError("seed is at least 0 and limit at least 1, or null")
        samples = self.samples_per_shard
        if self.min_component_area < 1 or (isinstance(samples, int) and samples < 1):
            raise ValueError("min_component_area and samples_per_shard are at least 1")
        if not 0.5 < self.containment <= 1:
            raise ValueError("containment is in (0.5, 1]")
