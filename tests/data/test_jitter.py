import numpy as np
import pytest
import torch

from maskspace.data.batches import Plan
from maskspace.data.jitter import JitterRanges, draw_jitter, jitter_images, jitter_masks
from maskspace.data.loader import Dense, Mixture, load_dense
from maskspace.data.readers.rectangles import read_rectangles
from maskspace.data.stream import Loader

ALL = JitterRanges(
    flip_columns=0.5,
    flip_rows=0.5,
    scale=(0.7, 1.5),
    degrees=30.0,
    brightness=0.2,
    contrast=0.3,
    saturation=0.4,
    hue=0.3,
)
MOVES = JitterRanges(flip_columns=0.5, flip_rows=0.5, scale=(0.7, 1.5), degrees=30.0)
KEYS = [(0, 0, position) for position in range(6)]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 3, 24, 32, generator=generator)
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(32), indexing="ij")
    large = (rows - 12).abs() + (columns - 16).abs() < 10
    small, beside = large & (columns < 15), (columns > 29)
    return images, torch.stack([large, small, beside]).expand(6, 3, 24, 32)


@pytest.mark.parametrize("device", DEVICES)
def test_a_row_changes_in_the_same_way_in_any_batch(device):
    images, masks = (one.to(device) for one in batch())
    whole = draw_jitter(ALL, KEYS)
    changed, moved = jitter_images(images, whole), jitter_masks(masks, whole)
    assert changed.device.type == device and changed.min() >= 0 and changed.max() <= 1
    for row, key in enumerate(KEYS):
        alone = draw_jitter(ALL, [key])
        piece = slice(row, row + 1)
        torch.testing.assert_close(jitter_images(images[piece], alone), changed[piece])
        assert (jitter_masks(masks[piece], alone) == moved[piece]).all()


def test_the_global_generator_is_left_alone_and_keys_differ():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    images, _ = batch()
    changed = jitter_images(images[:1].expand(6, -1, -1, -1), draw_jitter(ALL, KEYS))
    assert (torch.random.get_rng_state() == before).all()
    assert len({row.numpy().tobytes() for row in changed}) == 6


def test_nothing_to_change_changes_nothing():
    images, masks = batch()
    still = draw_jitter(JitterRanges(flip_columns=0.0), KEYS)
    assert (jitter_images(images, still) == images).all()
    assert (jitter_masks(masks, still) == masks).all()


def test_flips_are_exact_and_their_own_inverse():
    images, masks = batch()
    flips = draw_jitter(JitterRanges(flip_columns=1.0, flip_rows=1.0), KEYS)
    assert (jitter_images(images, flips) == images.flip(2, 3)).all()
    assert (jitter_masks(jitter_masks(masks, flips), flips) == masks).all()


def test_masks_stay_nested_disjoint_and_with_their_image():
    _, masks = batch()
    jitter = draw_jitter(MOVES, KEYS)
    moved = jitter_masks(masks, jitter)
    assert moved.dtype == torch.bool
    large, small, beside = moved.unbind(1)
    assert not (small & ~large).any() and not (small & beside).any()
    drawn = masks[:, :1].float().expand(-1, 3, -1, -1)
    agree = (jitter_images(drawn, jitter)[:, 0] > 0.5) == large
    assert agree.float().mean() > 0.97


def test_a_label_map_moves_as_the_masks_of_its_labels():
    _, masks = batch()
    jitter = draw_jitter(MOVES, KEYS)
    labels = (masks[:, 1] * 7 + masks[:, 2] * 100_003).long()[:, None]
    moved, expected = jitter_masks(labels, jitter), jitter_masks(masks, jitter)
    assert moved.dtype == torch.int64
    assert ((moved[:, 0] == 7) == expected[:, 1]).all()
    assert ((moved[:, 0] == 100_003) == expected[:, 2]).all()


def test_scale_above_one_enlarges_and_turns_go_against_the_clock():
    mask = torch.zeros(1, 1, 41, 41, dtype=torch.bool)
    mask[..., 18:23, 26:31] = True  # 8 pixels right of the middle
    larger = draw_jitter(JitterRanges(flip_columns=0.0, scale=(2.0, 2.0)), [(0, 0, 0)])
    rows, columns = jitter_masks(mask, larger)[0, 0].nonzero().float().mean(0)
    assert abs(rows - 20) < 0.6 and abs(columns - 36) < 0.6
    assert torch.allclose(larger.scale, torch.tensor(2.0))
    turned = draw_jitter(JitterRanges(flip_columns=0.0, degrees=45.0), [(0, 0, 3)])
    rows, columns = jitter_masks(mask, turned)[0, 0].nonzero().float().mean(0)
    angle = float(turned.turn)
    assert abs((20 - float(rows)) - 8 * np.sin(angle)) < 0.6
    assert abs((float(columns) - 20) - 8 * np.cos(angle)) < 0.6


@pytest.mark.parametrize(
    "wrong", [{"scale": (0.0, 1.0)}, {"flip_rows": 2.0}, {"contrast": 1.5}, {"hue": 4.0}]
)
def test_ranges_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match=r"scale|probabilities|contrast|hue"):
        JitterRanges(**wrong)


def jittered(workers: int, world: int, device: str) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """Return an epoch's images and label maps by position, changed batch by batch."""
    datasets = {"rectangles": read_rectangles("", seed=0, limit=12)[:]}
    order = Mixture(datasets=datasets, weights={"rectangles": 1.0}).order(seed=3)
    found = {}
    for rank in range(world):
        plan = Plan(length=12, batch=6, rank=rank, world=world)
        loader = Loader[Dense](datasets, load_dense, order=order, plan=plan, workers=workers)
        for batch in loader:
            images = torch.stack([torch.from_numpy(one.image.copy()) for one in batch.items])
            labels = [(one.masks * one.ids[:, None, None]).sum(0) for one in batch.items]
            stacked = torch.from_numpy(np.stack(labels))[:, None].to(device)
            jitter = draw_jitter(ALL, [(one.seed, one.epoch, one.position) for one in batch.turns])
            changed = jitter_images(images.permute(0, 3, 1, 2).float().to(device) / 255, jitter)
            moved = jitter_masks(stacked, jitter)
            assert changed.device.type == moved.device.type == device
            positions = [one.position for one in batch.turns]
            found |= dict(zip(positions, zip(changed, moved, strict=True), strict=True))
    return found


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("workers", "world"), [(2, 1), (0, 3)])
def test_batches_of_the_loader_change_alike_for_any_workers_and_ranks(device, workers, world):
    alone, shared = jittered(0, 1, device), jittered(workers, world, device)
    assert sorted(alone) == sorted(shared) == list(range(12))
    for position, (image, labels) in alone.items():
        torch.testing.assert_close(shared[position][0], image)
        assert (shared[position][1] == labels).all()
