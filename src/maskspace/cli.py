"""The `maskspace` command: parse, call one function of the library, write, print.

Exit status 0, or 2 for what the caller got wrong, with one line on standard error that names the
file and the mend. Heavy imports wait until a command runs, so that `--help` is immediate.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import numpy as np

    from maskspace.download.tasks import Request
    from maskspace.segmenter import Segmenter
    from maskspace.session import ClickSession
    from maskspace.types import Proposals, Sample

DEFAULT_REGIONS = 24
DEFAULT_MODEL = "student"
MODEL_HELP = (
    "a bundled model, a peer such as felzenszwalb or felzenszwalb@scale=200, a folder with "
    "model.json and model.safetensors, a published checkpoint *.pth, or models:/NAME@alias"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except ValueError as error:
        return complain(str(error))


def complain(message: str) -> int:
    """Print one line on standard error and return the exit status of a caller's mistake."""
    print(f"maskspace: {' '.join(message.split())}", file=sys.stderr)
    return 2


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line that says where help is."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> OneLineParser:
    """Return the parser of all commands; each sets `run` to its function."""
    top = OneLineParser(
        prog="maskspace",
        description="Segment images into any number of regions, objects and parts.",
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _add_segment(commands.add_parser("segment", help="images -> regions or ranked proposals"))
    _add_click(commands.add_parser("click", help="clicks on one image -> one mask"))
    _add_evaluate(commands.add_parser("evaluate", help="models x datasets -> metrics and plots"))
    _add_finetune(commands.add_parser("finetune", help="a clicker + datasets -> another clicker"))
    _add_download(commands.add_parser("download", help="a published dataset -> a folder"))
    _add_shards(commands.add_parser("shards", help="look into folders of shards"))
    return top


def _add_segment(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Segment images of 16x16 to 12 megapixels. For IMAGE x.jpg it writes x.labels.png and "
        "x.overlay.png, x.json (COCO, run lengths) or x.npz in DIR. A bad image is told in one "
        "line and does not keep the others from being written; the exit status is then 2."
    )
    command.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    number = command.add_mutually_exclusive_group()
    number.add_argument(
        "--regions",
        type=_count,
        metavar="N",
        help=f"exactly N connected regions that cover the image (default {DEFAULT_REGIONS})",
    )
    number.add_argument(
        "--proposals",
        type=_count,
        metavar="N",
        help="at most N ranked masks, which may overlap; in a label map the smallest is on top",
    )
    command.add_argument(
        "--model", default="student", metavar="NAME", help=f"{MODEL_HELP} (default student)"
    )
    command.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing"
    )
    command.add_argument(
        "--format",
        choices=sorted(WRITERS),
        default="png",
        help="png: label map, 8 bits to 255 labels and 16 above, and an overlay; "
        "coco: JSON with run lengths, boxes and areas in pixels; "
        "npz: labels (int32 h w), or masks (bool n h w) and scores (default png)",
    )
    command.set_defaults(run=_segment)


