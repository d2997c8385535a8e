"""Weights that have a name instead of a path: those in the package, and those of ImageNet."""

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
    """Return the folder of a bundled model, or the folder `name` itself.

    Raises ValueError where it is neither.

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
