import pytest

from maskspace.heads import (
    DenseMap,
    Level,
    Queries,
    checked_heads,
    heads_as_options,
    heads_of_options,
    levels_of,
    maps_of,
)
from maskspace.objectives import OBJECTIVES

HEADS = {
    "4": Level(channels=3, stride=4, activation="sigmoid"),
    "1": Level(channels=2, position="add", bias=(0.0, 1.0)),
    "seed": DenseMap(channels=1),
    "query": Queries(number=5, channels=3),
    "scale": Queries(number=1, start=0.0),
}


def test_heads_come_back_from_options():
    assert heads_of_options(heads_as_options(HEADS)) == HEADS


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_heads_of_every_objective_come_back(name):
    heads = dict(OBJECTIVES[name]().heads)
    assert heads_of_options(heads_as_options(heads)) == heads


def test_models_of_before_heads_had_kinds_are_read():
    old = {
        "2": {
            "channels": 12,
            "stride": 2,
            "activation": "sigmoid",
            "scale": 1.0,
            "constant": False,
        },
        "seed": {"channels": 1, "bias": [0.5], "constant": False},
        "query": {"channels": 48, "stride": 4, "bias": None, "constant": True},
        "scale": {"channels": 1, "stride": 1, "bias": [0.0], "constant": True},
    }
    assert heads_of_options(old) == {
        "2": Level(channels=12, stride=2, activation="sigmoid"),
        "seed": DenseMap(channels=1, bias=(0.5,)),
        "query": Queries(number=48),
        "scale": Queries(number=1, start=0.0),
    }


def test_levels_and_maps_are_told_apart():
    assert list(levels_of(HEADS)) == [1, 4]
    assert list(maps_of(HEADS)) == ["4", "1", "seed"]


@pytest.mark.parametrize(
    ("heads", "complaint"),
    [
        (
            {"2": DenseMap(channels=1)},
            "head 2: a level of the embedding, and no",
        ),
        ({"x": Level(channels=1)}, "head x: a level of the embedding"),
        ({"2": Level(channels=1)}, "head 2: its stride is 1"),
    ],
)
def test_a_name_that_says_something_else_is_told(heads, complaint):
    with pytest.raises(ValueError, match=complaint):
        checked_heads(heads)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kind": "blob", "channels": 1}, "head x: kind 'blob' is none of level, map, queries"),
        ({"channels": 0}, "head x: a head has channels"),
        ({"kind": "queries", "number": 0}, "head x: queries have number"),
        ({"channels": 1, "colour": 2}, "head x: .*colour"),
    ],
)
def test_a_wrong_option_is_told(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        heads_of_options({"x": options})
