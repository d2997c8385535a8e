import json
import os
import pickle
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from maskspace import parallel
from maskspace.config import Choice
from maskspace.training.checkpoint import Progress
from maskspace.training.config import SweepConfig, Workers
from maskspace.training.loop import fit
from maskspace.training.search_space import Trial
from maskspace.training.sweep import finish_trial, sweep
from maskspace.training.sweep_tables import sweep_table, write_sweep
from tests.training.lines import WAITS_AT, logged, swept_task

ROOT = Path(__file__).resolve().parents[2]

CONFIG = SweepConfig(
    objectives={"line": {"slope": (1.0, 2.0)}},
    learning_rates=(),
    seeds=(0,),
    search="grid",
    points=3,
    scheduler="fifo",
    steps=6,
    grace_steps=2,
    reduction_factor=2,
    validate_every=2,
    concurrent=1,
    workers=Workers(number=1, threads=1, loaders=0, gpu=False),
)


def test_a_trial_that_was_stopped_early_has_a_model_and_says_so(
    embedding_task, optimisation, tmp_path
):
    run, out = tmp_path / "run", tmp_path / "out"
    trial = Trial(name="balls-radius0.1", objective=Choice(name="balls", options={"radius": 0.1}))
    fit(embedding_task, optimisation.shortened(2, 2), run / trial.name)
    row = finish_trial(trial, embedding_task, optimisation, run / trial.name)
    assert row["step"] == 2
    assert row["finished"] is False
    write_sweep([row], run, out)
    assert json.loads((out / "trials.json").read_text()) == [row]
    assert (out / trial.name / "model.safetensors").exists()
    assert Progress(out / trial.name).history() == Progress(run / trial.name).history()


def learnt_alone(slope, optimisation, folder):
    """The losses by step of a line that is trained without a sweep."""
    folder.mkdir()
    (folder / "gate").touch()
    task = swept_task(Choice(name="line", options={"slope": slope}), optimisation, log=folder)
    fit(task, optimisation, folder / "run")
    return losses(folder / "run")


def losses(folder):
    return {row["step"]: row["val_loss"] for row in Progress(folder).history()}


def ended(run):
    """The folders of the trials that a sweep is done with."""
    return {path.parent.name for path in run.glob("*/ended")}


COMMAND = """
import pickle, sys
from pathlib import Path
from maskspace import parallel
from maskspace.training.sweep import sweep
make_task, recipe, config, folder = pickle.loads(Path(sys.argv[1]).read_bytes())
with parallel.connect():
    sweep(make_task, recipe, config, folder)
"""


def kill_when(ready, make_task, recipe, config, folder):
    """Sweep in a process of its own, kill it as soon as `ready()`, and see its trials end."""
    file = folder.parent / "arguments"
    file.write_bytes(pickle.dumps((make_task, recipe, config, folder)))
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(file)], cwd=ROOT, env=os.environ | {"PYTHONPATH": paths}
    ) as process:
        try:
            while not ready():
                assert process.poll() is None
                time.sleep(0.05)
        finally:
            process.kill()
    for at_work in {process for _, _, process in logged(folder.parent)}:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(at_work).wait()


@pytest.fixture
def recipe(distill_config, optimisation):
    """What a killed trial goes on from is at most a step old."""
    return replace(distill_config, optimisation=replace(optimisation, checkpoint_seconds=0.0))


