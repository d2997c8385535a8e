"""One bad image among many: named, counted and left out; all others as if it were not there."""

from dataclasses import replace

import pytest
import torch

from maskspace.evaluation import evaluate_models
from maskspace.evaluation.left_out import allowed, listed
from maskspace.evaluation.rows import measure_rows
from maskspace.evaluation.summary import summarize

BAD = 2


class WithOneBad(list):
    """Samples of which one cannot be read."""

    def __init__(self, samples, error):
        super().__init__(samples)
        self.error = error

    @property
    def keys(self):
        return [sample.key for sample in self]

    def __getitem__(self, index):
        if index == BAD:
            raise self.error
        return super().__getitem__(index)


def raising(error):
    return lambda samples: WithOneBad(samples, error)


def with_bad(**changed):
    return lambda samples: [
        replace(sample, **changed) if i == BAD else sample for i, sample in enumerate(samples)
    ]


#: How an image cannot be read, and words of the reason.
UNREADABLE = {
    "refused by its reader": (raising(ValueError("a.json: cut")), "a.json: cut"),
    "gone": (raising(FileNotFoundError(2, "No such file", "a.png")), "a.png"),
    "not to be read": (raising(PermissionError(13, "Permission denied", "a.png")), "a.png"),
    "no image": (with_bad(image=b"no image"), "cannot be read"),
    "empty": (with_bad(image=b""), "cannot be read"),
    "of another size": (with_bad(size_hw=(3, 5)), "rectangles-000002"),
}

QUESTIONS = ("embed", "propose", "click")
ERRORS = (ValueError("not this one"), MemoryError(), torch.OutOfMemoryError("CUDA. Long text"))


@pytest.fixture
def lenient(config):
    return replace(config, max_left_out=0.05, gallery_images=3)


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_image_that_cannot_be_read_is_left_out(case, samples, models, lenient, tmp_path):
    spoil, words = UNREADABLE[case]
    chosen = models("constant", "silent")
    found = evaluate_models({"r": spoil(samples)}, chosen, tmp_path / "1", config=lenient)["r"]
    others = [sample for i, sample in enumerate(samples) if i != BAD]
    without = evaluate_models({"r": others}, chosen, tmp_path / "2", config=lenient)["r"]
    for name in chosen:
        ((key, reason),) = found[name].pop("left_out").items()
        assert key == "rectangles-000002" and words in reason
        assert found[name].pop("images_left_out") == 1
        assert (without[name].pop("left_out"), without[name].pop("images_left_out")) == ({}, 0)
    assert found == without
    assert "r: 1 of 6 images left out: rectangles-000002" in (tmp_path / "1/table.txt").read_text()
    with pytest.raises(ValueError, match=r"r: 1 of 6 images cannot be measured.*rectangles-000002"):
        measure_rows("r", spoil(samples), chosen, config=replace(lenient, max_left_out=0.0))


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_image_that_one_model_does_not_answer_is_left_out_for_all(
    question, error, samples, models, lenient
):
    chosen = refusing(
        models("constant", "oracle"), "constant", question, error, samples[BAD : BAD + 1]
    )
    found = summed(samples, chosen, lenient)
    without = summed([s for i, s in enumerate(samples) if i != BAD], chosen, lenient)
    for name in chosen:
        ((key, reason),) = found[name].pop("left_out").items()
        assert key == "rectangles-000002" and f"constant does not answer {question}" in reason
        assert found[name].pop("images_left_out") == 1
        del without[name]["left_out"], without[name]["images_left_out"]
    assert found == without


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_a_model_does_not_answer_for_many_images_is_left_out_alone(
    question, samples, models, lenient
):
    error = ValueError("too dark")
    chosen = refusing(models("constant", "oracle"), "constant", question, error, samples[:3])
    found, plain = (
        summed(samples, chosen, lenient),
        summed(samples, models("constant", "oracle"), lenient),
    )
    assert found["oracle"] == plain["oracle"]
    assert "not for 3 of 6 images" in found["constant"]["not_answered"][question]
    assert found["constant"]["images"] == 6
    missing = plain["constant"].keys() - found["constant"].keys()
    heads = {"embed": "feature_std", "propose": "ar_10", "click": "miou_at_1_center"}
    assert heads[question] in missing
    assert all(v == plain["constant"][k] for k, v in found["constant"].items()
               if isinstance(v, float))  # fmt: skip


def refusing(models, name, question, error, samples):
    """Let a model refuse a question on some images."""
    from maskspace.data.dense import dense

    bad = {dense(sample).image.tobytes() for sample in samples}
    answer = getattr(models[name], question)

    def ask(image, *args, **options):
        if image.tobytes() in bad:
            raise error
        return answer(image, *args, **options)

    setattr(models[name], question, ask)
    return models


def summed(samples, models, config):
    rows = measure_rows("r", samples, models, config=config)
    return summarize(rows, config=config, ranking=dict.fromkeys(models, ""))


def test_one_image_may_always_be_left_out_unless_none_may():
    assert [allowed(0.05, images) for images in (1, 19, 40, 100)] == [1, 1, 2, 5]
    assert allowed(0.0, 100) == 0


def test_a_message_names_the_first_and_counts_the_rest():
    assert listed({"a": "x"}) == "a (x)"
    assert listed({str(n): "x" for n in range(5)}).endswith("2 (x); and 2 more")
