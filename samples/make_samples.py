"""Make the raw sample data: `python -m samples.make_samples --out data`.

Two tars in SA-1B's layout, one scene in HyperSim's, and real textures. The same seed gives the same
bytes with the pinned versions of Pillow, h5py and HDF5.
"""

import argparse
import io
import json
import shutil
import tarfile
from pathlib import Path

import h5py
import numpy as np
import skimage.data
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from maskspace.data.images import encode_png
from maskspace.data.readers.scenes import draw_scene
from maskspace.masks import areas, boxes_xywh, encode
from samples.room import ROOM, camera_rays, furnish, render

JPEG_QUALITY = 88
SCENE = "ai_001_001"
FRAME_HW = (192, 256)

#: Textures: the bundled picture, the window (left, top, right, bottom), the factor of reduction.
TEXTURES = {
    "brick": ("brick", (0, 0, 512, 512), 2),
    "bronze_fur": ("chelsea", (70, 10, 175, 80), 1),
    "grain": ("coffee", (0, 270, 85, 390), 1),
    "grass": ("grass", (0, 0, 512, 512), 2),
    "gravel": ("gravel", (0, 0, 512, 512), 2),
    "lawn": ("camera", (415, 400, 511, 495), 1),
    "tissue": ("immunohistochemistry", (40, 20, 140, 150), 1),
}


def main() -> None:
    """Write the sample data to `--out`, which has to be new or empty."""
    parser = argparse.ArgumentParser(description="Make the raw sample data of maskspace.")
    parser.add_argument("--out", type=Path, required=True, help="a folder, new or empty")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything drawn (default 0)")
    arguments = parser.parse_args()
    if arguments.out.exists() and any(arguments.out.iterdir()):
        parser.error(f"{arguments.out}: not empty; remove it, or give another folder")
    make_samples(arguments.out, seed=arguments.seed)


def make_samples(out: Path, *, seed: int, images_per_tar: int = 40, frames: int = 24) -> None:
    """Write `sa1b/`, `hypersim/` and `textures/` under `out`, which appears whole or not at all."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    write_textures(partial / "textures")
    write_hypersim(partial / "hypersim", seed=seed, frames=frames)
    for number in range(2):
        first = 1 + number * images_per_tar
        ids = range(first, first + images_per_tar)
        write_sa1b_tar(partial / "sa1b" / f"sa_{number:06d}.tar", ids, seed=seed)
    if out.exists():
        out.rmdir()
    partial.replace(out)


def write_textures(folder: Path) -> None:
    """Write crops of photographs that scikit-image bundles, all free of known copyright, as PNG."""
    folder.mkdir(parents=True)
    for name, (picture, window, factor) in TEXTURES.items():
        image = Image.fromarray(getattr(skimage.data, picture)()).convert("RGB")
        crop = image.crop(window)
        small = crop.resize((crop.width // factor, crop.height // factor), Image.Resampling.BOX)
        (folder / f"{name}.png").write_bytes(encode_png(np.asarray(small)))


def write_sa1b_tar(path: Path, ids: range, *, seed: int) -> None:
    """Write a tar of nested scenes as SA-1B publishes its images: `./sa_N.jpg`, `./sa_N.json`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for image_id in ids:
            rng = np.random.default_rng([seed, image_id, 4])
            height, width = (int(side) for side in rng.integers(8, 13, 2) * 32)
            image, masks = draw_scene(rng, (height, width), objects=(3, 6), texture=12.0)
            label = json.dumps(sa1b_record(image_id, masks)).encode()
            _add(archive, f"./sa_{image_id}.jpg", encode_jpeg(image))
            _add(archive, f"./sa_{image_id}.json", label)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def sa1b_record(image_id: int, masks: Bool[np.ndarray, "n h w"]) -> dict[str, object]:
    """Return masks as SA-1B's JSON, whose boxes hold inclusive corners.

    The masks are exact, so that `predicted_iou` and `stability_score` are 1; the point is the first
    pixel of the mask.
    """
    _, height, width = masks.shape
    annotations = []
    for number, (counts, area, box) in enumerate(
        zip(encode(masks), areas(masks), boxes_xywh(masks), strict=True)
    ):
        row, column = np.argwhere(masks[number])[0]
        x, y, columns, rows = map(float, box)
        annotations.append(
            {
                "segmentation": {"size": [height, width], "counts": counts},
                "bbox": [x, y, columns - 1, rows - 1],
                "area": int(area),
                "predicted_iou": 1.0,
                "stability_score": 1.0,
                "point_coords": [[float(column), float(row)]],
                "crop_box": [0.0, 0.0, float(width), float(height)],
                "id": 1000 * image_id + number,
            }
        )
    image = {
        "image_id": image_id,
        "width": width,
        "height": height,
        "file_name": f"sa_{image_id}.jpg",
    }
    return {"image": image, "annotations": annotations}


def write_hypersim(root: Path, *, seed: int, frames: int) -> None:
    """Write one scene: previews as JPEG and entity ids as HDF5, from a camera that walks around."""
    images = root / SCENE / "images"
    previews, geometry = (
        images / f"scene_cam_00_{kind}" for kind in ("final_preview", "geometry_hdf5")
    )
    for folder in (previews, geometry):
        folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, 5])
    boxes = furnish(rng)
    for frame in range(frames):
        turn = 2 * np.pi * frame / frames
        around = np.array([np.cos(turn), np.sin(turn)])
        middle = np.array(ROOM[:2]) / 2
        eye = np.array([*(middle + around * (2.2, 1.75)), 1.5 + 0.25 * np.sin(3 * turn)])
        target = np.array(
            [*(middle - 0.5 * around + rng.uniform(-0.4, 0.4, 2)), rng.uniform(0.6, 1.0)]
        )
        image, entities = render(boxes, eye, camera_rays(eye, target, FRAME_HW))
        noisy = image + rng.normal(0, 2.0, image.shape)
        picture = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        (previews / f"frame.{frame:04d}.color.jpg").write_bytes(encode_jpeg(picture))
        write_entities(geometry / f"frame.{frame:04d}.render_entity_id.hdf5", entities)


def write_entities(path: Path, entities: Int64[np.ndarray, "h w"]) -> None:
    """Write entity ids as HyperSim does: int16, one dataset named "dataset", gzip."""
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "dataset",
            data=entities.astype(np.int16),
            compression="gzip",
            compression_opts=9,
            track_times=False,
        )


def encode_jpeg(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Return JPEG bytes without chroma subsampling, which would smear small parts."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
