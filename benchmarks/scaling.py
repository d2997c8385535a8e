"""What the full research takes, from measured unit costs; and how it grows with nodes, simulated.

    python -m benchmarks.scaling [--write]

Input: what a unit of work costs (`MEASURED`, each with its source), and what was assumed
(`ASSUMED`). Idea: hours are units times cost over workers; what grows not with workers (the store's
bandwidth, the head's hand-outs, stragglers, nodes that are taken back) is simulated, event by
event. Prints three tables as Markdown; with --write they replace those of docs/scale.md, which a
test holds against this file. Nothing here is a measurement of a cluster.
"""

import argparse
import heapq
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

GUIDE = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- written by benchmarks/scaling.py -->", "<!-- end -->"
#: SA-1B, as published (Kirillov et al. 2023, arXiv 2304.02643).
IMAGES, MASKS, TERABYTES, TARS = 11_000_000, 1_100_000_000, 11.0, 1_000

#: Seconds, and bytes a second, that were measured: value, where.
MEASURED: Mapping[str, tuple[float, str]] = {
    "shard bytes/s a core": (343e6, "benchmarks.shards, side 1024: 2026-11-21"),
    "validate core s/image": (
        100 / 2000,
        "2000 masks a second of one process, photos of 1500 x 2250: benchmarks.validate",
    ),
    "encode GPU s/image": (0.007, "ViT-B at 1024, bfloat16, one H200: 2026-11-28-gpu.md"),
    "decode GPU s/click": (
        1 / 90.17,
        "its head at 1024, bfloat16, one H200: 2026-11-28-gpu.md",
    ),
    "feed core s/image": (
        0.1569 * 3.4 / 12,
        "clicker's feed, 157 ms for 12 megapixels: 2026-12-01-loader.md",
    ),
    "evaluate core s/image": (
        9.0,
        "proposals, 0.109 images/s on one core: 2026-11-28-proposals.md",
    ),
}
#: What nobody has measured here: value, why.
ASSUMED: Mapping[str, tuple[float, str]] = {
    "step in forwards": (3.0, "a training step costs three forward passes"),
    "student GFLOP/image": (50.0, "counted: EfficientViT-B3 at 512, one forward pass"),
    "student TFLOP/s": (60.0, "of a convolutional network on a GPU of 1000 in bfloat16"),
    "store GB/s": (5.0, "what one bucket or file system gives to all nodes together"),
    "GPU $/h": (3.0, "order of magnitude; spot is a third of it"),
    "core $/h": (0.04, "order of magnitude"),
    "TB month $": (23.0, "object storage, list price"),
    "$ a million requests": (0.4, "GET of object storage, list price"),
}


def value(name: str) -> float:
    """Return a unit cost by its name."""
    return {**MEASURED, **ASSUMED}[name][0]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage at full scale.

    units: how often its unit of work is done.
    core_s, gpu_s: what one costs on one core, on one GPU, in seconds.
    read_bytes: what one reads from the store; requests: how often it asks the store.
    """

    name: str
    units: float
    core_s: float = 0.0
    gpu_s: float = 0.0
    read_bytes: float = 0.0
    requests: float = 0.0

    def hours(self, *, cores: int, gpus: int) -> dict[str, float]:
        """Return the hours that each resource alone would need; the largest decides."""
        return {
            "cores": self.units * self.core_s / cores / 3600,
            "GPUs": self.units * self.gpu_s / gpus / 3600,
            "store": self.units * self.read_bytes / (value("store GB/s") * 1e9) / 3600,
        }

    @property
    def dollars(self) -> float:
        """Return the order of magnitude of what it costs."""
        return (
            self.units * self.core_s / 3600 * value("core $/h")
            + self.units * self.gpu_s / 3600 * value("GPU $/h")
            + self.units * self.requests / 1e6 * value("$ a million requests")
        )


def stages() -> list[Stage]:
    """Return the stages of the profile `full` on SA-1B whole, 1024 clicks an image.

    The teacher: 180 000 steps of 32 images with 16 clicks; the student: 300 000 steps of 128.
    """
    size, clicks, forwards = TERABYTES * 1e12 / IMAGES, 32**2, value("step in forwards")
    encode, decode = value("encode GPU s/image"), value("decode GPU s/click")
    student = forwards * value("student GFLOP/image") / (1e3 * value("student TFLOP/s"))
    feed = {"core_s": value("feed core s/image"), "read_bytes": size, "requests": 1.0}
    return [
        Stage(
            name="shards, by reference",
            units=IMAGES,
            core_s=size / value("shard bytes/s a core"),
            read_bytes=size,
            requests=TARS / IMAGES * 12,
        ),
        Stage(
            name="validate",
            units=IMAGES,
            core_s=value("validate core s/image"),
            read_bytes=size,
            requests=1.0,
        ),
        Stage(
            name="train the teacher",
            units=180_000 * 32,
            gpu_s=forwards * (encode + 16 * decode),
            **feed,
        ),
        Stage(
            name="proposals of all images",
            units=IMAGES,
            core_s=size / 60e6,  # decoding a JPEG
            gpu_s=encode + clicks * decode,
            read_bytes=size,
            requests=1.0,
        ),
        Stage(
            name="proposals of 1 % (enough for teacher_share 0.05)",
            units=IMAGES / 100,
            core_s=size / 60e6,
            gpu_s=encode + clicks * decode,
            read_bytes=size,
            requests=1.0,
        ),
        Stage(name="train the student", units=300_000 * 128, gpu_s=student, **feed),
        Stage(
            name="evaluate, 2 x 2000 images, 3 models",
            units=2 * 2000 * 3,
            core_s=value("evaluate core s/image"),
            gpu_s=encode + clicks * decode,
            read_bytes=size,
            requests=1.0,
        ),
    ]


SCALES: Sequence[tuple[int, int]] = ((8, 128), (64, 1024))


def totals() -> Iterator[str]:
    """Yield the table of hours: a row a stage, 8 and 64 GPUs with 16 cores each."""
    yield (
        "| stage | core-hours | GPU-hours | TB read | million requests | $ | "
        + " | ".join(f"hours on {gpus} GPUs, {cores} cores" for gpus, cores in SCALES)
        + " |"
    )
    yield "|" + " --- |" * (6 + len(SCALES))
    for stage in stages():
        told = []
        for gpus, cores in SCALES:
            hours = stage.hours(cores=cores, gpus=gpus)
            limit = max(hours, key=lambda name: hours[name])
            told.append(f"{_short(hours[limit])} ({limit})")
        numbers = [
            stage.units * stage.core_s / 3600,
            stage.units * stage.gpu_s / 3600,
            stage.units * stage.read_bytes / 1e12,
            stage.units * stage.requests / 1e6,
            stage.dollars,
        ]
        yield "| " + " | ".join([stage.name, *map(_short, numbers), *told]) + " |"


def costs() -> Iterator[str]:
    """Yield the table of unit costs: measured with their source, assumed with a reason."""
    yield "| unit cost | value | measured, or why assumed |"
    yield "| --- | --- | --- |"
    for name, (number, source) in MEASURED.items():
        yield f"| {name} | {number:.3g} | {source} |"
    for name, (number, reason) in ASSUMED.items():
        yield f"| {name} (assumed) | {number:.3g} | {reason} |"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Nodes that share a store and a head.

    start_s: until a node takes its first unit; hand_out_s: what the head needs for a unit, one
    after the other; spread: deviation of the logarithm of a unit's time; lost_per_hour: how often
    an hour a node is taken back, its unit is done again and it starts anew.
    """

    nodes: int
    workers: int = 8
    start_s: float = 60.0
    hand_out_s: float = 0.005
    spread: float = 0.3
    lost_per_hour: float = 0.05


