"""What a finished training leaves behind: the model's folder, its history as curves."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from maskspace.models import save_model
from maskspace.shown import SHOWN
from maskspace.training.checkpoint import HISTORY, PICTURES, VERDICTS, Progress
from maskspace.training.drawing import draw_history
from maskspace.training.loop import LossRow, NamedTask


def export_training(
    task: NamedTask, run: Path, out: Path, *, provenance: Mapping[str, object]
) -> list[LossRow]:
    """Write the model and the history of a training to `out`; return the history.

    The arrays that the last validation showed are copied too; pictures stay in `run`. The weights
    are the best ones if the run may stop early, else the last ones. ValueError if the training has
    not come to its first validation.

    Args:
        task: what was trained.
        run: folder of the training's progress.
        out: folder of the model.
        provenance: what the model's description says of its origin.

    Example:
        >>> import tempfile
        >>> from maskspace.config import Choice
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.stream import Mixture
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> source = read_rectangles("", seed=0, limit=4)
        >>> mixture = Mixture(datasets={"rectangles": source}, weights={"rectangles": 1.0})
        >>> from maskspace.training.config import DistillConfig
        >>> config = load_section(DistillConfig, "distill", path=params)
        >>> from maskspace.training.embedding_task import EmbeddingTask
        >>> objective = Choice(name="balls", options={})
        >>> task = EmbeddingTask(
        ...     config=config, objective=objective, train=mixture, held_out=mixture)
        >>> run, out = (Path(tempfile.mkdtemp()) for _ in range(2))
        >>> Progress(run).save(10, {"model": task.build()})
        >>> Progress(run).append({"step": 10.0, "val_loss": 0.5})
        >>> export_training(task, run, out, provenance={"data": "rectangles"})
        [{'step': 10.0, 'val_loss': 0.5}]
        >>> sorted(path.name for path in out.iterdir())
        ['history.jsonl', 'model.json', 'model.safetensors']
    """
    progress = Progress(run)
    trained = task.build()
    steps = progress.restore_weights(trained)
    history = progress.history()
    trained_on = {**provenance, "steps": steps}
    model = task.model
    save_model(trained, out, name=model.name, options=model.options, provenance=trained_on)
    copy_record(run, out)
    draw_history(history, run / PICTURES / "history.png")
    return history


def copy_record(run: Path, out: Path) -> None:
    """Copy the history of a run, its verdicts, and the arrays that its last validation showed.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> run, out = folder / "run", folder / "out"
        >>> run.mkdir()
        >>> Progress(run).append({"step": 1.0, "val_loss": 0.5})
        >>> copy_record(run, out)
        >>> Progress(out).history()
        [{'step': 1.0, 'val_loss': 0.5}]
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in (HISTORY, VERDICTS, SHOWN):
        if (run / name).exists():
            shutil.copyfile(run / name, out / name)
