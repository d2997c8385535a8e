"""What `maskspace segment --pictures` and `click --level-lines` draw."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskspace.cli.frame import png

if TYPE_CHECKING:
    import numpy as np

    from maskspace.cli.segment_files import Segmented
    from maskspace.segmenter import Segmenter
    from maskspace.types import Click

#: The most regions of the slider; the fewest are 2.
MOST_OF_SLIDER = 80
#: The level lines of a click.
LEVELS = tuple(step / 10 for step in range(1, 10))


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What pictures are drawn of: what was found, shown as one label map, and by which model.

    `regions` is the number of regions that was asked for, None for proposals.

    Example:
        >>> import numpy as np
        >>> from maskspace.cli.segment_files import Segmented
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> Drawn(one=one, labels=labels, model=None, regions=2).labels.max().item()
        2
    """

    one: "Segmented"
    labels: "np.ndarray"
    model: "Segmenter"
    regions: int | None


def _boundaries(drawn: Drawn) -> bytes:
    from maskspace.pictures import paint_borders

    image, labels = _shown(drawn)
    return png(paint_borders(image, labels))


def _mosaic(drawn: Drawn) -> bytes:
    from maskspace.pictures import mean_colors

    return png(mean_colors(drawn.one.image, drawn.labels))


def _regions(drawn: Drawn) -> bytes:
    """Draw regions whose colour does not depend on how many there are, where there is a tree."""
    import numpy as np

    from maskspace.pictures import paint_labels, steady_partitions

    labels = drawn.labels
    if drawn.regions is not None and "hierarchy" in drawn.model.answers:
        tree = drawn.model.hierarchy(drawn.one.image)
        steady = steady_partitions(tree.partition, drawn.regions)(drawn.regions)
        labels = np.where(labels > 0, steady, 0)
    return png(paint_labels(*_shown(drawn, labels)))


def _slider(drawn: Drawn) -> bytes:
    from maskspace.pictures import slider_webp

    tree = drawn.model.hierarchy(drawn.one.image)
    most = min(MOST_OF_SLIDER, tree.max_regions)
    numbers = range(min(2, most), most + 1)
    return slider_webp(drawn.one.image, tree.partition, numbers=numbers)


def _features(drawn: Drawn) -> bytes:
    from maskspace.pictures import feature_colors, fit_image

    levels = drawn.model.embed(drawn.one.image).levels
    colors = feature_colors(levels[min(levels)])
    return png(fit_image(colors, max(*colors.shape[:2], max(drawn.one.image.shape[:2]))))


#: Pictures, with the endings of their files after the image's name.
PICTURES: dict[str, tuple[str, Callable[[Drawn], bytes]]] = {
    "boundaries": (".boundaries.png", _boundaries),
    "mosaic": (".mosaic.png", _mosaic),
    "regions": (".regions.png", _regions),
    "slider": (".slider.webp", _slider),
    "features": (".features.png", _features),
}


def picture_names(text: str) -> tuple[str, ...]:
    """Return the pictures of a list with commas, or all of them.

    Example:
        >>> picture_names("mosaic,slider"), len(picture_names("all"))
        (('mosaic', 'slider'), 5)
    """
    names = tuple(PICTURES) if text == "all" else tuple(text.split(","))
    wrong = [name for name in names if name not in PICTURES]
    if wrong:
        known = ", ".join(PICTURES)
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {known} or all")
    return names


def pictures_of(
    one: "Segmented", names: tuple[str, ...], model: "Segmenter", regions: int | None
) -> dict[Path, bytes]:
    """Return the files of the pictures with these names.

    Example:
        >>> import numpy as np
        >>> from maskspace.cli.segment_files import Segmented
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> files = pictures_of(one, ("boundaries", "mosaic"), model=None, regions=2)
        >>> [path.name for path in files]
        ['a.boundaries.png', 'a.mosaic.png']
    """
    from maskspace.cli.segment_files import shown_labels

    if not names:
        return {}
    drawn = Drawn(one=one, labels=shown_labels(one), model=model, regions=regions)
    return {
        one.place.with_name(one.place.name + PICTURES[name][0]): PICTURES[name][1](drawn)
        for name in names
    }


def _shown(drawn: Drawn, labels: "np.ndarray | None" = None) -> "tuple[np.ndarray, np.ndarray]":
    """Return the image and a label map, enlarged if they are small."""
    from maskspace.pictures import fit_image, fit_labels, shown_side

    image = drawn.one.image
    side = shown_side((image.shape[0], image.shape[1]))
    return fit_image(image, side), fit_labels(drawn.labels if labels is None else labels, side)


def level_lines(image: "np.ndarray", clicks: "Sequence[Click]", model: "Segmenter") -> bytes:
    """Return a PNG of the level lines of clicks: of their probability, or of the tree above them.

    Of a tree a pixel's level is 1 less the height at which it joins the click's region. Of several
    positive clicks the highest level counts; negative ones are marked and have no lines.

    Example:
        >>> import numpy as np
        >>> from maskspace import load
        >>> from maskspace.types import Click
        >>> halves = np.zeros((16, 16, 3), np.uint8)
        >>> halves[:, 8:] = 200  # two flat halves
        >>> level_lines(halves, [Click(x=2, y=2)], load("lab"))[1:4]
        b'PNG'
    """
    import numpy as np

    from maskspace.pictures import fit_image, fit_map, paint_click, paint_level_lines, shown_side

    positive = [click for click in clicks if click.positive]
    if "click_probabilities" in model.answers and positive:
        levels = model.click_probabilities(image, positive).max(axis=0)
    else:
        levels = _levels_of_tree(image, positive, model)
    side = shown_side((image.shape[0], image.shape[1]))
    painted = paint_level_lines(fit_image(image, side), fit_map(levels, side), levels=LEVELS)
    scale = side / max(image.shape[:2])
    for click in clicks:
        at = (int((click.x + 0.5) * scale), int((click.y + 0.5) * scale))
        painted = paint_click(painted, at, radius=max(4, side // 160), positive=click.positive)
    return png(np.ascontiguousarray(painted))


def _levels_of_tree(
    image: "np.ndarray", clicks: "Sequence[Click]", model: "Segmenter"
) -> "np.ndarray":
    import numpy as np

    levels = np.zeros(image.shape[:2], np.float32)
    if not clicks:
        return levels
    tree = model.hierarchy(image)
    for level in LEVELS:
        labels = tree.cut(1 - level)  # pyright: ignore[reportAttributeAccessIssue]
        joined = np.isin(labels, [labels[click.y, click.x] for click in clicks])
        levels[joined] = level + 0.05
    return levels
