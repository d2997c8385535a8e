"""The expectations by name, and the suite of each dataset kind: which of them hold there.

An expectation looks at one of five tables: `shards`; `records` (all, readable or not); `images`
(readable records); `masks`; `dataset` (readable records, each compared with all others).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from maskspace.data.expectations.measures import Columns

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

Severity = Literal["error", "warning"]
TABLES = ("shards", "records", "images", "masks", "dataset")

#: The bounds of expectations: name in params.yaml or in the manifest -> number.
Bounds = Mapping[str, Any]

#: Makes an expectation: `great_expectations.expectations`, bounds -> expectation.
Build: TypeAlias = "Callable[[Any, Bounds], Expectation]"

#: Columns of some rows, bounds -> how far each row is from what is expected; larger is worse.
Excess: TypeAlias = Callable[[Columns, Bounds], np.ndarray]


@dataclass(frozen=True)
class Expected:
    """What Great Expectations checks in one table.

    table: name of the table, one of TABLES.
    severity: "error" or "warning", where `validate.severities` does not say otherwise.
    columns: the columns that are looked at.
    build: makes the expectation, see `Build`.
    excess: says how far rows are from what is expected, see `Excess`.

    Example:
        >>> expected = EXPECTATIONS["scores are in [0, 1]"]
        >>> expected.table, expected.severity, expected.columns
        ('masks', 'error', ('score',))
        >>> expected.excess({"score": np.array([0.5, 3.0])}, {}).tolist()  # above 0: out of bounds
        [-0.5, 2.0]
    """

    table: str
    severity: Severity
    columns: tuple[str, ...]
    build: "Build"
    excess: Excess


_Check: TypeAlias = "tuple[tuple[str, ...], Build, Excess]"


def _true(column: str) -> "_Check":
    """Return what checks "the column is true"."""
    return (
        (column,),
        lambda gx, _: gx.ExpectColumnValuesToBeInSet(column=column, value_set=[True]),
        lambda columns, _: np.zeros(len(columns[column])),
    )


def _equal(first: str, second: str) -> "_Check":
    """Return what checks "both columns are equal"."""

    def excess(columns: Columns, _: Bounds) -> np.ndarray:
        values = columns[first], columns[second]
        if all(column.dtype.kind in "iuf" for column in values):
            return np.abs(values[0].astype(float) - values[1].astype(float))
        return np.zeros(len(values[0]))

    return (
        (first, second),
        lambda gx, _: gx.ExpectColumnPairValuesToBeEqual(column_A=first, column_B=second),
        excess,
    )


def _within(column: str, low: str | int | None = None, high: str | int | None = None) -> "_Check":
    """Return what checks "the column is in [low, high]"; a string is the name of a bound."""

    def ends(bounds: Bounds) -> tuple[Any, Any]:
        values = [bounds[end] if isinstance(end, str) else end for end in (low, high)]
        return values[0], values[1]

    def build(gx: Any, bounds: Bounds) -> "Expectation":
        least, most = ends(bounds)
        return gx.ExpectColumnValuesToBeBetween(column=column, min_value=least, max_value=most)

    def excess(columns: Columns, bounds: Bounds) -> np.ndarray:
        least, most = ends(bounds)
        values = columns[column].astype(float)
        below = -np.inf if least is None else least - values
        above = -np.inf if most is None else values - most
        return np.maximum(below, above)

    return (column,), build, excess


def _alone(column: str) -> "_Check":
    """Return what checks "the column names no other record or mask": it is -1."""
    columns, build, _ = _within(column, high=-1)
    return columns, build, lambda table, _: np.zeros(len(table[column]))


#: Every expectation by its name in reports and in `validate.severities`.
EXPECTATIONS: Mapping[str, Expected] = {
    "the tar is whole and safe": Expected("shards", "error", *_true("whole")),
    "samples as the manifest says": Expected(
        "shards", "error", *_equal("samples", "listed_samples")
    ),
    "masks as the manifest says": Expected("shards", "error", *_equal("masks", "listed_masks")),
    "bytes as the manifest says": Expected("shards", "error", *_equal("bytes", "listed_bytes")),
    "sha256 as the manifest says": Expected("shards", "error", *_equal("sha256", "listed_sha256")),
    "the sidecar is that of the shard": Expected("shards", "error", *_true("sidecar")),
    "the record has the schema": Expected("records", "error", *_true("readable")),
    "the key can name a file": Expected("images", "error", *_true("key_is_safe")),
    "the record is of this dataset": Expected("images", "error", *_true("of_this_dataset")),
    "the licence is present": Expected("images", "error", *_true("has_licence")),
    "the source is present": Expected("images", "error", *_true("has_source")),
    "the image is the record's": Expected("images", "error", *_true("unchanged")),
    "the image decodes": Expected("images", "error", *_true("decodes")),
    "the extension is the image's format": Expected("images", "error", *_true("format_as_named")),
    "the image has the masks' height": Expected(
        "images", "error", *_equal("image_height", "height")
    ),
    "the image has the masks' width": Expected("images", "error", *_equal("image_width", "width")),
    "height within bounds": Expected("images", "error", *_within("height", "min_side", "max_side")),
    "width within bounds": Expected("images", "error", *_within("width", "min_side", "max_side")),
    "the image is not of one colour": Expected(
        "images", "warning", *_within("contrast", "min_contrast")
    ),
    "number of masks within bounds": Expected(
        "images", "error", *_within("masks", "min_masks", "max_masks")
    ),
    "ids run from 1 to n": Expected("images", "error", *_true("ids_run")),
    "parents make no circle": Expected("images", "error", *_true("nest_ends")),
    "the nest is shallow enough": Expected(
        "images", "warning", *_within("depth", high="max_depth")
    ),
    "masks of a layer are disjoint": Expected("images", "error", *_within("overlap", high=0)),
    "masks cover the image": Expected("images", "error", *_within("coverage", "least_coverage")),
    "exactly one mask is counted": Expected("images", "error", *_within("counted", 1, 1)),
    "scores are the source's own": Expected("images", "warning", *_true("scores_vary")),
    "ids are unique in a record": Expected("masks", "error", *_true("id_is_unique")),
    "ids start at 1": Expected("masks", "error", *_within("id", 1)),
    "scores are in [0, 1]": Expected("masks", "error", *_within("score", 0, 1)),
    "run lengths fit the image": Expected("masks", "error", *_true("fits")),
    "run lengths are canonical": Expected("masks", "error", *_true("canonical")),
    "area is that of the run lengths": Expected("masks", "error", *_equal("area", "counted_area")),
    "the mask is not empty": Expected("masks", "error", *_within("counted_area", 1)),
    "the mask is large enough": Expected("masks", "error", *_within("area", "min_area")),
    "the mask is not the whole image": Expected("masks", "warning", *_true("has_outside")),
    **{
        f"the box is tight: {side}": Expected(
            "masks", "error", *_equal(f"box_{side}", f"tight_{side}")
        )
        for side in ("x", "y", "columns", "rows")
    },
    "the box counts pixels, not corners": Expected("masks", "error", *_true("counts_pixels")),
    "the parent exists": Expected("masks", "error", *_true("parent_known")),
    "the parent contains it": Expected("masks", "error", *_within("inside_parent", "containment")),
    "the parent is larger": Expected("masks", "error", *_true("parent_is_larger")),
    "the mask is in its layer once": Expected("masks", "error", *_alone("copy_of")),
    "the mask has no near copy": Expected("masks", "warning", *_alone("near_copy_of")),
    "the key is in one record": Expected("dataset", "error", *_alone("same_key")),
    "the image is in one split": Expected("dataset", "error", *_alone("image_in_later_split")),
    "the image is in its split once": Expected("dataset", "warning", *_alone("image_in_split")),
    "no near copy of the image in another split": Expected(
        "dataset", "warning", *_alone("near_in_later_split")
    ),
    "no near copy of the image in its split": Expected(
        "dataset", "warning", *_alone("near_in_split")
    ),
    "the group is in one split": Expected("dataset", "error", *_alone("group_in_later_split")),
    "not unusually few masks": Expected("dataset", "warning", *_within("z_masks", low="lowest_z")),
    "not unusually many masks": Expected(
        "dataset", "warning", *_within("z_masks", high="highest_z")
    ),
    "no mask is unusually small": Expected(
        "dataset", "warning", *_within("z_smallest", low="lowest_z")
    ),
    "no mask is unusually large": Expected(
        "dataset", "warning", *_within("z_largest", high="highest_z")
    ),
    "the image is not unusually small": Expected(
        "dataset", "warning", *_within("z_pixels", low="lowest_z")
    ),
    "the image is not unusually large": Expected(
        "dataset", "warning", *_within("z_pixels", high="highest_z")
    ),
}

_DISJOINT = ("masks of a layer are disjoint",)
_COVERING = (*_DISJOINT, "masks cover the image")
_SINGLE = ("exactly one mask is counted",)

#: Dataset kind -> expectations that hold for it, and not for every kind.
KINDS: Mapping[str, tuple[str, ...]] = {
    "bsds500": _COVERING,
    "camvid": _DISJOINT,
    "coco": (),
    "coco_lvis": (),
    "coco_panoptic": _COVERING,
    "davis": _DISJOINT,
    "davis_interactive": _SINGLE,
    "dsb2018": _DISJOINT,
    "folder": (),
    "grabcut": _SINGLE,
    "hqseg44k": _SINGLE,
    "hypersim": _COVERING,
    "mosaics": _COVERING,
    "rectangles": _DISJOINT,
    "sa1b": ("the box counts pixels, not corners", "scores are the source's own"),
    "sav": (),
    "scenes": (),
}

#: Dataset kind -> expectations that hold for all kinds but this one.
EXEMPT: Mapping[str, tuple[str, ...]] = {
    # successive frames of one camera look alike
    **dict.fromkeys(
        ("camvid", "davis", "davis_interactive", "hypersim", "sav"),
        ("no near copy of the image in its split",),
    ),
    # an annotator may mark the whole photo as one region
    "bsds500": ("the mask is not the whole image",),
}

#: Dataset kind -> errors that are only warnings for it: its sources may leave the licence out.
WARNINGS: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    ("coco", "coco_panoptic", "folder"), ("the licence is present",)
)

#: Dataset kind -> pattern whose first group is the scene, sequence or video in a sample's key.
GROUPS: Mapping[str, re.Pattern[str]] = {
    "davis": re.compile(r"(.+)-\d+"),
    "hypersim": re.compile(r"(ai_\d+_\d+)-"),
    "sav": re.compile(r"(.+)-\d+"),
}

_SPECIAL = frozenset(name for names in KINDS.values() for name in names)


def suite(
    kind: str,
    severities: Mapping[str, str],
    *,
    min_coverage: Mapping[str, float],
    split_components: bool,
) -> dict[str, tuple[Expected, Severity]]:
    """Return the expectations for a dataset kind with their severities, as EXPECTATIONS has them.

    A kind that is not in KINDS is held to what holds for every kind.

    Args:
        kind: name of the dataset's reader.
        severities: name of an expectation -> "error", "warning" or "off", in place of its own.
        min_coverage: dataset kind -> least share of the image that masks cover; other kinds need
            not cover anything.
        split_components: whether masks were split into components. Then "exactly one mask is
            counted" is not expected.

    Example:
        >>> chosen = suite("scenes", {}, min_coverage={}, split_components=False)
        >>> "masks cover the image" in chosen
        False
        >>> chosen = suite("scenes", {}, min_coverage={"scenes": 0.9}, split_components=False)
        >>> "masks cover the image" in chosen
        True
    """
    special = {*KINDS.get(kind, ())} - {*(_SINGLE if split_components else ())}
    if kind in min_coverage:
        special.add("masks cover the image")
    else:
        special.discard("masks cover the image")
    chosen: dict[str, tuple[Expected, Severity]] = {}
    for name, expected in EXPECTATIONS.items():
        default = "warning" if name in WARNINGS.get(kind, ()) else expected.severity
        severity = severities.get(name, default)
        is_expected = name in special if name in _SPECIAL else name not in EXEMPT.get(kind, ())
        if is_expected and severity != "off":
            chosen[name] = (expected, "error" if severity == "error" else "warning")
    return chosen
