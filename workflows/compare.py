"""Stage `compare`: the regimes of the clicker against each other, by what they are for."""

from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.data.shards import open_shards
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measuring import measure_models
from maskspace.segmenter.wrapping import load_folder
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/compare/DATASET`: the numbers of what was measured, a row a regime."""
    config = load_section(EvaluateConfig, "compare")
    work = work_folder("compare")
    for folder in sorted(path for path in Path("build/regimes").iterdir() if path.is_dir()):
        models = {path.name: load_folder(path) for path in sorted(folder.iterdir())}
        measure_models(
            {folder.name: open_shards(Path("build/validate") / folder.name, "test")},
            models,
            work / "out" / folder.name,
            config=config,
            work=work / "rows",
            map_units=partial(parallel.map_units, describe=f"compare {folder.name}: images"),
        )
    publish(work / "out", Path("build/compare"))


if __name__ == "__main__":
    stage_main(main)
