import numpy as np
import torch

from maskspace.training.embedding_task import pure_cells
from maskspace.training.progress import line


def test_batches_depend_on_step_and_seed_alone(click_task, embedding_task):
    for task in (click_task, embedding_task):
        again, other = task.batch(5, range(4)), task.batch(6, range(4))
        assert all(torch.equal(a, b) for a, b in zip(task.batch(5, range(4)), again, strict=True))
        assert not torch.equal(again.images, other.images)


def test_cells_of_one_label_keep_it_and_mixed_cells_have_none():
    labels = torch.randint(0, 3, (2, 8, 12), generator=torch.Generator().manual_seed(0))
    labels[:, :4, :4] = 2
    cells = pure_cells(labels, 4).numpy()
    for image, row, column in np.ndindex(*cells.shape):
        values = labels[image, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4].unique()
        assert cells[image, row, column] == (values.item() if len(values) == 1 else 0)


def test_odd_sizes_have_a_cell_for_every_pixel():
    assert pure_cells(torch.ones(1, 9, 10, dtype=torch.long), 4).shape == (1, 3, 3)


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
