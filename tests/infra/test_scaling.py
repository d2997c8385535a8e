"""What the full research takes: laws of the simulation, and the guide's tables as computed."""

from dataclasses import replace

import pytest

from benchmarks.scaling import GUIDE, Cluster, simulated, stages, tables

PLAIN = Cluster(nodes=1, workers=1, start_s=0, hand_out_s=0, spread=0, lost_per_hour=0)


def test_the_guide_has_the_tables_as_they_are_computed():
    assert tables() in GUIDE.read_text(), "run python -m benchmarks.scaling --write"


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_equal_units_without_friction_take_their_time_over_the_workers(workers):
    cluster = replace(PLAIN, workers=workers)
    took = simulated(cluster, units=32, unit_s=2.0, unit_bytes=0, seed=0)
    assert took == pytest.approx(32 * 2.0 / workers)


def test_what_all_share_bounds_it_from_below():
    many = replace(PLAIN, nodes=64)
    assert simulated(many, units=100, unit_s=0, unit_bytes=5e9, seed=0) == pytest.approx(100)
    slow_head = replace(many, hand_out_s=0.5)
    assert simulated(slow_head, units=100, unit_s=0, unit_bytes=0, seed=0) == pytest.approx(50)


def test_lost_nodes_cost_time_and_more_nodes_save_it():
    given = {"units": 256, "unit_s": 600.0, "unit_bytes": 1e6, "seed": 0}
    lost = simulated(replace(PLAIN, lost_per_hour=1.0), **given)
    assert lost > simulated(PLAIN, **given)
    times = [simulated(Cluster(nodes=n), **given) for n in (1, 2, 4, 8)]
    assert times == sorted(times, reverse=True)


def test_hours_fall_with_workers_but_for_the_store():
    for stage in stages():
        few, many = stage.hours(cores=8, gpus=1), stage.hours(cores=64, gpus=8)
        assert many["cores"] == pytest.approx(few["cores"] / 8)
        assert many["GPUs"] == pytest.approx(few["GPUs"] / 8) and many["store"] == few["store"]
