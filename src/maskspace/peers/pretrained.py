"""Published networks read by `transformers`, an extra: `pip install maskspace[peers]`.

Weights are a folder that the library's `save_pretrained` wrote, or OWNER/NAME on its hub, which
goes through the library's own cache and, for what is not there, the network. Only safetensors are
read: nothing is unpickled, and no code that comes with weights is run.
"""

import re
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import torch
from safetensors import SafetensorError
from torch import nn

#: What a missing, foreign or damaged file makes the library raise, or a device that is not there.
_UNREADABLE = (
    OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, AssertionError,
    SafetensorError,
)  # fmt: skip


@cache
def pretrained(kinds: tuple[tuple[str, str], ...], weights: str, device: str) -> nn.Module:
    """Return a network in evaluation mode, in single precision; the same one for the same weights.

    `kinds` are pairs of a `model_type` in config.json and the library's class for it. Raises
    ValueError where the library is not installed, for weights that are not there, are of another
    kind, only pickled, damaged or not complete, and for a device that there is not.
    """
    library = _transformers()
    _check_folder(weights)
    kind, known = _kind(library, weights), dict(kinds)
    if kind not in known:
        raise ValueError(
            f"{weights} holds a network of kind {kind!r}, not {' or '.join(known)}; "
            "give the weights of the network that is named"
        )
    model = _read(library, known[kind], weights)
    try:
        return model.to(torch.device(device)).eval().requires_grad_(False)
    except _UNREADABLE as error:
        raise ValueError(f"device {device!r} cannot be used: {_line(error)}") from None


def setting(model: nn.Module, name: str) -> int:
    """Return a whole number of a network's configuration, such as `vision_config.image_size`."""
    return int(attrgetter(f"config.{name}")(model))


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError:
        told = "published networks need transformers: pip install maskspace[peers]"
        raise ValueError(told) from None
    return transformers


def _check_folder(weights: str) -> None:
    """Raise ValueError for a folder without weights that are read, and for what names none."""
    folder = Path(weights)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ValueError(f"{weights} has no config.json; give what save_pretrained wrote")
        if any(folder.glob("*.safetensors")):
            return
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        if pickled:
            raise ValueError(
                f"{weights} has pickled weights only ({pickled[0]}), which could run code and are "
                "not read; write them as model.safetensors"
            )
        raise ValueError(f"{weights} has no model.safetensors; give what save_pretrained wrote")
    if folder.exists() or not re.fullmatch(r"\w[\w.-]*/[\w.-]+", weights):
        raise ValueError(f"{weights} is no folder, nor OWNER/NAME on the hub")


def _kind(library: ModuleType, weights: str) -> str:
    try:
        config, _ = library.PreTrainedConfig.get_config_dict(weights)
    except _UNREADABLE as error:
        raise ValueError(f"{weights}: no config.json can be read: {_line(error)}") from None
    return str(config.get("model_type"))


def _read(library: ModuleType, architecture: str, weights: str) -> nn.Module:
    """Return the network, if its weights are all there."""
    console = library.utils.logging
    told, bar = console.get_verbosity(), console.is_progress_bar_enabled()
    console.set_verbosity_error()
    console.disable_progress_bar()
    try:
        model, found = getattr(library, architecture).from_pretrained(
            weights,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            local_files_only=Path(weights).is_dir(),
        )
    except _UNREADABLE as error:
        raise ValueError(f"{weights}: the weights cannot be read: {_line(error)}") from None
    finally:
        console.set_verbosity(told)
        if bar:
            console.enable_progress_bar()
    if missing := sorted(found["missing_keys"]):
        # the library would have filled them with random numbers
        raise ValueError(
            f"{weights}: {len(missing)} of the network's weights are not in the file, the first "
            f"{missing[0]}; fetch it again"
        )
    return model


def _line(error: BaseException) -> str:
    """Return what an error says, as one line that is not too long."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}..."
