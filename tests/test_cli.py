import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.cli import main
from maskspace.cli.evaluate import labelled
from maskspace.masks import decode, split_components
from maskspace.models.pixel_embedding import build_pixel_embedding
from maskspace.models.weights import save_model

OPTIONS = {"backbone": "b0", "width": 16, "registers": 1}


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> str:
    """The folder of an untrained student: every answer is of the right kind, none is good."""
    folder = tmp_path_factory.mktemp("models") / "untrained"
    model = build_pixel_embedding(**OPTIONS)
    save_model(model, folder, name="pixel_embedding", options=OPTIONS, provenance={})
    return str(folder)


@pytest.fixture
def photo(tmp_path):
    """A PNG of noise in blocks, 40 rows and 60 columns."""
    blocks = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(np.kron(blocks, np.ones((10, 10, 1), np.uint8))).save(path)
    return path


def complaint(capsys) -> str:
    """Return what was said on standard error, which is one line."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.endswith("\n")
    assert "Traceback" not in error
    return error


def test_regions_are_written_as_a_label_map_and_an_overlay(photo, tmp_path, student, capsys):
    out = tmp_path / "new" / "out"
    assert (
        main(["segment", str(photo), "--regions", "7", "--model", student, "--out", str(out)]) == 0
    )
    assert sorted(path.name for path in out.iterdir()) == ["photo.labels.png", "photo.overlay.png"]
    labels = np.asarray(Image.open(out / "photo.labels.png"))
    assert labels.dtype == np.uint8 and labels.shape == (40, 60)
    assert labels.min() == 1 and split_components(labels.astype(int)).max() == 7
    assert np.asarray(Image.open(out / "photo.overlay.png")).shape == (40, 60, 3)
    written = [str(out / name) for name in ("photo.labels.png", "photo.overlay.png")]
    assert capsys.readouterr().out.split() == written


def test_more_than_255_labels_take_16_bits(photo, tmp_path, student):
    main(["segment", str(photo), "--regions", "700", "--model", student, "--out", str(tmp_path)])
    labels = np.asarray(Image.open(tmp_path / "photo.labels.png"))
    np.testing.assert_array_equal(np.unique(labels), np.arange(1, 701))


def test_the_default_is_24_regions_and_npz_holds_the_same_labels(photo, tmp_path, student):
    main(["segment", str(photo), "--model", student, "--out", str(tmp_path)])
    main(["segment", str(photo), "--model", student, "--out", str(tmp_path), "--format", "npz"])
    labels = np.load(tmp_path / "photo.npz")["labels"]
    assert labels.max() == 24 and labels.dtype == np.int32
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "photo.labels.png")), labels)


@pytest.mark.parametrize("number", [["--regions", "6"], ["--proposals", "6"]])
def test_coco_holds_the_masks_of_npz(photo, tmp_path, student, number):
    for form in ("coco", "npz"):
        command = ["segment", str(photo), "--model", student, "--out", str(tmp_path), *number]
        assert main([*command, "--format", form]) == 0
    written = np.load(tmp_path / "photo.npz")
    masks = (
        written["masks"]
        if "masks" in written
        else written["labels"][None] == np.arange(1, 7)[:, None, None]
    )
    document = json.loads((tmp_path / "photo.json").read_text())
    assert document["images"][0] == {"id": 1, "file_name": "photo.png", "height": 40, "width": 60}
    found = document["annotations"]
    assert all(a["segmentation"]["size"] == [40, 60] for a in found)
    np.testing.assert_array_equal(
        decode([a["segmentation"]["counts"] for a in found], (40, 60)), masks
    )
    assert [a["area"] for a in found] == masks.sum(axis=(1, 2)).tolist()
    if "scores" in written:
        np.testing.assert_allclose([a["score"] for a in found], written["scores"])
        held = {a["id"]: mask for a, mask in zip(found, masks, strict=True)}
        assert any(a["parent"] for a in found)  # nodes of one tree
        for a in found:
            within = (held[a["parent"]] & held[a["id"]]).sum() if a["parent"] else a["area"]
            assert within >= 0.95 * a["area"]
    else:
        assert {a["parent"] for a in found} == {None}


def test_the_best_proposal_or_the_smallest_is_on_top_of_a_label_map(photo, tmp_path, student):
    command = ["segment", str(photo), "--model", student, "--out", str(tmp_path)]
    command += ["--proposals", "6"]
    main([*command, "--format", "npz"])
    masks = np.load(tmp_path / "photo.npz")["masks"]
    for on_top, order in (("best", np.arange(6)), ("smallest", masks.sum(axis=(1, 2)).argsort())):
        main([*command, "--on-top", on_top])
        labels = np.asarray(Image.open(tmp_path / "photo.labels.png"))
        expected = np.zeros((40, 60), int)
        for index in order[::-1]:
            expected[masks[index]] = index + 1
        np.testing.assert_array_equal(labels, expected)


def test_a_peer_gives_proposals_and_no_regions(photo, tmp_path, capsys):
    command = ["segment", str(photo), "--model", "felzenszwalb", "--out", str(tmp_path / "out")]
    assert main([*command, "--proposals", "5"]) == 0
    capsys.readouterr()
    assert main([*command, "--regions", "5"]) == 2
    error = complaint(capsys)
    assert "photo.png" in error and "felzenszwalb cannot answer partition" in error


def test_a_bad_image_does_not_lose_the_others(photo, tmp_path, student, capsys):
    broken, tiny = tmp_path / "broken.jpg", tmp_path / "tiny.png"
    broken.write_bytes(b"\xff\xd8 no jpeg")
    Image.new("RGB", (8, 8)).save(tiny)
    images = [str(path) for path in (broken, photo, tiny, tmp_path / "missing.png")]
    out = tmp_path / "out"
    assert main(["segment", *images, "--regions", "3", "--model", student, "--out", str(out)]) == 2
    assert sorted(path.name for path in out.iterdir()) == ["photo.labels.png", "photo.overlay.png"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, ("broken.jpg", "tiny.png", "missing.png"), strict=True):
        assert name in line


def test_two_images_of_one_name_are_not_written_over_each_other(photo, tmp_path, student, capsys):
    other = tmp_path / "photo.jpg"
    Image.open(photo).save(other)
    out = tmp_path / "out"
    images = [str(photo), str(other)]
    assert main(["segment", *images, "--model", student, "--out", str(out)]) == 2
    assert not out.exists()
    assert all("rename" in line for line in capsys.readouterr().err.splitlines())


def test_too_many_regions_name_the_image_and_the_range(photo, tmp_path, student, capsys):
    command = ["segment", str(photo), "--regions", "60000", "--model", student]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    error = complaint(capsys)
    assert "photo.png" in error and "1..1" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["nonsense", "."])
def test_a_model_that_is_not_there_is_told_in_one_line(photo, tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert main(["segment", str(photo), "--model", name, "--out", "out"]) == 2
    complaint(capsys)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_is_a_file_is_named(photo, student, capsys):
    assert main(["segment", str(photo), "--model", student, "--out", str(photo)]) == 2
    assert "photo.png" in complaint(capsys)


def test_click_writes_a_mask_that_holds_the_click(photo, tmp_path, student, capsys):
    out = tmp_path / "mask.png"
    command = ["click", str(photo), "--at", "12,34", "--model", student, "--out", str(out)]
    assert main(command) == 0
    mask = np.asarray(Image.open(out))
    assert mask.shape == (40, 60) and set(np.unique(mask)) <= {0, 255} and mask[34, 12] == 255
    capsys.readouterr()
    assert main([*command[:4], "--not", "12,34", *command[4:]]) == 0
    assert not np.asarray(Image.open(out)).any()


def test_a_click_outside_writes_nothing_and_names_image_and_range(photo, tmp_path, student, capsys):
    out = tmp_path / "mask.png"
    assert main(["click", str(photo), "--at", "60,0", "--model", student, "--out", str(out)]) == 2
    error = complaint(capsys)
    assert "photo.png" in error and "0..59" in error
    assert not out.exists()


def test_evaluate_measures_a_split_of_real_photos(assets, tmp_path, capsys):
    data = f"bsds500:{assets / 'bsds500'}"
    command = ["evaluate", "--data", data, "--model", "felzenszwalb", "--limit", "1"]
    assert main([*command, "--split", "val", "--out", str(tmp_path / "out")]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "felzenszwalb" in json.dumps(metrics)
    assert (tmp_path / "out" / "per_image.csv").read_text().count("\n") == 2
    assert "felzenszwalb" in capsys.readouterr().out
    assert main([*command, "--split", "test", "--out", str(tmp_path / "none")]) == 2
    assert "train, val" in complaint(capsys)
    assert not (tmp_path / "none").exists()


def test_labels_name_models_in_what_is_written(student, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["evaluate", "--data", "rectangles:none", "--limit", "1", "--out", str(out)]
    models = [f"ours={student}", student, "fine=felzenszwalb@scale=50", "felzenszwalb@scale=200"]
    assert main([*command, *(word for model in models for word in ("--model", model))]) == 0
    metrics = json.loads((out / "metrics.json").read_text())["rectangles"]
    assert list(metrics) == ["ours", student, "fine", "felzenszwalb@scale=200"]
    assert metrics["ours"] == metrics[student]
    assert metrics["fine"]["miou_at_1_center"] != metrics[models[-1]]["miou_at_1_center"]
    assert "ours" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "label", "name"),
    [
        ("student", "student", "student"),
        ("a=build/x", "a", "build/x"),
        ("a b=x", "a b", "x"),
        ("felzenszwalb@scale=200,min_size=5", *["felzenszwalb@scale=200,min_size=5"] * 2),
        ("a=felzenszwalb@scale=200", "a", "felzenszwalb@scale=200"),
        ("./lr=1/model", *["./lr=1/model"] * 2),
        ("runs/lr=1", *["runs/lr=1"] * 2),
        ("models:/m@champion", *["models:/m@champion"] * 2),
    ],
)
def test_what_is_before_the_first_equals_sign_is_a_label(text, label, name):
    assert labelled(text) == (label, name)


def test_two_models_of_one_label_are_refused(tmp_path, capsys):
    command = ["evaluate", "--data", "rectangles:none", "--limit", "1", "--out", str(tmp_path)]
    assert main([*command, "--model", "a=student", "--model", "a=felzenszwalb"]) == 2
    assert "2 models are called 'a'; give --model LABEL=NAME" in complaint(capsys)
    assert main([*command, "--model", "student", "--model", "student"]) == 2
    assert "'student'" in complaint(capsys)
    assert not list(tmp_path.iterdir())


def test_one_label_for_another_model_does_not_reuse_its_answers(tmp_path):
    """What a label stands for decides, also where no weights tell two methods apart."""
    command = ["evaluate", "--data", "rectangles:none", "--limit", "2", "--model"]
    out, alone = tmp_path / "out", tmp_path / "alone"

    def stop(*_, **__):
        raise ValueError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maskspace.evaluation.curves.write_curves", stop)
        assert main([*command, "a=felzenszwalb@scale=50", "--out", str(out)]) == 2
    assert len(answered(out)) == 2
    for folder in (out, alone):
        assert main([*command, "a=felzenszwalb@scale=500", "--out", str(folder)]) == 0
    assert (out / "metrics.json").read_bytes() == (alone / "metrics.json").read_bytes()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Four images of 80 rows beside label maps."""
    root = tmp_path_factory.mktemp("data") / "pairs"
    random = np.random.default_rng(0)
    labels = np.kron(np.arange(1, 25).reshape(4, 6), np.ones((20, 20))).astype(np.uint8)
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
    for index in range(4):
        blocks = random.integers(0, 256, (4, 6, 3)).astype(np.uint8)
        image = np.kron(blocks, np.ones((20, 20, 1), np.uint8))
        Image.fromarray(image).save(root / "images" / f"i{index}.png")
        Image.fromarray(labels).save(root / "labels" / f"i{index}.png")
    return root


