import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from maskspace.models import (
    MODELS,
    load_mae,
    load_model,
    load_published,
    save_model,
    signed_clicks,
    to_published,
)
from maskspace.models.click_vit import Architecture, ClickVit
from maskspace.models.prompts import scale_clicks
from maskspace.models.vit import split_windows

TINY = Architecture(
    size=64,
    patch=16,
    dim=12,
    depth=2,
    heads=3,
    global_every=1,
    stem="patch",
    prompts="disks",
    fusion="self_attention",
    fusion_depth=2,
    neck_dims=(4, 6, 8, 10),
    head_dim=5,
    click_radius=5.0,
    checkpointing=False,
)


@pytest.fixture(scope="module")
def recorded(vectors):
    return torch.load(vectors / "segnext_tiny_sax1_448.pt", weights_only=True)


@pytest.fixture(scope="module")
def published(recorded):
    return {"state_dict": recorded["state_dict"], "config": recorded["reference_config"]}


@pytest.fixture
def checkpoint(tmp_path):
    """A small clicker's published file, with weights of its own in every tensor."""
    torch.manual_seed(0)
    path = tmp_path / "clicker.pth"
    torch.save(to_published(ClickVit(TINY)), path)
    return path


def logits(model, case, dtype):
    """Return the logits of a recorded case, computed in a type."""
    images, previous = case["image_u8"].permute(0, 3, 1, 2) / 255, case["prev_mask"]
    clicks = signed_clicks(case["points"])[:, None]
    with torch.no_grad():
        before = None if previous is None else previous.to(dtype)
        return model.to(dtype)(images.to(dtype), clicks, before)


@pytest.mark.parametrize("fusion", ["self_attention", "cross_attention", "naive"])
def test_a_round_trip_gives_the_same_answers(fusion, tmp_path):
    torch.manual_seed(0)
    model = ClickVit(replace(TINY, fusion=fusion)).eval()
    path = tmp_path / "clicker.pth"
    torch.save(to_published(model), path)
    again = load_published(path)
    images, clicks = torch.rand(1, 3, 40, 50), torch.tensor([[[[9.0, 9.0, 1.0]]]])
    with torch.no_grad():
        assert torch.equal(again(images, clicks), model(images, clicks))
    written = to_published(again)["state_dict"]
    for name, tensor in to_published(model)["state_dict"].items():
        assert torch.equal(tensor, written[name])


@pytest.mark.parametrize("name", ["A", "B", "P1", "N1"])
def test_logits_are_the_recorded_ones(name, published, recorded):
    case = recorded["cases"][name]
    single = logits(load_published(published), case, torch.float32)
    assert (single - case["logits"]).abs().max() <= 1e-4
    double = logits(load_published(published), case, torch.float64)
    assert (double - case["logits_fp64"]).abs().max() <= 1e-8


@pytest.mark.parametrize("name", ["A", "B", "P1", "N1"])
def test_every_step_on_the_way_is_the_recorded_one(name, published, recorded):
    case = recorded["cases"][name]
    model = load_published(published)
    seen = watch(model)
    logits(model, case, torch.float32)
    for step, expected in case["intermediates"].items():
        if step == "scaled_points":
            clicks = signed_clicks(case["points"])
            scaled = scale_clicks(clicks, tuple(case["image_u8"].shape[1:3]), 448)
            given = clicks[..., 2] != 0
            assert torch.equal(scaled[..., :2][given], expected["full"][..., :2][given])
            continue
        found = seen[step].flatten()
        assert tuple(seen[step].shape) == expected["shape"], step
        torch.testing.assert_close(
            found[expected["sample_index"]], expected["sample"], atol=1e-4, rtol=1e-4, msg=step
        )
        moments = torch.stack([found.mean(), found.std(), found.abs().mean(), *found.aminmax()])
        recorded_moments = [expected[k] for k in ("mean", "std", "abs_mean", "min", "max")]
        torch.testing.assert_close(
            moments, torch.tensor(recorded_moments), atol=1e-4, rtol=1e-4, msg=step
        )
    disks = seen["prompt_map"][:, 1:].sum((2, 3))
    assert disks.tolist() == case["intermediates"]["prompt_map"]["disk_pixels"]


def test_a_recorded_evaluation_is_met_step_by_step(published, recorded):
    case = recorded["evaluation_case"]
    model = load_published(published)
    features = model.encode(case["image_u8"].numpy())
    clicks_xy, positive, previous = [], [], None
    for step in case["steps"]:
        clicks_xy.append((step["col"], step["row"]))
        positive.append(step["positive"])
        found = model.mask_logits(
            features, (118, 177), np.array(clicks_xy), np.array(positive), previous
        )
        previous = step["probs"].numpy()
        np.testing.assert_allclose(torch.from_numpy(found).sigmoid(), previous, atol=1e-4)


