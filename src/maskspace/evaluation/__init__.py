"""Drive models through clicks and proposals, write what was measured, and draw it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.findings import Metrics, Origin
from maskspace.evaluation.measuring import NUMBERS, measure_models
from maskspace.evaluation.reporting import DRAWN, draw_report, report
from maskspace.evaluation.written_files import is_written, record_written
from maskspace.loaded import Segmenter
from maskspace.types import MapUnits

__all__ = ["FILES", "EvaluateConfig", "Origin", "evaluate_models", "report"]

#: In the folder of work: what was drawn.
DRAWN_FROM = "drawn.json"

#: What `evaluate_models` writes.
FILES = (*NUMBERS, *DRAWN)


def evaluate_models(
    datasets: Mapping[str, Sequence],  # of samples; beartype would read some if it knew
    models: Mapping[str, Segmenter],
    out: Path,
    *,
    config: EvaluateConfig,
    ranking: Mapping[str, str] | None = None,
    origins: Mapping[str, Origin] | None = None,
    work: Path | None = None,
    map_units: MapUnits = map,
) -> dict[str, dict[str, Metrics]]:
    """Measure every model on every dataset, and draw it; return dataset -> model -> metric.

    Writes `FILES` in the folder `out`, each whole or not at all; see `measure_models` for the
    options and errors. What is drawn already of the same numbers is not drawn again.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.config import SelectConfig
        >>> from maskspace.types import Prediction
        >>> class Whole(Segmenter):  # proposes the whole image
        ...     name, ranking, answers = "whole", "nothing", frozenset({"propose"})
        ...     def propose(self, image, limit=100):
        ...         return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))
        >>> config = SelectConfig(limit=1, min_area=1, proposals=1, decoder_factors=()).measured()
        >>> samples = list(read_rectangles("", seed=0, limit=1))
        >>> out = Path(tempfile.mkdtemp())
        >>> metrics = evaluate_models({"d": samples}, {"whole": Whole()}, out, config=config)
        >>> 0 < metrics["d"]["whole"]["mean_best_iou_1"] < 1
        True
        >>> set(FILES) == {path.name for path in out.iterdir()}
        True
    """
    metrics = measure_models(
        datasets,
        models,
        out,
        config=config,
        ranking=ranking,
        origins=origins,
        work=work,
        map_units=map_units,
    )
    numbers = [hashlib.sha256((out / name).read_bytes()).hexdigest() for name in NUMBERS]
    stamp = json.dumps([numbers, asdict(config)])
    if work is None or not is_written(out, DRAWN, stamp, record=work / DRAWN_FROM):
        draw_report(out, out, config=config)
    if work is not None:
        record_written(out, DRAWN, stamp, record=work / DRAWN_FROM)
    return metrics