PAIRS = ["--model", "felzenszwalb@scale=50"]


@pytest.fixture(scope="module")
def measured(pairs, tmp_path_factory):
    """What an evaluation of the four writes that nothing stops."""
    out = tmp_path_factory.mktemp("measured") / "whole"
    assert main(["evaluate", "--data", f"folder:{pairs}", *PAIRS, "--out", str(out)]) == 0
    return out


def one_row_short(pairs):
    path = pairs / "labels" / "i2.png"
    Image.fromarray(np.asarray(Image.open(path))[1:]).save(path)


def cut_short(pairs):
    path = pairs / "images" / "i2.png"
    path.write_bytes(path.read_bytes()[:-60])


@pytest.mark.parametrize(
    ("damage", "told", "workers"),
    [
        (one_row_short, ("i2", "79", "80"), "1"),
        (cut_short, ("i2",), "1"),
        (cut_short, ("i2",), "2"),
    ],
)
def test_a_bad_image_is_named_and_the_others_are_not_lost(
    pairs, measured, tmp_path, damage, told, workers, shared_ray
):
    out = tmp_path / "out"
    command = ["evaluate", "--data", f"folder:{pairs}", *PAIRS, "--workers", workers]
    command += ["--max-left-out", "0", "--out", str(out)]
    sound = {path: path.read_bytes() for path in pairs.rglob("*.png")}
    damage(pairs)
    # in a process of its own: checks of types at run time read a sample drawn at random
    code = "import sys; from maskspace.cli import main; sys.exit(main(sys.argv[1:]))"
    ended = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    for path, content in sound.items():
        path.write_bytes(content)
    assert ended.returncode == 2
    assert all(word in ended.stderr.splitlines()[-1] for word in told)
    assert not (out / "metrics.json").exists()
    assert len(answered(out)) == 2  # images and truths are read when their turn comes
    assert main(command) == 0
    for name in ("metrics.json", "per_sample.csv", "report.html"):
        assert (out / name).read_bytes() == (measured / name).read_bytes()


