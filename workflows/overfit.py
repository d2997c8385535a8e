"""Stage `overfit`: can the student learn ten images by heart? If not, nothing after it can work."""

from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.files import write_json
from maskspace.training.config import OverfitConfig
from maskspace.training.overfit import overfit
from workflows.frame import publish, stage_main, work_folder


def main() -> None:
    """Write `build/overfit`: the score of each variant and its partitions; fail below the floor."""
    config = load_section(OverfitConfig, "overfit")
    work = work_folder("overfit")
    # a task of Ray has no GPU of its own accord
    map_units = parallel.map_here if config.workers.gpu else parallel.map_units
    folders = Path("build/validate"), work / "run", work / "out"
    scores = overfit(config, *folders, map_units=map_units)
    for name, score in scores.items():
        print(f"overfit: {name}: mean best IoU {score:.4f} (floor {config.floor})")
    failed = [name for name, score in scores.items() if score < config.floor]
    if failed:
        raise ValueError(
            f"{', '.join(failed)}: the student cannot learn {config.images} images by heart "
            f"(mean best IoU below {config.floor}); look at {work / 'run'}"
        )
    write_json(work / "out" / "scores.json", scores)
    publish(work / "out", Path("build/overfit"))


if __name__ == "__main__":
    stage_main(main)
