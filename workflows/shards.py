"""Stage `shards`: raw or generated data to webdataset shards of one record, with a manifest."""

import os
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.data import GENERATED, READERS
from maskspace.data.baseline import write_baseline
from maskspace.data.config import ShardsConfig
from maskspace.data.shards import read_manifest, write_dataset
from workflows.frame import publish, stage_main, work_folder


def main(dataset: str) -> None:
    """Write `build/shards/DATASET` as the section `shards.DATASET` of params.yaml says."""
    # a Ray of our own takes longer to start than these units take; a cluster is there already
    map_units = parallel.map_units if "RAY_ADDRESS" in os.environ else parallel.map_here
    config = load_section(ShardsConfig, "shards", dataset)
    work = work_folder("shards", dataset)
    write_dataset(work, dataset, config, READERS, map_units=map_units)
    if config.reader.name in GENERATED:
        baseline = write_baseline(work)
        print(f"{dataset}: connected components of equal colour score mean best IoU {baseline:.4f}")
    totals = read_manifest(work)["totals"]
    print(
        f"{dataset}: {totals['samples']} samples, {totals['masks']} masks, {totals['bytes']} bytes"
    )
    publish(work, Path("build/shards") / dataset)


if __name__ == "__main__":
    stage_main(main)
