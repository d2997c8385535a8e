"""The commands of docs/train_on_your_images.md are run in their order, with few steps."""

import re
import shlex
from pathlib import Path

import numpy as np
from PIL import Image

from maskspace.cli import main

PAGE = Path(__file__).resolve().parents[1] / "docs" / "train_on_your_images.md"


def nuclei(folder: Path) -> None:
    """Bright discs on dark ground."""
    rows, columns = np.mgrid[:40, :40]
    for index, (split, name) in enumerate((("train", "a"), ("train", "c"), ("val", "b"))):
        labels = np.zeros((40, 40), np.uint8)
        labels[(rows - 12) ** 2 + (columns - 10) ** 2 < 40] = 1
        labels[(rows - 28) ** 2 + (columns - 26 - index) ** 2 < 60] = 2
        for kind, array in (
            ("images", 60 + 120 * (labels > 0).astype(np.uint8)),
            ("labels", labels),
        ):
            (folder / split / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / split / kind / f"{name}.png")


def test_the_commands_of_the_page_run(tmp_path, monkeypatch, capsys):
    nuclei(tmp_path / "nuclei")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^    maskspace (?!:)(.*)$", PAGE.read_text(), re.MULTILINE)
    names = [command.split()[0] for command in commands]
    assert names == ["train", "segment", "evaluate", "finetune"]
    for command in commands:
        arguments = shlex.split(re.sub(r"--steps \d+", "--steps 1", command))
        assert main(arguments) == 0, capsys.readouterr().err
    assert np.asarray(Image.open("out/segmented/b.labels.png")).shape == (40, 40)
    assert "found@.5" in capsys.readouterr().out
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    found: dict = {}
    exec(code, found)
    assert found["found"].masks.shape[1:] == (40, 40)
    changed = shlex.split(re.sub(r"--steps \d+", "--steps 2", commands[0]))
    assert main(changed) == 2
    told = re.search(r"^    maskspace: (.*)$", PAGE.read_text(), re.MULTILINE)
    assert told is not None
    expected = told[1].replace("1000", "1").replace("2000", "2")
    assert capsys.readouterr().err == f"maskspace: {expected}\n"
