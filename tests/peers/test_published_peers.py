"""Published networks through the command that measures models."""

import json

import pytest

from maskspace.cli import main

OPTIONS = {
    "sam": ",points_per_side=4,pred_iou_thresh=0,stability_score_thresh=0",
    "sam-hq": ",points_per_side=4,pred_iou_thresh=0,stability_score_thresh=0,ranking=mean_score",
    "sam2": ",points_per_side=4,pred_iou_thresh=0,stability_score_thresh=0",
    "dinov2": ",side=56",
}
RANKINGS = {
    "sam": "the network's predicted IoU",
    "sam-hq": "mean of the network's predicted IoU and that",
    "sam2": "the network's predicted IoU",
    "dinov2": "persistence in the merge tree",
}


def test_evaluate_measures_every_published_network(published, tmp_path, capsys):
    names = {name: f"{name}@weights={published[name]}{OPTIONS[name]}" for name in published}
    command = ["evaluate", "--data", "rectangles:none", "--limit", "2"]
    command += ["--clicks", "2", "--clicker", "center", "--mode", "claims"]
    for name in names.values():
        command += ["--model", name]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    told = json.dumps(json.loads((tmp_path / "out" / "metrics.json").read_text()))
    for base, name in names.items():
        assert name in told and RANKINGS[base] in told
    assert "dinov2@" in capsys.readouterr().out


def test_wrong_weights_are_one_line_and_status_2(tmp_path, capsys):
    command = ["evaluate", "--data", "rectangles:none", "--limit", "2"]
    command += ["--model", f"sam@weights={tmp_path}", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "has no config.json" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["pred_iou_thresh=2", "points_per_side=0", "ranking=luck"])
def test_options_are_checked_by_name(option, published):
    from maskspace.segmenter.loading import load

    with pytest.raises(ValueError, match=f"option {option.split('=')[0]}: "):
        load(f"sam@weights={published['sam']},{option}")
