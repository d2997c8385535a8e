from dataclasses import replace

import numpy as np
import pytest
import torch

from maskspace.config import Choice
from maskspace.data.click_sampling import DrawnClicks
from maskspace.data.crops import Crop
from maskspace.models import save_model
from maskspace.training.click_task import ClickBatch, ClickTask, Simulation, level_iou, nest
from maskspace.training.drawing import draw_shown
from maskspace.training.learner import Learner
from tests.training.lines import batch_of

SIDE = 12


def boxes(*sides):
    """Masks of nested squares around the middle, smallest first."""
    masks = np.zeros((len(sides), SIDE, SIDE), bool)
    for mask, side in zip(masks, sides, strict=True):
        low = (SIDE - side) // 2
        mask[low : low + side, low : low + side] = True
    return masks


def piece(masks, ignore=None):
    return Crop(
        image=np.zeros((SIDE, SIDE, 3), np.uint8),
        masks=masks,
        depths=np.zeros(len(masks), np.int64),
        scores=np.ones(len(masks), np.float32),
        layers=np.zeros(len(masks), np.int64),
        categories=np.full(len(masks), -1),
        ignore=np.zeros((SIDE, SIDE), bool) if ignore is None else ignore,
    )


def drawn(target, *clicks):
    return DrawnClicks(clicks=np.array(clicks, np.float32), target=target)


def test_clicks_lie_in_the_masks_they_mean(click_task):
    batch = batch_of(click_task, 0, range(4))
    for clicks, nests in zip(batch.clicks, batch.nests, strict=True):
        for (row, column, sign), masks in zip(clicks[:, 0].tolist(), nests, strict=True):
            assert masks[0, int(row), int(column)] == 1
            assert sign in (1, -1)


def test_one_level_is_the_drawn_mask_and_ignored_pixels_are_unknown():
    small, large = boxes(4, 8)
    ignore = np.zeros((SIDE, SIDE), bool)
    ignore[0] = True
    truth = nest(drawn(small, (6, 6, 1)), piece(np.stack([small, large]), ignore), levels=1)
    assert truth.shape == (1, SIDE, SIDE)
    assert (truth[0][0] == -1).all() and ((truth[0] == 1) == small).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_nest_holds_every_mask_under_the_click_finest_first(sign):
    small, middle, large = boxes(2, 6, 10)
    beside = np.roll(small, 5, axis=1)
    crop = piece(np.stack([large, beside, small, middle]))
    truth = nest(drawn(middle, (6, 6, sign), (0, 0, 0)), crop, levels=4)
    assert ((truth[:3] == 1) == np.stack([small, middle, large])).all()
    assert (truth[3] == -1).all()


def test_a_negative_click_beside_a_positive_one_rules_masks_out():
    small, middle, large = boxes(2, 6, 10)
    crop = piece(np.stack([small, middle, large]))
    truth = nest(drawn(middle, (6, 6, 1), (2, 2, -1)), crop, levels=3)
    assert ((truth[:2] == 1) == np.stack([small, middle])).all() and (truth[2] == -1).all()


def test_levels_are_scored_at_their_own_thresholds():
    small, middle, large = boxes(2, 6, 10)
    rank = small.astype(int) + middle + large
    cuts = np.array([-3.0, -0.5, 0.5, 3.0])  # between the logits of 1/4, 1/2 and 3/4
    logits = torch.from_numpy(cuts[rank].astype(np.float32))[None]
    truth = torch.from_numpy(np.stack([small, middle, large]).astype(np.float32))
    padded = torch.cat([truth, -torch.ones(1, SIDE, SIDE)])[None]
    assert level_iou(logits, padded).tolist() == [1, 1, 1]
    assert level_iou(-logits, padded).max() < 1


def test_corrections_are_clicked_where_the_map_errs():
    (target,) = boxes(6)
    nests = torch.from_numpy(target.astype(np.float32))[None, None, None]
    asked = []

    def decode(clicks, previous):
        asked.append((clicks.shape[2], previous is not None))
        return torch.full((1, 1, SIDE, SIDE), -5.0)  # nothing found: every error is a miss

    torch.manual_seed(0)
    simulation = Simulation(nests, rounds=3, pseudo_share=0.0, stability=0.9)
    lengths = set()
    for _ in range(20):
        asked.clear()
        clicks, previous = simulation(decode, torch.tensor([[[[6.0, 6.0, 1.0]]]]), None)
        lengths.add(clicks.shape[2])
        assert asked == [(1 + k, k > 0) for k in range(clicks.shape[2] - 1)]
        assert (previous is None) == (clicks.shape[2] == 1)
        for row, column, sign in clicks[0, 0].tolist():
            assert sign == 1 and target[int(row), int(column)]
    assert lengths == {1, 2, 3, 4}


