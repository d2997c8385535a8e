"""Stage `pictures`: a training drawn, from what it left; a changed picture trains nothing again."""

from pathlib import Path

from maskspace.training.drawing import draw_shown, draw_trainings
from maskspace.training.sweep_record import draw_sweep
from workflows.frame import publish, stage_main, work_folder


def main(training: str) -> None:
    """Write `build/pictures/TRAINING`: the history and the last validation of each model in it."""
    folder = Path("build") / training
    out = work_folder("pictures", training) / "out"
    draw_trainings(folder, out)
    for pieces in sorted(folder.glob("*.npz")) if training == "overfit" else ():
        draw_shown(pieces, out / f"{pieces.stem}.png")
    if (folder / "trials.json").is_file():
        draw_sweep(folder, out)
    publish(out, Path("build/pictures") / training)


if __name__ == "__main__":
    stage_main(main)