def _add_click(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Write the mask that clicks describe, 255 inside and 0 outside. With --session the clicks "
        "are kept in a file, and the next call goes on with them."
    )
    command.add_argument("image", type=Path, metavar="IMAGE")
    command.add_argument(
        "--at",
        dest="clicks",
        type=_wanted,
        action="append",
        default=[],
        metavar="X,Y",
        help="a pixel of the object: column X and row Y from 0 at the top left; may be repeated",
    )
    command.add_argument(
        "--not",
        dest="clicks",
        type=_unwanted,
        action="append",
        default=[],
        metavar="X,Y",
        help="a pixel of what to leave out; may be repeated (default none)",
    )
    command.add_argument(
        "--model",
        metavar="NAME",
        help=f"{MODEL_HELP} (default that of the session's file, else student)",
    )
    command.add_argument(
        "--session",
        type=Path,
        metavar="FILE",
        help="a JSON file of clicks on this image: read if it exists, written with the new clicks",
    )
    command.add_argument(
        "--undo",
        type=_count,
        default=0,
        metavar="N",
        help="take back the session's last N clicks before the new ones (default 0)",
    )
    command.add_argument(
        "--start",
        type=Path,
        metavar="MASK.png",
        help="the mask that the clicks correct, of the image's size: object above 127 (default "
        "that of the session's file, else empty)",
    )
    command.add_argument(
        "--level",
        type=float,
        metavar="T",
        help="the probability in (0, 1) above which a pixel is inside; higher is finer (default "
        "that of the session's file, else 0.5)",
    )
    command.add_argument(
        "--rule",
        choices=("claims", "largest", "iterative"),
        help="claims: the surest click that claims a pixel decides, in any order; largest: the "
        "surest of all clicks' maps; iterative: clicks one after the other, each given the map "
        "before it (default that of the session's file, else claims)",
    )
    command.add_argument("--out", required=True, type=Path, metavar="MASK.png", help="a PNG file")
    command.set_defaults(run=_click, refuse=command.error)


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Evaluate models on datasets; writes metrics.json, table.txt, curves.csv, clicks.csv, "
        "per_image.csv, per_sample.csv and plots. IoU and recall are in [0, 1]; masks of fewer "
        "than 256 pixels are ignored, unless the protocol says otherwise. A run that was broken "
        "off goes on where it was."
    )
    command.add_argument(
        "--data",
        type=_dataset,
        action="append",
        required=True,
        metavar="KIND:PATH",
        help="a dataset's kind and where it is, such as bsds500:/data/bsds500; may be repeated",
    )
    command.add_argument(
        "--split",
        choices=("train", "val", "test"),
        default="test",
        help="the source's split; a source without splits is used whole (default test)",
    )
    command.add_argument(
        "--model",
        dest="models",
        action="append",
        required=True,
        metavar="NAME",
        help=f"{MODEL_HELP}; may be repeated",
    )
    command.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing"
    )
    command.add_argument(
        "--limit",
        type=_count,
        metavar="N",
        help="the first N images of each dataset (default all; generated datasets need it)",
    )
    command.add_argument(
        "--protocol",
        choices=("maskspace", "segnext"),
        default="maskspace",
        help="maskspace: one click, at the centre, anywhere and in the inner half, cut at 0.5 and "
        "0.49; segnext: as published, 20 clicks at centres of errors, each round given the last "
        "probability map, cut at 0.49, masks of any size (default maskspace)",
    )
    command.add_argument(
        "--clicks", type=_count, metavar="N", help="clicks a mask (default: the protocol's 1 or 20)"
    )
    command.add_argument(
        "--clicker",
        dest="clickers",
        choices=("center", "random", "inner"),
        action="append",
        help="where clicks fall; may be repeated (default: the protocol's)",
    )
    command.add_argument(
        "--mode",
        dest="modes",
        choices=("claims", "largest", "iterative"),
        action="append",
        help="how further clicks are answered: each with a map of its own, of which the surest "
        "claims or the largest certainty win, or all together with the last round's map; may be "
        "repeated (default: the protocol's claims or iterative)",
    )
    command.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="images measured at once: 1 in this process, more by Ray (default 1)",
    )
    command.set_defaults(run=_evaluate)


def _add_finetune(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Train a clicker further on other data, read where it lies. DIR becomes a model's folder, "
        "with its history and pictures; a run that was killed goes on when called again. Lengths "
        "are in steps; what no option says is as the recipe has it."
    )
    command.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    command.add_argument(
        "--data",
        type=_dataset,
        action="append",
        required=True,
        metavar="KIND:PATH",
        help="a dataset's kind and where it is, such as hqseg44k:/data/hqseg44k; may be repeated, "
        "all weigh the same",
    )
    command.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing"
    )
    command.add_argument(
        "--recipe",
        type=Path,
        default=Path("params.yaml"),
        metavar="FILE",
        help="a YAML file whose section `clicker` is the recipe (default params.yaml)",
    )
    command.add_argument(
        "--regime",
        choices=("one", "many", "posneg"),
        help="one positive click, many clicks with corrections, or one click of either sign "
        "(default: the recipe's)",
    )
    command.add_argument(
        "--steps", type=_count, metavar="N", help="steps to train (default: the recipe's)"
    )
    command.add_argument(
        "--learning-rate", type=float, metavar="R", help="its peak (default: the recipe's)"
    )
    command.add_argument(
        "--workers", type=_count, metavar="N", help="processes that train (default: the recipe's)"
    )
    command.add_argument(
        "--limit", type=_count, metavar="N", help="the first N images of each dataset (default all)"
    )
    command.set_defaults(run=_finetune)


