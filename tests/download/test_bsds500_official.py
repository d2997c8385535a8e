import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from maskspace.data import READERS
from maskspace.data.readers.bsds500 import annotator_maps
from maskspace.download.bsds500_official import arrange_bsds500

RNG = np.random.default_rng(0)


def write_mat(path, maps):
    cells = np.empty((1, len(maps)), object)
    for number, labels in enumerate(maps):
        cells[0, number] = {"Segmentation": labels, "Boundaries": labels > 1}
    savemat(path, {"groundTruth": cells})


@pytest.fixture
def published(tmp_path):
    """BSDS500 as published: one photo a split with two annotators, the second of 300 segments."""
    maps = {}
    for split in ("train", "val", "test"):
        for kind in ("images", "groundTruth"):
            (tmp_path / kind / split).mkdir(parents=True)
        Image.fromarray(RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)).save(
            tmp_path / "images" / split / f"{split}1.jpg"
        )
        many = np.concatenate([np.arange(1, 301), np.ones(300, int)]).reshape(20, 30)
        maps[split] = [np.repeat([[1], [2]], 10, 0) + np.zeros((1, 30), int), many]
        maps[split] = [labels.astype(np.uint16) for labels in maps[split]]
        write_mat(tmp_path / "groundTruth" / split / f"{split}1.mat", maps[split])
    (tmp_path / "images" / "train" / "Thumbs.db").write_bytes(b"")
    return tmp_path, maps


def test_what_is_published_becomes_what_the_reader_reads(published):
    folder, maps = published
    arrange_bsds500(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["test", "train", "val"]
    for split, expected in maps.items():
        for number, labels in enumerate(expected):
            place = folder / split / "groundTruth" / f"{split}1_a{number}.png"
            np.testing.assert_array_equal(np.asarray(Image.open(place)), labels)
    samples = list(READERS["bsds500"](str(folder), seed=0, limit=None))
    assert [sample.split for sample in samples] == ["train", "val", "test"]
    assert {annotation.layer for annotation in samples[0].annotations} == {0, 1}


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0", bytes(200)])
def test_a_bad_mat_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "1.mat"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"1\.mat: not as BSDS500 publishes it") as caught:
        annotator_maps(path.read_bytes(), name=path.name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "labels", [np.zeros((3, 4), int), np.ones((3, 4)), np.ones((2, 3, 4), int)]
)
def test_a_map_that_is_none_is_told(tmp_path, labels):
    write_mat(tmp_path / "1.mat", [labels])
    with pytest.raises(ValueError, match=r"1\.mat: no label map"):
        annotator_maps((tmp_path / "1.mat").read_bytes(), name="1.mat")
    with pytest.raises(ValueError, match="it is not BSDS500"):
        arrange_bsds500(tmp_path)
