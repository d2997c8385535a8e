"""Other people's results as a model: masks in files, by the image that they are of.

`results:PATH` is COCO's list of results (`image_id`, `segmentation` as run lengths or polygons,
`score`), COCO's JSON of a dataset, as `maskspace segment --format coco` writes it, or a folder of
label maps `NAME.png`, or of folders `NAME/` of binary masks. A list names images by number: give
the dataset's JSON, `results:PATH@images=instances_val.json`, or have file names that are those
numbers, as COCO's are.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from maskspace.data.listings import safe_key
from maskspace.data.readers.json_values import number_of
from maskspace.data.readers.label_maps import binary_mask, label_map, read_file
from maskspace.data.readers.segmentations import coded_annotations
from maskspace.loaded import Answer, ImageLike, Segmenter
from maskspace.masks import areas, encode, from_label_map
from maskspace.masks.coded import decode_runs
from maskspace.segmenter.questions import checked_image
from maskspace.types import Prediction

PREFIX = "results:"


@dataclass(frozen=True)
class ResultsSegmenter(Segmenter):
    """Masks that somebody has computed; `key` is that of the image it is asked about.

    Masks without a score are ranked by area, largest first.
    """

    name: str
    path: Path
    images: Path | None = None
    key: str | None = None
    ranking: str = "score of the results, else area"
    answers: frozenset[Answer] = frozenset({"propose"})

    def of_image(self, key: str) -> "ResultsSegmenter":
        """Return the results of one image of a dataset."""
        found = ResultsSegmenter(self.name, self.path, self.images, key)
        found.__dict__["_by_image"] = self._by_image
        return found

    def version(self) -> str:
        """Return a hash of the results."""
        digest = hashlib.sha256()
        for file in [self.path] if self.path.is_file() else sorted(self.path.rglob("*")):
            digest.update(file.read_bytes() if file.is_file() else b"")
        return digest.hexdigest()[:12]

    def propose(self, image: ImageLike, limit: int = 100) -> Prediction:
        """Return the results of the image, best first; none where there are none."""
        if self.key is None:
            raise ValueError(f"{self.name}: results are found by an image's name; use evaluate")
        height, width = checked_image(image).shape[:2]
        counts, scores = _found(self._by_image.get(self.key, ()), (height, width))
        return Prediction.of_strings(counts, (height, width), scores).ranked(limit=limit)

    @cached_property
    def _by_image(self) -> Mapping[str, Any]:
        if self.path.is_dir():
            return _of_folder(self.path)
        return _of_json(self.path, self.images)


def results_model(name: str) -> ResultsSegmenter:
    """Return the model of `results:PATH` or `results:PATH@images=FILE`; its files are read."""
    path, _, options = name.removeprefix(PREFIX).partition("@images=")
    given = Path(path)
    if not given.exists():
        raise ValueError(f"{name}: no such file or folder; give a COCO list or a folder of masks")
    model = ResultsSegmenter(name, given, Path(options) if options else None)
    assert model._by_image is not None  # what is wrong with the files is said here
    return model


def _of_folder(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            found[safe_key(path.name)] = path
        elif path.suffix.lower() == ".png" and not path.stem.endswith(".overlay"):
            found[safe_key(path.stem.removesuffix(".labels"))] = path
    if not found:
        raise ValueError(f"{folder}: no label maps NAME.png and no folders NAME/ of masks")
    return found


def _of_json(path: Path, images: Path | None) -> dict[str, list[Any]]:
    document = _json(path)
    listed = document if isinstance(document, list) else document.get("annotations", [])
    names = document if isinstance(document, dict) else _json(images) if images else {}
    keys = {one["id"]: safe_key(Path(one["file_name"]).stem) for one in names.get("images", [])}
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for number, one in enumerate(listed):
        if not isinstance(one, dict) or not {"image_id", "segmentation"} <= one.keys():
            raise ValueError(
                f"{path}: entry {number} has no image_id and segmentation; give a list of results"
            )
        key = keys.get(one["image_id"])
        if key is None and keys:
            raise ValueError(f"{path}: entry {number} is of image {one['image_id']}, not listed")
        found[key or _number(one["image_id"])].append(one)
    return found if keys else _Numbered(found)


class _Numbered(dict):  # str -> list
    """Results by number: an image whose name is that number, with or without zeros, has them."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return what is known of the number that the key is or ends in."""
        return super().get(_number(key.rpartition("_")[2] if not key.isdigit() else key), default)


def _number(image_id: object) -> str:
    text = str(image_id)
    return str(int(text)) if text.isdecimal() else text


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); give COCO's results") from None


def _found(given: Any, size_hw: tuple[int, int]) -> tuple[list[str], np.ndarray]:
    """Return the strings and the scores of one image's results: of files, or of a list's entries.

    An entry of a list that is no mask is left out.
    """
    if isinstance(given, Path):
        masks = _read_masks(given, size_hw)
        return encode(masks), (areas(masks) / (size_hw[0] * size_hw[1])).astype(np.float32)
    coded, _ = coded_annotations(given, size_hw, first=0, score=_score)
    counts = [one.counts for one in coded]
    scores = [one.score for one in coded]
    if any(np.isnan(scores)):
        scores = (decode_runs(counts, size_hw).areas() / (size_hw[0] * size_hw[1])).tolist()
    return counts, np.array(scores, np.float32)


def _score(record: Mapping) -> float:
    value = number_of(record.get("score"), what="score")
    return float("nan") if value is None else value


def _read_masks(path: Path, size_hw: tuple[int, int]) -> Bool[np.ndarray, "n h w"]:
    """Return the masks of a label map, or of a folder of binary masks."""
    if not path.is_dir():
        labels = label_map(read_file(path), name=str(path), size_hw=size_hw)
        return from_label_map(labels)[1]
    files = sorted(path.glob("*.png"))
    masks = [binary_mask(read_file(file), name=str(file), size_hw=size_hw) for file in files]
    return np.array(masks, bool).reshape(-1, *size_hw)
