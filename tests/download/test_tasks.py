import hashlib
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.cli import main
from maskspace.data import READERS
from maskspace.download import tasks
from maskspace.download.catalogue import OFFICIAL, OfficialDataset, OfficialFile
from samples.make_samples import SCENE
from tests.download.web_server import drop_after, first_times, web_server

SPLITS = "metadata_images_split_scene_v1.csv"


@pytest.fixture
def server():
    with web_server() as running:
        yield running


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch):
    monkeypatch.delenv("MASKSPACE_MIRROR", raising=False)


def make_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".downloaded" not in path.parts
    }


def complaint(capsys) -> str:
    """Return what was said on standard error, which is one line."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    return error


@pytest.fixture
def hypersim(server, raw):
    """Two scenes of two frames each, with megabytes of other members; the second is in no split."""
    own = {path.relative_to(raw / "hypersim").as_posix(): path.read_bytes()
           for path in (raw / "hypersim" / SCENE).rglob("*") if path.is_file()}  # fmt: skip
    rng = np.random.default_rng(0)
    other = {
        f"{SCENE}/images/scene_cam_00_final_hdf5/frame.{n:04d}.color.hdf5": rng.bytes(1_000_000)
        for n in range(2)
    }
    other[f"{SCENE}/_detail/metadata_scene.csv"] = b"a,b\n"
    server.files[f"{SCENE}.zip"] = make_zip(own | other)
    second = {name.replace(SCENE, "ai_001_010"): content for name, content in (own | other).items()}
    server.files["ai_001_010.zip"] = make_zip(second)
    rows = [f"{scene},cam_00,{n},True,,train" for scene in ("ai_001_010", SCENE) for n in range(2)]
    rows.append("ai_001_002,cam_00,0,False,CONTENT FLAGGED FOR REMOVAL,")
    head = "scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,"
    server.files[SPLITS] = "\n".join([f"{head}split_partition_name", *rows, ""]).encode()
    return own


def test_hypersim_is_fetched_member_by_member_and_read(server, hypersim, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["download", "hypersim", "--out", str(out), "--mirror", server.url]) == 0
    said = capsys.readouterr().out
    assert "CC BY-SA 3.0" in said and f"--data hypersim:{out}" in said
    found = files_in(out)
    assert found.pop(SPLITS) == server.files[SPLITS]
    second = {name.replace(SCENE, "ai_001_010"): content for name, content in hypersim.items()}
    assert found == hypersim | second
    zips = sum(len(content) for name, content in server.files.items() if name.endswith("zip"))
    served = sum(count for name, count in server.served.items() if name.endswith("zip"))
    assert served < 0.1 * zips
    samples = list(READERS["hypersim"](str(out), seed=0, limit=None))
    assert len(samples) == 4 and {sample.split for sample in samples} == {"train"}


def test_a_limit_counts_frames_in_their_order(server, hypersim, tmp_path):
    for limit in (1, 3):
        out = tmp_path / str(limit)
        command = ["download", "hypersim", "--out", str(out), "--mirror", server.url]
        assert main([*command, "--limit", str(limit)]) == 0
        samples = READERS["hypersim"](str(out), seed=0, limit=None)
        assert len(samples) == limit and samples[0].key == f"{SCENE}-cam_00-0000"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ai_001_010", "frame.0001", "color.jpg,entity"], 2),
        (["cam_00_final_preview", "frame.0000.color.jpg"], 2),
        (["_detail"], 2),
        (["ai_001_010"], 7),
    ],
)
def test_all_words_have_to_be_in_the_name(server, hypersim, tmp_path, words, expected):
    command = ["download", "hypersim", "--out", str(tmp_path), "--mirror", server.url]
    assert main([*command, "--contains", *words]) == 0
    found = files_in(tmp_path).keys() - {SPLITS}
    assert len(found) == expected
    assert all(any(part in name for part in word.split(",")) for word in words for name in found)
    again = [piece for word in words for piece in ("--contains", word)]
    server.requests.clear()
    assert main([*command, *again]) == 0
    assert files_in(tmp_path).keys() - {SPLITS} == found
    if "ai_001_010" in words:
        assert {name for name, _ in server.requests} == {"ai_001_010.zip"}


def test_a_list_fetches_nothing(server, hypersim, tmp_path, capsys):
    command = ["download", "hypersim", "--mirror", server.url, "--list", "--limit", "1"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    listed = capsys.readouterr().out.splitlines()[2:]
    assert len(listed) == 2 and all(line.startswith(f"{SCENE}/images/") for line in listed)
    assert all(line.endswith(" bytes") for line in listed)
    assert not (tmp_path / "out").exists() and main(command) == 0


def test_a_server_that_drops_and_is_busy_gives_the_same_files(server, hypersim, tmp_path):
    server.faults += [
        first_times(1, lambda h: h.answer(503, b"", {"Retry-After": "0"}) or True),
        first_times(6, drop_after(3000)),
    ]
    assert main(["download", "hypersim", "--out", str(tmp_path), "--mirror", server.url]) == 0
    assert hypersim.items() <= files_in(tmp_path).items()


def test_one_missing_scene_does_not_lose_the_others(server, hypersim, tmp_path, capsys):
    del server.files["ai_001_010.zip"]
    assert main(["download", "hypersim", "--out", str(tmp_path), "--mirror", server.url]) == 2
    error = complaint(capsys)
    assert "ai_001_010.zip: answers 404" in error and server.url in error
    assert hypersim.items() <= files_in(tmp_path).items()


def test_a_scene_writes_to_its_own_folder_only(server, hypersim, tmp_path):
    stray = {"ai_001_010/images/scene_cam_00_final_preview/frame.0009.color.jpg": b"stray"}
    server.files[f"{SCENE}.zip"] = make_zip(hypersim | stray)
    command = ["download", "hypersim", "--out", str(tmp_path), "--mirror", server.url]
    assert main([*command, "--contains", SCENE]) == 0
    assert files_in(tmp_path).keys() - {SPLITS} == hypersim.keys()


def test_a_hostile_zip_writes_nothing(server, hypersim, tmp_path, capsys):
    server.files[f"{SCENE}.zip"] = make_zip({f"{SCENE}/../../escaped": b"1"})
    command = ["download", "hypersim", "--out", str(tmp_path / "out"), "--mirror", server.url]
    assert main([*command, "--contains", SCENE, "escaped"]) == 2
    assert "do not trust this file" in complaint(capsys)
    assert files_in(tmp_path).keys() == {f"out/{SPLITS}"}


@pytest.fixture
def sa1b(server, raw, tmp_path):
    """The file of links to two tars, as the licence gives it."""
    names = ["sa_000000.tar", "sa_000001.tar"]
    lines = ["file_name\tcdn_link"]
    for number, name in enumerate(names):
        server.files[f"m{number}.tar"] = (raw / "sa1b" / name).read_bytes()
        lines.append(f"{name}\t{server.url}/m{number}.tar?oh=secret&oe=1")
    (tmp_path / "links.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "links.txt"


def test_sa1b_is_fetched_by_its_links_and_read_in_place(server, sa1b, raw, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["download", "sa1b", "--out", str(out), "--links", str(sa1b)]) == 0
    assert "SA-1B Dataset Research License" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"sa_000000.tar", "sa_000001.tar"}
    assert len(READERS["sa1b"](str(out), seed=0, limit=None)) == 4
    server.requests.clear()
    assert main(["download", "sa1b", "--out", str(out), "--links", str(sa1b)]) == 0
    assert server.requests == []


def test_a_limit_and_words_choose_tars(server, sa1b, tmp_path):
    command = ["download", "sa1b", "--links", str(sa1b), "--out"]
    assert main([*command, str(tmp_path / "a"), "--limit", "1"]) == 0
    assert main([*command, str(tmp_path / "b"), "--contains", "000001"]) == 0
    found = [path.name for folder in "ab" for path in (tmp_path / folder).iterdir()]
    assert found == ["sa_000000.tar", "sa_000001.tar"]


def test_a_link_that_expired_is_told_without_its_key(server, sa1b, tmp_path, capsys):
    server.faults.append(lambda h: h.name == "m1.tar" and (h.answer(403, b"") or True))
    assert main(["download", "sa1b", "--out", str(tmp_path / "o"), "--links", str(sa1b)]) == 2
    error = complaint(capsys)
    assert "m1.tar: answers 403" in error and "get a new one" in error and "secret" not in error
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["sa_000000.tar"]


def test_a_page_in_place_of_a_tar_is_not_kept(server, sa1b, tmp_path, capsys):
    server.files["m0.tar"] = b"<html>Please log in</html>" * 100
    assert main(["download", "sa1b", "--out", str(tmp_path / "o"), "--links", str(sa1b)]) == 2
    assert "m0.tar: truncated, damaged or no" in complaint(capsys)
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["sa_000001.tar"]


def test_without_links_it_is_told_how_to_get_them(tmp_path, capsys):
    assert main(["download", "sa1b", "--out", str(tmp_path)]) == 2
    error = complaint(capsys)
    assert "--links FILE" in error and "ai.meta.com" in error


def davis_files() -> dict[str, bytes]:
    files = {"DAVIS/ImageSets/2017/train.txt": b"bear\nswan\n", "DAVIS/ImageSets/2017/val.txt": b""}
    for sequence in ("bear", "swan"):
        for frame in range(3):
            for kind, suffix, image in (
                ("JPEGImages", "jpg", Image.new("RGB", (16, 12))),
                ("Annotations", "png", Image.new("L", (16, 12), 255)),
            ):
                buffer = io.BytesIO()
                image.save(buffer, "JPEG" if suffix == "jpg" else "PNG")
                name = f"DAVIS/{kind}/480p/{sequence}/{frame:05d}.{suffix}"
                files[name] = buffer.getvalue()
    return files


def test_davis_is_unpacked_where_its_reader_looks(server, tmp_path):
    server.files["DAVIS-2017-trainval-480p.zip"] = make_zip(davis_files())
    command = ["download", "davis", "--out", str(tmp_path), "--mirror", server.url]
    assert main(command) == 0
    expected = {name.removeprefix("DAVIS/"): c for name, c in davis_files().items()}
    assert files_in(tmp_path) == expected
    assert len(list(READERS["davis"](str(tmp_path), seed=0, limit=None))) == 6
    server.requests.clear()
    assert main(command) == 0 and server.requests == []
    (tmp_path / "Annotations/480p/bear/00000.png").unlink()
    assert main(command) == 0 and files_in(tmp_path) == expected


def test_parts_of_davis_are_whole_frames_and_the_lists(server, tmp_path):
    server.files["DAVIS-2017-trainval-480p.zip"] = make_zip(davis_files())
    command = ["download", "davis", "--mirror", server.url, "--out"]
    assert main([*command, str(tmp_path / "a"), "--limit", "4"]) == 0
    keys = READERS["davis"](str(tmp_path / "a"), seed=0, limit=None).keys
    assert keys == ("bear-00000", "bear-00001", "bear-00002", "swan-00000")
    assert main([*command, str(tmp_path / "b"), "--contains", "swan"]) == 0
    assert len(READERS["davis"](str(tmp_path / "b"), seed=0, limit=None)) == 3
    assert (tmp_path / "b" / "ImageSets/2017/train.txt").is_file()


@pytest.fixture
def small_coco(server, monkeypatch):
    """A catalogue whose COCO has two small files, with their true hashes."""
    files = {
        "labels.zip": make_zip({"annotations/a.json": b"{}", "__MACOSX/._a": b""}),
        "photos.zip": make_zip({"val2017/1.jpg": b"1", "val2017/2.jpg": b"2"}),
    }
    server.files |= files
    official = tuple(
        OfficialFile(
            url=f"http://images.example.org/{name}",
            size=len(content),
            hash=f"sha256:{hashlib.sha256(content).hexdigest()}",
        )
        for name, content in files.items()
    )
    coco = OfficialDataset(kind="coco", licence=OFFICIAL["coco"].licence, size="2", files=official)
    monkeypatch.setattr(tasks, "OFFICIAL", {"coco": coco})
    return ["download", "coco", "--mirror", server.url, "--out"]


def test_archives_are_unpacked_together_and_removed(small_coco, tmp_path):
    assert main([*small_coco, str(tmp_path)]) == 0
    assert set(files_in(tmp_path)) == {"annotations/a.json", "val2017/1.jpg", "val2017/2.jpg"}


def test_a_mirror_with_another_file_is_refused(small_coco, server, tmp_path, capsys):
    spoilt = bytearray(server.files["photos.zip"])
    spoilt[-1] ^= 1
    server.files["photos.zip"] = bytes(spoilt)
    server.files["labels.zip"] += b"?"
    assert main([*small_coco, str(tmp_path)]) == 2
    lines = sorted(capsys.readouterr().err.splitlines())
    assert "labels.zip: has" in lines[0] and "photos.zip: its sha256 is" in lines[1]
    assert files_in(tmp_path) == {}


def test_an_archive_that_was_put_there_by_hand_is_used(small_coco, server, tmp_path, capsys):
    for name in ("labels.zip", "photos.zip"):
        (tmp_path / name).write_bytes(server.files[name])
    assert main([*small_coco, str(tmp_path)]) == 0
    assert server.requests == [] and (tmp_path / "val2017/1.jpg").is_file()
    (tmp_path / "val2017/1.jpg").unlink()
    (tmp_path / "photos.zip").write_bytes(b"another")
    assert main([*small_coco, str(tmp_path)]) == 2
    assert "photos.zip: has 7 bytes" in complaint(capsys)


def test_files_are_chosen_by_name_and_number(small_coco, tmp_path, capsys):
    assert main([*small_coco, str(tmp_path / "a"), "--limit", "1"]) == 0
    assert set(files_in(tmp_path / "a")) == {"annotations/a.json"}
    assert main([*small_coco, str(tmp_path / "b"), "--contains", "photos"]) == 0
    assert set(files_in(tmp_path / "b")) == {"val2017/1.jpg", "val2017/2.jpg"}
    assert main([*small_coco, str(tmp_path / "c"), "--contains", "test2017"]) == 2
    assert "labels.zip, photos.zip" in complaint(capsys)


def test_the_mirror_may_come_from_the_environment(small_coco, server, tmp_path, monkeypatch):
    monkeypatch.setenv("MASKSPACE_MIRROR", f"{server.url}/deep/folder/")
    assert main(["download", "coco", "--out", str(tmp_path)]) == 0
    assert len(files_in(tmp_path)) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no DATASET"),
        (["imagenet", "--out", "x"], "dataset to download 'imagenet' is unknown; choose one of"),
        (["davis"], "no --out DIR"),
        (["davis", "--out", "x", "--links", "y"], "needs no links"),
        (["davis", "--out", "x", "--mirror", "ftp://host"], "no http:// or https:// URL"),
        (["sa1b", "--out", "x", "--links", "missing.txt"], "missing.txt: cannot be read"),
        (["coco", "--out", "/proc/nowhere"], "/proc/nowhere"),
        (["coco", "--out", "x", "--limit", "0"], "not a whole number of at least 1"),
        (["coco", "--out", "x", "--bandwidth", "fast"], "not a whole number of at least 1"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["download", *arguments])
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2
    assert said in complaint(capsys)


def test_no_word_matches(server, hypersim, tmp_path, capsys):
    command = ["download", "hypersim", "--out", str(tmp_path), "--mirror", server.url]
    assert main([*command, "--contains", "elephant"]) == 2
    assert "elephant" in complaint(capsys)
    assert main([*command, "--contains", "ai_099_001"]) == 2
    assert "no scene of this name" in complaint(capsys)


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xff", b"scene_name\n../../x\n"])
def test_a_listing_that_is_none_is_told(server, tmp_path, capsys, content):
    server.files[SPLITS] = content
    assert main(["download", "hypersim", "--out", str(tmp_path), "--mirror", server.url]) == 2
    assert SPLITS in complaint(capsys)


def test_all_datasets_are_listed(capsys):
    assert main(["download", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == sorted(OFFICIAL)


def test_who_does_not_accept_the_terms_gets_nothing(small_coco, server, tmp_path, monkeypatch):
    answers = iter(["n", "", "y"])
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    for expected in (2, 2, 0):
        assert server.requests == []
        assert main([*small_coco, str(tmp_path)]) == expected
    assert main([*small_coco, str(tmp_path), "--yes"]) == 0


def test_two_downloads_do_not_write_to_one_folder(small_coco, server, tmp_path, capsys):
    second = []

    def start_another(handler):
        second.append(main([*small_coco, str(tmp_path)]))

    server.faults.append(first_times(1, start_another))
    assert main([*small_coco, str(tmp_path)]) == 0 and second == [2]
    assert "another download writes to it" in complaint(capsys)
    assert len(files_in(tmp_path)) == 3


def test_a_damaged_archive_without_a_hash_is_not_kept(server, tmp_path, capsys):
    server.files["DAVIS.zip"] = b"PK no zip"
    command = ["download", "davis_interactive", "--out", str(tmp_path), "--mirror", server.url]
    assert main(command) == 2
    assert "DAVIS.zip: no whole zip" in complaint(capsys) and files_in(tmp_path) == {}
    server.files["DAVIS.zip"] = make_zip({"DAVIS/img/1.jpg": b"1", "DAVIS/gt/1.png": b"1"})
    assert main(command) == 0
    assert set(files_in(tmp_path)) == {"img/1.jpg", "gt/1.png"}


@pytest.mark.fault
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_download_that_was_broken_off_goes_on(server, raw, tmp_path, how, until):
    names = ["sa_000000.tar", "sa_000001.tar"]
    server.files |= {name: (raw / "sa1b" / name).read_bytes() for name in names}
    links = tmp_path / "links.txt"
    links.write_text("".join(f"{name}\t{server.url}/{name}\n" for name in names))
    out = tmp_path / "out"
    server.faults.append(lambda h: setattr(h, "pace", 60_000))
    # where the tests run in the background of a shell, SIGINT is ignored in all that they start
    code = (
        "import signal, sys; from maskspace.cli import main; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main(sys.argv[1:]))"
    )
    command = ["download", "sa1b", "--out", str(out), "--links", str(links)]
    run = subprocess.Popen([sys.executable, "-c", code, *command], stderr=subprocess.PIPE)

    def both_have_begun():
        sizes = [path.stat().st_size for path in out.glob("*.partial")]
        return len(sizes) == 2 and min(sizes) > 10_000

    assert until(run, both_have_begun)
    os.kill(run.pid, how)
    error = run.communicate(timeout=30)[1].decode()
    if how == signal.SIGINT:
        assert run.returncode == 130
        assert error == "maskspace: interrupted; the same command goes on where it was\n"
    assert not list(out.glob("*.tar"))
    server.faults.clear()
    server.requests.clear()
    assert main(command) == 0
    assert {name: (out / name).read_bytes() for name in names} == server.files
    assert sorted(path.name for path in out.iterdir()) == names
    assert all(wanted is not None for _, wanted in server.requests)
