"""Lines that tell how trainings go: workers print elsewhere, their histories are files."""

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
_UNTOLD = ("gradient", "active", "variance", "least_variance", "mean_distance")


@contextmanager
def followed(
    runs: Mapping[str, Path], optimisation: Optimisation, *, every_s: float = 2.0
) -> Iterator[None]:
    """Print a line for each row that the histories in these folders gain, and for each verdict.

    More runs may come to be known meanwhile.

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
        ...     Progress(folder).tell(2, "collapsed")
        student: step 2: collapsed
    """
    stop = threading.Event()
    told, warned = Counter[str](), Counter[str]()

    def tell() -> None:
        for name, folder in runs.items():
            history, verdicts = Progress(folder).history(), Progress(folder).verdicts()
            for row in history[told[name] :]:
                print(f"{name}: {line(row, optimisation)}", flush=True)  # noqa: T201
            for one in verdicts[warned[name] :]:
                print(f"{name}: step {one['step']}: {one['verdict']}", flush=True)  # noqa: T201
            told[name], warned[name] = len(history), len(verdicts)

    def follow() -> None:
        while not stop.wait(every_s):
            tell()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        tell()


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
    left = (optimisation.steps - row["step"]) * optimisation.batch / row["images_per_second"]
    shown = [
        f"{key[4:]} {value:.3f}"
        for key, value in row.items()
        if key.startswith("val_") and not key[4:].startswith(_UNTOLD)
    ]
    verdict = collapse_verdict(row)
    return ", ".join(
        [
            f"step {row['step']:.0f}/{optimisation.steps}",
            f"{row['images_per_second']:.0f} images/s",
            f"{row['wait_share']:.0%} waiting for data",
            f"{left:.0f} s left",
            *shown,
            *([verdict] if verdict else []),
        ]
    )
