import numpy as np
import pytest

from maskspace.data.baseline import best_component_iou, equal_colour_components
from maskspace.data.dense import dense
from maskspace.data.readers.rectangles import COLOUR_MEAN, light_field, read_rectangles
from maskspace.masks import to_label_map

PLAIN = read_rectangles("", seed=0, limit=40)


def test_on_plain_rectangles_components_of_equal_colour_are_the_truth() -> None:
    for sample in map(dense, PLAIN):
        assert (best_component_iou(sample, equal_colour_components(sample.image)) == 1).all()


@pytest.mark.parametrize("options", [{"noise": 6.0}, {"shading": 0.3}])
def test_noise_and_shading_break_that_baseline(options: dict[str, float]) -> None:
    samples = map(dense, read_rectangles("", seed=0, limit=5, **options))
    scores = [best_component_iou(s, equal_colour_components(s.image)).mean() for s in samples]
    assert np.mean(scores) < 0.6


def test_every_colour_has_the_same_mean_and_the_background_is_black() -> None:
    for sample in map(dense, PLAIN):
        labelled = sample.masks.any(axis=0)
        assert (sample.image[labelled].sum(axis=1) == 3 * COLOUR_MEAN).all()
        assert not sample.image[~labelled].any()


def test_touching_masks_differ_in_colour() -> None:
    for sample in map(dense, PLAIN):
        labels, image = to_label_map(sample.masks), sample.image.astype(int)
        for axis in (0, 1):
            border = np.diff(labels, axis=axis) != 0
            assert np.abs(np.diff(image, axis=axis)).max(axis=2)[border].min() >= 10


def test_some_images_hold_two_masks_of_one_colour() -> None:
    def colours(sample) -> list[tuple[int, ...]]:
        return [tuple(sample.image[mask][0]) for mask in sample.masks]

    found = [colours(dense(sample)) for sample in PLAIN]
    assert any(len(set(image)) < len(image) for image in found)
    never = [colours(dense(s)) for s in read_rectangles("", seed=0, limit=10, repeat=0.0)]
    assert np.mean([len(set(c)) / len(c) for c in never]) > np.mean(
        [len(set(c)) / len(c) for c in found]
    )


def test_every_image_has_three_masks_that_the_metrics_count() -> None:
    counts = [sum(a.area >= 256 for a in sample.annotations) for sample in PLAIN]
    assert min(counts) >= 3
    assert any(a.area < 64 for sample in PLAIN for a in sample.annotations)


def test_the_light_field_stays_within_its_amplitude() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        field = light_field(rng, (40, 50), 0.3)
        assert np.abs(field - 1).max() == pytest.approx(0.3)
        assert np.abs(np.diff(field, axis=0)).max() < 0.08


def test_values_outside_their_ranges_are_refused() -> None:
    for options in ({"size_hw": (8, 64)}, {"rectangles": (9, 5)}, {"shading": 1.0}):
        with pytest.raises(ValueError, match="rectangles"):
            read_rectangles("", seed=0, limit=1, **options)
