"""What a published checkpoint says of its clicker, by its `config` or by its weights' shapes.

A config holds `class`, which is ignored, and `params`: of each parameter its `value`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import cast, get_args

from torch import Tensor

from maskspace.models.click_vit import Architecture
from maskspace.models.fusion import FusionName
from maskspace.models.imagenet_colours import MEAN, STANDARD_DEVIATION

POSITIONS = "backbone.pos_embed"
#: Settings that change no answer.
INDIFFERENT = ("cpu_dist_maps", "dropout_ratio")


def read_config(config: object, *, place: str) -> Architecture:
    """Return the architecture that a config describes; ValueError for one that is not ours.

    The class that it names is ignored, its parameters are read.
    """

    def value(parameter: str, *keys: str | int) -> object:
        found: object = config
        for key in ("params", parameter, "value", *keys):
            held = _entries(found)
            if key not in held:
                name = ".".join(map(str, (parameter, *keys)))
                raise ValueError(f"{place}: its config has no {name}; not a clicker of SegNext's")
            found = held[key]
        return found

    def number(parameter: str, *keys: str | int) -> int:
        found = value(parameter, *keys)
        if not isinstance(found, int):
            name = ".".join(map(str, (parameter, *keys)))
            raise ValueError(f"{place}: {name} of its config is no whole number; got {found!r}")
        return found

    fusion, radius = value("fusion_params", "type"), value("norm_radius")
    if fusion not in get_args(FusionName):
        known = ", ".join(get_args(FusionName))
        raise ValueError(f"{place}: fusion_params.type is one of {known}; got {fusion!r}")
    described = Architecture(
        size=number("backbone_params", "img_size", 0),
        patch=number("backbone_params", "patch_size", 0),
        dim=number("backbone_params", "embed_dim"),
        depth=number("backbone_params", "depth"),
        heads=number("backbone_params", "num_heads"),
        global_every=number("backbone_params", "global_atten_freq"),
        stem="patch",
        prompts="disks",
        fusion=cast(FusionName, fusion),
        fusion_depth=0 if fusion == "naive" else number("fusion_params", "depth"),
        neck_dims=_four([number("neck_params", "out_dims", level) for level in range(4)]),
        head_dim=number("head_params", "out_channels"),
        click_radius=radius if isinstance(radius, float) else float(number("norm_radius")),
        checkpointing=False,
    )
    for parameter, ours in _settings(described).items():
        for name, found, known in _differences(value(parameter), ours, parameter):
            raise ValueError(
                f"{place}: {name} of its config is {found!r}; this clicker has {known!r}"
            )
    return described


def write_config(architecture: Architecture) -> dict[str, object]:
    """Return the settings of a clicker as published checkpoints hold them.

    Example:
        >>> from maskspace.models.click_vit import build_click_vit
        >>> sizes = {"size": 32, "patch": 8, "dim": 16, "depth": 1, "heads": 2}
        >>> architecture = build_click_vit(**sizes, neck_dims=(4, 8, 8, 8), head_dim=8).architecture
        >>> read_config(write_config(architecture), place="example") == architecture
        True
    """
    defaults = ("cpu_dist_maps", "norm_mean_std")
    return {
        "class": "isegm.model.is_plainvit_model.PlainVitModel",
        "params": {
            name: {"type": "builtin", "value": value, "specified": name not in defaults}
            for name, value in _settings(architecture).items()
        },
    }


def infer_architecture(
    state: Mapping[str, Tensor],
    *,
    place: str,
    heads: int | None = None,
    global_every: int | None = None,
    click_radius: float | None = None,
) -> Architecture:
    """Return the architecture whose shapes a state dict has.

    What shapes do not tell is that of the published models if None: heads of 64 channels, each
    third block global, disks of radius 5.
    """

    def width(name: str, axis: int) -> int:
        if name not in state or state[name].ndim <= axis:
            raise ValueError(f"{place}: no {name}; these are not the published names of a clicker")
        return state[name].shape[axis]

    dim, patch = width(POSITIONS, 2), width("backbone.patch_embed.proj.weight", 3)
    if heads is None and dim % 64:
        raise ValueError(f"{place}: {dim} channels are not in heads of 64; give heads")
    depth = _blocks(state, "fusion_blocks.")
    fusion = "self_attention" if depth else "naive"
    if any(name.startswith("fusion_blocks.0.image_to_prompt.") for name in state):
        fusion = "cross_attention"
    outputs = ("down_4.5", "down_8.2", "down_16.0", "down_32.2")
    return Architecture(
        size=position_grid(state, place=place) * patch,
        patch=patch,
        dim=dim,
        depth=_blocks(state, "backbone.blocks."),
        heads=heads or dim // 64,
        global_every=3 if global_every is None else global_every,
        stem="patch",
        prompts="disks",
        fusion=fusion,
        fusion_depth=depth,
        neck_dims=_four([width(f"neck.{name}.weight", 0) for name in outputs]),
        head_dim=width("head.seg_conv.weight", 1),
        click_radius=5.0 if click_radius is None else click_radius,
        checkpointing=False,
    )


def position_grid(state: Mapping[str, Tensor], *, place: str) -> int:
    """Return the side of the square grid that a state dict has positions for."""
    positions = state.get(POSITIONS)
    tokens = positions.shape[1] - 1 if positions is not None and positions.ndim == 3 else -1
    side = math.isqrt(max(tokens, 0))
    if side**2 != tokens:
        raise ValueError(f"{place}: no {POSITIONS} of a square grid and a class token")
    return side


def _settings(a: Architecture) -> dict[str, object]:
    """Return the settings of a clicker under their published names."""
    attention: dict[str, object] = {"num_heads": a.heads, "mlp_ratio": 4, "qkv_bias": True}
    fusion: dict[str, object] = {"type": a.fusion}
    if a.fusion != "naive":
        fusion |= {"depth": a.fusion_depth, "params": {"dim": a.dim} | attention}
    radius = a.click_radius
    return {
        "backbone_params": {
            "img_size": (a.size, a.size),
            "patch_size": (a.patch, a.patch),
            "in_chans": 3,
            "embed_dim": a.dim,
            "depth": a.depth,
            "global_atten_freq": a.global_every,
        }
        | attention,
        "neck_params": {"in_dim": a.dim, "out_dims": list(a.neck_dims)},
        "head_params": {
            "in_channels": list(a.neck_dims),
            "in_select_index": [0, 1, 2, 3],
            "dropout_ratio": 0.1,
            "num_classes": 1,
            "out_channels": a.head_dim,
        },
        "fusion_params": fusion,
        "use_disks": True,
        "norm_radius": int(radius) if float(radius).is_integer() else radius,
        "cpu_dist_maps": False,
        "norm_mean_std": (list(MEAN), list(STANDARD_DEVIATION)),
    }


def _differences(found: object, ours: object, name: str) -> Iterator[tuple[str, object, object]]:
    """Yield name and both values where a setting that is given is not ours."""
    given, known = _entries(found), _entries(ours)
    if given and known:
        for key, value in given.items():
            yield from _differences(value, known.get(key), f"{name}.{key}")
    elif found != ours and name.rpartition(".")[2] not in INDIFFERENT:
        yield name, found, ours


def _entries(settings: object) -> dict[object, object]:
    """Return what a mapping or a sequence holds by key or position, nothing of anything else."""
    if isinstance(settings, Mapping):
        return dict(settings)
    return dict(enumerate(settings)) if isinstance(settings, list | tuple) else {}


def _blocks(state: Mapping[str, Tensor], prefix: str) -> int:
    numbers = {name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)}
    return len(numbers)


def _four(values: Sequence[int]) -> tuple[int, int, int, int]:
    first, second, third, fourth = values
    return first, second, third, fourth