def _add_download(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Download a dataset from where it is published, after showing its licence. A run that was "
        "broken off goes on where it was; nothing that is not whole and checked has its final "
        "name. See docs/download.md for sizes and for steps that are done by hand."
    )
    command.add_argument(
        "dataset", nargs="?", metavar="DATASET", help="its name; --list alone says which there are"
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="folder to write to")
    command.add_argument(
        "--limit",
        type=_count,
        metavar="N",
        help="the first N frames of hypersim and davis, the first N files of others (default all)",
    )
    command.add_argument(
        "--contains",
        nargs="+",
        action="extend",
        default=[],
        metavar="WORD",
        help="only what has every WORD in its name: members of hypersim's and davis' zips, files "
        "of others; A,B as a WORD stands for A or B (default: what the reader of it reads)",
    )
    command.add_argument(
        "--links", type=Path, metavar="FILE", help="the file of links that a licence gives (sa1b)"
    )
    command.add_argument(
        "--jobs", type=_count, default=4, metavar="N", help="transfers at once (default 4)"
    )
    command.add_argument(
        "--bandwidth",
        type=_count,
        metavar="BYTES_PER_S",
        help="at most so many bytes a second, all transfers together (default no limit)",
    )
    command.add_argument(
        "--mirror",
        default=os.environ.get("MASKSPACE_MIRROR"),
        metavar="URL",
        help="a folder on the web with the files under their own names (default: MASKSPACE_MIRROR, "
        "or where they are published)",
    )
    command.add_argument("--list", action="store_true", help="say what would be fetched, and stop")
    command.add_argument("--yes", action="store_true", help="do not ask whether the terms are met")
    command.set_defaults(run=_download)


