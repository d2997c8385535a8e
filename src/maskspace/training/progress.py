"""Lines on the progress of trainings, read from their histories: workers print elsewhere."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from maskspace.training.checkpoint import Progress
from maskspace.training.config import Optimisation
from maskspace.training.loop import LossRow
from maskspace.training.monitors import collapse_verdict

#: Figures of validations that are for curves, not for a line.
_FOR_CURVES = ("gradient", "active", "variance", "least_variance", "mean_distance")


@contextmanager
def followed(
    runs: Mapping[str, Path], optimisation: Optimisation, *, every_s: float = 2.0
) -> Iterator[None]:
    """Print a line for each new row of the histories in some folders, and for each new verdict.

    Args:
        runs: name of a training -> its folder. Names may be added meanwhile.
        optimisation: the recipe of the trainings.
        every_s: seconds between two looks at the files (default 2).

    Example:
        >>> from maskspace.config import Choice
        >>> recipe = Optimisation(
        ...     steps=4, batch=2, accumulate=1, optimiser="adam", betas=(0.9, 0.999),
        ...     learning_rate=0.1, schedule=Choice(name="cosine", options={}), warmup=0,
        ...     layer_decay=1.0, weight_decay=0.0, clip_norm=1.0, ema=0.0, precision="float32",
        ...     compile=False, seed=0, validate_every=2, early_stop=None, checkpoint_seconds=60.0)
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with followed({"student": folder}, recipe):
        ...     Progress(folder).add_verdict(2, "collapsed")
        student: step 2: collapsed
    """
    stop = threading.Event()
    num_rows, num_verdicts = Counter[str](), Counter[str]()

    def print_new() -> None:
        for name, folder in runs.items():
            history, verdicts = Progress(folder).history(), Progress(folder).verdicts()
            for row in history[num_rows[name] :]:
                print(f"{name}: {line(row, optimisation)}", flush=True)  # noqa: T201
            for verdict in verdicts[num_verdicts[name] :]:
                print(f"{name}: step {verdict['step']}: {verdict['verdict']}", flush=True)  # noqa: T201
            num_rows[name], num_verdicts[name] = len(history), len(verdicts)

    def follow() -> None:
        while not stop.wait(every_s):
            print_new()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        print_new()


def line(row: LossRow, optimisation: Optimisation) -> str:
    """Return one line: step, pace, remaining time, the validation's figures, a collapse.

    Example:
        >>> from maskspace.config import Choice
        >>> recipe = Optimisation(
        ...     steps=4, batch=2, accumulate=1, optimiser="adam", betas=(0.9, 0.999),
        ...     learning_rate=0.1, schedule=Choice(name="cosine", options={}), warmup=0,
        ...     layer_decay=1.0, weight_decay=0.0, clip_norm=1.0, ema=0.0, precision="float32",
        ...     compile=False, seed=0, validate_every=2, early_stop=None, checkpoint_seconds=60.0)
        >>> row = {"step": 2.0, "images_per_second": 4.0, "wait_share": 0.1, "val_loss": 0.5}
        >>> line(row, recipe)
        'step 2/4, 4 images/s, 10% waiting for data, 1 s left, loss 0.500'
    """
    seconds_left = (
        (optimisation.steps - row["step"]) * optimisation.batch / row["images_per_second"]
    )
    shown = [
        f"{key[4:]} {value:.3f}"
        for key, value in row.items()
        if key.startswith("val_") and not key[4:].startswith(_FOR_CURVES)
    ]
    verdict = collapse_verdict(row)
    return ", ".join(
        [
            f"step {row['step']:.0f}/{optimisation.steps}",
            f"{row['images_per_second']:.0f} images/s",
            f"{row['wait_share']:.0%} waiting for data",
            f"{seconds_left:.0f} s left",
            *shown,
            *([verdict] if verdict else []),
        ]
    )
