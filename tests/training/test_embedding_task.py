import torch

from maskspace.training.progress import line


def test_batches_depend_on_step_and_seed_alone(click_task, embedding_task):
    for task in (click_task, embedding_task):
        again, other = task.batch(5, range(4)), task.batch(6, range(4))
        assert all(torch.equal(a, b) for a, b in zip(task.batch(5, range(4)), again, strict=True))
        assert not torch.equal(again.images, other.images)


def test_terms_are_named_by_level_and_weighted(embedding_task):
    model, batch = embedding_task.build(), embedding_task.batch(0, range(4))
    assert set(embedding_task.terms(model, batch)) == {"pull/1", "push/1", "pull/4", "push/4"}


def test_a_constant_student_is_reported_as_collapsed(embedding_task, optimisation, tmp_path):
    model = embedding_task.build().eval()
    with torch.inference_mode():
        for head in model.heads.values():
            head.weight.zero_()
        row = embedding_task.validate(model, tmp_path / "picture.png")
    assert row["val_collapsed"] == 1
    pace = {"step": 1.0, "images_per_second": 1.0, "wait_share": 0.0}
    assert "constant output" in line(row | pace, optimisation)
