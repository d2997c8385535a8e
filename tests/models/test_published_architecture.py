import json

import pytest
import torch

from maskspace.models import to_published
from maskspace.models.click_vit import ClickVit
from maskspace.models.published_architecture import infer_architecture, read_config

VARIANTS = (
    "tiny_sax2_512",
    "tiny_sax1_448",
    "tiny_naive_512",
    "tiny_cross_512",
    "vitb_sax1_1024",
    "vitb_sax2_1024",
    "vitb_sax2_512",
)


@pytest.fixture(scope="module")
def layouts(vectors):
    return json.loads((vectors / "segnext_state_dict.json").read_text())


def as_tuples(value):
    """JSON's lists where the published files have tuples, and the other way round, are equal."""
    if isinstance(value, dict):
        return {key: as_tuples(item) for key, item in value.items()}
    return tuple(map(as_tuples, value)) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_exactly_the_published_names_shapes_and_config(variant, layouts):
    layout = layouts[variant]
    architecture = read_config(layout["config"], place=variant)
    with torch.device("meta"):
        written = to_published(ClickVit(architecture))
    shapes = [(name, list(tensor.shape)) for name, tensor in written["state_dict"].items()]
    assert shapes == list(layout["keys"].items())
    assert sum(tensor.numel() for tensor in written["state_dict"].values()) == layout["n_params"]
    assert as_tuples(written["config"]) == as_tuples(layout["config"])
    unseen = {"heads": architecture.heads, "global_every": architecture.global_every}
    if variant.startswith("vitb"):
        unseen = {}
    assert infer_architecture(written["state_dict"], place=variant, **unseen) == architecture
