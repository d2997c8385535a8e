from dataclasses import replace

import numpy as np
import pytest
import torch

from maskspace.training.click_task import ClickBatch
from maskspace.training.colour import ColourJitter, recolour
from tests.training.lines import batch_of

JITTER = ColourJitter(brightness=0.2, contrast=0.3, saturation=0.3, hue=0.3)


def images(count: int) -> torch.Tensor:
    return torch.rand((count, 3, 8, 9), generator=torch.Generator().manual_seed(0))


def test_without_jitter_images_are_what_they_were():
    assert torch.equal(recolour(images(2), torch.arange(2), None, seed=0), images(2))


def test_an_image_changes_by_its_position_and_the_seed_alone():
    together = recolour(images(4), torch.arange(10, 14), JITTER, seed=1)
    for row in range(4):
        alone = recolour(images(4)[row : row + 1], torch.tensor([10 + row]), JITTER, seed=1)
        torch.testing.assert_close(alone[0], together[row])
    other = recolour(images(4), torch.arange(10, 14), JITTER, seed=2)
    assert (other - together).abs().amax(dim=(1, 2, 3)).min() > 0.01
    assert together.min() >= 0 and together.max() <= 1
    assert (together - images(4)).abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_colours_change_and_nothing_moves():
    """Pixels of one colour stay of one colour."""
    few = images(1)[:, :, :2, :2].repeat(1, 1, 4, 4)
    changed = recolour(few, torch.tensor([5]), JITTER, seed=0)
    torch.testing.assert_close(changed, changed[:, :, :2, :2].repeat(1, 1, 4, 4))


def terms_of(task, model, batch):
    """Return the terms of a batch: some objectives draw pixels, and dropout draws too."""
    torch.manual_seed(0)
    with torch.no_grad():
        return task.terms(model, batch)


@pytest.mark.parametrize("kind", ["click_task", "embedding_task"])
def test_a_task_learns_from_other_colours(kind, request):
    task = request.getfixturevalue(kind)
    changed = replace(task, config=replace(task.config, jitter=JITTER))
    torch.manual_seed(0)
    model = task.build().eval()
    batch = batch_of(task, 1, range(2))
    assert batch.positions.tolist() == [4, 5]  # of batches of 4
    coloured = terms_of(changed, model, batch)
    assert terms_of(task, model, batch) != coloured
    recoloured = batch._replace(images=recolour(batch.images, batch.positions, JITTER, seed=0))
    assert terms_of(task, model, recoloured) == coloured


def test_positions_do_not_depend_on_the_worker(click_task):
    whole = batch_of(click_task, 3, range(4))
    halves = [batch_of(click_task, 3, range(0, 2)), batch_of(click_task, 3, range(2, 4))]
    for part, pieces in zip(whole, zip(*halves, strict=True), strict=True):
        np.testing.assert_array_equal(part, torch.cat(pieces))
    assert isinstance(whole, ClickBatch)


def test_ranges_that_are_none_are_refused():
    with pytest.raises(ValueError, match="contrast"):
        ColourJitter(brightness=0.0, contrast=1.5, saturation=0.0, hue=0.0)
