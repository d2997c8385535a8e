"""Covering, Rand index and variation of information on BSDS500, as every evaluation measures them.

    python -m benchmarks.bsds500_regions BSDS500 --ucm UCM2/val [--split val] [--limit N]
        [--model NAME ...] [--workers N]

What `maskspace evaluate` does for its `covering_ods` and the like, without the clicks and
proposals. Published on the 200 test images (Arbelaez et al. 2011, doi:10.1109/TPAMI.2010.161),
which are not those of val: covering ODS, OIS, best of Felzenszwalb 0.52 0.57 0.69 and of
gPb-OWT-UCM 0.588 0.647 0.744.
"""

import argparse
import time
from functools import cache, partial
from pathlib import Path

from maskspace.cli.evaluate import read_split
from maskspace.evaluation.asking import Asked
from maskspace.evaluation.config import PROTOCOLS
from maskspace.evaluation.measures.measure import Kept
from maskspace.evaluation.measures.regions import measure_regions
from maskspace.evaluation.partitions import ask_partitions
from maskspace.evaluation.truth import read_truth
from maskspace.parallel import map_here, map_units
from maskspace.segmenter import Segmenter
from maskspace.segmenter.loading import load
from maskspace.types import Sample

CONFIG = PROTOCOLS["maskspace"]
(MEASURE,) = measure_regions(CONFIG)


def main() -> None:
    """Print a line a method."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of BSDS500, with SPLIT/images")
    parser.add_argument("--ucm", type=Path, help="folder of the authors' ID.mat of this split")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--model", action="append", help="default felzenszwalb, and gpb-owt-ucm")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    samples = read_split("bsds500", str(options.root), split=options.split, limit=options.limit)
    files = f"folder={options.ucm},images={options.root / options.split / 'images'}"
    models = options.model or ["felzenszwalb"]
    models += [f"gpb-owt-ucm@{files}"] if options.ucm else []
    work = partial(map_units, workers=options.workers) if options.workers > 1 else map_here
    for name in models:
        start = time.perf_counter()
        found = list(work(partial(measured, name), samples, describe=f"{name[:12]}: images"))
        seconds = time.perf_counter() - start
        print(f"{name.partition('@')[0]}, {len(found)} images of {options.split}")
        for figure in MEASURE.figures:
            print(f"  {figure.name:<16} {figure.of_dataset(found):.4f}")
        print(f"  {seconds / len(found):.2f} s an image", flush=True)


def measured(name: str, sample: Sample) -> Kept:
    """Return what is kept of a model's partitions of one image."""
    asked = Asked()
    truth = read_truth(sample, min_area=1)
    counts = CONFIG.region_counts
    parts = ask_partitions(loaded(name), truth, [MEASURE], counts=counts, asked=asked)
    if parts is None:
        raise SystemExit(f"{name}: {asked.not_answered['regions']}")
    return MEASURE.of_image(parts[MEASURE.name], truth)


@cache
def loaded(name: str) -> Segmenter:
    """Return the model of this name, read once a process."""
    return load(name)


if __name__ == "__main__":
    main()
