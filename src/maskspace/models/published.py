"""SegNext's published checkpoints <-> our clicker; MAE's weights -> its backbone.

A published `.pth` holds `state_dict` and `config`, or is a list of such (the first counts). Its
state dict carries what no forward pass uses, a class token's position and a norm after the
backbone: they are checked, dropped, and written back as zeros and ones.
Everything is strict: a missing, extra or misshapen tensor is an error that names it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import TypedDict

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.models.click_vit import Architecture, ClickVit
from maskspace.models.published_architecture import (
    POSITIONS,
    infer_architecture,
    position_grid,
    read_config,
    write_config,
)
from maskspace.models.vit import VisionTransformer, resize_positions
from maskspace.models.weights import check_state_dict

Checkpoint = str | Path | Mapping[str, object] | Sequence[object]
"""A checkpoint's path, or what such a file holds."""

UNUSED_NORM = "backbone.fc_norm"
#: Prefixes of parameters' names, ours and the published, in the order of the published layout.
PREFIXES = (
    (POSITIONS, POSITIONS),
    ("backbone.patch_embed.", "backbone.patch_embed.proj."),
    ("backbone.blocks.", "backbone.blocks."),
    (UNUSED_NORM, UNUSED_NORM),
    ("neck.up4.", "neck.down_4."),
    ("neck.up2.", "neck.down_8."),
    ("neck.same.", "neck.down_16."),
    ("neck.down2.", "neck.down_32."),
    *((f"head.levels.{level}.", f"head.convs.{level}.conv.") for level in range(4)),
    ("head.fuse.", "head.fusion_conv.conv."),
    ("head.out.", "head.seg_conv."),
    ("prompt_embed.", "visual_prompts_encoder.proj."),
    ("fusion.", "fusion_blocks."),
)


class PublishedFile(TypedDict):
    """What a published `.pth` holds.

    Example:
        >>> PublishedFile(state_dict={}, config={})["config"]
        {}
    """

    state_dict: dict[str, Tensor]
    config: dict[str, object]


def load_published(
    source: Checkpoint,
    *,
    size: int | None = None,
    heads: int | None = None,
    global_every: int | None = None,
    click_radius: float | None = None,
) -> ClickVit:
    """Return the clicker of a checkpoint in the published layout, in evaluation mode.

    `size` is the side of the square it shall work on, the checkpoint's own if None; the positions
    are resized. A state dict without a `config` tells its architecture by its shapes, except for
    `heads` (64 channels each if None), `global_every` (3) and `click_radius` (5); where there is a
    config these may be left out, and have to agree with it.
    """
    place, held = _opened(source)
    state, config = _parts(held, place)
    if config is None:
        architecture = infer_architecture(
            state, place=place, heads=heads, global_every=global_every, click_radius=click_radius
        )
    else:
        architecture = read_config(config, place=place)
    asked = {"heads": heads, "global_every": global_every, "click_radius": click_radius}
    for name, value in asked.items():
        said = getattr(architecture, name)
        if value is not None and value != said:
            raise ValueError(f"{place}: its config says {name} {said}; {value} is asked for")
    with torch.device("meta"):
        expected = _published_state(_build(architecture, place))
    check_state_dict(expected, state, place=place)
    model = _build(replace(architecture, size=size or architecture.size), place)
    _fill(model, state)
    return model.eval()


def to_published(model: ClickVit) -> PublishedFile:
    """Return a clicker as `torch.save` writes a published `.pth`; its tensors are the model's.

    Example:
        >>> from maskspace.models.click_vit import build_click_vit
        >>> sizes = {"size": 32, "patch": 8, "dim": 16, "depth": 1, "heads": 2}
        >>> model = build_click_vit(**sizes, neck_dims=(4, 8, 8, 8), head_dim=8)
        >>> sorted(to_published(model))
        ['config', 'state_dict']
    """
    if model.architecture.stem != "patch":
        raise ValueError("the published layout has no convolutional stem; this clicker has one")
    if model.architecture.prompts != "disks":
        raise ValueError("the published layout has no relative prompts; this clicker has them")
    return PublishedFile(
        state_dict=_published_state(model), config=write_config(model.architecture)
    )


