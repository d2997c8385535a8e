"""ImageNet weights of EfficientViT's backbone, from a local file: kornia's, or the backbone's own.

Kornia's published files (`b1-r224.pt`) hold a classifier: the backbone's tensors begin with
`backbone.`, and its head is not ours.
"""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from maskspace.models.weights import check_state_dict

_PREFIX = "backbone."


def load_imagenet(backbone: nn.Module, path: Path) -> None:
    """Give a backbone the weights of a file, `.safetensors` or torch's.

    ValueError in one line for a file that cannot be read or is of another backbone; nothing but
    tensors is ever unpickled.
    """
    held = _read(path)
    prefixed = {k.removeprefix(_PREFIX): v for k, v in held.items() if k.startswith(_PREFIX)}
    found = prefixed or held
    expected = backbone.state_dict()
    check_state_dict(expected, found, place=str(path))
    backbone.load_state_dict({key: value.to(expected[key].dtype) for key, value in found.items()})


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; give ImageNet weights, or null for none") from None
    except (OSError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: cannot be read as weights ({reason})") from None
    held = held.get("state_dict", held) if isinstance(held, dict) else held
    if not isinstance(held, dict) or not all(isinstance(v, Tensor) for v in held.values()):
        raise ValueError(f"{path}: expected tensors by name; give ImageNet weights of EfficientViT")
    return held
