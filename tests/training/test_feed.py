import time

import pytest
import torch

from maskspace.training.feed import Feed, positions_of, share_of


def make(parts):
    for step, rows in parts:
        yield torch.tensor([step]), torch.tensor(list(rows))


@pytest.mark.parametrize(("world", "accumulate"), [(1, 1), (1, 4), (2, 3), (6, 2)])
def test_the_parts_of_all_workers_are_the_batch(world, accumulate):
    parts = [share_of(12, rank=r, world=world, accumulate=accumulate) for r in range(world)]
    assert [row for share in parts for part in share for row in part] == list(range(12))
    assert len({len(part) for share in parts for part in share}) == 1


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("loaders", [0, 1, 2, 3])
def test_parts_come_in_the_order_of_steps_from_where_a_run_goes_on(loaders):
    cpu = torch.device("cpu")
    rows = [range(0, 2), range(2, 4)]
    feed = Feed(make, range(3, 6), rows=rows, loaders=loaders, device=cpu)
    found = [(int(step), part.tolist()) for step, part in feed]
    assert found == [(step, part) for step in (3, 4, 5) for part in ([0, 1], [2, 3])]


def test_what_is_made_here_is_waited_for():
    made = []

    def timed(parts):
        for part in parts:
            begin = time.perf_counter()
            batch = next(make([part]))
            made.append(time.perf_counter() - begin)
            yield batch

    feed = Feed(timed, range(5), rows=[range(1)], loaders=0, device=torch.device("cpu"))
    begin = time.perf_counter()
    assert len(list(feed)) == 5
    assert sum(made) <= feed.waited <= time.perf_counter() - begin


def test_positions_are_those_of_the_rows_of_all_batches():
    assert list(positions_of([(0, range(2)), (3, range(2, 4))], batch=4)) == [
        range(0, 2),
        range(14, 16),
    ]


def test_torchs_own_random_numbers_are_left_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    list(Feed(make, range(3), rows=[range(2)], loaders=1, device=torch.device("cpu")))
    assert (torch.random.get_rng_state() == before).all()
