import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.readers.label_maps import foreground_mask
from maskspace.data.readers.single_masks import ImageWithMask, pair_up, single_mask_source


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("channels", "kind"),
    [(0, np.uint8), (2, np.uint8), (3, np.uint8), (4, np.uint8), (0, np.uint16)],
)
def test_a_pixel_is_the_object_where_any_colour_is_above_black(channels: int, kind: type) -> None:
    rng = np.random.default_rng(channels)
    shape = (7, 5, channels) if channels > 1 else (7, 5)
    values = rng.choice([0, 0, 0, 1, 200, np.iinfo(kind).max], shape).astype(kind)
    colours = values
    if channels in (2, 4):
        values[..., -1], colours = 255, values[..., : channels - 1]
    expected = colours > 0 if colours.ndim == 2 else colours.max(axis=2) > 0
    assert (foreground_mask(png(values), name="x") == expected).all()


def test_a_file_that_is_none_is_one_line() -> None:
    whole = png(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8))
    for content in (b"", b"none", whole[:60], whole[: len(whole) // 2]):
        with pytest.raises(ValueError, match=r"x\.png: cannot be ") as told:
            foreground_mask(content, name="x.png")
        assert "\n" not in str(told.value)


def test_images_keep_their_bytes_and_kind(tmp_path: Path) -> None:
    (tmp_path / "a.PNG").write_bytes(png(np.ones((3, 4), np.uint8)))
    pair = ImageWithMask(
        key="a", image=tmp_path / "a.PNG", mask=tmp_path / "a.PNG", licence="own", split="val"
    )
    (sample,) = single_mask_source([pair], dataset="x", root=tmp_path)
    assert sample.image == (tmp_path / "a.PNG").read_bytes() and sample.extension == "png"
    assert (sample.source, sample.licence, sample.split) == ("a.PNG", "own", "val")
    assert [a.area for a in sample.annotations] == [12]


def test_every_image_needs_its_mask_but_not_the_other_way_round() -> None:
    one, two = Path("img/a.jpg"), Path("gt/a.png")
    assert pair_up({"a": one}, {"a": two, "b": two}, missing="gt") == [("a", one, two)]
    with pytest.raises(ValueError, match=r"img/a\.jpg: no mask gt/a\.png; fetch"):
        pair_up({"a": one}, {}, missing="gt")
