"""A student in a registry of its own: logging it takes seconds, so tests share it."""

import sys

import numpy as np
import pytest
import torch

import maskspace
from maskspace import tracking
from maskspace.models import MODELS, save_model
from maskspace.serving.config import REGIONS
from maskspace.serving.registered import log_student

OPTIONS = {"backbone": "b0", "width": 8, "registers": 1}


@pytest.fixture(scope="module", autouse=True)
def own_path():
    """MLflow puts a loaded model's code first on the path; processes started later would use it."""
    path = sys.path.copy()
    yield
    sys.path[:] = path


@pytest.fixture(scope="package")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    model = MODELS["pixel_embedding"](**OPTIONS)
    save_model(model, folder, name="pixel_embedding", options=OPTIONS, provenance={})
    return folder


@pytest.fixture(scope="package")
def served(student, tmp_path_factory):
    """The address of the student, logged and registered, and an image with its partition."""
    patch = pytest.MonkeyPatch()
    store = tmp_path_factory.mktemp("store")
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    answer = maskspace.load(str(student)).partition(image, regions=REGIONS)[None]
    with tracking.run("register", "student") as run:
        uri = log_student(
            run.id, student, example=(image[None], {"regions": REGIONS}), answer=answer
        )
    version = tracking.register_version(uri, name="s", run_id=run.id, value=0.5, content="c")
    yield version, image, answer
    patch.undo()