def test_points_become_signed_clicks_and_stay_what_they_are():
    points = torch.tensor([[[3, 4, 0], [-1, -1, -1], [5, 6, 1], [-1, 2, 2]]])
    before = points.clone()
    assert signed_clicks(points).tolist() == [[[3, 4, 1], [-1, -1, 0], [5, 6, -1], [-1, 2, -1]]]
    assert torch.equal(points, before)
    with pytest.raises(ValueError, match="as many positive as negative; got 3"):
        signed_clicks(points[:, :3])


def test_a_list_of_checkpoints_counts_by_its_first(checkpoint, tmp_path):
    held = torch.load(checkpoint, weights_only=True)
    torch.save([held, {"state_dict": {}, "config": {}}], tmp_path / "list.pth")
    assert load_published(tmp_path / "list.pth").architecture == TINY


def test_a_bare_state_dict_needs_what_shapes_do_not_tell(checkpoint):
    held = torch.load(checkpoint, weights_only=True)
    model = load_published(held["state_dict"], heads=3, global_every=1)
    assert model.architecture == TINY
    with pytest.raises(ValueError, match="checkpoint: windowed attention needs a grid of at least"):
        load_published(held["state_dict"], heads=3)
    with pytest.raises(ValueError, match="checkpoint: 12 channels are not in heads of 64; give"):
        load_published(held["state_dict"])


def test_another_size_resizes_the_positions_alone(checkpoint):
    model, wide = load_published(checkpoint), load_published(checkpoint, size=96)
    assert wide.size == 96 and wide.backbone.grid == 6 and wide.architecture.dim == 12
    square = model.backbone.pos_embed.transpose(1, 2).unflatten(2, (4, 4))
    expected = functional.interpolate(square, (6, 6), mode="bicubic", align_corners=False)
    assert torch.equal(wide.backbone.pos_embed.transpose(1, 2), expected.flatten(2))
    others = wide.state_dict()
    for name, tensor in model.state_dict().items():
        assert name == "backbone.pos_embed" or torch.equal(tensor, others[name])


def test_a_published_model_is_saved_and_loaded_as_our_own(checkpoint, tmp_path):
    model = load_published(checkpoint)
    options = asdict(model.architecture)
    save_model(model, tmp_path / "mine", name="click_vit", options=options, provenance={})
    again = load_model(tmp_path / "mine")
    assert again.architecture == model.architecture
    images, clicks = torch.rand(1, 3, 40, 50), torch.tensor([[[[9.0, 9.0, 1.0]]]])
    with torch.no_grad():
        assert torch.equal(again(images, clicks), model(images, clicks))


def edited(checkpoint, *, weights=None, without=(), config=None):
    """Return what a file holds with some tensors added or left out, and settings replaced."""
    held = torch.load(checkpoint, weights_only=True)
    held["state_dict"] |= weights or {}
    for name in without:
        del held["state_dict"][name]
    for parameter, value in (config or {}).items():
        held["config"]["params"][parameter]["value"] = value
    return held


def test_missing_extra_misshapen_and_broken_tensors_are_named(checkpoint):
    bias = "head.seg_conv.bias"
    with pytest.raises(ValueError, match=rf"missing \['{bias}'\], extra \['stray'\]"):
        load_published(edited(checkpoint, weights={"stray": torch.ones(1)}, without=[bias]))
    with pytest.raises(ValueError, match=r"missing .*fc_norm"):
        load_published(edited(checkpoint, without=["backbone.fc_norm.weight"]))
    with pytest.raises(ValueError, match=rf"of another shape \['{bias}'\]"):
        load_published(edited(checkpoint, weights={bias: torch.ones(2)}))
    with pytest.raises(ValueError, match=rf"not finite in \['{bias}'\]"):
        load_published(edited(checkpoint, weights={bias: torch.tensor([float("nan")])}))
    larger = to_published(ClickVit(replace(TINY, dim=18, depth=3)))
    with pytest.raises(
        ValueError, match=r"missing .* and 7 more, .*of another shape .* and \d+ more"
    ):
        load_published({**larger, "state_dict": edited(checkpoint)["state_dict"]})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"use_disks": False}, "use_disks of its config is False; this clicker has True"),
        ({"fusion_params": {"type": "sum"}}, "fusion_params.type is one of self_attention,"),
        ({"fusion_params": {}}, "its config has no fusion_params.type"),
        ({"norm_radius": "5"}, "norm_radius of its config is no whole number; got '5'"),
        ({"neck_params": {"in_dim": 8, "out_dims": [4, 6, 8, 10]}}, "neck_params.in_dim of its"),
        ({"norm_mean_std": [[0.5] * 3, [0.5] * 3]}, "norm_mean_std.0.0 of its config is 0.5"),
    ],
)
def test_settings_that_are_not_ours_are_named(checkpoint, config, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        load_published(edited(checkpoint, config=config))


def test_settings_that_change_no_answer_are_ignored(checkpoint):
    assert load_published(edited(checkpoint, config={"cpu_dist_maps": True})).architecture == TINY


def test_what_cannot_be_is_told_in_one_line_with_the_file(checkpoint, tmp_path):
    place = re.escape(str(checkpoint))
    with pytest.raises(ValueError, match=f"{place}: image size 70 is no multiple of patch 16"):
        load_published(checkpoint, size=70)
    with pytest.raises(ValueError, match=f"{place}: its config says heads 3; 4 is asked for"):
        load_published(checkpoint, heads=4)
    with pytest.raises(ValueError, match=r"nowhere\.pth: cannot be read \(No such file"):
        load_published(tmp_path / "nowhere.pth")
    bad = tmp_path / "bad.pth"
    bad.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"bad\.pth: not a checkpoint of tensors .*\)$") as caught:
        load_published(bad)
    assert "\n" not in str(caught.value)
    torch.save({"weight": torch.ones(3)}, bad)
    with pytest.raises(ValueError, match=r"bad\.pth: no backbone\.pos_embed; these are not"):
        load_published(bad)
    torch.save({"step": 3, "weight": torch.ones(3)}, bad)
    with pytest.raises(ValueError, match=r"bad\.pth: expected tensors alone; not so step"):
        load_published(bad)
    with pytest.raises(ValueError, match="no convolutional stem"):
        to_published(MODELS["click_vit"](**asdict(replace(TINY, stem="convolutional"))))
    with pytest.raises(ValueError, match="no relative prompts"):
        to_published(MODELS["click_vit"](**asdict(replace(TINY, prompts="relative"))))