def test_a_finished_evaluation_is_not_made_again(tmp_path, capsys):
    """Asked again it says the same and writes nothing; a lost or changed file comes back."""
    out = tmp_path / "out"
    command = ["evaluate", "--data", "rectangles:none", "--limit", "2", "--model", "felzenszwalb"]
    command += ["--out", str(out)]
    assert main(command) == 0
    said = capsys.readouterr().out
    before = written_in(out)

    def again():
        assert main(command) == 0
        assert capsys.readouterr().out == said
        return written_in(out)

    assert again() == before
    for spoil in (Path.unlink, lambda path: path.write_bytes(b"spoilt")):
        spoil(out / "curve.png")
        assert again()["curve.png"][0] == before["curve.png"][0]


def test_an_interrupt_says_that_the_run_can_go_on(tmp_path, capsys):
    command = ["evaluate", "--data", "rectangles:none", "--limit", "2", "--model", "felzenszwalb"]
    command += ["--out", str(tmp_path / "out")]

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maskspace.evaluation.curves.write_metrics", interrupt)
        assert main(command) == 130
    assert "the same command goes on where it was" in capsys.readouterr().err.splitlines()[-1]
    assert len(answered(tmp_path / "out")) == 2
    assert main(command) == 0


def test_an_unknown_kind_and_a_missing_folder_are_told(tmp_path, capsys):
    for data, told in (("nothing:x", "bsds500"), (f"bsds500:{tmp_path}", str(tmp_path))):
        command = ["evaluate", "--data", data, "--model", "felzenszwalb", "--limit", "2"]
        assert main([*command, "--out", str(tmp_path / "out")]) == 2
        assert told in complaint(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["segment"],
        ["segment", "x.png", "--out", "o", "--regions", "0"],
        ["segment", "x.png", "--out", "o", "--regions", "2", "--proposals", "2"],
        ["segment", "x.png", "--out", "o", "--format", "gif"],
        ["click", "x.png", "--at", "3;4", "--out", "m.png"],
        ["click", "x.png", "--out", "m.png"],
        ["train", "--objective", "none", "--data", "folder:x", "--out", "o"],
        ["train", "--objective", "balls", "--data", "nothing:x", "--out", "o"],
        ["train", "--objective", "balls", "--data", "folder:x,option=1", "--out", "o"],
        ["train", "--objective", "balls@radius", "--data", "folder:x", "--out", "o"],
        ["evaluate", "--data", "bsds500", "--model", "student", "--out", "o"],
        ["evaluate", "--data", "a:b", "--model", "m", "--out", "o", "--split", "all"],
        ["evaluate", "--data", "a:b", "--model", "m=", "--out", "o"],
        ["evaluate", "--data", "a:b", "--model", "=m", "--out", "o"],
    ],
)
def test_wrong_arguments_are_one_line_and_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "--help" in complaint(capsys)


