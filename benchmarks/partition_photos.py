"""Hierarchies on photos that people have cut: one table of trees, features and methods.

    OMP_NUM_THREADS=1 python -m benchmarks.partition_photos --root BSDS500 --out docs/partitions.md
        [--split val] [--limit 20] [--ucm UCM2_FOLDER]

Every row is measured on the same photos, in the same run, by the metrics of `maskspace evaluate`.
The file is written after every photo, and says of how many photos it is.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import maskspace
from maskspace.data.readers.bsds500 import read_bsds500
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.files import write_whole
from maskspace.loaded import Segmenter
from maskspace.masks import pairwise_iou
from maskspace.metrics.best_iou import best_iou
from maskspace.metrics.hierarchy import (
    RegionScores,
    nested_region_scores,
    region_scores,
    region_summary,
)
from maskspace.segmenter.border import BorderSegmenter

REGIONS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 65, 80, 100, 150, 200, 300)
PROPOSALS = (10, 50, 100, 500)
MIN_AREA = 256
HEAD = """# Partitions

{number} photos of BSDS500 {split}, in one run, written by

    {command}

Covering, PRI (probabilistic Rand index) and VI (variation of information, nats, lower is better)
are against every annotator: at one scale for all photos (ODS), at the best scale of each photo
(OIS), at the best scale of each region (best). Best IoU: mean over masks of {min_area} pixels or
more of the best IoU among so many first proposals. Scales of a tree are its partitions into
{regions} regions; the students and gPb-OWT-UCM are cut at heights that mean the same in
every photo, Felzenszwalb has scales of its own. The two rows of the student's boundary map
differ in the linkage alone; theirs is the mean boundary along the border, without its orientation.
Both are cut into numbers of regions, of which small ones that are left over take some; OWT-UCM is
usually cut at thresholds.

"""
COLUMNS = ["row", "covering ODS", "OIS", "best", "PRI ODS", "OIS", "VI ODS", "OIS"]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partition_photos")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--ucm", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = dict(rows(options))
    scores: dict[str, list[RegionScores]] = {name: [] for name in models}
    best: dict[str, list[np.ndarray]] = {name: [] for name in models}
    samples = read_bsds500(options.root, split=options.split, seed=0, limit=options.limit)
    for number, sample in enumerate(samples, start=1):
        begin = time.perf_counter()
        truth = read_truth(sample, min_area=MIN_AREA)
        for name, model in models.items():
            region, found = measured(model, truth)
            scores[name].append(region)
            best[name].append(found)
        write_whole(options.out, page(scores, best, options))
        print(f"{number} photos; the last took {time.perf_counter() - begin:.0f} s", flush=True)


def rows(options: argparse.Namespace) -> Iterator[tuple[str, Segmenter]]:
    """Yield the name and the model of each row."""
    student = maskspace.load("student")
    assert isinstance(student, BorderSegmenter)
    yield "student", student
    yield "student-tiny", maskspace.load("student-tiny")
    for name, changes in {"ours": {}, "OWT-UCM's linkage": {"smallness": 0.0}}.items():
        rule = replace(student.rule, border=1.0, distance=0.0, costs=(), shares=(), ranking=())
        alone = replace(student, rule=replace(rule, **changes))
        object.__setattr__(alone, "answers", alone.answers - {"scales"})  # numbers of regions
        yield f"student's boundary map alone, {name}", alone
    yield "Lab, border", maskspace.load("lab@linkage=border")
    yield "Lab, Ward-like", maskspace.load("lab")
    yield "Lab, quasi-flat zones", maskspace.load("lab@linkage=quasi-flat")
    yield "Felzenszwalb", maskspace.load("felzenszwalb")
    yield "SLIC + RAG", maskspace.load("slic-merging")
    yield "Higra's watershed by area", maskspace.load("watershed@attribute=area")
    if options.ucm is not None:
        images = options.root / options.split / "images"
        yield "gPb-OWT-UCM", maskspace.load(f"gpb-owt-ucm@folder={options.ucm},images={images}")


def measured(model: Segmenter, truth: Truth) -> tuple[RegionScores, np.ndarray]:
    """Return the scores of a photo's partitions, and the best IoUs of its proposals."""
    if "hierarchy" not in model.answers:
        region = region_scores(model.scales(truth.image, REGIONS), truth.label_maps)
    else:  # pixels are counted once for all scales
        tree = model.hierarchy(truth.image)
        pieces = tree.partition(tree.max_regions) - 1
        first = np.unique(pieces, return_index=True)[1]
        scales = np.array([labels.ravel()[first] for labels in partitions(model, truth)])
        region = nested_region_scores(pieces, scales, truth.label_maps)
    found = model.propose(truth.image, limit=PROPOSALS[-1])
    return region, best_iou(pairwise_iou(found.masks, truth.masks), PROPOSALS)


def partitions(model: Segmenter, truth: Truth) -> Iterator[np.ndarray]:
    """Yield the partitions of a tree, one a scale."""
    if "scales" in model.answers:
        yield from model.scales(truth.image, REGIONS)
        return
    tree = model.hierarchy(truth.image)
    yield from (tree.partition(min(count, tree.max_regions)) for count in REGIONS)


def page(
    scores: dict[str, list[RegionScores]],
    best: dict[str, list[np.ndarray]],
    options: argparse.Namespace,
) -> str:
    """Return the page."""
    lines = [[*COLUMNS, *(f"best IoU at {n}" for n in PROPOSALS)]]
    lines.append(["---"] * len(lines[0]))
    for name, images in scores.items():
        summary = region_summary(images)
        numbers = [getattr(summary, field) for field in summary.__dataclass_fields__]
        numbers += np.concatenate(best[name], axis=1).mean(axis=1).tolist()
        lines.append([name, *(f"{value:.3f}" for value in numbers)])
    number = len(next(iter(scores.values())))
    ucm = " --ucm UCM2_FOLDER" if options.ucm else ""
    command = (
        f"python -m benchmarks.partition_photos --root BSDS500 --limit {number}{ucm} --out FILE"
    )
    head = HEAD.format(
        number=f"The first {number}",
        split=options.split,
        command=command,
        min_area=MIN_AREA,
        regions=f"{REGIONS[0]} to {REGIONS[-1]}",
    )
    return head + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
