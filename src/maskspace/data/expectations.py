"""What has to hold of every shard, as Great Expectations suites over three tables.

The tables are made of the files themselves: one row a shard, a record (image with its masks), and a
mask. A report tells for each expectation how many rows break it and which records come first.
"""

import hashlib
import html
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from maskspace.config import section
from maskspace.data.shards import (
    MapUnits,
    read_manifest,
    read_sample,
    sample_places,
    write_json,
    write_text,
)
from maskspace.masks import areas, boxes_xywh, decode, encode
from maskspace.types import Annotation, Sample, read_rgb

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

#: Records named in the report for each broken expectation.
FIRST = 10


@section
class ValidateConfig:
    """Bounds that hold for every dataset: masks of an image, pixels of a mask and of a side."""

    min_masks: int
    max_masks: int
    min_area: int
    min_side: int
    max_side: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One expectation on one table: how many rows were checked, how many broke it, and which."""

    table: str
    name: str
    checked: int
    failures: int
    first: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcomes of all expectations on a dataset's shards."""

    dataset: str
    outcomes: tuple[Outcome, ...]

    @property
    def broken(self) -> tuple[Outcome, ...]:
        """The outcomes with failures."""
        return tuple(outcome for outcome in self.outcomes if outcome.failures)


def validate_shards(folder: Path, config: ValidateConfig, *, map_units: MapUnits = map) -> Report:
    """Check every expectation on the shards in `folder`, read shard by shard through `map_units`.

    A tar that the manifest does not list is checked as if it were listed as empty.
    """
    manifest = read_manifest(folder)
    found = list(map_units(_inspect, _listed(folder, manifest)))
    shards = pd.DataFrame([row for row, _, _ in found])
    records = _table([row for _, rows, _ in found for row in rows], _RECORD)
    masks = _table([row for _, _, rows in found for row in rows], _MASK)
    records["times_key"] = records.groupby("key")["key"].transform("size")
    records["splits_of_image"] = records.groupby("image_sha256")["split"].transform("nunique")
    outcomes = [
        *_check("shards", shards, _shard_expectations()),
        *_check("records", records, _record_expectations(config, str(manifest["dataset"]))),
        *_check("masks", masks, _mask_expectations(config, float(manifest["containment"]))),
    ]
    return Report(dataset=str(manifest["dataset"]), outcomes=tuple(outcomes))


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """A shard and what the manifest says of it."""

    path: Path
    split: str
    said: Mapping[str, Any]


_Rows = list[dict[str, Any]]


def _listed(folder: Path, manifest: Mapping[str, Any]) -> list[_Listed]:
    listed = {
        said["name"]: _Listed(path=folder / said["name"], split=split, said=said)
        for split, part in manifest["splits"].items()
        for said in part["shards"]
    }
    nothing = {"samples": 0, "masks": 0, "bytes": 0, "sha256": "not in the manifest"}
    for path in sorted(folder.glob("*.tar")):
        split = path.name.split("-")[0]
        listed.setdefault(path.name, _Listed(path=path, split=split, said=nothing))
    return list(listed.values())


def _inspect(listed: _Listed) -> tuple[dict[str, Any], _Rows, _Rows]:
    """Return the rows of one shard: of the shard itself, of its records, and of their masks."""
    path = listed.path
    said = {f"said_{key}": listed.said[key] for key in ("samples", "masks", "bytes", "sha256")}
    row: dict[str, Any] = {"where": path.name, "problem": None, **said}
    row |= {"samples": 0, "masks": 0, "bytes": 0, "sha256": ""}
    records: _Rows = []
    masks: _Rows = []
    try:
        row["bytes"], row["sha256"] = path.stat().st_size, _sha256(path.read_bytes())
        places = sample_places(path)
    except (OSError, ValueError) as error:
        return {**row, "problem": str(error)}, records, masks
    for image, label in places:
        start: dict[str, Any] = {"where": f"{path.name}:{label.name}", "split": listed.split}
        try:
            sample = read_sample(path, image, label)
        except ValueError as error:
            records.append({**start, "problem": str(error)})
            continue
        records.append({**start, **_record_row(sample), "where": sample.key})
        masks += list(_mask_rows(sample))
    return {**row, "samples": len(records), "masks": len(masks)}, records, masks


_RECORD = (
    *("where", "problem", "split", "key", "dataset", "extension", "masks", "image_sha256"),
    *("height", "width", "image_decodes", "image_height", "image_width"),
)


