"""What a second worker gives a whole evaluation: images a second with two over those with one.

    OMP_NUM_THREADS=1 python -m benchmarks.evaluation --data KIND:PATH [--split val]
        [--model NAME ...] [--images 24 --turns 5]

Everything that `maskspace evaluate` measures of every image, on a local Ray that is there before
the clock starts, one torch thread a worker, nothing kept from turn to turn. One and two workers
take turns; prints the medians and the median of the ratios of each turn, and stops if the rows
differ. The goal is 1.7 on two idle cores.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from statistics import median

from maskspace.cli.evaluate import read_split
from maskspace.evaluation.config import protocol_config
from maskspace.evaluation.rows import Row, measure_rows
from maskspace.parallel import connect, map_units
from maskspace.segmenter.loading import load


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--data", required=True, metavar="KIND:PATH")
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", action="append", help="default student and felzenszwalb")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    kind, _, path = options.data.partition(":")
    samples = read_split(kind, path, split=options.split, limit=options.images)
    models = {name: load(name) for name in options.model or ["student", "felzenszwalb"]}
    config = protocol_config("maskspace", limit=options.images)

    def measured(workers: int) -> tuple[float, list[Row]]:
        start = time.perf_counter()
        rows = measure_rows(
            kind, samples, models, config=config, map_units=partial(map_units, workers=workers)
        )
        return time.perf_counter() - start, rows

    ratios, spent = [], {1: [], 2: []}
    with connect():
        measured(2)  # workers start and import what they need
        for turn in range(options.turns):
            rows = {}
            for workers in (1, 2) if turn % 2 else (2, 1):
                seconds, rows[workers] = measured(workers)
                spent[workers].append(seconds)
            if [comparable(row) for row in rows[1]] != [comparable(row) for row in rows[2]]:
                raise SystemExit("one worker and two measure different things")
            ratios.append(spent[1][-1] / spent[2][-1])
    print(f"{len(samples)} images, {len(models)} models, {options.turns} turns")
    for workers, seconds in spent.items():
        print(f"{workers} workers: {len(samples) / median(seconds):.3f} images/s")
    print(f"two over one, turn by turn: {median(ratios):.2f} (goal 1.7)")
    print("turns:", " ".join(f"{ratio:.2f}" for ratio in ratios))


def comparable(row: Row) -> Row:
    """Return what does not change from run to run: all but the time."""
    return replace(row, seconds=0.0)


if __name__ == "__main__":
    main()
