"""Names of models: those in the package, and whether a name can be that of a model.

Nothing heavy is imported here, so that a wrong name is reported at once.
"""

from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "weights"
#: What stands for a file of ImageNet weights where they are those of the extra `photos`.
INSTALLED = "installed"


def bundled_models() -> list[str]:
    """Return the names of the models that come with the package.

    Example:
        >>> "student" in bundled_models()
        True
    """
    return sorted(path.parent.name for path in FOLDER.glob("*/model.json"))


def model_folder(name: str) -> Path:
    """Return the folder of a bundled model, or the folder `name`; ValueError if it is neither.

    Example:
        >>> model_folder("student").name
        'student'
    """
    if name in bundled_models():
        return FOLDER / name
    if Path(name).is_dir():
        return Path(name)
    known = ", ".join(bundled_models())
    raise ValueError(
        f"model {name!r} is no folder and not bundled; choose one of {known}, or a folder"
    )


def require_model(name: str, peers: Iterable[str]) -> None:
    """Raise ValueError for a name that cannot be that of a model, whatever its options.

    Whether a folder, a file, a registry or options are right is checked where they are opened.

    Args:
        name: the name, perhaps with options: NAME@OPTION=VALUE,...
        peers: the names of known peers.

    Example:
        >>> require_model("student@flips=true", [])
        >>> require_model("studnet", ["lab"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: model 'studnet' is unknown; choose one of ...
    """
    base, at, options = name.rpartition("@")
    base = base if at and "=" in options else name
    has_place = base.startswith(("results:", "models:/")) or Path(base).suffix == ".pth"
    known = [*bundled_models(), *sorted(peers)]
    if not (has_place or Path(base).is_dir() or {base, name.partition("@")[0]} & {*known}):
        raise unknown_model(name, peers)


def unknown_model(name: str, peers: Iterable[str]) -> ValueError:
    """Return the error for a name that is no model's.

    Example:
        >>> str(unknown_model("studnet", ["lab"])).partition(";")[0]
        "model 'studnet' is unknown"
    """
    known = ", ".join([*bundled_models(), *sorted(peers)])
    return ValueError(
        f"model {name!r} is unknown; choose one of {known}, a folder with model.json and "
        "model.safetensors, a published checkpoint *.pth, or models:/NAME@alias"
    )