def _record_row(sample: Sample) -> dict[str, Any]:
    row = {
        "key": sample.key,
        "dataset": sample.dataset,
        "extension": sample.extension,
        "masks": len(sample.annotations),
        "image_sha256": _sha256(sample.image),
        "height": sample.size_hw[0],
        "width": sample.size_hw[1],
    }
    try:
        height, width, _ = read_rgb(sample.image).shape
    except ValueError:
        return {**row, "image_decodes": False}
    return {**row, "image_decodes": True, "image_height": height, "image_width": width}


_BOX = ("x", "y", "columns", "rows")
_MASK = (
    *("where", "key", "id", "score", "area", "counted_area", "fits", "canonical"),
    *(f"box_{side}" for side in _BOX),
    *(f"tight_{side}" for side in _BOX),
    *("parent_known", "inside_parent"),
)


def _mask_rows(sample: Sample) -> Iterator[dict[str, Any]]:
    masks = [_mask(annotation, sample) for annotation in sample.annotations]
    by_id = {a.id: mask for a, mask in zip(sample.annotations, masks, strict=True)}
    for annotation, mask in zip(sample.annotations, masks, strict=True):
        row = {
            "where": f"{sample.key}, mask {annotation.id}",
            "key": sample.key,
            "id": annotation.id,
            "score": annotation.score,
            "area": annotation.area,
            "fits": mask is not None,
            **{f"box_{k}": v for k, v in zip(_BOX, annotation.box_xywh, strict=True)},
            "parent_known": annotation.parent is None or annotation.parent in by_id,
        }
        if mask is not None:
            parent = mask if annotation.parent is None else by_id.get(annotation.parent)
            row |= _measured(annotation, mask, parent)
        yield row


def _measured(
    annotation: Annotation, mask: np.ndarray, parent: np.ndarray | None
) -> dict[str, Any]:
    """Return what the mask itself says, to be compared with what its annotation says."""
    area = int(areas(mask[None])[0])
    box = (int(value) for value in boxes_xywh(mask[None])[0])
    inside = None if parent is None else float((mask & parent).sum()) / max(area, 1)
    return {
        "counted_area": area,
        "canonical": encode(mask[None])[0] == annotation.counts,
        **{f"tight_{k}": v for k, v in zip(_BOX, box, strict=True)},
        "inside_parent": inside if area else 1.0,
    }


def _mask(annotation: Annotation, sample: Sample) -> np.ndarray | None:
    try:
        return decode([annotation.counts], sample.size_hw)[0]
    except ValueError:
        return None