def simulated(
    cluster: Cluster, *, units: int, unit_s: float, unit_bytes: float, seed: int
) -> float:
    """Return the seconds that `units` take on a cluster, every one of fake, drawn times.

    A worker takes the next unit when it is free. Reading is shared: a unit is done no earlier than
    the store, which serves one byte after the other, has given it its bytes.
    """
    rng = np.random.default_rng(seed)
    drawn = unit_s * rng.lognormal(-(cluster.spread**2) / 2, cluster.spread, units)
    lost = rng.random(units) < 1 - np.exp(-cluster.lost_per_hour * drawn / 3600)
    wasted = rng.random(units)
    free = [cluster.start_s] * (cluster.nodes * cluster.workers)
    head = store = end = 0.0
    for work, gone, share in zip(drawn, lost, wasted, strict=True):
        head = max(head, heapq.heappop(free)) + cluster.hand_out_s
        store = max(store, head) + unit_bytes / (value("store GB/s") * 1e9)
        again = share * work + cluster.start_s if gone else 0.0
        done = max(head + work + again, store)
        heapq.heappush(free, done)
        end = max(end, done)
    return end


#: Kinds of unit in the simulation: seconds on one worker, bytes, how many.
KINDS: Mapping[str, tuple[float, float, int]] = {
    "proposals, a shard of 16 images on a GPU": (16 * (0.007 + 1024 / 90.17), 16e6, 4096),
    "validation, a part of 256 images on a core": (256 * 0.05, 256e6, 4096),
    "a light unit: 1 s of a core for 100 MB": (1.0, 100e6, 4096),
}
NODES = (1, 2, 4, 8, 16, 32, 64)


def growth() -> Iterator[str]:
    """Yield the table of efficiencies: the time of one node, over nodes times their time."""
    yield "| unit | " + " | ".join(f"{n} nodes" for n in NODES) + " |"
    yield "|" + " --- |" * (1 + len(NODES))
    for name, (seconds, size, units) in KINDS.items():
        times = [
            simulated(Cluster(nodes=n), units=units, unit_s=seconds, unit_bytes=size, seed=0)
            for n in NODES
        ]
        shares = [times[0] / (n * took) for n, took in zip(NODES, times, strict=True)]
        yield f"| {name} | " + " | ".join(f"{share:.2f}" for share in shares) + " |"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def tables() -> str:
    """Return all tables as Markdown."""
    parts = ["\n".join(lines) for lines in (costs(), totals(), growth())]
    return "\n\n".join(parts)


def main() -> None:
    """Print the tables, or write them into the guide."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/scale.md")
    if parser.parse_args().write:
        pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
        text = pattern.sub(lambda _: f"{BEGIN}\n\n{tables()}\n\n{END}", GUIDE.read_text())
        GUIDE.write_text(text)
    else:
        sys.stdout.write(tables() + "\n")


if __name__ == "__main__":
    main()
