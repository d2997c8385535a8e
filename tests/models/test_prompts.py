import json
import math

import pytest
import torch

from maskspace.models.prompts import RELATIONS, click_disks, relation_maps, scale_clicks


@pytest.fixture(scope="module")
def recorded(vectors):
    return json.loads((vectors / "segnext_vectors.json").read_text())


def test_disks_equal_brute_force_and_merge():
    clicks = torch.tensor([[[0.0, 0.0, 1.0], [5.0, 6.5, 1.0], [6.0, 6.0, -1.0], [2.0, 2.0, 0.0]]])
    disks = click_disks(clicks, 12, 2.0)[0]
    for channel, sign in enumerate((1, -1)):
        for row in range(12):
            for column in range(12):
                near = any(
                    s == sign and (row - r) ** 2 + (column - c) ** 2 <= 4
                    for r, c, s in clicks[0].tolist()
                )
                assert disks[channel, row, column] == near


@pytest.mark.parametrize(
    ("row", "column", "pixels"),
    [(20, 20, 81), (48, 20, 35), (-1, 20, 35), (0, 0, 26), (20, 60, 0), (-1, -1, 0)],
)
def test_a_disk_of_radius_five_has_81_pixels_and_is_cut_by_the_border(row, column, pixels):
    assert click_disks(torch.tensor([[[row, column, 1.0]]]), 48, 5.0).sum() == pixels


def test_no_clicks_give_empty_maps():
    assert click_disks(torch.zeros(2, 0, 3), 8, 2.0).shape == (2, 2, 8, 8)


@pytest.mark.parametrize(
    ("size_hw", "size", "pixel", "scaled"),
    [
        ((480, 854), 1024, (479, 853), (1022, 1023)),
        ((118, 177), 512, (59, 88), (256, 255)),
        ((2160, 3840), 1024, (2159, 3839), (1024, 1024)),
        ((100, 100), 200, (-1, 4), (-1, 8)),  # truncation, not floor
    ],
)
def test_clicks_are_scaled_corner_to_corner_and_truncated(size_hw, size, pixel, scaled):
    clicks = torch.tensor([[*pixel, -1.0]])
    assert scale_clicks(clicks, size_hw, size).tolist() == [[*scaled, -1.0]]
    assert scale_clicks(clicks.double(), size_hw, size).tolist() == [[*scaled, -1.0]]


def test_every_recorded_scaling_is_met(recorded):
    for case in recorded["click_coordinate_scaling"]:
        clicks = torch.tensor([[*case["row_col"], 1.0]])
        scaled = scale_clicks(clicks, tuple(case["hw"]), case["target"])
        assert scaled[0, :2].tolist() == case["scaled"]


def test_every_recorded_disk_is_met(recorded):
    for case in recorded["disk_maps_radius_5"]:
        points = torch.tensor(case["points_row_col_index"], dtype=torch.float32)
        half = len(points) // 2
        signs = torch.tensor([1.0] * half + [-1.0] * half)
        height, width = case["height_width"]
        disks = click_disks(torch.cat([points[:, :2], signs[:, None]], 1)[None], width, 5.0)[0]
        for drawn, rows in zip(disks[:, :height], case["maps"], strict=True):
            assert ["".join(".#"[int(p)] for p in row) for row in drawn] == rows.split()


def test_relations_equal_brute_force():
    """Against loops over pixels and clicks, with clicks outside, padding, ties and lone signs."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 9, 9, generator=generator, dtype=torch.float64)
    clicks = torch.randint(-2, 11, (2, 4, 3, 3), generator=generator).double()
    clicks[..., 2] = torch.randint(-1, 2, (2, 4, 3), generator=generator).double()
    clicks[0, 0] = torch.tensor([[0.0, 0, 1], [0, 8, 1], [-1, -1, -1]])  # a tie along column 4
    found = relation_maps(images, clicks)
    assert found.shape == (2, 4, RELATIONS, 9, 9)
    for image in range(2):
        for prompt in range(4):
            expected = related(images[image], clicks[image, prompt].tolist())
            torch.testing.assert_close(found[image, prompt], expected)


def test_relations_are_not_rounded_under_autocast():
    images, clicks = torch.randn(1, 3, 300, 300), torch.tensor([[[[291.0, 287, 1], [6, 1, -1]]]])
    with torch.autocast("cpu", torch.bfloat16):
        found = relation_maps(images, clicks)
    torch.testing.assert_close(found, relation_maps(images, clicks), rtol=0, atol=0)


def related(image, clicks):
    size = image.shape[-1]
    maps = torch.zeros(RELATIONS, size, size, dtype=image.dtype)
    for first, sign in ((0, 1), (RELATIONS // 2, -1)):
        of_sign = [(r, c) for r, c, s in clicks if s == sign and not (r < 0 and c < 0)]
        places = [(min(max(r, 0), size - 1), min(max(c, 0), size - 1)) for r, c in of_sign]
        for row in range(size if places else 0):
            for column in range(size):
                far = [math.hypot(row - r, column - c) for r, c in places]
                near = [p for p, d in zip(places, far, strict=True) if d < min(far) + 1e-9]
                shades = [image[:, row, column] - mean_around(image, *p) for p in near]
                shade = torch.stack(shades).mean(0)
                offset = torch.tensor([[row - r, column - c] for r, c in near]).mean(0)
                here = maps[first : first + RELATIONS // 2, row, column]
                here[:2] = offset * 2 / size
                here[2] = 4 * math.exp(-8 * min(far) / size)
                here[3:6] = shade
                here[6] = math.exp(-shade.norm())
    return maps


def mean_around(image, row, column):
    rows = slice(max(int(row) - 1, 0), int(row) + 2)
    columns = slice(max(int(column) - 1, 0), int(column) + 2)
    return image[:, rows, columns].flatten(1).mean(1)


def test_relations_follow_a_picture_that_is_mirrored():
    images, clicks = torch.randn(1, 3, 8, 8), torch.tensor([[[[2.0, 5, 1], [6, 1, -1]]]])
    mirrored = clicks.clone()
    mirrored[..., 1] = 7 - clicks[..., 1]
    signs = torch.ones(RELATIONS, 1, 1)
    signs[[1, RELATIONS // 2 + 1]] = -1  # what lay to the right lies to the left
    there = relation_maps(images.flip(-1), mirrored)
    torch.testing.assert_close(there, relation_maps(images, clicks).flip(-1) * signs)
