import time

import pytest
import torch

from maskspace.training.feed import Feed, share_of


def make(step, rows):
    return (torch.tensor([step]), torch.tensor(list(rows)))


@pytest.mark.parametrize(("world", "accumulate"), [(1, 1), (1, 4), (2, 3), (6, 2)])
def test_the_parts_of_all_workers_are_the_batch(world, accumulate):
    parts = [share_of(12, rank=r, world=world, accumulate=accumulate) for r in range(world)]
    assert [row for share in parts for part in share for row in part] == list(range(12))
    assert len({len(part) for share in parts for part in share}) == 1


@pytest.mark.parametrize("loaders", [0, 2])
def test_parts_come_in_the_order_of_steps_from_where_a_run_goes_on(loaders):
    cpu = torch.device("cpu")
    parts = [range(0, 2), range(2, 4)]
    feed = Feed(make, range(3, 6), parts=parts, loaders=loaders, device=cpu)
    found = [(int(step), rows.tolist()) for step, rows in feed]
    assert found == [(step, rows) for step in (3, 4, 5) for rows in ([0, 1], [2, 3])]


def test_what_is_made_here_is_waited_for():
    def slow(step, rows):
        end = time.perf_counter() + 0.01
        while time.perf_counter() < end:
            pass
        return make(step, rows)

    feed = Feed(slow, range(5), parts=[range(1)], loaders=0, device=torch.device("cpu"))
    assert len(list(feed)) == 5
    assert feed.waited >= 0.05
