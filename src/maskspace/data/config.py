"""What the stage `shards` reads from params.yaml for one dataset."""

from typing import Literal

from maskspace.config import Choice, section


@section
class SplitConfig:
    """How samples are divided into train, val and test.

    Args:
        mode: "hash" divides by a hash of a sample's group, or of its key if the source has no
            groups. "source" keeps the source's own train, val and test. A mapping from the source's
            splits to ours, such as {train: train, val: test}, does so under other names.
        val: share of val, in [0, 1). In the last two modes it is taken from train by the hash, and
            only if the source has no val.
        test: share of test, in [0, 1); in the last two modes as for `val`.

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
    """The size of a shard to aim at.

    Args:
        bytes: the size, >= 1.

    Example:
        >>> ShardBytes(bytes=2**28).bytes
        268435456
    """

    bytes: int

    def __post_init__(self) -> None:
        """Refuse a size below 1."""
        if self.bytes < 1:
            raise ValueError("bytes is at least 1")


@section
class ShardsConfig:
    """One dataset: how it is read, and what becomes of its masks.

    Args:
        reader: one of READERS with its options.
        root: folder, file or URL of the dataset, on which the stage depends; for generated datasets
            a file under version control.
        seed: of generated datasets, >= 0.
        limit: samples at most; null: all.
        split: how samples are divided.
        split_components: whether each mask becomes one mask for each 4-connected component.
        min_component_area: least pixels of a component, >= 1.
        containment: share of a mask that must lie in its parent, in (0.5, 1].
        samples_per_shard: a number, >= 1, or {bytes: N} for as many as make up N bytes; that number
            is estimated once, from 32 samples spread over the source.
        repack: whether images are copied into the shards. With false a shard holds records that
            point to the images in `root`, for readers that know where these are.
        store: where the shards are written: "." beside the manifest, else a folder or a URL in
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