def test_mae_weights_fill_the_backbone_and_nothing_else():
    torch.manual_seed(0)
    teacher, model = ClickVit(replace(TINY, size=32)), ClickVit(TINY)
    written = to_published(teacher)["state_dict"]
    backbone = {
        name.removeprefix("backbone."): tensor
        for name, tensor in written.items()
        if name.startswith("backbone.") and "fc_norm" not in name
    }
    ends = {
        "cls_token": torch.ones(1, 1, 12),
        "norm.weight": torch.ones(12),
        "norm.bias": torch.ones(12),
    }
    head = model.head.out.weight.clone()
    load_mae(model.backbone, {"model": backbone | ends})
    theirs, ours = teacher.backbone.state_dict(), model.backbone.state_dict()
    assert all(torch.equal(theirs[n], ours[n]) for n in ours if n != "pos_embed")
    assert ours["pos_embed"].shape == (1, 16, 12)
    assert torch.equal(model.head.out.weight, head)
    del backbone["blocks.1.mlp.fc2.bias"]
    with pytest.raises(
        ValueError, match=r"missing \['backbone.blocks.1.mlp.fc2.bias'\], extra \[\]"
    ):
        load_mae(model.backbone, {"model": backbone | ends})
    with pytest.raises(ValueError, match="a backbone under the key model; load_mae takes it"):
        load_published({"model": backbone})
    with pytest.raises(ValueError, match="expected the key model"):
        load_mae(model.backbone, backbone)


def watch(model):
    """Return a dictionary that a forward pass fills with its steps, under the recorded names."""
    seen = {}
    vit = model.backbone

    def keep(module, name, change=lambda x: x):
        module.register_forward_hook(lambda _, __, out: seen.update({name: change(out)}))

    def tokens(maps):
        return maps.flatten(2).transpose(1, 2)

    keep(vit.patch_embed, "patch_embed", tokens)
    for index, block in enumerate(vit.blocks):
        split = index < 2  # the rest are global, depth 4 of every third
        keep(block, f"block{index}", lambda x, s=split: split_windows(x, 2, 28) if s else x)
    keep(vit, "image_feats", lambda out: out[0])
    model.prompt_embed.register_forward_hook(
        lambda _, inputs, out: seen.update(
            prompt_map=inputs[0], prompt_feats=out, prompt_tokens=tokens(out)
        )
    )
    keep(model.fusion, "fused", lambda x: x[:, 0])
    for name, level in (("4", "up4"), ("8", "up2"), ("16", "same"), ("32", "down2")):
        keep(getattr(model.neck, level), f"down_{name}")
    keep(model.head, "head_logits")
    return seen


def test_the_example_of_the_documentation_runs(checkpoint, tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "docs" / "clicker.md").read_text()
    monkeypatch.chdir(tmp_path)
    checkpoint.rename("checkpoint.pth")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    Image.fromarray(pixels).save("photo.jpg")
    known = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], known)
    assert known["mask"].shape == (40, 56)
    np.testing.assert_allclose(known["again"], known["logits"][0, 0], atol=1e-5)