def _table(rows: _Rows, columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame({column: [row.get(column) for row in rows] for column in columns})


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _shard_expectations() -> "dict[str, Expectation]":
    expect = _expectations()
    return {
        "the tar is whole and safe": expect.ExpectColumnValuesToBeNull(column="problem"),
        **{
            f"{what} as the manifest says": expect.ExpectColumnPairValuesToBeEqual(
                column_A=what, column_B=f"said_{what}"
            )
            for what in ("samples", "masks", "bytes", "sha256")
        },
    }


def _record_expectations(config: ValidateConfig, dataset: str) -> "dict[str, Expectation]":
    expect = _expectations()
    side = {"min_value": config.min_side, "max_value": config.max_side}
    return {
        "the record has the schema": expect.ExpectColumnValuesToBeNull(column="problem"),
        "the key can name a file": expect.ExpectColumnValuesToMatchRegex(
            column="key", regex="^[A-Za-z0-9_-]+$"
        ),
        "the key is in one record": expect.ExpectColumnValuesToBeInSet(
            column="times_key", value_set=[1]
        ),
        "the image is in one split": expect.ExpectColumnValuesToBeInSet(
            column="splits_of_image", value_set=[1]
        ),
        "the record is of this dataset": expect.ExpectColumnValuesToBeInSet(
            column="dataset", value_set=[dataset]
        ),
        "the image is JPEG or PNG": expect.ExpectColumnValuesToBeInSet(
            column="extension", value_set=["jpg", "png"]
        ),
        "the image decodes": expect.ExpectColumnValuesToBeInSet(
            column="image_decodes", value_set=[True]
        ),
        "the image has the masks' height": expect.ExpectColumnPairValuesToBeEqual(
            column_A="image_height", column_B="height", ignore_row_if="either_value_is_missing"
        ),
        "the image has the masks' width": expect.ExpectColumnPairValuesToBeEqual(
            column_A="image_width", column_B="width", ignore_row_if="either_value_is_missing"
        ),
        "height within bounds": expect.ExpectColumnValuesToBeBetween(column="height", **side),
        "width within bounds": expect.ExpectColumnValuesToBeBetween(column="width", **side),
        "number of masks within bounds": expect.ExpectColumnValuesToBeBetween(
            column="masks", min_value=config.min_masks, max_value=config.max_masks
        ),
    }


def _mask_expectations(config: ValidateConfig, containment: float) -> "dict[str, Expectation]":
    expect = _expectations()
    true = {"value_set": [True]}
    return {
        "ids are unique in a record": expect.ExpectCompoundColumnsToBeUnique(
            column_list=["key", "id"]
        ),
        "ids start at 1": expect.ExpectColumnValuesToBeBetween(column="id", min_value=1),
        "scores are in [0, 1]": expect.ExpectColumnValuesToBeBetween(
            column="score", min_value=0, max_value=1
        ),
        "run lengths fit the image": expect.ExpectColumnValuesToBeInSet(column="fits", **true),
        "run lengths are canonical": expect.ExpectColumnValuesToBeInSet(column="canonical", **true),
        "area is that of the run lengths": expect.ExpectColumnPairValuesToBeEqual(
            column_A="area", column_B="counted_area", ignore_row_if="either_value_is_missing"
        ),
        "the mask is large enough": expect.ExpectColumnValuesToBeBetween(
            column="area", min_value=max(1, config.min_area)
        ),
        **{
            f"the box is tight: {side}": expect.ExpectColumnPairValuesToBeEqual(
                column_A=f"box_{side}",
                column_B=f"tight_{side}",
                ignore_row_if="either_value_is_missing",
            )
            for side in _BOX
        },
        "the parent exists": expect.ExpectColumnValuesToBeInSet(column="parent_known", **true),
        "the parent contains it": expect.ExpectColumnValuesToBeBetween(
            column="inside_parent", min_value=containment
        ),
    }


def _expectations() -> Any:
    """Return great_expectations' expectations: seconds to import, and it would call home."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations.expectations as expectations

    return expectations


def _check(
    table: str, rows: pd.DataFrame, expectations: "dict[str, Expectation]"
) -> Iterator[Outcome]:
    """Yield the outcome of each expectation on the rows, named by their column `where`."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("shards").add_dataframe_asset(table)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": rows})
    for name, expectation in expectations.items():
        outcome = batch.validate(
            expectation,
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": ["where"],
            },
        )
        broken = (outcome.result or {}).get("unexpected_index_list") or []
        where = tuple(dict.fromkeys(str(row["where"]) for row in broken))
        if not outcome.success and not where:
            raise RuntimeError(f"{table}: {name}: could not be checked: {outcome.exception_info}")
        yield Outcome(
            table=table, name=name, checked=len(rows), failures=len(broken), first=where[:FIRST]
        )


def write_report(folder: Path, report: Report) -> None:
    """Write `report.json` and `report.html` in `folder`, the same bytes for the same report."""
    outcomes = [{**asdict(one), "success": not one.failures} for one in report.outcomes]
    value = {"dataset": report.dataset, "success": not report.broken, "expectations": outcomes}
    write_json(folder / "report.json", value)
    write_text(folder / "report.html", _page(report))


def require_valid(report: Report, *, details: Path) -> None:
    """Raise ValueError that names a record and the expectation it breaks, if any is broken."""
    for outcome in report.broken:
        others = len(report.broken) - 1
        more = f", and {outcome.failures - 1} more" if outcome.failures > 1 else ""
        rest = f"; {others} more expectations are broken" if others else ""
        raise ValueError(
            f"{outcome.first[0]}: breaks {outcome.name!r}{more}{rest}; see {details}, mend the "
            "data and make the shards again"
        )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #8884;padding:.3rem "
    ".6rem;text-align:left}td.n{text-align:right}.no{color:#b00020;font-weight:600}"
)


def _page(report: Report) -> str:
    verdict = f"{len(report.broken)} broken" if report.broken else "all hold"
    rows = "\n".join(map(_row, report.outcomes))
    name = html.escape(report.dataset)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style><h1>{name}: {len(report.outcomes)} expectations, {verdict}</h1>"
        "<table><tr><th>table<th>expectation<th>rows<th>broken<th>first records</tr>\n"
        f"{rows}\n</table></html>\n"
    )


def _row(outcome: Outcome) -> str:
    first = html.escape("; ".join(outcome.first))
    mark = ' class="no"' if outcome.failures else ""
    return (
        f"<tr{mark}><td>{outcome.table}<td>{html.escape(outcome.name)}"
        f'<td class="n">{outcome.checked}<td class="n">{outcome.failures}<td>{first}</tr>'
    )
