"""SA-V (Ravi et al. 2024, arXiv:2408.00714): videos whose every fourth frame has masks of objects.

Training set: `VIDEO_manual.json` and `VIDEO_auto.json`, in the root or in folders in it, hold for
each annotated frame the run lengths of every object. The videos are `VIDEO.mp4`; their frames have
to be extracted, all of them, numbered from 0, into `VIDEO/` beside the JSON or into
`JPEGImages_24fps/VIDEO/` in the root:

    ffmpeg -i VIDEO.mp4 -start_number 0 -fps_mode passthrough -q:v 2 VIDEO/%05d.jpg

The i-th entry of the JSON belongs to frame 4 i. The validation and test sets come as frames and
PNGs: see `sav_frames`.
"""

import json
import math
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from typing import Literal

from maskspace.data.annotations import CONTAINMENT, Coded, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import NoSplitError, check_split, dataset_root, inside, safe_key
from maskspace.data.readers.coded_masks import runs_of_objects
from maskspace.data.readers.label_maps import read_file
from maskspace.data.readers.sav_frames import ANNOTATIONS, FRAMES, LICENCE, read_sav_frames
from maskspace.data.source import PackedNames, Repeated, Source
from maskspace.files import AnyPath, bounded_bytes, open_ranged
from maskspace.masks.coded import encode_runs
from maskspace.types import Sample

SPLITS = ("train", "val", "test")
KINDS = ("manual", "auto")

#: Annotated are frames 0, 4, 8, ...: 6 of 24 a second.
STEP = 4
#: The largest JSON of a video that is read by default; twenty seconds of nine objects take 0.4 MB.
MAX_JSON_BYTES = 32_000_000
_MOST_FRAMES = 1_000_000
_NOT_SAV = "not SA-V's JSON"


@dataclass(frozen=True)
class Video:
    """A video: its name, its annotation files and the number of its annotated frames.

    Example:
        >>> from pathlib import Path
        >>> video = Video("sav_000001", (Path("sav_000001_manual.json"),), annotated=60)
        >>> video.annotated * STEP  # frames of the whole video, at 24 a second
        240
    """

    name: str
    files: tuple[AnyPath, ...]
    annotated: int


