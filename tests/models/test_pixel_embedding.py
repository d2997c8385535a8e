import jaxtyping
import pytest
import torch

from maskspace.heads import DenseMap, Level, Queries, heads_as_options
from maskspace.models.pixel_embedding import _coordinates, build_pixel_embedding


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return build_pixel_embedding(width=16, registers=1).eval()


@pytest.mark.parametrize("size_hw", [(64, 64), (17, 50), (1, 33)])
def test_levels_cover_the_image_with_colours(student, size_hw):
    height, width = size_hw
    with torch.inference_mode():
        levels = student(torch.rand(2, 3, height, width))
    for stride, channels in ((1, 3), (2, 12), (4, 48)):
        level = levels[str(stride)]
        assert level.shape == (2, channels, -(-height // stride), -(-width // stride))
        assert level.min() >= 0
        assert level.max() <= 1


def test_every_level_holds_as_many_values(student):
    with torch.inference_mode():
        levels = student(torch.rand(1, 3, 64, 32))
    assert {level.numel() for level in levels.values()} == {3 * 64 * 32}


def test_padding_is_seen_by_nobody(student):
    image = torch.rand(1, 3, 40, 40)
    padded = torch.nn.functional.pad(image, (0, 24, 0, 24), mode="replicate")
    with torch.inference_mode():
        inside = student(padded)["1"][..., :40, :40]
        torch.testing.assert_close(student(image)["1"], inside)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_gradients_reach_every_parameter(stride):
    level = Level(channels=3, stride=stride, activation="sigmoid")
    model = build_pixel_embedding(width=16, registers=1, heads=heads(**{str(stride): level}))
    sum(level.square().mean() for level in model(torch.rand(2, 3, 64, 64)).values()).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None]
    assert dead == []


def heads(**declared):
    return heads_as_options(declared)


def test_heads_are_emitted_as_declared():
    declared = {
        "2": Level(channels=4, stride=2),
        "seed": DenseMap(channels=1, activation="sigmoid", bias=(0.5,)),
        "unit": DenseMap(channels=5, stride=4, activation="unit", scale=2.0),
        "query": Queries(number=3, channels=2),
    }
    model = build_pixel_embedding(width=16, registers=1, heads=heads(**declared)).eval()
    with torch.inference_mode():
        outputs = model(torch.rand(2, 3, 33, 20))
    shapes = {name: tuple(output.shape) for name, output in outputs.items()}
    assert shapes == {
        "2": (2, 4, 17, 10),
        "seed": (2, 1, 33, 20),
        "unit": (2, 5, 9, 5),
        "query": (2, 3, 2),
    }
    torch.testing.assert_close(outputs["seed"], torch.tensor(0.5).sigmoid().expand(2, 1, 33, 20))
    torch.testing.assert_close(outputs["unit"].norm(dim=1), 2 * torch.ones(2, 9, 5))
    assert torch.equal(outputs["query"][0], outputs["query"][1])


def test_positions_are_the_centres_of_cells_in_units():
    bias = (0.0, 0.0)
    for position in ("add", "concat"):
        head = DenseMap(channels=2, stride=2, bias=bias, position=position, unit=10.0)
        model = build_pixel_embedding(width=16, registers=1, heads=heads(place=head)).eval()
        with torch.inference_mode():
            place = model(torch.rand(1, 3, 32, 48))["place"][0, -2:]
        assert place.shape == (2, 16, 24)
        torch.testing.assert_close(place[:, 3, 5], torch.tensor([1.1, 0.7]))  # x 11, y 7


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        ({"channels": 3, "stride": 3}, "stride 3"),
        ({"channels": 0}, "at least 1"),
        ({"channels": 1, "position": "add"}, "two channels"),
        ({"channels": 2, "bias": (1.0,)}, "a value a channel"),
        ({"channels": 2, "colour": 1}, "colour"),
    ],
)
def test_a_wrong_head_is_told(head, complaint):
    with pytest.raises(ValueError, match=complaint):
        build_pixel_embedding(heads={"x": head})


def test_an_unknown_backbone_is_told():
    with pytest.raises(ValueError, match="b0, b1"):
        build_pixel_embedding(backbone="resnet50")


def test_it_is_exported_for_sizes_that_the_backbone_halves_evenly(monkeypatch):
    """What `torch.export` makes of it answers as it does, at sizes that it was not traced at."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it cannot be traced
    model = build_pixel_embedding(width=8, registers=1).eval()
    sizes = {2: 32 * torch.export.Dim("rows", max=40), 3: 32 * torch.export.Dim("columns", max=40)}
    program = torch.export.export(
        model, (torch.rand(1, 3, 64, 96),), dynamic_shapes={"image": sizes}
    )
    image = torch.rand(1, 3, 128, 64)
    with torch.inference_mode():
        for level, value in program.module()(image).items():
            torch.testing.assert_close(value, model(image)[level])


def test_coordinates_tell_the_same_patch_in_two_places_apart():
    torch.manual_seed(0)
    model = build_pixel_embedding(width=16, registers=1, coordinates=True).eval()
    weight = model.stride4[0].layers[0].weight
    # a flat image: nothing but where a cell is can part it from the ones around it
    with torch.inference_mode():
        placed = model(torch.full((1, 3, 256, 256), 0.5))["4"][..., 24:40, 24:40]
        weight[:, -2:] = 0
        blind = model(torch.full((1, 3, 256, 256), 0.5))["4"][..., 24:40, 24:40]
    assert placed.var((2, 3)).sum() > 100 * blind.var((2, 3)).sum()


@pytest.mark.parametrize("size_hw", [(64, 64), (40, 100)])
def test_coordinates_run_from_edge_to_edge_whatever_the_padding(size_hw):
    place = _coordinates(torch.zeros(1, 1, 16, 32), size_hw)
    height, width = size_hw
    x, y = place[0, :, : -(-height // 4), : -(-width // 4)]
    torch.testing.assert_close(x[0], -x[0].flip(0))
    torch.testing.assert_close(y[:, 0], -y[:, 0].flip(0))
    assert x[0, -1] - x[0, 0] == pytest.approx(2 * (1 - 4 / width))
