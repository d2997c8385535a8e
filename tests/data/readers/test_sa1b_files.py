import io
import tarfile
from pathlib import Path

import pytest

from maskspace.data.readers.sa1b_files import paired_files


def write_tar(path: Path, names: list[str]) -> None:
    with tarfile.open(path, "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))


def test_pairs_come_tar_by_tar_and_by_number_whatever_their_order_inside(tmp_path: Path) -> None:
    write_tar(tmp_path / "sa_10.tar", ["b/sa_7.json", "b/sa_7.jpg"])
    write_tar(tmp_path / "sa_9.tar", ["sa_20.jpg", "sa_3.json", "sa_20.json", "x/", "sa_3.jpg"])
    files = paired_files(tmp_path, limit=None)
    assert list(files.keys()) == ["sa_3", "sa_20", "sa_7"]
    for index, name in enumerate(("sa_3", "sa_20", "b/sa_7")):
        assert files[index].image.read() == f"{name}.jpg".encode()
        assert files[index].label.read() == f"{name}.json".encode()
    assert files[2].source == "sa_10.tar:b/sa_7.jpg"
    assert files[2].label.place == f"{tmp_path / 'sa_10.tar'}:b/sa_7.json"


def test_a_limit_is_the_beginning_of_the_whole(tmp_path: Path) -> None:
    for number in range(3):
        names = [f"sa_{number}{i}{suffix}" for i in range(3) for suffix in (".jpg", ".json")]
        write_tar(tmp_path / f"sa_{number}.tar", names)
    whole = paired_files(tmp_path, limit=None)
    for limit in range(1, 10):
        part = paired_files(tmp_path, limit=limit)
        assert list(part.keys()) == list(whole.keys())[:limit]
        assert [part[i] for i in range(limit)] == [whole[i] for i in range(limit)]


@pytest.mark.parametrize("missing", [".jpg", ".json"])
def test_a_half_without_the_other_is_named(tmp_path: Path, missing: str) -> None:
    present = {".jpg": ".json", ".json": ".jpg"}[missing]
    write_tar(tmp_path / "sa_1.tar", ["sa_1.jpg", "sa_1.json", f"sa_2{present}"])
    with pytest.raises(ValueError, match=rf"sa_1\.tar:sa_2\{present}: its \{missing} is missing"):
        paired_files(tmp_path, limit=None)
    (tmp_path / "sa_1.tar").unlink()
    (tmp_path / f"sa_2{present}").touch()
    with pytest.raises(ValueError, match=rf"/sa_2\{present}: its \{missing} is missing"):
        paired_files(tmp_path, limit=None)


def test_files_are_bounded_in_tars_and_beside(tmp_path: Path) -> None:
    write_tar(tmp_path / "sa_1.tar", ["sa_1.jpg", "sa_1.json"])
    with pytest.raises(ValueError, match=r"sa_1\.tar:sa_1\.json: 9 bytes; the limit is 8 bytes"):
        paired_files(tmp_path, limit=None)[0].label.read(limit=8)
    (tmp_path / "sa_1.tar").unlink()
    for suffix in (".jpg", ".json"):
        (tmp_path / f"sa_1{suffix}").write_bytes(b"123456789")
    with pytest.raises(ValueError, match=r"/sa_1\.json: 9 bytes; the limit is 8 bytes"):
        paired_files(tmp_path, limit=None)[0].label.read(limit=8)