@pytest.mark.parametrize("command", ["segment", "click", "evaluate", "train"])
def test_help_says_defaults_and_units(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "default" in text and ("pixel" in text or "megapixel" in text)


def test_help_of_evaluate_names_every_file(capsys):
    from maskspace.evaluation import FILES

    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    text = capsys.readouterr().out
    assert [name for name in FILES if name not in text] == []


def test_help_does_not_wait_for_torch():
    code = (
        "import sys\nfrom maskspace.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'numpy', 'mlflow'} & set(sys.modules), 'slow imports'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_train_does_not_know_is_refused_before_torch_is_imported():
    code = (
        "import sys\nfrom maskspace.cli import main\n"
        "for wrong in ('none folder:x', 'balls none:x', 'balls folder:x,a=1'):\n"
        "    name, data = wrong.split()\n"
        "    try:\n"
        "        main(['train', '--objective', name, '--data', data, '--out', 'o'])\n"
        "    except SystemExit:\n        pass\n"
        "assert 'torch' not in sys.modules, 'slow imports'"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert len(done.stderr.splitlines()) == 3


def test_the_names_that_are_offered_are_those_of_the_tables():
    from maskspace.cli import train
    from maskspace.cli.frame import table_names
    from maskspace.objectives import OBJECTIVES
    from maskspace.peers import PEERS

    assert train.objective_names() == sorted(OBJECTIVES)
    assert sorted(table_names("maskspace.objectives", "OBJECTIVES")) == sorted(OBJECTIVES)
    assert sorted(table_names("maskspace.peers", "PEERS")) == sorted(PEERS)


def test_evaluation_is_the_same_by_one_worker_and_by_two(tmp_path, shared_ray):
    command = ["evaluate", "--data", "rectangles:none", "--limit", "3", "--model", "student"]
    command += ["--clicks", "2", "--clicker", "center"]
    for workers in ("1", "2"):
        out = tmp_path / workers
        assert main([*command, "--workers", workers, "--out", str(out)]) == 0
    for name in ("metrics.json", "per_sample.csv", "clicks.csv", "report.html"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


@pytest.mark.fault
def test_a_killed_evaluation_goes_on_where_it_stopped(tmp_path, until):
    command = ["evaluate", "--data", "rectangles:none", "--limit", "12", "--clicks", "2"]
    command += ["--clicker", "center", "--model", "felzenszwalb@scale=50", "--out"]
    out = tmp_path / "killed"
    code = "import sys; from maskspace.cli import main; main(sys.argv[1:])"
    victim = subprocess.Popen([sys.executable, "-c", code, *command, str(out)])
    assert until(victim, lambda: len(answered(out)) >= 3)
    victim.kill()
    victim.wait()
    rows = answered(out)
    assert 3 <= len(rows) < 12 and not (out / "metrics.json").exists()
    (journal,) = out.glob(".rows-*/*.jsonl")
    with journal.open("r+b") as file:  # as if it had been killed within a row
        file.truncate(journal.stat().st_size - 5)
    assert main([*command, str(out)]) == 0
    assert main([*command, str(tmp_path / "whole")]) == 0
    for name in ("metrics.json", "per_sample.csv", "clicks.csv", "cases.png"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def written_in(out: Path) -> dict[str, tuple[bytes, int]]:
    """Return the files of a folder: what is in them and when it was written."""
    files = [path for path in out.iterdir() if path.is_file()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def answered(out: Path) -> list[str]:
    """Return the rows of images that an evaluation has finished."""
    return [line for path in out.glob(".rows-*/*.jsonl") for line in path.read_text().splitlines()]


def test_a_report_names_its_protocol_and_what_a_model_does_not_answer(tmp_path, capsys):
    command = ["evaluate", "--data", "rectangles:none", "--limit", "1", "--model", "student"]
    command += ["--clicks", "2"]
    assert main([*command, "--out", str(tmp_path / "ours")]) == 0
    assert "protocol maskspace" in capsys.readouterr().out
    assert main([*command, "--protocol", "segnext", "--out", str(tmp_path / "theirs")]) == 0
    metrics = json.loads((tmp_path / "theirs" / "metrics.json").read_text())
    answers = metrics["rectangles"]["student"]
    assert not any(name.startswith("noc_") for name in answers)
    assert any("iterative" in name for name in answers["not_answered"])


@pytest.mark.parametrize("number", ["--regions", "--proposals"])
def test_more_labels_than_a_png_holds_are_refused_before_the_work(photo, tmp_path, number, capsys):
    out = tmp_path / "out"
    assert main(["segment", str(photo), number, "65536", "--model", "none", "--out", str(out)]) == 2
    assert "a PNG label map holds 65535: give --format npz" in complaint(capsys)
    assert not out.exists()


UNKNOWN = """
import sys
from maskspace.cli import main

for command in (
    "segment x.png --out o --model nosuch",
    "segment x.png --out o --model nosuch@flips=true",
    "click x.png --at 1,1 --out o.png --model nosuch",
    "evaluate --data folder:x --model student --model a=nosuch --out o",
    "finetune nosuch --data folder:x --out o",
):
    assert main(command.split()) == 2, command
    assert "torch" not in sys.modules, command
"""


def test_an_unknown_model_is_told_before_torch_is_imported(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", UNKNOWN], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is unknown; choose one of student") == 5
    assert list(tmp_path.iterdir()) == []


def deep_photo(folder: Path) -> tuple[Path, Path]:
    """An image of 12 bits in a file of 16, and what it is of 8."""
    levels = np.repeat(np.repeat([[16, 128], [200, 255]], 12, 0), 12, 1).astype(np.uint8)
    Image.fromarray(levels).save(folder / "plain.png")
    Image.fromarray(levels.astype(np.uint16) * 16).save(folder / "deep.png")
    return folder / "plain.png", folder / "deep.png"


@pytest.mark.parametrize("command", ["segment", "click"])
def test_white_of_a_deep_image_is_said_on_the_command_line(command, tmp_path, capsys):
    plain, deep = deep_photo(tmp_path)

    asked = ["--regions", "4"] if command == "segment" else ["--at", "3,3"]

    def asking(image: Path, *options: str) -> tuple[int, Path]:
        out = tmp_path / ("o" if command == "segment" else "o.png")
        given = [command, str(image), "--model", "lab", *asked, "--out", str(out), *options]
        return main(given), out / f"{image.stem}.labels.png" if command == "segment" else out

    status, place = asking(plain)
    expected = np.asarray(Image.open(place))
    status, place = asking(deep, "--white", "4080")
    assert status == 0
    np.testing.assert_array_equal(np.asarray(Image.open(place)), expected)
    assert asking(deep)[0] == 2
    assert "option white" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        asking(deep, "--white", "0")


def test_exif_is_left_alone_if_asked(tmp_path):
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    exif = photo.getexif()
    exif[0x112] = 6
    photo.save(tmp_path / "turned.jpg", exif=exif)
    for options, size in (([], (20, 30)), (["--no-exif"], (30, 20))):
        given = [str(tmp_path / "turned.jpg"), "--model", "lab", "--out", str(tmp_path)]
        assert main(["segment", *given, "--regions", "4", *options]) == 0
        assert Image.open(tmp_path / "turned.labels.png").size == size
