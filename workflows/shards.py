"""Stage `shards`: raw or generated data to webdataset shards of one record, with a manifest."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from maskspace import parallel
from maskspace.config import load_section
from maskspace.data import READERS
from maskspace.data.baseline import write_baseline
from maskspace.data.config import ShardsConfig
from maskspace.data.drawn import is_drawn
from maskspace.data.shards import INPUTS, read_manifest, write_dataset
from workflows.frame import publish, stage_main, work_folder

#: Up to so many shards, a Ray of our own takes longer to start than to be worth it.
FEW = 16


def spread(function: Callable[[Any], Any], units: Iterable[Any]) -> Iterable[Any]:
    """Map over shards: on the user's cluster, on a local Ray if there are many, else here."""
    units = list(units)
    ray = "RAY_ADDRESS" in os.environ or len(units) > FEW
    return (parallel.map_units if ray else parallel.map_here)(function, units, describe="shards")


def main(dataset: str) -> None:
    """Write `build/shards/DATASET` as the section `shards.DATASET` of params.yaml says."""
    config = load_section(ShardsConfig, "shards", dataset)
    work = work_folder("shards", dataset)
    write_dataset(work, dataset, config, READERS, map_units=spread)
    if is_drawn(READERS[config.reader.name]):
        baseline = write_baseline(work)
        print(f"{dataset}: connected components of equal colour score mean best IoU {baseline:.4f}")
    totals = read_manifest(work)["totals"]
    print(
        f"{dataset}: {totals['samples']} samples, {totals['masks']} masks, {totals['bytes']} bytes"
    )
    # times of files differ from machine to machine, and the name of `work` says what was read
    (work / INPUTS).unlink(missing_ok=True)
    publish(work, Path("build/shards") / dataset)


if __name__ == "__main__":
    stage_main(main)
