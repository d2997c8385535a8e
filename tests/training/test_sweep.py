import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from maskspace import parallel
from maskspace.config import Choice
from maskspace.training.checkpoint import Progress
from maskspace.training.config import SweepConfig, Workers
from maskspace.training.loop import fit
from maskspace.training.search_space import Trial
from maskspace.training.sweep import finish_trial, sweep
from maskspace.training.sweep_tables import sweep_table, write_sweep
from tests.training.lines import swept_task

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


def steps(log):
    lines = (log / "steps").read_text().split("\n")[:-1]
    return [tuple(line.split()) for line in lines]


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
    """Sweep in a process of its own and kill it as soon as `ready()`."""
    import pickle

    file = folder.parent / "arguments"
    file.write_bytes(pickle.dumps((make_task, recipe, config, folder)))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MASKSPACE_"))}
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(file)], cwd=ROOT, env=kept | {"PYTHONPATH": paths}
    ) as process:
        while not ready():
            assert process.poll() is None
            time.sleep(0.1)
        process.kill()


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize(("search", "seeds"), [("grid", (0,)), ("optuna", (0, 1))])
def test_a_killed_sweep_goes_on_and_repeats_no_step_of_a_finished_trial(
    search, seeds, distill_config, optimisation, tmp_path
):
    recipe = replace(distill_config, optimisation=replace(optimisation, checkpoint_seconds=0.0))
    slopes = (1.0, 2.0) if search == "grid" else (2.0, 3.0)
    config = replace(
        CONFIG, search=search, seeds=seeds, objectives={"line": {"slope": slopes}}, points=2
    )
    run, make_task = tmp_path / "run", partial(swept_task, log=tmp_path)
    if search == "optuna":  # all are patient: the first to wait is let go on
        run.mkdir()

    def ready():
        if search == "optuna" and not (tmp_path / "gate").exists():
            (tmp_path / "gate").touch()
        ended = list(run.glob("*/ended"))
        return bool(ended) and len({name for name, _ in steps(tmp_path)}) > 1

    kill_when(ready, make_task, recipe, config, run)
    before = steps(tmp_path)
    finished = {name for name in dict(before) if (name, "5") in before}
    assert finished
    (tmp_path / "gate").touch()
    with parallel.connect():
        rows = sweep(make_task, recipe, config, run)
    after = steps(tmp_path)
    assert len(rows) == 2 * len(seeds)
    assert all(row["finished"] for row in rows)
    assert {row["seed"] for row in rows} == set(seeds)
    for name in finished:
        assert [step for other, step in after if other == name] == list("012345")
    assert len({name for name, _ in after}) == len(rows)  # what was suggested is suggested again
    again = len(steps(tmp_path))
    with parallel.connect():
        assert sweep(make_task, recipe, config, run) == rows
    assert len(steps(tmp_path)) == again


@pytest.mark.slow
def test_two_nodes_give_the_table_of_one(distill_config, tmp_path, monkeypatch):
    config = replace(CONFIG, concurrent=2)
    (tmp_path / "gate").touch()
    make_task = partial(swept_task, log=tmp_path)
    with parallel.connect():
        one = sweep(make_task, distill_config, config, tmp_path / "one")
    ray_cluster = pytest.importorskip("ray.cluster_utils")
    cluster = ray_cluster.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        with parallel.connect():
            two = sweep(make_task, distill_config, config, tmp_path / "two")
    finally:
        cluster.shutdown()
    assert one == two
    assert sweep_table(one).equals(sweep_table(two))
