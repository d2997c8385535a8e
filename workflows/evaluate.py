"""Stage `evaluate`: teacher, student and a classical peer on the held-out images of a dataset."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import cast

from maskspace import parallel
from maskspace.config import load_section
from maskspace.data.shards import open_shards
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measuring import measure_models
from maskspace.models import load_model
from maskspace.partition.grid_clicks import ClickGrid
from maskspace.segmenter import ClickSegmenter
from maskspace.segmenter.peer_loading import load_peer
from maskspace.segmenter.wrapping import load_folder
from maskspace.spool import record_evaluation
from maskspace.types import ClickModel
from workflows.frame import publish, stage_main, work_folder

PEER = "felzenszwalb"


def main(dataset: str) -> None:
    """Write `build/evaluate/DATASET`: the numbers of what was measured."""
    config = load_section(EvaluateConfig, "evaluate")
    grid = load_section(ClickGrid, "proposals", "grid")
    work = work_folder("evaluate", dataset)
    teacher = cast("ClickModel", load_model(Path("build/clicker")))
    peer = load_peer(PEER)
    assert peer is not None
    models = {
        "clicker": ClickSegmenter("clicker", teacher, grid=grid),
        "student": load_folder(Path("build/student")),
        PEER: peer,
    }
    metrics = measure_models(
        {dataset: open_shards(Path("build/validate") / dataset, "test")},
        models,
        work / "out",
        config=config,
        work=work / "rows",
        map_units=partial(parallel.map_units, describe=f"evaluate {dataset}: images"),
    )
    record_evaluation(work, dataset, params=asdict(config), metrics=metrics[dataset])
    publish(work / "out", Path("build/evaluate") / dataset)


if __name__ == "__main__":
    stage_main(main)
