from dataclasses import replace

import numpy as np
from PIL import Image

from maskspace.evaluation.cases import choose_cases, shown_cases
from maskspace.evaluation.rows import Row, measure_rows
from maskspace.evaluation.sheets import draw_cases


def row(key, ious):
    return Row(
        dataset="d", model="m", key=key, masks=len(ious), masks_too_small=0,
        ids=list(range(1, len(ious) + 1)), click_ious={"center": [[iou, 0.0] for iou in ious]},
    )  # fmt: skip


def chosen(rows, number):
    found = choose_cases(rows, "center", number=number)
    return [(case.rank, case.key, case.mask_id, case.iou) for case in found]


def test_the_worst_the_median_and_the_best_of_all_images():
    rows = [row("b", [0.9, 0.1]), row("a", [0.5, 0.3, 0.7])]
    expected = [("worst", "b", 2, 0.1), ("median", "a", 1, 0.5), ("best", "b", 1, 0.9)]
    assert chosen(rows, 1) == chosen(rows[::-1], 1) == expected


def test_no_mask_is_shown_twice_and_ties_go_by_name():
    rows = [row("b", [0.5]), row("a", [0.5])]
    assert [case[:3] for case in chosen(rows, 5)] == [("worst", "a", 1), ("worst", "b", 1)]
    assert chosen(rows, 0) == []
    assert choose_cases(rows, "random", number=2) == []


def test_the_sheet_has_a_row_a_case_and_reads_no_more_than_it_needs(
    samples, models, config, tmp_path
):
    config = replace(config, limit=3)
    chosen_models = models("probability", "oracle", "silent")
    rows = measure_rows("r", samples, chosen_models, config=config)

    class FirstThree(list):
        def __getitem__(self, index):
            assert index < 3, "read beyond the last case"
            return super().__getitem__(index)

    for name, datasets in (("one.png", {"r": FirstThree(samples)}), ("two.png", {"r": samples})):
        cases = shown_cases(rows, datasets, chosen_models, config=config)
        arrays, clicks, names = zip(*((c.arrays, c.click, c.name) for c in cases), strict=True)
        draw_cases(tmp_path / name, arrays, clicks, names)
    one, two = (np.array(Image.open(tmp_path / name)) for name in ("one.png", "two.png"))
    np.testing.assert_array_equal(one, two)
    assert one.shape[0] > 6 * 192 and one.shape[1] > 5 * 192
