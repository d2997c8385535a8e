"""Results of others are measured as the model's own answers would be."""

import json

import numpy as np
import pytest
from PIL import Image

from maskspace.cli import main
from maskspace.masks import encode
from maskspace.segmenter.loading import load


@pytest.fixture
def pairs(tmp_path):
    """Three images with two objects each; the masks of each, by name."""
    masks = {}
    for number in range(3):
        labels = np.zeros((40, 60), np.uint8)
        labels[5:25, 5 : 25 + number], labels[20:38, 40:58] = 1, 2
        for folder, content in (("images", labels * 100), ("labels", labels)):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(tmp_path / "data" / folder / f"{number:04d}.png")
        masks[f"{number:04d}"] = labels[None] == np.array([1, 2])[:, None, None]
    return masks


def entries(pairs, **other):
    return [
        {"image_id": int(key), "category_id": 1, "score": 0.5,
         "segmentation": {"size": [40, 60], "counts": string}, **other}
        for key, masks in pairs.items()
        for string in encode(masks)
    ]  # fmt: skip


def as_list(pairs, folder):
    (folder / "results.json").write_text(json.dumps(entries(pairs)))
    return folder / "results.json"


def as_list_with_images(pairs, folder):
    images = [{"id": 7 + n, "file_name": f"x/{key}.png"} for n, key in enumerate(pairs)]
    (folder / "gt.json").write_text(json.dumps({"images": images}))
    found = entries(pairs)
    for one in found:
        one["image_id"] += 7
    (folder / "results.json").write_text(json.dumps(found))
    return f"{folder / 'results.json'}@images={folder / 'gt.json'}"


def as_document(pairs, folder):
    images = [{"id": int(key), "file_name": f"{key}.png"} for key in pairs]
    document = {"images": images, "annotations": entries(pairs)}
    (folder / "results.json").write_text(json.dumps(document))
    return folder / "results.json"


def as_label_maps(pairs, folder):
    (folder / "maps").mkdir()
    for key, masks in pairs.items():
        Image.fromarray((masks[0] + 2 * masks[1]).astype(np.uint8)).save(folder / f"maps/{key}.png")
    return folder / "maps"


def as_folders(pairs, folder):
    for key, masks in pairs.items():
        (folder / "maps" / key).mkdir(parents=True)
        for number, mask in enumerate(masks):
            path = folder / "maps" / key / f"{number}.png"
            Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    return folder / "maps"


FORMS = (as_list, as_list_with_images, as_document, as_label_maps, as_folders)


@pytest.mark.parametrize("write", FORMS)
def test_perfect_results_are_perfect_and_missing_ones_count(write, pairs, tmp_path, capsys):
    folder = tmp_path / "written"
    folder.mkdir()
    given = write(pairs, folder)
    model = load(f"results:{given}")
    image = np.zeros((40, 60, 3), np.uint8)
    for key, masks in pairs.items():
        found = model.of_image(key).propose(image)
        assert sorted(found.masks.sum(axis=(1, 2))) == sorted(masks.sum(axis=(1, 2)))
    assert len(model.of_image("unknown").propose(image)) == 0
    with pytest.raises(ValueError, match="use evaluate"):
        model.propose(image)


def test_evaluate_measures_them(pairs, tmp_path):
    given = as_list(pairs, tmp_path)
    command = ["evaluate", "--data", f"folder:{tmp_path / 'data'}", "--clicker", "center"]
    assert main([*command, "--model", f"theirs=results:{given}", "--out", str(tmp_path / "o")]) == 0
    found = json.loads((tmp_path / "o" / "metrics.json").read_text())["folder"]["theirs"]
    assert found["mean_best_iou_10"] == found["ar_10"] == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [("no json", "not JSON"), ('[{"bbox": [1, 2, 3, 4]}]', "no image_id and segmentation")],
)
def test_what_is_no_list_of_results_is_told(content, told, tmp_path):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ValueError, match=told):
        load(f"results:{tmp_path / 'r.json'}")
    with pytest.raises(ValueError, match="no such file"):
        load("results:nowhere.json")
