import numpy as np
import pytest

from maskspace import tracking
from maskspace.serving.config import REGIONS
from maskspace.serving.registered import predict_alone, requirements

PARAMS = {"regions": REGIONS}


def test_alone_it_answers_the_same(served):
    version, image, answer = served
    told = predict_alone(version.uri, image[None], PARAMS)
    np.testing.assert_array_equal(told, answer)
    assert told.dtype == np.int32


@pytest.mark.parametrize("missing", ["simplejpeg", pytest.param("numba", marks=pytest.mark.slow)])
def test_alone_it_has_only_what_it_requires(served, missing):
    version, image, _ = served
    listed = tracking.download(version.uri) / "requirements.txt"
    whole = listed.read_text()
    assert missing in whole
    listed.write_text("".join(x for x in whole.splitlines(True) if not x.startswith(missing)))
    try:
        with pytest.raises(RuntimeError, match=f"do not let it load .*No module named '{missing}'"):
            predict_alone(version.uri, image[None], PARAMS)
    finally:
        listed.write_text(whole)


def test_every_requirement_is_pinned_and_so_is_all_that_they_bring(served):
    folder = tracking.download(served[0].uri)
    constraints = folder.joinpath("constraints.txt").read_text().split()
    assert all("==" in line for line in [*requirements(folder), *constraints])
    assert set(requirements(folder)) < set(constraints)


def test_no_code_goes_with_it_that_it_does_not_import(served):
    code = tracking.download(served[0].uri) / "code" / "maskspace"
    for room in ("peers", "training", "evaluation", "data", "weights"):
        assert not (code / room).exists()
    assert (code / "serving" / "pyfunc.py").is_file()


def test_a_model_that_is_not_there_is_told(served):
    with pytest.raises(ValueError, match=r"models:/s/9: not in the registry"):
        predict_alone("models:/s/9", served[1][None], {})
