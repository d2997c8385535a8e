from dataclasses import replace
from functools import partial

import pytest
import torch

from maskspace import parallel
from maskspace.training.checkpoint import Progress
from maskspace.training.config import EarlyStop, Workers
from maskspace.training.loop import fit
from maskspace.training.workers import fit_distributed
from tests.training.lines import LineTask

SCORES = (0.1, 0.5, 0.4, 0.3, 0.6, 0.7)


@pytest.mark.slow
def test_two_workers_with_parts_stop_together_where_one_alone_does(
    optimisation, tmp_path, shared_ray
):
    rule = EarlyStop(monitor="val_score", mode="max", patience=2)
    recipe = replace(optimisation, batch=8, validate_every=1, early_stop=rule, ema=0.5)
    make_task = partial(LineTask, batch_size=8, scores=SCORES)
    fit(make_task(), recipe, tmp_path / "alone")
    with parallel.connect():
        fit_distributed(
            make_task,
            replace(recipe, accumulate=2),
            tmp_path / "two",
            workers=Workers(number=2, threads=1, loaders=1, gpu=False),
        )
    alone, two = Progress(tmp_path / "alone"), Progress(tmp_path / "two")
    assert [row["since_best"] for row in two.history()] == [0, 0, 1, 2]
    one, other = make_task().build(), make_task().build()
    assert alone.restore_weights(one) == two.restore_weights(other) == 2
    torch.testing.assert_close(one.state_dict(), other.state_dict())
