from dataclasses import replace

import pytest
import torch
from torch import nn

from maskspace.training.optimiser import layers, make_optimiser, set_rate


@pytest.fixture
def clicker(click_task):
    return click_task.build()


def groups_by_name(model, optimiser):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        (names[id(parameter)], group)
        for group in optimiser.param_groups
        for parameter in group["params"]
    ]


@pytest.mark.parametrize("layer_decay", [1.0, 0.75])
def test_every_parameter_is_in_exactly_one_group(clicker, optimisation, layer_decay):
    optimiser = make_optimiser(clicker, replace(optimisation, layer_decay=layer_decay))
    found = [name for name, _ in groups_by_name(clicker, optimiser)]
    assert sorted(found) == sorted(name for name, _ in clicker.named_parameters())


@pytest.mark.parametrize("layer_decay", [1.0, 0.75])
def test_matrices_alone_decay(clicker, optimisation, layer_decay):
    optimiser = make_optimiser(clicker, replace(optimisation, layer_decay=layer_decay))
    shapes = {name: parameter.ndim for name, parameter in clicker.named_parameters()}
    for name, group in groups_by_name(clicker, optimiser):
        assert group["weight_decay"] == (optimisation.weight_decay if shapes[name] > 1 else 0)


def test_layers_rise_from_the_patches_to_what_follows_the_backbone():
    names = {
        "backbone.pos_embed": 0,
        "backbone.patch_embed.proj.weight": 0,
        "backbone.blocks.0.fc1.bias": 1,
        "backbone.blocks.11.attn.qkv.weight": 12,
        "backbone.fc_norm.weight": 13,
        "prompt_embed.weight": 13,
        "fusion.blocks.0.fc1.bias": 13,
        "head.out.weight": 13,
    }
    assert layers(names) == names


def test_each_layer_learns_slower_than_the_one_above(clicker, optimisation):
    optimiser = make_optimiser(clicker, replace(optimisation, layer_decay=0.5))
    set_rate(optimiser, 8.0)
    rates = {name: group["lr"] for name, group in groups_by_name(clicker, optimiser)}
    assert rates["backbone.pos_embed"] == 2.0
    assert rates["backbone.blocks.0.fc1.weight"] == 4.0
    assert {rates[name] for name in rates if not name.startswith("backbone")} == {8.0}


def test_a_model_without_blocks_is_told(optimisation):
    with pytest.raises(ValueError, match=r"layer_decay .* backbone\.blocks"):
        make_optimiser(nn.Linear(2, 2), replace(optimisation, layer_decay=0.9))


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW")])
def test_the_optimiser_is_the_chosen_one_with_its_betas(optimisation, name, kind):
    recipe = replace(optimisation, optimiser=name, betas=(0.8, 0.99))
    optimiser = make_optimiser(nn.Linear(2, 2), recipe)
    assert type(optimiser) is getattr(torch.optim, kind)
    assert {group["betas"] for group in optimiser.param_groups} == {(0.8, 0.99)}


def test_the_backbone_learns_at_its_share_of_the_rate(clicker, optimisation):
    optimiser = make_optimiser(clicker, replace(optimisation, backbone_rate=0.25))
    set_rate(optimiser, 8.0)
    rates = {name: group["lr"] for name, group in groups_by_name(clicker, optimiser)}
    assert {rate for name, rate in rates.items() if name.startswith("backbone.")} == {2.0}
    assert {rate for name, rate in rates.items() if not name.startswith("backbone.")} == {8.0}


def test_a_backbone_rate_needs_a_backbone(optimisation):
    with pytest.raises(ValueError, match="backbone_rate"):
        make_optimiser(nn.Linear(2, 1), replace(optimisation, backbone_rate=0.5))
