"""A profile: params.yaml with a JSON merge patch over it, run in a scratch DVC workspace.

DVC reads only params.yaml and git must stay clean, so `.profiles/NAME/` is a DVC workspace of its
own, without git: the merged params.yaml, the stage graph and a copy of the code, refreshed by
content, so that DVC there sees exactly the changes made here. The cache is the repository's.
"""

import configparser
import filecmp
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from maskspace.config import read_params
from maskspace.files import appearing

PROFILES = Path("profiles")
WORKSPACES = Path(".profiles")

_COPIED = ("dvc.yaml", "data.dvc", ".dvcignore", "src", "workflows")
_FOLDERS = {
    "assets": ("MASKSPACE_ASSETS", "../shared/assets"),
    "datasets": ("MASKSPACE_DATASETS", "../datasets"),
}


def merge_patch(target: object, patch: object) -> object:
    """Return `target` with a JSON merge patch applied (RFC 7386): null removes, lists replace."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def profile_params(name: str) -> dict[str, object]:
    """Return params.yaml with the profile applied; `a+b` applies a, then b.

    `${assets}` and `${datasets}` in it become the folders that `MASKSPACE_ASSETS` and
    `MASKSPACE_DATASETS` name, by default beside this repository.
    """
    merged: object = read_params(Path("params.yaml"))
    for part in name.split("+"):
        path = PROFILES / f"{part}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml"))) or "none"
            raise ValueError(f"profile {part!r} is unknown; profiles/ has {known}")
        merged = merge_patch(merged, read_params(path))
    folders = {f"${{{key}}}": str(_folder(*place)) for key, place in _FOLDERS.items()}
    filled = _fill(merged, folders)
    assert isinstance(filled, dict)
    return filled


def prepare(name: str) -> Path:
    """Return the profile's workspace, made or brought up to date with this repository."""
    params = profile_params(name)
    workspace = (WORKSPACES / name).absolute()
    workspace.mkdir(parents=True, exist_ok=True)
    for copied in map(Path, _COPIED):
        mirror(copied, workspace / copied)
    _configure_dvc(workspace)
    write_params(params, workspace / "params.yaml")
    return workspace


def write_params(params: Mapping[str, object], path: Path) -> None:
    """Write parameters as YAML; ValueError if reading does not give them back."""
    writer = YAML(typ="safe", pure=True)
    writer.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    with appearing(path) as partial:
        with partial.open("w") as file:
            writer.dump(params, file)
        if read_params(partial) != params:
            raise ValueError(f"{path}: does not survive as YAML; quote the profile's strings")


def mirror(source: Path, target: Path) -> None:
    """Make `target` the same as the file or folder `source`, writing only what differs.

    What numba made of a module comes along, and is of use there as a copy keeps its time of change.
    """
    if not source.exists():
        target.unlink(missing_ok=True)
        return
    if source.is_file():
        if not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
            with appearing(target) as partial:
                shutil.copy2(source, partial)
        return
    target.mkdir(parents=True, exist_ok=True)
    wanted = {child.name for child in source.iterdir() if child.name != "__pycache__"}
    for child in target.iterdir():
        if child.name not in wanted and child.name != "__pycache__":
            shutil.rmtree(child) if child.is_dir() else child.unlink()
    for name in sorted(wanted):
        mirror(source / name, target / name)
    for machine_code in sorted(source.glob("__pycache__/*.nb[ci]")):
        (target / "__pycache__").mkdir(exist_ok=True)
        mirror(machine_code, target / "__pycache__" / machine_code.name)


def _configure_dvc(workspace: Path) -> None:
    """Give the workspace this repository's DVC settings: no git, the same cache and remotes."""
    here = Path(".dvc").absolute()
    settings = configparser.ConfigParser(interpolation=None)
    settings.read([here / "config", here / "config.local"])
    for section in settings.sections():
        url = settings[section].get("url")
        if url is not None and "://" not in url and not os.path.isabs(url):
            settings[section]["url"] = os.path.normpath(here / url)
    for section, key, value in (
        ("core", "no_scm", "True"),
        ("core", "analytics", "false"),
        ("cache", "dir", str(here / "cache")),
    ):
        if not settings.has_section(section):
            settings.add_section(section)
        settings[section][key] = value
    with appearing(workspace / ".dvc" / "config") as partial, partial.open("w") as file:
        settings.write(file)
    mirror(here / "plots", workspace / ".dvc" / "plots")


def _folder(variable: str, default: str) -> Path:
    return Path(os.path.abspath(os.environ.get(variable, default)))


def _fill(value: object, values: Mapping[str, str]) -> object:
    if isinstance(value, Mapping):
        return {key: _fill(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, values) for item in value]
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(name, text)
    return value
