"""Small raw data of every kind that the generator of the samples makes."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.annotations import annotate
from maskspace.data.readers.hqseg44k import SUBSETS
from maskspace.data.readers.mask_layers import encode_layers
from maskspace.data.readers.scenes import draw_scene
from maskspace.masks import encode
from samples.make_samples import write_hypersim, write_sa1b_tar, write_textures


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `textures/`, `sa1b/` (two tars of two images) and `hypersim/` (two frames)."""
    root = tmp_path_factory.mktemp("raw")
    write_textures(root / "textures")
    for number in range(2):
        ids = range(9 + 2 * number, 11 + 2 * number)
        write_sa1b_tar(root / "sa1b" / f"sa_{number:06d}.tar", ids, seed=0)
    write_hypersim(root / "hypersim", seed=0, frames=2)
    return root


def write_image(path: Path, pixels: np.ndarray) -> Path:
    """Write an image file, and its folders where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def picture() -> Callable[[Path, np.ndarray], Path]:
    """The function that writes an array as the image file of a layout."""
    return write_image


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small copy of each layout whose data is not at hand.

    `hqseg44k/`, `coco_lvis/` (published; three images of train, one of val) and `sav/` (training
    set; three annotated frames of `sav_000002`).
    """
    root = tmp_path_factory.mktemp("trees")
    write_hqseg44k(root / "hqseg44k")
    write_coco_lvis(root / "coco_lvis")
    write_sav(root / "sav")
    return root


def write_hqseg44k(root: Path) -> None:
    """Write two images of every sub-set; masks of grey, of colour and with soft edges."""
    rng = np.random.default_rng(0)
    for number, subset in enumerate(SUBSETS.values()):
        for stem in ("2#Air#7", "b"):
            image = rng.integers(0, 256, (12 + number, 10, 3), dtype=np.uint8)
            mask = np.zeros(image.shape, np.uint8)
            mask[2:5, 1 : 3 + number % 4, number % 3] = 1 if stem == "b" else 255
            write_image(root / subset.images / f"{stem}.jpg", image)
            write_image(root / subset.masks / f"{stem}.png", mask if number % 2 else mask.max(2))


def write_coco_lvis(root: Path) -> None:
    """Write nested scenes as COCO+LVIS is published, the ground below everything as its stuff."""
    for split, numbers in (("train", (9, 30, 25)), ("val", (1,))):
        index = {}
        for number in numbers:
            rng = np.random.default_rng(number)
            image, masks = draw_scene(rng, (64, 96), objects=(3, 5), texture=8.0)
            stuff = ~masks.any(axis=0, keepdims=True)
            layers, mapping = encode_layers(np.concatenate([masks, stuff]))
            write_image(root / split / "images" / f"{number:012d}.jpg", image)
            pair = ([np.frombuffer(layer, np.uint8) for layer in layers], mapping)
            path = root / split / "masks" / f"{number:012d}.pickle"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(pair))
            parents = [a.parent and a.parent - 1 for a in annotate(masks)]
            nodes = {
                i: None
                if parent is None and i not in parents
                else {
                    "children": [j for j, other in enumerate(parents) if other == i],
                    "parent": parent,
                    "node_level": 0,
                }
                for i, parent in enumerate(parents)
            }
            index[f"{number:012d}"] = {"num_instance_masks": len(masks), "hierarchy": nodes}
        (root / split / "hannotation.pickle").write_bytes(pickle.dumps(index, protocol=4))


def write_sav(root: Path) -> None:
    """Write the frames and masklets of one video of ten frames, of which 0, 4 and 8 have masks."""
    rng = np.random.default_rng(0)
    _, masks = draw_scene(rng, (48, 64), objects=(3, 4), texture=0.0)
    strings = encode(masks)
    rles = [{"size": [48, 64], "counts": string} for string in strings]
    for frame in range(10):
        image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        write_image(root / "sav_000002" / f"{frame:05d}.jpg", image)
    empty = {"size": [48, 64], "counts": encode(np.zeros((1, 48, 64), bool))[0]}
    frames = [rles[:2], [rles[0], empty], [None, rles[1]]]
    head = {"video_id": "sav_000002", "video_frame_count": 10.0, "video_split": "train"}
    manual = {**head, "masklet": frames, "masklet_stability_score": [None, None]}
    auto = {
        **head,
        "masklet": [rles[2:]] * 3,
        "masklet_stability_score": [[0.5] * len(rles[2:])] * 3,
    }
    for name, record in (("manual", manual), ("auto", auto)):
        (root / f"sav_000002_{name}.json").write_text(json.dumps(record))
