from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException
from scipy import ndimage

import maskspace
from maskspace import serving, tracking
from maskspace.models import MODELS, save_model
from maskspace.serving.config import REGIONS

OPTIONS = {"backbone": "b0", "width": 8, "registers": 1}


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    model = MODELS["pixel_embedding"](**OPTIONS)
    save_model(model, folder, name="pixel_embedding", options=OPTIONS, provenance={})
    return folder


@pytest.fixture(scope="module")
def served(student, tmp_path_factory):
    """The address of the student, logged and registered, and an image with its partition."""
    patch = pytest.MonkeyPatch()
    store = tmp_path_factory.mktemp("store")
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    answer = maskspace.load(str(student)).partition(image, regions=REGIONS)[None]
    loader = Path(serving.__path__[0]) / "pyfunc.py"
    with tracking.run("register", "student") as run:
        uri = tracking.log_model(
            run.id,
            student,
            name="student",
            loader=loader,
            code=loader.parents[1],
            example=(image[None], {"regions": REGIONS}),
            answer=answer,
            requirements=["torch"],
        )
    version = tracking.register_version(uri, name="s", run_id=run.id, value=0.5, content="c")
    yield version, image, answer
    patch.undo()


def test_a_clean_process_answers_the_same(served):
    version, image, answer = served
    told = tracking.predict_in_clean_process(version.uri, image[None], {"regions": REGIONS})
    np.testing.assert_array_equal(told, answer)
    assert told.dtype == np.int32


def test_batches_sizes_and_regions_are_free_and_the_rest_is_refused(served):
    version, image, answer = served
    model = mlflow.pyfunc.load_model(version.uri)
    two = model.predict(np.stack([image, image[::-1]]))
    np.testing.assert_array_equal(two[0], answer[0])
    few = model.predict(image[None, :32, :32], params={"regions": 5})
    assert few.shape == (1, 32, 32)
    for label in range(1, 6):
        assert ndimage.label(few[0] == label)[1] == 1
    for bad in (image, image[None].astype(np.float32), image[None, ..., :2]):
        with pytest.raises(MlflowException):
            model.predict(bad)


def test_versions_are_found_promoted_and_downloaded(served, student):
    version, image, answer = served
    assert tracking.find_version("s", "c") == version
    assert tracking.find_version("s", "other") is None
    assert tracking.champion("s") is None
    tracking.promote(version)
    assert tracking.champion("s") == version
    folder = tracking.download_model("models:/s@champion")
    assert (folder / "model.json").read_text() == (student / "model.json").read_text()
    loaded = maskspace.load("models:/s@champion")
    np.testing.assert_array_equal(loaded.partition(image, regions=REGIONS), answer[0])


def test_a_model_that_does_not_load_is_told(served):
    with pytest.raises(RuntimeError, match=r"models:/s/9: does not load and predict"):
        tracking.predict_in_clean_process("models:/s/9", served[1][None], {})


def test_a_version_without_its_files_is_not_found(served):
    version = served[0]
    source = tracking._client().get_model_version(version.name, version.version).source
    again = tracking.register_version(
        source or "", name="t", run_id=version.run_id, value=0.5, content="c"
    )
    assert tracking.find_version("t", "c") == again
    Path(tracking.download_model(again.uri)).parents[1].joinpath("MLmodel").unlink()
    assert tracking.find_version("t", "c") is None