def read_sav(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    masklets: Literal["manual", "auto", "both"] = "manual",
    max_json_bytes: int = MAX_JSON_BYTES,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each annotated frame, by video and frame.

    An object that a frame does not show has no mask. The videos are the groups. Where the root has
    `Annotations_6fps/` it is a validation or test set, see `read_sav_frames`; else it is the
    training set.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train", "val" or "test", which has to be the set at `root` (default None: whatever
            is there).
        masklets: "manual" takes the objects that people followed, "auto" those found automatically,
            whose score is their stability, and "both" takes both; videos without any of them are
            left out (default "manual"; of the training set only).
        max_json_bytes: a JSON of more bytes is refused (default 32 000 000).
        containment: share in (0, 1]; the parent of a mask is the smallest larger mask that holds at
            least this share of its pixels (default 0.95).

    Raises ValueError in one line for a frame that has not been extracted, and for whatever is not
    as SA-V publishes it.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> mask = {"size": [2, 2], "counts": "04"}  # all four pixels, in COCO's run-length coding
        >>> record = {"video_frame_count": 1, "masklet": [[mask]]}
        >>> _ = root.joinpath("sav_1_manual.json").write_text(json.dumps(record))
        >>> root.joinpath("sav_1").mkdir()
        >>> Image.new("RGB", (2, 2)).save(root / "sav_1" / "00000.jpg")
        >>> source = read_sav(str(root), seed=0, limit=None)
        >>> list(source.keys), list(source.groups), [one.area for one in source[0].annotations]
        (['sav_1-00000'], ['sav_1'], [4])
    """
    check_split("sav", split, SPLITS)
    folder = dataset_root(root)
    if (folder / ANNOTATIONS).is_dir():
        return read_sav_frames(folder, limit=limit, split=split, containment=containment)
    if split not in (None, "train"):
        raise NoSplitError(
            f"{root}: no {ANNOTATIONS}, so this is SA-V's train; correct the root", ("train",)
        )
    kinds = KINDS if masklets == "both" else (masklets,)
    videos = _videos(folder, kinds)
    if not videos:
        raise ValueError(f"{root}: no VIDEO_{'|'.join(kinds)}.json in it; correct the root")
    ends = tuple(accumulate(video.annotated for video in videos))
    number = ends[-1] if limit is None else min(limit, ends[-1])
    return Source(
        keys=PackedNames(_key(*_frame(index, videos, ends)) for index in range(number)),
        splits=Repeated("train", number),
        groups=PackedNames(_frame(index, videos, ends)[0].name for index in range(number)),
        read=partial(
            _sample,
            root=folder,
            videos=videos,
            ends=ends,
            max_bytes=max_json_bytes,
            containment=containment,
        ),
    )


def _videos(root: AnyPath, kinds: tuple[str, ...]) -> tuple[Video, ...]:
    """Return the videos that have a file of one of the kinds, sorted by name."""
    by_video: dict[str, dict[str, AnyPath]] = {}
    for pattern in ("*.json", "*/*.json"):
        for path in sorted(root.glob(pattern), key=str):
            match = re.fullmatch(r"([^.].*)_(manual|auto)\.json", path.name)
            if match is None or match[2] not in kinds:
                continue
            files = by_video.setdefault(match[1], {})
            if match[2] in files:
                raise ValueError(f"{path}: {files[match[2]]} is of the same video; remove one")
            files[match[2]] = path
    return tuple(
        Video(
            name,
            files := tuple(by_video[name][k] for k in KINDS if k in by_video[name]),
            _annotated(files[0]),
        )
        for name in sorted(by_video)
    )


def _annotated(path: AnyPath) -> int:
    """Return the number of annotated frames, from the first 4096 bytes of the JSON alone.

    To parse tens of thousands of these files, only to count their frames, would take an hour.
    """
    head = open_ranged(path).read_at(0, 4096)
    match = re.search(rb'"video_frame_count"\s*:\s*([0-9]{1,7})(?:\.0*)?\s*[,}]', head)
    frames = int(match[1]) if match else 0
    if not 0 < frames <= _MOST_FRAMES:
        raise ValueError(f"{path}: {_NOT_SAV}: no whole number video_frame_count; fetch it again")
    return math.ceil(frames / STEP)


def _frame(index: int, videos: tuple[Video, ...], ends: tuple[int, ...]) -> tuple[Video, int]:
    """Return the video of a sample, and the number of its frame among the annotated ones."""
    video = bisect_right(ends, index)
    return videos[video], index - (ends[video - 1] if video else 0)


def _key(video: Video, number: int) -> str:
    return safe_key(f"{video.name}-{STEP * number:05d}")


def _sample(
    index: int,
    *,
    root: AnyPath,
    videos: tuple[Video, ...],
    ends: tuple[int, ...],
    max_bytes: int,
    containment: float,
) -> Sample:
    video, number = _frame(index, videos, ends)
    path = _extracted(video, number, root)
    image = read_file(path)
    size_hw = image_size_hw(image, name=str(path))
    coded = [
        one
        for file in video.files
        for one in _masks(read_masklets(file, max_bytes), number, size_hw, place=str(file))
    ]
    return Sample(
        key=_key(video, number),
        dataset="sav",
        image=image,
        extension="jpg",
        size_hw=size_hw,
        annotations=annotate_coded(coded, size_hw, containment=containment),
        split="train",
        licence=LICENCE,
        source=inside(path, root),
    )


def _extracted(video: Video, number: int, root: AnyPath) -> AnyPath:
    name = f"{STEP * number:05d}.jpg"
    beside = video.files[0].parent / video.name / name
    for path in (beside, root / FRAMES / video.name / name):
        if path.is_file():
            return path
    raise ValueError(f"{beside}: no such frame; extract the frames of {video.name}.mp4 with ffmpeg")


@lru_cache(maxsize=4)
def read_masklets(path: AnyPath, max_bytes: int) -> Mapping:
    """Return the JSON of a video.

    The last four are kept in memory, since the frames of a video are read one after another. Raises
    ValueError for a file above `max_bytes`, and for what is not an object with a list `masklet`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "sav_1_manual.json")
        >>> _ = path.write_text('{"masklet": []}')
        >>> read_masklets(path, 1000)
        {'masklet': []}
    """
    try:
        record = json.loads(bounded_bytes(path, limit=max_bytes))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error}); fetch it again") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: {_NOT_SAV} ({type(error).__name__}); fetch it again") from None
    if not isinstance(record, dict) or not isinstance(record.get("masklet"), list):
        raise ValueError(f"{path}: {_NOT_SAV}: no list `masklet`; check the dataset's kind")
    return record


def _masks(record: Mapping, number: int, size_hw: tuple[int, int], *, place: str) -> list[Coded]:
    """Return the masks of the objects that an annotated frame shows."""
    frames = record["masklet"]
    if number >= len(frames) or not isinstance(frames[number], list):
        raise ValueError(f"{place}: has no masks of frame {STEP * number}; fetch it again")
    scores = _scores(record, number)
    visible = [i for i, one in enumerate(frames[number]) if one is not None]
    try:
        objects = [frames[number][i] for i in visible]
        runs = runs_of_objects(objects, size_hw, label="visible mask")
    except ValueError as error:
        raise ValueError(f"{place}: frame {STEP * number}: {error}") from None
    masks = zip(visible, encode_runs(runs, size_hw), runs.areas().tolist(), strict=True)
    return [Coded(counts=s, score=scores.get(i, 1.0)) for i, s, area in masks if area > 0]


def _scores(record: Mapping, number: int) -> dict[int, float]:
    """Return the stability of each object in a frame; objects that people followed have none."""
    frames = record.get("masklet_stability_score")
    scores = frames[number] if isinstance(frames, list) and number < len(frames) else None
    if not isinstance(scores, list):
        return {}
    stability = {i: s for i, s in enumerate(scores) if isinstance(s, int | float) and s == s}
    return {index: float(min(max(score, 0), 1)) for index, score in stability.items()}
