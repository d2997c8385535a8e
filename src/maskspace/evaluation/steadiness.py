"""How steady a model's partitions are: on the same photo mirrored, with noise, and coded.

The partition of the changed photo is compared with that of the photo, with equally many regions, by
the adjusted Rand index (L. Hubert, P. Arabie, 1985, doi:10.1007/BF01908075); it is 1 if they are
the same. A region that lies wholly along the frame of the photo is counted as a band: models draw
such bands without a border there. The truth has some bands, too.
"""

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from maskspace.evaluation.asking import Asked
from maskspace.evaluation.truth import Truth
from maskspace.loaded import Segmenter

Photo = UInt8[np.ndarray, "h w 3"]


def noisy(photo: Photo) -> Photo:
    """Return a photo with grey noise of standard deviation 1 (of 255), the same at each call.

    Example:
        >>> changed = noisy(np.full((40, 40, 3), 100, np.uint8)).astype(int) - 100
        >>> bool((changed[..., 0] == changed[..., 2]).all()), bool(0.8 < changed.std() < 1.3)
        (True, True)
    """
    noise = np.random.default_rng(0).normal(size=(*photo.shape[:2], 1))
    return np.clip(np.round(photo + noise), 0, 255).astype(np.uint8)


def coded(photo: Photo) -> Photo:
    """Return a photo after coding as a JPEG of quality 75.

    Example:
        >>> coded(np.full((16, 16, 3), 100, np.uint8)).shape
        (16, 16, 3)
    """
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=75)
    return np.array(Image.open(buffer))


