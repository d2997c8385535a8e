import mlflow.pyfunc
import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from scipy import ndimage

import maskspace
from maskspace import tracking
from maskspace.serving.config import REGIONS


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


def test_a_version_without_its_files_is_not_found(served):
    version = served[0]
    source = tracking._client().get_model_version(version.name, version.version).source
    again = tracking.register_version(
        source or "", name="t", run_id=version.run_id, value=0.5, content="c"
    )
    assert tracking.find_version("t", "c") == again
    file = tracking.download(again.uri) / "MLmodel"
    text = file.read_text()
    file.unlink()
    assert tracking.find_version("t", "c") is None
    file.write_text(text)  # other tests ask the same files
