"""Stage `photos`: models and other people's methods on real photos; docs/photos.md is its page.

In the profile `photos` alone: `make repro PROFILE=photos STAGES=photos`. Finished photos of a row
are kept in `build/photos-rows` by what made them: weights, options and code. A new student costs
its own rows alone, and a run that was killed goes on where it was.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from maskspace import parallel
from maskspace.config import load_section
from maskspace.data.reading import bound_reader
from maskspace.evaluation.photos import MeasuredRow, PhotoRow, PhotosConfig, measure_photos
from maskspace.evaluation.photos_page import write_photos
from maskspace.evaluation.versions import weights_version
from maskspace.loaded import Segmenter
from maskspace.segmenter.loading import load
from maskspace.segmenter.peer_loading import load_peer
from maskspace.segmenter.reread import by_features, with_rule
from workflows.deps import TABLES
from workflows.frame import publish, stage_main, work_folder
from workflows.imports import Code

KEPT = Path("build/photos-rows")
#: What a row's numbers come from, beside what loads its model.
MEASURING = ("maskspace.evaluation.rows", "maskspace.evaluation.steadiness")
LOADING = {True: "maskspace.segmenter.peer_loading", False: "maskspace.segmenter.reread"}


def main(dataset: str, first: str = "") -> None:
    """Write `build/photos/DATASET`: photos.md, photos.json and the pictures.

    By hand with a number, of the `first` so many photos alone, which the page says.
    """
    torch.set_num_threads(1)
    config = load_section(PhotosConfig, "photos", dataset)
    out = work_folder("photos", dataset) / "out"
    read = bound_reader(config.reader.name, config.reader.options | {"split": config.split})
    samples = read(config.root, seed=0, limit=None)
    total = len(samples) if config.limit is None else min(config.limit, len(samples))
    samples = samples[: int(first)] if first else samples
    code = Code(TABLES)
    rows = [
        measured_row(dataset, samples, name, row, config=config, code=code)
        for name, row in (config.rows | config.ablations).items()
    ]
    write_photos(rows, out, dataset=dataset, total=total, config=config)
    publish(out, Path("build/photos") / dataset)


def measured_row(
    dataset: str, samples: Sequence, name: str, row: PhotoRow, *, config: PhotosConfig, code: Code
) -> MeasuredRow:
    """Return one row; what cannot be loaded says why."""
    try:
        model, is_peer = loaded(row)
    except ValueError as error:
        print(f"photos: no {name}: {error}")
        return MeasuredRow(name=name, missing=str(error).partition("; choose")[0])
    return measure_photos(
        dataset,
        samples,
        name,
        model,
        config=config,
        kept=KEPT / stamp(row, model, code, is_peer=is_peer),
        map_units=partial(parallel.map_here, describe=f"photos: {name}"),
    )


def loaded(row: PhotoRow) -> tuple[Segmenter, bool]:
    """Return a row's model, and whether it is a peer."""
    peer = load_peer(row.model)
    model = load(row.model) if peer is None else peer
    model = with_rule(model, row.rule) if row.rule else model
    return by_features(model) if row.tree == "features" else model, peer is not None


def stamp(row: PhotoRow, model: Segmenter, code: Code, *, is_peer: bool) -> str:
    """Return a name of what a row's answers come from: the model, its weights, the code."""
    chosen = {TABLES[-1]: [row.model.partition("@")[0]] if is_peer else []}
    digest = hashlib.sha256(
        json.dumps([asdict(row) | {"note": ""}, weights_version(model)]).encode()
    )
    for module in code.needs([*MEASURING, LOADING[is_peer]], chosen):
        digest.update(code.modules[module].path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    stage_main(main)