def _add_shards(command: argparse.ArgumentParser) -> None:
    command.description = "Look into folders of shards."
    commands = command.add_subparsers(metavar="COMMAND", required=True)
    info = commands.add_parser("info", help="what is inside: counts, histograms, a contact sheet")
    info.description = (
        "Print the counts of each split: samples, masks, megabytes, image sizes, and histograms of "
        "mask areas in pixels, masks of an image, nesting and image sides, in percent. With --out "
        "it also writes histograms.png and contact_sheet.png in DIR."
    )
    info.add_argument(
        "path", metavar="PATH", help="a folder with manifest.json, or its URL, such as s3://b/coco"
    )
    info.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the pictures, made if missing"
    )
    info.add_argument(
        "--recount",
        action="store_true",
        help="count the records themselves, on all cores, not what the manifest says of them",
    )
    info.set_defaults(run=_shards_info)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _pixel(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y in whole pixels, such as 120,80")
    return int(parts[0]), int(parts[1])


def _wanted(text: str) -> tuple[int, int, bool]:
    return (*_pixel(text), True)


def _unwanted(text: str) -> tuple[int, int, bool]:
    return (*_pixel(text), False)


def _dataset(text: str) -> tuple[str, str]:
    kind, colon, path = text.partition(":")
    if not (kind and colon and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND:PATH, such as bsds500:data/bsds500")
    return kind, path


def _segment(options: argparse.Namespace) -> int:
    from maskspace.segmenter import load

    model = load(options.model)
    stems = Counter(path.stem for path in options.images)
    status = 0
    for path in options.images:
        try:
            if stems[path.stem] > 1:
                raise ValueError(f"another image is also called {path.stem}; rename one of them")
            for written in _segment_one(model, path, options):
                print(written)
        except ValueError as error:
            message = str(error)
            status = complain(message if str(path) in message else f"{path}: {message}")
    return status


def _segment_one(model: "Segmenter", path: Path, options: argparse.Namespace) -> list[Path]:
    """Return the files written for one image: complete, or none at all."""
    from maskspace.segmenter import checked_image

    image = checked_image(path)
    if options.proposals:
        found = model.propose(image, limit=options.proposals)
    else:
        found = model.partition(image, regions=options.regions or DEFAULT_REGIONS)
    return write_files(WRITERS[options.format](options.out, path.name, image, found))


def write_files(contents: dict[Path, bytes]) -> list[Path]:
    """Write files so that all appear, each complete, after everything has been written."""
    partials = {path: path.with_name(f".{path.name}.partial") for path in contents}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            partials[path].write_bytes(content)
        for path, partial in partials.items():
            os.replace(partial, path)
    except OSError as error:
        for partial in partials.values():
            with contextlib.suppress(OSError):
                partial.unlink()
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    return list(contents)


def _png_files(
    folder: Path, name: str, image: "np.ndarray", found: "np.ndarray | Proposals"
) -> dict[Path, bytes]:
    import numpy as np

    from maskspace.masks import to_label_map
    from maskspace.pictures import paint_labels

    labels = found if isinstance(found, np.ndarray) else to_label_map(found.masks)
    depth = np.uint8 if labels.max() <= 255 else np.uint16
    stem = Path(name).stem
    return {
        folder / f"{stem}.labels.png": _png(labels.astype(depth)),
        folder / f"{stem}.overlay.png": _png(paint_labels(image, labels)),
    }


def _coco_files(
    folder: Path, name: str, image: "np.ndarray", found: "np.ndarray | Proposals"
) -> dict[Path, bytes]:
    import numpy as np

    from maskspace.masks import areas, boxes_xywh, encode

    if isinstance(found, np.ndarray):
        masks = (found == label for label in range(1, int(found.max()) + 1))
        scores = [1.0] * int(found.max())
    else:
        masks, scores = iter(found.masks), found.scores.tolist()
    size_hw = list(image.shape[:2])
    annotations = [
        {
            "id": index,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "segmentation": {"size": size_hw, "counts": encode(mask[None])[0]},
            "area": int(areas(mask[None])[0]),
            "bbox": boxes_xywh(mask[None])[0].tolist(),
            "score": score,
        }
        for index, (mask, score) in enumerate(zip(masks, scores, strict=True), start=1)
    ]
    document = {
        "images": [{"id": 1, "file_name": name, "height": size_hw[0], "width": size_hw[1]}],
        "categories": [{"id": 1, "name": "region"}],
        "annotations": annotations,
    }
    return {folder / f"{Path(name).stem}.json": json.dumps(document).encode()}


def _npz_files(
    folder: Path, name: str, image: "np.ndarray", found: "np.ndarray | Proposals"
) -> dict[Path, bytes]:
    import numpy as np

    file = io.BytesIO()
    if isinstance(found, np.ndarray):
        np.savez_compressed(file, labels=found)
    else:
        np.savez_compressed(file, masks=found.masks, scores=found.scores)
    return {folder / f"{Path(name).stem}.npz": file.getvalue()}


#: What each --format writes: folder, image's file name, image, label map or proposals -> files.
WRITERS: "dict[str, Callable[..., dict[Path, bytes]]]" = {
    "png": _png_files,
    "coco": _coco_files,
    "npz": _npz_files,
}


def _png(array: "np.ndarray") -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def _click(options: argparse.Namespace) -> int:
    from maskspace.segmenter import checked_image

    known = options.session is not None and options.session.exists()
    if options.out.suffix.lower() != ".png":
        raise ValueError(f"{options.out}: a mask is written as PNG; give a name that ends in .png")
    if options.undo and not known:
        options.refuse("--undo needs --session with a file that exists")
    if not (options.clicks or known):
        options.refuse("no clicks; give --at or --not, or --session with a file that exists")
    image = checked_image(options.image)
    start = None if options.start is None else _read_mask(options.start)
    try:
        session = _taken_up(image, options.session if known else None, options.model)
        session.change(level=options.level, rule=options.rule, start=start)
        session.undo(options.undo)
        mask = session.extend(options.clicks)
    except ValueError as error:
        message = str(error)
        named = str(options.image) in message or str(options.session) in message
        raise ValueError(message if named else f"{options.image}: {message}") from None
    contents = {options.out: _png(mask.astype("uint8") * 255)}
    if options.session is not None:
        contents[options.session] = session.to_json()
    for written in write_files(contents):
        print(written)
    return 0


def _taken_up(image: "np.ndarray", saved: Path | None, model: str | None) -> "ClickSession":
    """Return the session of a file, of the model that made it if none is given; else a new one."""
    from maskspace.segmenter import load
    from maskspace.session import read_session

    name = model or (DEFAULT_MODEL if saved is None else read_session(saved).model)
    session = load(name).session(image)
    session.model = name  # what can be loaded again: a folder, not only what it is called
    if saved is not None:
        session.load(saved)
    return session


def _read_mask(path: Path) -> "np.ndarray":
    """Return a mask file as bool h w; one whose values all stay dark is refused."""
    from maskspace.types import read_rgb

    brightest = read_rgb(str(path)).max(axis=2)
    if 0 < brightest.max() <= 127:
        raise ValueError(f"{path}: values up to {brightest.max()}; a mask is 255 inside, 0 outside")
    return brightest > 127


def _evaluate(options: argparse.Namespace) -> int:
    from functools import partial

    from maskspace.evaluation import evaluate_models
    from maskspace.evaluation.config import protocol_config
    from maskspace.parallel import map_here, map_units
    from maskspace.segmenter import load

    models = {name: load(name) for name in dict.fromkeys(options.models)}
    kinds = Counter(kind for kind, _ in options.data)
    datasets = {
        kind if kinds[kind] == 1 else f"{kind}:{path}": read_split(
            kind, path, split=options.split, limit=options.limit
        )
        for kind, path in options.data
    }
    config = protocol_config(
        options.protocol,
        limit=options.limit,
        clicks=options.clicks,
        clickers=options.clickers,
        modes=options.modes,
    )
    workers = partial(map_units, workers=options.workers) if options.workers > 1 else map_here
    work = options.out / f".rows-{_question(options, models)}"
    try:
        evaluate_models(
            datasets,
            models,
            options.out,
            config=config,
            work=work,
            map_units=partial(workers, describe="evaluate: images"),
        )
        shutil.rmtree(work)
        print((options.out / "table.txt").read_text(), end="")
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    return 0


def _question(options: argparse.Namespace, models: "Mapping[str, Segmenter]") -> str:
    """Return a name of the data and of the models, their code and weights: what rows depend on."""
    import hashlib

    from torch import nn

    digest = hashlib.sha256(json.dumps([options.data, options.split]).encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    for name, model in models.items():
        digest.update(f"{name}\0".encode())
        for network in (part for part in vars(model).values() if isinstance(part, nn.Module)):
            for key, weight in network.state_dict().items():
                digest.update(key.encode() + weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _finetune(options: argparse.Namespace) -> int:
    from maskspace import parallel
    from maskspace.config import load_section
    from maskspace.models.click_vit import ClickVit
    from maskspace.segmenter import ClickSegmenter, load
    from maskspace.training.config import ClickerConfig
    from maskspace.training.finetune import Dataset, finetune, recipe

    loaded = load(options.model)
    if not isinstance(loaded, ClickSegmenter) or not isinstance(loaded.model, ClickVit):
        raise ValueError(f"{options.model}: no clicker; give the folder of one, or a checkpoint")
    kinds = Counter(kind for kind, _ in options.data)
    datasets = {
        kind if kinds[kind] == 1 else f"{kind}:{path}": Dataset(
            kind=kind, path=path, limit=options.limit
        )
        for kind, path in options.data
    }
    config = recipe(
        load_section(ClickerConfig, "clicker", path=options.recipe),
        data=dict.fromkeys(datasets, 1.0),
        regime=options.regime,
        steps=options.steps,
        learning_rate=options.learning_rate,
        workers=options.workers,
    )
    try:
        with parallel.connect():
            finetune(loaded.model, datasets, options.out, config=config)
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    print(options.out)
    return 0


def _download(options: argparse.Namespace) -> int:
    from maskspace.download.tasks import Request, overview, terms

    if options.dataset is None:
        if not options.list:
            raise ValueError("no DATASET; --list says which there are")
        print(overview())
        return 0
    if options.out is None and not options.list:
        raise ValueError(f"{options.dataset}: no --out DIR; give the folder to write to")
    with tempfile.TemporaryDirectory() as scratch:
        request = Request(
            dataset=options.dataset,
            out=Path(scratch if options.list else str(options.out)),
            limit=options.limit,
            contains=tuple(options.contains),
            links=options.links,
            mirror=options.mirror,
        )
        print(terms(request), flush=True)
        asked = sys.stdin.isatty() and not (options.list or options.yes)
        if asked and not _agrees("Download it under these terms? [y/N] "):
            raise ValueError(f"{options.dataset}: not downloaded; answer y, or give --yes")
        return _transfer(request, options)


def _agrees(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        return False


def _transfer(request: "Request", options: argparse.Namespace) -> int:
    """Download, or list what would be, and say what came of it."""
    from maskspace.download.tasks import download, tasks
    from maskspace.download.transport import Transport

    try:
        with Transport(jobs=options.jobs, bandwidth=options.bandwidth) as transport:
            if options.list:
                for task in tasks(request, transport, jobs=options.jobs):
                    for name, size in task.files.items():
                        print(name, "" if size is None else f" {size} bytes")
                return 0
            report = download(request, transport, jobs=options.jobs)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"{error.filename or request.out}: {reason}; correct --out") from None
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on where it was")
        return 130
    for failure in report.failures[:20]:
        complain(failure)
    if len(report.failures) > 20:
        complain(f"and {len(report.failures) - 20} more failed; run again to fetch what is missing")
    kept = f"{report.files} files, {report.received} bytes received"
    print(f"{request.out}: {kept}; read it with --data {request.official.kind}:{request.out}")
    return 2 if report.failures else 0


def read_split(kind: str, path: str, *, split: str, limit: int | None) -> "Sequence[Sample]":
    """Return the first `limit` samples of one split of a dataset, read when they are asked for.

    A source that has no splits is used whole. Raises ValueError for an unknown kind and for a
    split without images.
    """
    from maskspace.config import lookup
    from maskspace.data import GENERATED, READERS
    from maskspace.data.source import Source

    read = lookup(READERS, kind, kind="dataset kind")
    found = read(path, seed=0, limit=limit if kind in GENERATED else None)
    assert isinstance(found, Source)
    chosen = [i for i, own in enumerate(found.splits) if own in (None, split)][:limit]
    if not chosen:
        known = ", ".join(sorted({own for own in found.splits if own is not None}))
        raise ValueError(f"{path}: no images in split {split}; this source has {known or 'none'}")
    return Source(
        keys=tuple(found.keys[i] for i in chosen),
        splits=tuple(found.splits[i] for i in chosen),
        read=lambda index: found.read(chosen[index]),
    )


def _shards_info(options: argparse.Namespace) -> int:
    from maskspace.data.summary import counts_by_split, summary_text, write_pictures
    from maskspace.parallel import map_units

    counts = counts_by_split(options.path, recount=options.recount, map_units=map_units)
    print(summary_text(options.path, counts), end="")
    if options.out is None:
        return 0
    try:
        written = write_pictures(options.path, counts, options.out)
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be written ({error.strerror})") from None
    print(*written, sep="\n")
    return 0
