"""The student as MLflow's consumers load it: a models-from-code pyfunc over safetensors weights.

`predict` takes a batch of images of one size, uint8 `b h w 3` RGB, and answers label maps, int32
`b h w`: partitions into `regions` regions (a param, default 24), labels 1..regions, every region
4-connected. Images of several sizes are several calls. MLflow checks type and shape by the
signature; over HTTP a wrong shape is status 400.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int32
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from maskspace.models import load_model
from maskspace.segmenter import Segmenter, wrap
from maskspace.serving.config import REGIONS


class PartitionModel(PythonModel):
    """The registered model; its weights are the artifact `model`, a folder of ours."""

    _segmenter: Segmenter

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights; MLflow finds this method by the name `context` of its argument."""
        folder = Path(context.artifacts["model"])
        self._segmenter = wrap(load_model(folder), name=folder.name)

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        context: PythonModelContext | None,
        model_input: np.ndarray,
        params: dict[str, object] | None = None,
    ) -> Int32[np.ndarray, "b h w"]:
        """Return the partition of each image, uint8 `b h w 3`, into `params["regions"]` regions.

        The shape stays out of the annotation: MLflow reads it and knows only plain arrays.
        """
        regions = int(str((params or {}).get("regions", REGIONS)))
        maps = [self._segmenter.partition(image, regions=regions) for image in model_input]
        return np.stack(maps).astype(np.int32)


set_model(PartitionModel())
