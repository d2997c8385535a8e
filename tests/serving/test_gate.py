import numpy as np
import pytest

from maskspace.serving.gate import Measured, judge


def measured(values, *, metric="iou", masks=None):
    masks = masks or [1] * len(values)
    images = {f"d/{n}": (float(v), m) for n, (v, m) in enumerate(zip(values, masks, strict=True))}
    return Measured(metric=metric, images=images)


NOISE = np.random.default_rng(0).uniform(0, 1, 40)


def test_the_first_version_is_champion():
    assert judge(measured(NOISE), None).champion


def test_a_version_is_not_better_than_itself():
    assert not judge(measured(NOISE), measured(NOISE)).champion


def test_a_gain_on_every_image_is_better_however_much_images_differ():
    assert judge(measured(NOISE + 0.001), measured(NOISE)).champion
    assert not judge(measured(NOISE), measured(NOISE + 0.001)).champion


def test_a_gain_by_chance_is_not_better():
    other = np.random.default_rng(1).permutation(NOISE)
    better, worse = measured(other), measured(NOISE)
    assert not judge(better, worse).champion and not judge(worse, better).champion


def test_the_order_of_images_does_not_matter():
    one = measured(NOISE + 0.01)
    turned = Measured(metric="iou", images=dict(reversed(one.images.items())))
    assert judge(one, measured(NOISE)) == judge(turned, measured(NOISE))
    assert one.comparison == turned.comparison and one.value == turned.value


@pytest.mark.parametrize(
    "other", [measured(NOISE, metric="dice"), measured(NOISE[1:]), measured(NOISE, masks=[2] * 40)]
)
def test_what_is_not_alike_is_not_compared(other):
    assert not judge(measured(NOISE + 9), other).champion
    assert "by hand" in judge(measured(NOISE + 9), other).reason


def test_datasets_count_the_same_and_masks_within_them():
    both = Measured(metric="iou", images={"a/1": (1.0, 1), "a/2": (0.0, 3), "b/1": (0.5, 9)})
    assert both.value == pytest.approx((0.25 + 0.5) / 2)
    assert both.weights.sum() == pytest.approx(1)