@pytest.mark.slow
@pytest.mark.fault
def test_under_asha_a_killed_sweep_repeats_no_ended_trial_and_changes_no_value(
    recipe, tmp_path, shared_ray
):
    """Two trials, of which one was stopped early, are over when it is killed; the third waits."""
    slopes = (1.0, 1.5, 2.0)
    objectives = {"line": {"slope": slopes}}
    config = replace(CONFIG, scheduler="asha", grace_steps=4, objectives=objectives)
    run, make_task = tmp_path / "run", partial(swept_task, log=tmp_path)

    def ready():
        return len(ended(run)) == 2 and ("line-slope2-seed0", WAITS_AT - 1) in begun()

    def begun():
        return [(name, step) for name, step, _ in logged(tmp_path)]

    kill_when(ready, make_task, recipe, config, run)
    over, before = {f"{name}-seed0" for name in ended(run)}, begun()
    (tmp_path / "gate").touch()
    with parallel.connect():
        rows = sweep(make_task, recipe, config, run)
        after = begun()
        assert sweep(make_task, recipe, config, run) == rows
    assert begun() == after
    assert [line for line in after if line[0] in over] == [b for b in before if b[0] in over]
    assert [(row["step"], row["finished"]) for row in rows] == [(6, True), (4, False), (4, False)]
    for slope in slopes:
        alone = learnt_alone(slope, recipe.optimisation, tmp_path / f"{slope}")
        swept = losses(run / f"line-slope{slope:g}")
        assert swept == {step: alone[step] for step in swept}


@pytest.mark.slow
@pytest.mark.fault
def test_a_killed_search_suggests_the_same_and_repeats_no_finished_trial(
    recipe, tmp_path, shared_ray
):
    objectives = {"line": {"slope": (1.0, 1.9)}}
    config = replace(CONFIG, search="optuna", seeds=(0, 1), objectives=objectives, points=2)
    run, make_task = tmp_path / "run", partial(swept_task, log=tmp_path)

    def ready():
        return ended(run) and {name for name, _, _ in logged(tmp_path)} > ended(run)

    kill_when(ready, make_task, recipe, config, run)
    over, before = ended(run), logged(tmp_path)
    with parallel.connect():
        rows = sweep(make_task, recipe, config, run)
    after = logged(tmp_path)
    assert [line for line in after if line[0] in over] == [b for b in before if b[0] in over]
    assert sorted(row["seed"] for row in rows) == [0, 0, 1, 1]
    assert all(row["finished"] for row in rows)
    assert {name for name, _, _ in after} == {row["trial"] for row in rows}


@pytest.mark.slow
def test_a_trial_of_two_workers_learns_what_one_alone_does(recipe, tmp_path, shared_ray):
    workers = replace(CONFIG.workers, number=2)
    config = replace(CONFIG, objectives={"line": {"slope": (1.0,)}}, workers=workers)
    with parallel.connect():
        (row,) = sweep(partial(swept_task, log=tmp_path), recipe, config, tmp_path / "run")
    assert row["finished"]
    alone = learnt_alone(1.0, recipe.optimisation, tmp_path / "alone")
    assert losses(tmp_path / "run" / row["trial"]) == pytest.approx(alone)


@contextmanager
def another_node(cpus):
    """A node beside that of the connected Ray, for as long as it takes to come and to go."""
    import ray
    from ray._common.utils import reset_ray_address

    def nodes():
        return sum(node["Alive"] for node in ray.nodes())

    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    command += [f"--address={address}", f"--num-cpus={cpus}"]
    alone, node = nodes(), None
    try:
        while nodes() == alone:
            if node is None or node.poll() is not None:  # Ray gives up after 30 s
                node = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            time.sleep(0.1)
        yield
    finally:
        if node is not None:
            node.terminate()
            node.wait()
        reset_ray_address()  # `ray start` leaves word of its cluster to every Ray on the machine
        while nodes() > alone:  # the next test counts on what is there
            time.sleep(0.1)


@pytest.mark.slow
def test_two_nodes_give_the_table_of_one(recipe, tmp_path, shared_ray):
    """A trial takes all that a node has, and of the two on two nodes each waits for the other."""
    import ray

    (tmp_path / "gate").touch()
    with parallel.connect():
        cpus = int(ray.cluster_resources()["CPU"])
        config = replace(CONFIG, concurrent=2, workers=replace(CONFIG.workers, threads=cpus))
        make_task = partial(swept_task, log=tmp_path)
        one = sweep(make_task, recipe, config, tmp_path / "one")
        (tmp_path / "steps").unlink()
        with another_node(cpus):
            meeting = partial(make_task, meets=2)
            two = sweep(meeting, recipe, config, tmp_path / "two")
    assert one == two
    assert sweep_table(one).equals(sweep_table(two))
