"""A student on photos: how stable its partitions are, how long it takes, what it looks like.

    OMP_NUM_THREADS=1 python -m benchmarks.photos [--model student] [--photos FOLDER] [--limit 100]
    OMP_NUM_THREADS=1 python -m benchmarks.photos --picture docs/pictures/photos.png

Of every photo of FOLDER the partition into 24 regions is compared, by the adjusted Rand index, with
that of the mirrored photo, mirrored back, of the photo under grey noise of deviation 1 (of 255),
and after JPEG of quality 75. Without a folder the photos are those that scikit-image brings. The
picture is of these, cut into 5, 20 and 80 regions.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from skimage import data
from sklearn.metrics import adjusted_rand_score

import maskspace
from maskspace import pictures
from maskspace.loaded import Segmenter
from maskspace.rgb import read_rgb

REGIONS, CUTS, SIDE = 24, (5, 20, 80), 320
Photo = UInt8[np.ndarray, "h w 3"]


def main() -> None:
    """Print a line a measure, or draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photos", description=__doc__)
    parser.add_argument("--model", default="student")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = maskspace.load(options.model)
    if options.picture is not None:
        draw(model, options.picture)
        return
    paths = sorted(options.photos.glob("*.jpg"))[: options.limit] if options.photos else []
    photos = [read_rgb(str(path)) for path in paths] or bundled_photos()
    for name, changed in CHANGES.items():
        found = [agreement(model, photo, changed, mirrored=name == "mirrored") for photo in photos]
        print(f"adjusted Rand, {name}: mean {np.mean(found):.3f}, least {min(found):.3f}")
    print(f"median of {len(photos)} photos: {statistics.median(seconds(model, photos)):.3f} s")


def bundled_photos() -> list[Photo]:
    """Return photos in the public domain or of a free licence that scikit-image brings."""
    return [data.astronaut(), data.chelsea(), data.coffee()]


def noisy(photo: Photo) -> Photo:
    """Return a photo under grey noise."""
    noise = np.random.default_rng(0).normal(size=(*photo.shape[:2], 1))
    return np.clip(np.round(photo + noise), 0, 255).astype(np.uint8)


def coded(photo: Photo) -> Photo:
    """Return a photo after JPEG."""
    held = io.BytesIO()
    Image.fromarray(photo).save(held, "JPEG", quality=75)
    return np.array(Image.open(held))


CHANGES: dict[str, Callable[[Photo], Photo]] = {
    "mirrored": lambda photo: np.ascontiguousarray(photo[:, ::-1]),
    "grey noise of 1": noisy,
    "JPEG quality 75": coded,
}


def agreement(
    model: Segmenter, photo: Photo, change: Callable[[Photo], Photo], *, mirrored: bool
) -> float:
    """Return the adjusted Rand index of a photo's partition with that of the changed photo."""
    plain, other = model.partition(photo, REGIONS), model.partition(change(photo), REGIONS)
    other = other[:, ::-1] if mirrored else other
    return float(adjusted_rand_score(plain.ravel(), other.ravel()))


def seconds(model: Segmenter, photos: list[Photo]) -> list[float]:
    """Return the time of each photo's tree, the network with it."""
    times = []
    for photo in photos:
        changed = photo ^ 1  # the last photo's tree is kept
        begin = time.perf_counter()
        model.hierarchy(changed)
        times.append(time.perf_counter() - begin)
    return times


def draw(model: Segmenter, path: Path) -> None:
    """Write the sheet of photos and their cuts."""
    rows = []
    for photo in bundled_photos():
        tree = model.hierarchy(photo)
        cuts = [pictures.paint_labels(photo, tree.partition(n), opacity=0.5) for n in CUTS]
        rows.append([photo, *cuts])
    titles = ["photo", *(f"{number} regions" for number in CUTS)]
    pictures.save_image(path, pictures.contact_sheet(rows, titles=titles, side=SIDE))


if __name__ == "__main__":
    main()