def load_mae(backbone: VisionTransformer, source: Checkpoint) -> None:
    """Give a backbone the weights of a masked autoencoder's ViT, which are under the key `model`.

    Its class token and final norm are ignored, its positions resized to the backbone's grid.
    """
    place, held = _opened(source)
    if not isinstance(held, Mapping) or "model" not in held:
        raise ValueError(f"{place}: expected the key model, as MAE's weights have it")
    weights = _tensors(held["model"], place)
    ignored = ("cls_token", "norm.weight", "norm.bias")
    found = {f"backbone.{key}": value for key, value in weights.items() if key not in ignored}
    names = {theirs: ours for ours, theirs in _names(backbone.state_dict(), prefix="backbone.")}
    ours = backbone.state_dict()
    expected = {theirs: ours[name.removeprefix("backbone.")] for theirs, name in names.items()}
    side = position_grid(found, place=place)
    expected[POSITIONS] = torch.empty(1, side**2 + 1, ours["pos_embed"].shape[2])
    check_state_dict(expected, found, place=place)
    found[POSITIONS] = resize_positions(found[POSITIONS][:, 1:], backbone.grid)
    backbone.load_state_dict(
        {names[key].removeprefix("backbone."): value for key, value in found.items()}
    )


def signed_clicks(
    points: Float[Tensor, "b m 3"] | Int[Tensor, "b m 3"],
) -> Float[Tensor, "b m 3"]:
    """Return SegNext's points as clicks (row, column, sign) in the same pixels.

    Points are (row, column, index), the first half positive, the second negative; what is negative
    in all three is padding. The model scales clicks itself, and edits nothing.

    Example:
        >>> points = torch.tensor([[[4, 7, 0], [-1, -1, -1]]])  # a positive click, no negative one
        >>> signed_clicks(points).tolist()
        [[[4.0, 7.0, 1.0], [-1.0, -1.0, -0.0]]]
    """
    half = points.shape[1] // 2
    if 2 * half != points.shape[1]:
        raise ValueError(f"points are as many positive as negative; got {points.shape[1]}")
    signs = torch.ones(points.shape[1], device=points.device)
    signs[half:] = -1
    padding = points.amax(dim=-1) < 0
    return torch.cat([points[..., :2].float(), (signs * ~padding)[..., None]], dim=-1)


def _opened(source: Checkpoint) -> tuple[str, object]:
    """Return a name for errors and what a checkpoint holds."""
    if not isinstance(source, str | Path):
        return "checkpoint", source
    try:
        return str(source), torch.load(source, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"{source}: cannot be read ({error.strerror or error})") from None
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{source}: not a checkpoint of tensors and plain values ({reason})"
        ) from None


def _parts(held: object, place: str) -> tuple[dict[str, Tensor], object | None]:
    """Return a checkpoint's tensors, and its config if it has one."""
    if isinstance(held, list | tuple) and held:
        held = held[0]
    if isinstance(held, Mapping) and "state_dict" in held:
        return _tensors(held["state_dict"], place), held.get("config")
    if isinstance(held, Mapping) and "model" in held:
        raise ValueError(f"{place}: holds a backbone under the key model; load_mae takes it")
    return _tensors(held, place), None


def _tensors(held: object, place: str) -> dict[str, Tensor]:
    if not isinstance(held, Mapping):
        raise ValueError(f"{place}: expected tensors by name; got {type(held).__name__}")
    tensors = {str(key): value for key, value in held.items() if isinstance(value, Tensor)}
    if len(tensors) != len(held):
        strange = sorted(str(key) for key in held if key not in tensors)
        raise ValueError(f"{place}: expected tensors alone; not so {', '.join(strange[:5])}")
    return tensors


def _build(architecture: Architecture, place: str) -> ClickVit:
    try:
        return ClickVit(architecture)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _names(names: Mapping[str, object], *, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield our name of each parameter with the published one, in the published order."""
    for ours, theirs in PREFIXES:
        for name in names:
            whole = prefix + name
            if whole.startswith(ours):
                yield whole, re.sub(r"\b(fc[12])\.", r"mlp.\1.", theirs + whole.removeprefix(ours))


def _published_state(model: ClickVit) -> dict[str, Tensor]:
    state = model.state_dict()
    state[POSITIONS] = torch.nn.functional.pad(state[POSITIONS], (0, 0, 1, 0))
    state[f"{UNUSED_NORM}.weight"] = state[POSITIONS].new_ones(model.architecture.dim)
    state[f"{UNUSED_NORM}.bias"] = state[POSITIONS].new_zeros(model.architecture.dim)
    return {theirs: state[ours] for ours, theirs in _names(state)}


def _fill(model: ClickVit, published: Mapping[str, Tensor]) -> None:
    """Give a model the weights of a state dict whose names and shapes have been checked."""
    state = {ours: published[theirs].float() for ours, theirs in _names(model.state_dict())}
    state[POSITIONS] = resize_positions(state[POSITIONS][:, 1:], model.backbone.grid)
    model.load_state_dict(state)
