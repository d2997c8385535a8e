"""Stage `distill`: train the student on Ray Train, with the objective that won the sweep."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.spool import shard_inputs, spool_of
from maskspace.training.config import DistillConfig
from maskspace.training.embedding_task import make_embedding_task
from maskspace.training.export import export_training
from maskspace.training.live import recorded
from maskspace.training.winner import read_winner
from maskspace.training.workers import fit_distributed
from workflows.frame import publish, stage_main, work_folder

WINNER = Path("build/select/winner.json")


def main() -> None:
    """Write `build/distilled`: weights, history, what the last validation looked at."""
    config = load_section(DistillConfig, "distill")
    winner = read_winner(WINNER)
    config = winner.recipe(config)
    work = work_folder("distill")
    make_task = partial(
        make_embedding_task,
        winner.objective,
        config=config,
        decoder=winner.decoder,
        shards=Path("build/validate").resolve(),
        proposals=Path("build/proposals").resolve(),
    )
    chosen = asdict(winner)
    spool = spool_of(work, experiment="student", name="distill")
    inputs = shard_inputs(Path("build/validate"), config.data)
    spool.begin(asdict(config) | chosen, inputs=inputs)
    with recorded({spool: work / "run"}), parallel.connect():
        fit_distributed(make_task, config.optimisation, work / "run", workers=config.workers)
    provenance = {"stage": "distill", "data": config.data, **chosen}
    out = work / "out"
    export_training(make_task(), work / "run", out, provenance=provenance)
    spool.made(out)
    publish(out, Path("build/distilled"))


if __name__ == "__main__":
    stage_main(main)