@pytest.mark.parametrize("certain", [True, False])
def test_only_confident_maps_become_truth(certain):
    wide = boxes(8)[0]
    (target,) = boxes(2)
    nests = torch.from_numpy(target.astype(np.float32))[None, None, None].repeat(1, 3, 2, 1, 1)
    sure = torch.from_numpy(np.where(wide, 9.0, -9.0).astype(np.float32)) * (1 if certain else 0.1)

    def decode(clicks, previous):
        return sure.expand(*clicks.shape[:2], SIDE, SIDE)

    simulation = Simulation(nests, rounds=0, pseudo_share=1.0, stability=0.9)
    before = torch.tensor([6.0, 6.0, -1.0]).expand(1, 3, 4, 3)
    clicks, _ = simulation(decode, before, None)
    if not certain:
        assert torch.equal(clicks, before) and torch.equal(simulation.nests, nests)
        return
    assert ((simulation.nests[:, :, 0] == 1).numpy() == wide).all()
    assert (simulation.nests[:, :, 1] == -1).all()
    assert (clicks[:, :, 1:] == 0).all()
    for row, column, sign in clicks[0, :, 0].tolist():
        assert sign == 1 and wide[int(row), int(column)]


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": 3},
        {"rounds": 2, "clicks": Choice(name="many", options={"least_pixels": 8})},
        {"pseudo_share": 0.5},
        {"losses": {"lovasz_hinge": 1.0, "dice": 0.5}},
    ],
)
def test_every_regime_gives_finite_terms_and_gradients(click_task, changes):
    task = replace(click_task, config=replace(click_task.config, **changes))
    torch.manual_seed(0)
    model = task.build()
    terms = task.terms(model, batch_of(task, 0, range(4)))
    assert set(terms) == set(task.config.losses)
    sum(terms.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(bool(g.isfinite().all()) for g in gradients)


def test_validation_is_never_augmented_and_perfect_maps_score_one(click_task, tmp_path):
    batch = click_task.validation
    assert all(torch.equal(a, b) for a, b in zip(batch, click_task.validation, strict=True))

    class Oracle(torch.nn.Module):
        """Answer with the truth of the validation batch."""

        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(()))

        def forward(self, images, clicks):
            return (batch.nests[:, :, 0] * 2 - 1) * 20 + self.bias

    with torch.inference_mode():
        row = click_task.validate(Oracle(), tmp_path / "shown.npz")
    assert row["val_iou"] == 1
    draw_shown(tmp_path / "shown.npz", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 0


def test_a_training_goes_on_from_another_clicker(click_task, tmp_path):
    first = click_task.build()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.01)
    model = click_task.config.model
    save_model(first, tmp_path, name=model.name, options=model.options, provenance={})
    config = replace(click_task.config, initial=str(tmp_path))
    again = ClickTask(config=config, train=click_task.train, held_out=click_task.held_out).build()
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_corrections_and_levels_do_not_go_together(click_config):
    with pytest.raises(ValueError, match="rounds > 0 needs levels 1"):
        replace(click_config, levels=2, rounds=1)


def test_a_backbone_begins_with_a_masked_autoencoders_weights(click_config, click_task, tmp_path):
    options = click_config.model.options | {"stem": "patch"}
    config = replace(click_config, model=Choice(name="click_vit", options=options))
    donor = replace(click_task, config=config).build()
    names = {"fc1": "mlp.fc1", "fc2": "mlp.fc2", "patch_embed": "patch_embed.proj"}
    weights = {}
    for name, value in donor.backbone.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(f"{ours}.", f"{theirs}.")
        weights[name] = value + 0.25
    positions = weights["pos_embed"]
    weights["pos_embed"] = torch.cat([positions[:, :1], positions], dim=1)
    torch.save({"model": weights | {"cls_token": positions[:, :1]}}, tmp_path / "mae.pth")
    begun = replace(config, backbone=str(tmp_path / "mae.pth"))
    torch.manual_seed(1)
    clicker = replace(click_task, config=begun).build()
    pairs = zip(
        donor.backbone.state_dict().values(), clicker.backbone.state_dict().values(), strict=True
    )
    assert all(torch.allclose(one + 0.25, other) for one, other in pairs)


def test_initial_weights_and_a_backbone_are_too_much(click_config):
    with pytest.raises(ValueError, match="give one of initial and backbone"):
        replace(click_config, initial="a", backbone="b")


@pytest.mark.gpu
@pytest.mark.parametrize("changes", [{"levels": 3}, {"rounds": 2}, {"pseudo_share": 0.5}])
def test_a_clicker_learns_on_the_gpu_in_bfloat16(click_task, optimisation, changes):
    task = replace(click_task, config=replace(click_task.config, **changes))
    torch.manual_seed(0)
    recipe = replace(optimisation, steps=60, precision="bfloat16", learning_rate=3e-3, ema=0.9)
    learner = Learner(task.build().cuda(), task.terms, recipe, wrap=lambda m: m, averages=True)
    batch = ClickBatch(*(part.cuda() for part in batch_of(task, 0, range(4))))
    losses = [float(learner.step(step, [batch])["loss"]) for step in range(recipe.steps)]
    assert all(np.isfinite(losses)) and sum(losses[-10:]) < 0.9 * sum(losses[:10])
