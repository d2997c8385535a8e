"""Stage `proposals`: the teacher's masks on the training images, a Ray task a shard."""

from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.training.config import DistillConfig
from maskspace.training.proposals import ProposalsConfig, summary, write_proposals
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/proposals/DATASET` for each dataset that the student learns from."""
    config = load_section(ProposalsConfig, "proposals")
    data = load_section(DistillConfig, "distill").data
    work = work_folder("proposals")
    masks = write_proposals(
        Path("build/validate"),
        [name for name, weight in data.items() if weight > 0],
        Path("build/clicker"),
        work,
        config,
        map_units=partial(parallel.map_units, describe="proposals: shards"),
    )
    print(summary(masks))
    publish(work, Path("build/proposals"))


if __name__ == "__main__":
    stage_main(main)
