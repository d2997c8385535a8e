import pytest
import torch

from maskspace.partition.queries import queries

CENTRES = 5 * torch.eye(4)


def outputs(labels):
    """Cells that are each like one of four queries, of which the last is the background's."""
    embedding = 5 * torch.eye(4)[torch.tensor(labels)].permute(2, 0, 1)
    return {"4": embedding, "query": CENTRES}


def test_instances_are_the_queries_that_hold_cells():
    found = queries(outputs([[3, 0, 0], [3, 2, 2]]), min_area=1)
    assert found.labels.tolist() == [[0, 1, 1], [0, 2, 2]]
    assert found.scores.tolist() == pytest.approx([1, 1], abs=1e-3)


def test_small_instances_are_dropped():
    found = queries(outputs([[0, 0, 0], [0, 0, 1]]), min_area=32)
    assert found.labels.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert len(found.scores) == 1


def test_all_background_gives_none():
    found = queries(outputs([[3, 3]]))
    assert found.labels.max() == 0
    assert len(found.scores) == 0


def test_instances_lie_inside_the_foreground():
    foreground = torch.tensor([[[1.0, 1.0, -1.0], [1.0, 1.0, -1.0]]])
    found = queries(outputs([[0, 0, 0], [1, 1, 1]]) | {"foreground": foreground}, min_area=1)
    assert found.labels.tolist() == [[1, 1, 0], [2, 2, 0]]


def test_a_model_without_queries_is_told():
    with pytest.raises(ValueError, match="decoder queries needs the head query; the model has 4"):
        queries({"4": torch.zeros(4, 2, 2)})


def test_queries_of_before_they_had_channels_are_read_in_one_row():
    now, before = outputs([[3, 0, 0], [3, 2, 2]]), outputs([[3, 0, 0], [3, 2, 2]])
    before["query"] = before["query"].reshape(-1, 1)
    assert (queries(now, min_area=1).labels == queries(before, min_area=1).labels).all()
    with pytest.raises(ValueError, match="4 channels each; got 6 values"):
        queries(now | {"query": torch.zeros(6, 1)})
