"""`maskspace segment`: images -> regions or ranked proposals."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
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
from maskspace.cli.picture_files import PICTURES, picture_names, pictures_of
from maskspace.cli.segment_files import ENDINGS, Segmented, files_of, one_document

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
    command.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="a file or a folder")
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
    inputs = Inputs([photo for photo, _, _ in found])
    if together:
        inputs.keep([options.out])
    from maskspace.segmenter.embedding import finds_instances, in_tiles
    from maskspace.segmenter.loading import load

    model = load(options.model)
    if options.tiles is not None:
        model = in_tiles(model, side=options.tiles)
    if not asked and finds_instances(model):
        options.proposals = MOST_ASKED
    bad = 0
    with one_document(options.out, model.categories) if together else nullcontext() as document:
        twice = _alike([name if together else place for _, place, name in found])
        for photo, place, name in found:
            try:
                if (name if together else place) in twice:
                    raise ValueError(f"another image is also called {place}; rename one of them")
                if document is None:
                    out = options.out / place
                    drawn = [PICTURES[picture][0] for picture in options.pictures]
                    endings = [*ENDINGS[options.format], *drawn]
                    inputs.keep([out.with_name(out.name + e) for e in endings], beside=True)
                one = _segmented(model, photo, place, name, options)
                if document is None:
                    regions = None if options.proposals else options.regions or DEFAULT_REGIONS
                    pictures = pictures_of(one, options.pictures, model, regions)
                    print(*write_files(files_of(one, options.format) | pictures), sep="\n")
                else:
                    document.add(one)
            except ValueError as error:
                message = str(error)
                complain(message if str(photo) in message else f"{photo}: {message}")
                bad += 1
        if document is not None:
            if not document.images:
                raise ValueError(f"{options.out}: not written; no image could be segmented")
            print(options.out)
    if (
        bad and options.max_left_out
    ):  # else each has been told, and the status says that some failed
        note(f"{bad} of {len(found)} images left out")
    return 0 if bad <= options.max_left_out * len(found) else 2


def _images(given: Sequence[Path], *, leave: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Yield image files, where their results lie under the output, and what they are called."""
    for path in given:
        if not path.is_dir():
            yield path, Path(path.stem), Path(path.name)
            continue
        for file in image_files(path, leave=leave):
            name = file.relative_to(path)
            yield file, name.with_name(name.stem), name


def _alike(places: Sequence[Path]) -> set[Path]:
    """Return the places that cannot be told apart, on some file systems at least."""
    known: dict[str, list[Path]] = {}
    for place in places:
        known.setdefault(same_name(place), []).append(place)
    return {place for alike in known.values() if len(alike) > 1 for place in alike}


def _segmented(
    model: "Segmenter", photo: Path, place: Path, name: Path, options: argparse.Namespace
) -> Segmented:
    """Return what was found in one image."""
    from maskspace.segmenter import told_smaller

    image = read_photo(photo, options)
    smaller = told_smaller(image)
    if smaller is not None and options.tiles is None:
        note(f"{photo}: {smaller}")
    return Segmented(
        name=name.as_posix(),
        place=options.out / place,
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
