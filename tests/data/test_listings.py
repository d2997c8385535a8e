from pathlib import Path

import fsspec
import pytest

from maskspace.data import READERS
from maskspace.data.listings import dataset_root, files_by_stem, natural, safe_key

LAYOUTS = ("coco_lvis", "davis", "davis_interactive", "hqseg44k", "hypersim", "sa1b", "sav")
ELSEWHERE = {"davis": "davis/DAVIS"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_in_an_object_store_reads_as_on_a_disk(
    raw: Path, trees: Path, assets: Path, s3: str, name: str
) -> None:
    places = (folder / ELSEWHERE.get(name, name) for folder in (raw, trees, assets))
    local = next(place for place in places if place.is_dir())
    fsspec.filesystem("s3").put(str(local), f"{s3}/{name}", recursive=True)
    here = READERS[name](str(local), seed=0, limit=5)
    there = READERS[name](f"{s3}/{name}", seed=0, limit=5)
    assert list(there) == list(here)


def test_the_order_of_files_is_that_of_their_names_alone(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "c.x.jpg", "._a.jpg", "d.png"):
        (tmp_path / name).touch()
    assert list(files_by_stem(tmp_path, "*.jpg")) == ["a", "b", "c.x"]
    assert files_by_stem(tmp_path / "none", "*.jpg") == {}
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"a\.png: a\.jpg is of the same name"):
        files_by_stem(tmp_path, "*.*")


def test_numbers_sort_by_their_value() -> None:
    names = ["sa_10", "sa_9", "sa", "10", "9", "a9b", "a10b", "sa_09", ""]
    ordered = sorted(names, key=natural)
    assert ordered == ["", "9", "10", "a9b", "a10b", "sa", "sa_09", "sa_9", "sa_10"]


def test_names_become_keys_that_stay_apart() -> None:
    assert safe_key("sa_1-B") == "sa_1-B"
    names = ["a b", "a#b", "a.b", "ä", "", "a-b"]
    keys = [safe_key(name) for name in names]
    assert len(set(keys)) == len(names) and keys[0].startswith("a-b-")


def test_a_root_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file or folder"):
        dataset_root(str(tmp_path / "none"))
