"""How much the features vary over pixels: 0 where a training has collapsed."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.measures.measure import Figure, Measure
from maskspace.types import Embedding


def embedding_std(embedding: Embedding) -> float:
    """Return the standard deviation over pixels, mean over channels, of the finest level.

    Example:
        >>> embedding_std(Embedding({1: np.zeros((3, 4, 4), np.float32)}))
        0.0
        >>> embedding_std(Embedding({1: np.array([[[0.0, 1.0]]], np.float32)}))
        0.5
    """
    finest: Float32[np.ndarray, "c h w"] = embedding.levels[min(embedding.levels)]
    return float(finest.std(axis=(1, 2), dtype=np.float64).mean())


def measure_features(config: EvaluateConfig) -> Iterator[Measure]:
    """Yield `feature_std`, a mean over images.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> (measure,) = measure_features(config)
        >>> measure.name, measure.question
        ('feature_std', 'embed')
    """
    del config
    yield Measure(
        name="feature_std",
        question="embed",
        of_image=lambda embedding, truth: [embedding_std(embedding)],
        figures=(
            Figure(
                name="feature_std",
                title="std",
                explained="spread of the features over pixels; 0 is a constant output.",
                interval=False,
            ),
        ),
    )
