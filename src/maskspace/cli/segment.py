"""`maskspace segment`: images -> regions or ranked proposals."""

import argparse
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from maskspace.cli.frame import (
    DEFAULT_MODEL,
    MODEL_HELP,
    Inputs,
    add_reading,
    check_model,
    complain,
    count,
    geotiff_of,
    image_files,
    note,
    place_of,
    read_photo,
    same_name,
    share,
    write_files,
)
from maskspace.cli.picture_files import picture_names, pictures_of
from maskspace.cli.segment_files import ENDINGS, Segmented, files_of, one_document
from maskspace.cli.segment_jobs import Job, expanded, left_to_do, outputs_of

if TYPE_CHECKING:
    import numpy as np

    from maskspace.segmenter import Segmenter
    from maskspace.types import Prediction

DEFAULT_REGIONS = 24

#: Labels of a PNG of 16 bits.
MOST_LABELS = 65_535

#: Masks that a model is asked for at most where some of them may be left out for their area.
MOST_ASKED = 1000


def add(command: argparse.ArgumentParser) -> None:
    """Give a parser its options.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add(parser)
        >>> parser.parse_args("photo.jpg --regions 12 --out out".split()).regions
        12
    """
    command.description = (
        "Segment images from 16x16 pixels; those above 12 megapixels are looked at smaller and "
        "answered at their own size. For IMAGE x.jpg it writes x.labels.png and x.overlay.png, "
        "x.json (COCO, run lengths), x.npz, x.svg, x.geojson or x.labels.tif in DIR; of a folder "
        "all images, in folders of the same names. A bad image is told in one line and does not "
        "keep the others from being written; the exit status is then 2, unless --max-left-out "
        "allows it. No file of yours is replaced: neither an image nor what lies beside it."
    )
    command.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="a file, a folder, or a pattern in quotes such as 'photos/**/*.jpg'",
    )
    number = command.add_mutually_exclusive_group()
    number.add_argument(
        "--regions",
        type=count,
        metavar="N",
        help=f"exactly N connected regions that cover the image (default {DEFAULT_REGIONS}; of a "
        "student whose decoder finds instances all of these, as --proposals "
        f"{MOST_ASKED})",
    )
    number.add_argument(
        "--proposals",
        type=count,
        metavar="N",
        help="at most N ranked masks, which may overlap",
    )
    command.add_argument(
        "--least-area",
        type=count,
        default=1,
        metavar="PIXELS",
        help="leave out regions or masks of fewer pixels (default 1)",
    )
    command.add_argument(
        "--largest-area",
        type=count,
        metavar="PIXELS",
        help="leave out regions or masks of more pixels (default none)",
    )
    command.add_argument(
        "--no-overlap",
        action="store_true",
        help="give a pixel that several proposals share to one of them, as --on-top says",
    )
    command.add_argument(
        "--on-top",
        choices=("smallest", "best"),
        default="smallest",
        help="which of several proposals at a pixel a label map, or --no-overlap, shows (default "
        "smallest)",
    )
    command.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME",
        help=f"{MODEL_HELP} (default {DEFAULT_MODEL})",
    )
    command.add_argument(
        "--tiles",
        type=count,
        metavar="SIDE",
        help="work on images at their own size, the network seeing tiles of SIDE pixels, a "
        "multiple of 32 such as 1024, with 256 pixels around each; the tree is one, of the whole "
        "image; for students (default: images above the model's max_side are worked on smaller)",
    )
    add_reading(command)
    command.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder to write to, made if missing; with --format coco also FILE.json, one for all "
        "images",
    )
    command.add_argument(
        "--max-left-out",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="exit with 0 if at most this share of the images cannot be segmented, and count them "
        "(default 0: with 2 for any)",
    )
    command.add_argument(
        "--workers",
        type=count,
        default=1,
        metavar="N",
        help="images at the same time, each in a process of its own with one CPU (default 1)",
    )
    command.add_argument(
        "--resume",
        action="store_true",
        help="leave images whose files an earlier --resume with the same options wrote into DIR, "
        "and which have not changed since (default: all are done)",
    )
    command.add_argument(
        "--format",
        choices=sorted(ENDINGS),
        default="png",
        help="png: label map, 8 bits to 255 labels and 16 above, and an overlay; "
        "coco: JSON with run lengths, boxes and areas in pixels, for proposals the id of the "
        "smallest one that holds each too, its parent; "
        "npz: labels (int32 h w), or masks (bool n h w) and scores; "
        "svg, geojson: polygons along the edges of pixels, with holes, neighbours without a gap; "
        "geojson in pixels, or of a GeoTIFF in its map coordinates, with the extra geo; "
        "tif: a tiled label map that lies where the GeoTIFF does (default png)",
    )
    command.add_argument(
        "--pictures",
        type=picture_names,
        default=(),
        metavar="NAME,...",
        help="draw too, as x.NAME.png in DIR: boundaries over the image; mosaic, every region in "
        "its mean colour; regions, in colours that stay while a region is not split; slider "
        "(.webp), a film from 2 to 80 regions; features, their principal components as colours; "
        "all (default none)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do what the options ask and return the exit status.

    Example:
        >>> from maskspace.cli import main
        >>> main("segment photo.jpg --regions 70000 --out out".split())
        2
    """
    together = options.format == "coco" and options.out.suffix.lower() == ".json"
    if together and options.pictures:
        raise ValueError(f"{options.out}: pictures lie in a folder; give --out DIR")
    asked = options.regions or options.proposals or 0
    if options.format == "png" and asked > MOST_LABELS:
        raise ValueError(
            f"{asked} labels asked for; a PNG label map holds {MOST_LABELS}: give --format npz"
        )
    check_model(options.model)
    found = list(_images(options.images, leave=options.out))
    if not found:
        raise ValueError(f"{options.images[0]}: no images there; give files or a folder of images")
    inputs = Inputs([job.photo for job in found])
    if together:
        inputs.keep([options.out])
        if options.resume:
            raise ValueError(f"{options.out}: is written in one go; --resume needs --out DIR")
    jobs = left_to_do(found, options) if options.resume else found
    if len(jobs) < len(found):
        note(f"{len(found) - len(jobs)} of {len(found)} images are done already")
    if not jobs:
        return 0
    from maskspace.segmenter.embedding import finds_instances, in_tiles
    from maskspace.segmenter.loading import load

    model = load(options.model)
    if options.tiles is not None:
        model = in_tiles(model, side=options.tiles)
    if not asked and finds_instances(model):
        options.proposals = MOST_ASKED
    twice = _alike([job.name if together else job.place for job in found])
    answer = partial(
        _answer, model=model, options=options, inputs=inputs, twice=twice, together=together
    )
    bad = 0
    with one_document(options.out, model.categories) if together else nullcontext() as document:
        for answered in _mapped(answer, jobs, options.workers):
            print(answered.notes, end="", file=sys.stderr)
            if answered.error is not None:
                complain(answered.error)
                bad += 1
            elif document is not None and answered.one is not None:
                document.add(answered.one)
            else:
                print(*answered.written, sep="\n")
        if document is not None:
            if not document.images:
                raise ValueError(f"{options.out}: not written; no image could be segmented")
            print(options.out)
    if (
        bad and options.max_left_out
    ):  # else each has been told, and the status says that some failed
        note(f"{bad} of {len(found)} images left out")
    return 0 if bad <= options.max_left_out * len(found) else 2


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What became of one image: files, or what was found in it, or what was wrong; and notes."""

    written: tuple[Path, ...] = ()
    one: Segmented | None = None
    error: str | None = None
    notes: str = ""


def _mapped(
    answer: Callable[[Job], Answered], jobs: Sequence[Job], workers: int
) -> Iterator[Answered]:
    """Yield what became of each image, in order; long work tells its pace."""
    from maskspace.parallel import map_here, map_units

    if workers == 1:
        return map_here(answer, jobs, describe="segment: images")
    return map_units(partial(_noted, answer), jobs, describe="segment: images", workers=workers)


def _noted(answer: Callable[[Job], Answered], job: Job) -> Answered:
    """Return what became of an image in another process, with what was said there."""
    with redirect_stderr(io.StringIO()) as notes:
        answered = answer(job)
    return replace(answered, notes=notes.getvalue())


def _answer(
    job: Job,
    *,
    model: "Segmenter",
    options: argparse.Namespace,
    inputs: Inputs,
    twice: set[Path],
    together: bool,
) -> Answered:
    """Segment one image and write its files; with `together` return what was found."""
    try:
        if (job.name if together else job.place) in twice:
            raise ValueError(f"another image is also called {job.place}; rename one of them")
        if not together:
            inputs.keep(outputs_of(job, options), beside=True)
        one = _segmented(model, job, options)
        if together:
            return Answered(one=one)
        regions = None if options.proposals else options.regions or DEFAULT_REGIONS
        pictures = pictures_of(one, options.pictures, model, regions)
        return Answered(written=tuple(write_files(files_of(one, options.format) | pictures)))
    except ValueError as error:
        message = str(error)
        return Answered(error=message if str(job.photo) in message else f"{job.photo}: {message}")


def _images(given: Sequence[Path], *, leave: Path) -> Iterator[Job]:
    """Yield image files, of folders and patterns too, and where their results lie."""
    for path in expanded(given):
        if not path.is_dir():
            yield Job(path, Path(path.stem), Path(path.name))
            continue
        for file in image_files(path, leave=leave):
            name = file.relative_to(path)
            yield Job(file, name.with_name(name.stem), name)


def _alike(places: Sequence[Path]) -> set[Path]:
    """Return the places that cannot be told apart, on some file systems at least."""
    known: dict[str, list[Path]] = {}
    for place in places:
        known.setdefault(same_name(place), []).append(place)
    return {place for alike in known.values() if len(alike) > 1 for place in alike}


def _segmented(model: "Segmenter", job: Job, options: argparse.Namespace) -> Segmented:
    """Return what was found in one image."""
    from maskspace.segmenter import told_smaller

    photo = job.photo
    image = read_photo(photo, options)
    smaller = told_smaller(image)
    if smaller is not None and options.tiles is None:
        note(f"{photo}: {smaller}")
    return Segmented(
        name=job.name.as_posix(),
        place=options.out / job.place,
        image=image,
        found=_found(model, image, options),
        best_on_top=options.on_top == "best",
        categories=model.categories,
        map_place=place_of(photo, options) if options.format == "geojson" else None,
        geotiff=geotiff_of(photo, options) if options.format == "tif" else None,
    )


def _found(
    model: "Segmenter", image: "np.ndarray", options: argparse.Namespace
) -> "np.ndarray | Prediction":
    """Return the regions or the masks of an image that are as large as was asked for."""
    largest = options.largest_area or image.shape[0] * image.shape[1]
    if options.least_area > largest:
        raise ValueError(f"--least-area {options.least_area} is above the largest area, {largest}")
    if not options.proposals:
        from maskspace.masks import keep_areas

        labels = model.partition(image, regions=options.regions or DEFAULT_REGIONS)
        return keep_areas(labels, least=options.least_area, largest=largest)
    bounded = options.least_area > 1 or options.largest_area is not None
    wanted = max(options.proposals, min(MOST_ASKED, 10 * options.proposals))
    found = model.propose(image, limit=wanted if bounded else options.proposals)
    found = found.of_areas(least=options.least_area, largest=largest)
    found = found.ranked(limit=options.proposals)
    if not options.no_overlap:
        return found
    shown = found.disjoint(priority="first" if options.on_top == "best" else "smallest")
    return shown.of_areas(least=options.least_area, largest=largest)