def mirrored(photo: UInt8[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "h w *c"]:
    """Return a photo mirrored from left to right.

    Example:
        >>> mirrored(np.array([[1, 2, 3]], np.uint8)).tolist()
        [[3, 2, 1]]
    """
    return np.ascontiguousarray(photo[:, ::-1])


#: What is done to a photo, by name; the partition of the mirrored one is mirrored back.
CHANGES: Mapping[str, Callable[[Photo], Photo]] = {
    "mirrored": mirrored,
    "grey noise of 1": noisy,
    "JPEG quality 75": coded,
}


@dataclass(frozen=True, kw_only=True)
class Steadiness:
    """How steady one model is on one photo.

    key, content: of the photo.
    milliseconds: from the photo to its partition, or to all scales of a model without partitions.
    agreement: name of a change -> adjusted Rand index.
    bands: regions wholly along the frame, less the mean number of the annotators' ones.
    refused: why the model makes no partition; "" if it does.

    Example:
        >>> Steadiness(key="a", content="1f", milliseconds=200.0, bands=0.5).refused
        ''
    """

    key: str
    content: str
    milliseconds: float = 0.0
    agreement: Mapping[str, float] = field(default_factory=dict)
    bands: float = 0.0
    refused: str = ""


def steadiness(model: Segmenter, truth: Truth, *, regions: int, frame: int) -> Steadiness:
    """Return how steady the partition of a photo is.

    Args:
        model: the model.
        truth: the photo and its annotators' maps.
        regions: number of regions.
        frame: width of the frame in pixels.

    Example:
        >>> class Whole(Segmenter):  # one region, whatever is asked for
        ...     name, ranking, answers = "whole", "nothing", frozenset({"partition"})
        ...     def partition(self, image, regions):
        ...         return np.ones(image.shape[:2], np.int32)
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> truth = read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1)
        >>> steadiness(Whole(), truth, regions=24, frame=4).agreement["mirrored"]
        1.0
    """
    asked = Asked()
    begin = time.perf_counter()
    plain = asked.ask("partition", lambda: model.partition(truth.image, regions))
    milliseconds = 1000 * (time.perf_counter() - begin)
    content = content_of(truth)
    agreement: dict[str, float] = {}
    for name, change in CHANGES.items():
        if plain is None:
            break
        labels = asked.ask(
            name, lambda change=change: model.partition(change(truth.image), regions)
        )
        if labels is None:
            continue
        labels = labels[:, ::-1] if name == "mirrored" else labels
        agreement[name] = float(adjusted_rand_score(plain.ravel(), labels.ravel()))
    if plain is None:
        refused = asked.not_answered["partition"]
        milliseconds = _milliseconds_of_scales(model, truth, asked, regions)
        return Steadiness(
            key=truth.key, content=content, refused=refused, milliseconds=milliseconds
        )
    bands_drawn = [bands(labels, frame=frame) for labels in truth.label_maps]
    return Steadiness(
        key=truth.key,
        content=content,
        milliseconds=milliseconds,
        agreement=agreement,
        bands=bands(plain, frame=frame) - float(np.mean(bands_drawn)),
    )


def _milliseconds_of_scales(model: Segmenter, truth: Truth, asked: Asked, regions: int) -> float:
    """Return the time of all scales of a model that has only those, 0 where there are none."""
    begin = time.perf_counter()
    num_scales = asked.ask("scales", lambda: len(list(model.scales(truth.image, [regions]))))
    return 1000 * (time.perf_counter() - begin) if num_scales else 0.0


def bands(labels: Int[np.ndarray, "h w"], *, frame: int) -> int:
    """Return the number of labels without a pixel further than `frame` from the frame; 0 is none.

    Example:
        >>> labels = np.ones((10, 10), int)
        >>> labels[:2] = 2
        >>> bands(labels, frame=3)
        1
    """
    inner = labels[frame : labels.shape[0] - frame, frame : labels.shape[1] - frame]
    return len(np.setdiff1d(labels, np.append(inner, 0)))


def constant_deviation(model: Segmenter, size_hw: tuple[int, int]) -> float | None:
    """Return the largest range of a feature over a grey image; None without features.

    Example:
        >>> class Nothing(Segmenter):
        ...     name, ranking, answers = "nothing", "nothing", frozenset()
        >>> constant_deviation(Nothing(), (32, 32)) is None
        True
    """
    if "embed" not in model.answers:
        return None
    levels = model.embed(np.full((*size_hw, 3), 128, np.uint8)).levels.values()
    return max(float(np.ptp(level, axis=(1, 2)).max()) for level in levels)


def kept_steadiness(
    model: Segmenter, truths: Iterable, journal: Path, *, regions: int, frame: int
) -> Iterator[Steadiness]:  # truths: read one at a time, when they are asked for
    """Yield the steadiness of each truth; what the file `journal` holds is not computed again.

    A photo is recognised by the bytes of its pixels and truth. After a kill only the photo at hand
    is computed again.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "steadiness.jsonl"
        >>> class Nothing(Segmenter):
        ...     name, ranking, answers = "nothing", "nothing", frozenset()
        >>> list(kept_steadiness(Nothing(), [], path, regions=2, frame=1))
        []
    """
    known: dict[str, Steadiness] = {}
    if journal.exists():
        lines = journal.read_text().splitlines(keepends=True)
        stored = [json.loads(line) for line in lines if line.endswith("\n")]
        known = {one["content"]: Steadiness(**one) for one in stored}
    journal.parent.mkdir(parents=True, exist_ok=True)
    if known:
        journal.write_text("".join(json.dumps(asdict(one)) + "\n" for one in known.values()))
    for truth in truths:
        content = content_of(truth)
        if content not in known:
            known[content] = steadiness(model, truth, regions=regions, frame=frame)
            with journal.open("a") as file:
                file.write(json.dumps(asdict(known[content])) + "\n")
        yield known[content]


def content_of(truth: Truth) -> str:
    """Return a hash of an image and its annotators' maps.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> len(content_of(read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1)))
        64
    """
    digest = hashlib.sha256(truth.key.encode())
    for array in (truth.image, *truth.label_maps):
        digest.update(repr((array.shape, array.dtype)).encode() + array.tobytes())
    return digest.hexdigest()
