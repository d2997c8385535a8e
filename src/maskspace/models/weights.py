"""A trained model on disk: `model.safetensors` beside `model.json`, which says how to build it."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from maskspace.config import lookup
from maskspace.files import appearing, write_whole

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


def save_model(
    model: nn.Module,
    folder: Path,
    *,
    name: str,
    options: Mapping[str, object],
    provenance: Mapping[str, object],
    half: bool = False,
) -> None:
    """Write a model's folder; `half` stores floats in 16 bits, for weights in a package.

    `name` and `options` are the entry of MODELS and its arguments, `provenance` what the model was
    trained on.

    Example:
        >>> import tempfile
        >>> from maskspace.models.unet import build_unet
        >>> folder, options = Path(tempfile.mkdtemp()), {"width": 4, "depth": 2}
        >>> save_model(build_unet(**options), folder, name="unet", options=options, provenance={})
        >>> sorted(path.name for path in folder.iterdir())
        ['model.json', 'model.safetensors']
    """
    tensors = {
        key: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.state_dict().items()
    }
    with appearing(folder / WEIGHTS) as partial:
        save_file(tensors, partial)
        partial.chmod(0o644)  # safetensors writes for the owner alone
    described = {"name": name, "options": dict(options), "provenance": dict(provenance)}
    write_description(folder, described)


def load_model(folder: Path) -> nn.Module:
    """Return the model of a folder in evaluation mode; ValueError in one line for a bad one.

    Example:
        >>> import tempfile
        >>> from maskspace.models.unet import build_unet
        >>> folder, options = Path(tempfile.mkdtemp()), {"width": 4, "depth": 2}
        >>> save_model(build_unet(**options), folder, name="unet", options=options, provenance={})
        >>> load_model(folder).training
        False
    """
    from maskspace.models import MODELS  # the table imports this module

    described = read_description(folder)
    build = lookup(MODELS, described["name"], kind=f"{folder / DESCRIPTION}: model")
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in described["options"].items()}
    model = build(**options)
    expected = model.state_dict()
    tensors = _with_vectors(_read_tensors(folder / WEIGHTS), expected)
    check_state_dict(expected, tensors, place=str(folder / WEIGHTS))
    model.load_state_dict({key: value.to(expected[key].dtype) for key, value in tensors.items()})
    return model.eval()


def load_trunk(model: nn.Module, folder: Path) -> None:
    """Give a model the weights of a folder; heads that it lacks, or has in another shape, stay.

    ValueError in one line where anything but a head is missing, unknown or of another shape: then
    the folder is of another architecture.

    Example:
        >>> import tempfile
        >>> from maskspace.models.feature_pyramid import build_feature_pyramid
        >>> folder = Path(tempfile.mkdtemp())
        >>> options = {"backbone": "efficientnet_lite0", "width": 8}
        >>> first, second = (build_feature_pyramid(**options) for _ in range(2))
        >>> save_model(first, folder, name="feature_pyramid", options=options, provenance={})
        >>> load_trunk(second, folder)
        >>> torch.equal(first.encoder.stem.conv.weight, second.encoder.stem.conv.weight)
        True
    """
    expected = model.state_dict()
    found = _with_vectors(_read_tensors(folder / WEIGHTS), expected)
    found = {key: value for key, value in found.items() if _is_trunk(key) or key in expected}
    fresh = {
        key: value
        for key, value in expected.items()
        if not _is_trunk(key) and (key not in found or found[key].shape != value.shape)
    }
    tensors = found | fresh
    check_state_dict(expected, tensors, place=str(folder / WEIGHTS))
    model.load_state_dict({key: value.to(expected[key].dtype) for key, value in tensors.items()})


def _is_trunk(key: str) -> bool:
    return not key.startswith("heads.")


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read as safetensors ({error})") from None


def _with_vectors(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return tensors with queries as they are saved now.

    They were once the bias of a convolution whose input was 0.
    """
    renamed = dict(found)
    for key, vectors in expected.items():
        head, _, last = key.rpartition(".")
        if last == "vectors" and key not in found and f"{head}.bias" in found:
            renamed.pop(f"{head}.weight", None)
            renamed[key] = renamed.pop(f"{head}.bias").reshape(vectors.shape)
    return renamed


def read_description(folder: Path) -> dict:
    """Return model.json of a folder, checked for its keys.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_description(folder, {"name": "unet", "options": {}})
        >>> read_description(folder)["name"]
        'unet'
    """
    path = folder / DESCRIPTION
    try:
        described = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; a model folder holds it and {WEIGHTS}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(described, dict) or not {"name", "options"} <= set(described):
        raise ValueError(f"{path}: expected the keys name, options and provenance")
    return described


def write_description(folder: Path, described: Mapping[str, object]) -> None:
    """Write model.json of a folder, in one piece.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_description(folder, {"name": "unet", "options": {}})
        >>> (folder / DESCRIPTION).is_file()
        True
    """
    write_whole(folder / DESCRIPTION, json.dumps(described, indent=2, sort_keys=True) + "\n")


def check_state_dict(
    expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], *, place: str
) -> None:
    """Raise ValueError that names missing, extra and misshapen tensors, and NaN weights.

    Example:
        >>> tensors = {"weight": torch.zeros(2)}
        >>> check_state_dict(tensors, tensors, place="model.safetensors")
    """
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    wrong = [k for k in expected.keys() & found.keys() if expected[k].shape != found[k].shape]
    if missing or extra or wrong:
        raise ValueError(
            f"{place}: not weights of this model; missing {_some(missing)}, extra {_some(extra)}, "
            f"of another shape {_some(sorted(wrong))}"
        )
    broken = [k for k, v in found.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise ValueError(f"{place}: weights that are not finite in {_some(sorted(broken))}")


def _some(names: list[str]) -> str:
    """Return a few names, and how many more there are."""
    return f"{names[:5]}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
