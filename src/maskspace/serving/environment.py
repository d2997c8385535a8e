"""An environment of Python that holds some distributions and nothing else, made of links.

Input: requirements, and an installation that meets them. Idea: a virtual environment without pip
whose site-packages links to the files of those distributions and of all that they require. Steps:
the closure of the requirements; who else owns files in which folder; one link for each folder that
nobody else has a part in, else for each file. Cost: a second, and no network.
"""

import sys
import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution, distributions
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from maskspace.serving.requirements import closure_pins

_SCRIPT = """#!{python}
import sys
from {module} import {function}
sys.exit({called}())
"""


def link_environment(folder: Path, requirements: Iterable[str]) -> Path:
    """Make an environment in `folder` that holds the requirements alone; return its interpreter.

    What is installed beside this process is linked, not copied; the commands that it brings are
    beside the interpreter. ValueError where a requirement is not installed, or not as asked for.
    """
    wanted = {pin.partition("==")[0] for pin in closure_pins(requirements)}
    venv.EnvBuilder(symlinks=True).create(folder)
    python = folder / "bin" / "python"
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    installed = {canonicalize_name(found.metadata["Name"]) for found in distributions()}
    others = (file for name in installed - wanted for file in _files(name))
    foreign = {folder for file in others for folder in file.parents}
    for name in sorted(wanted):
        _link(name, site, foreign)
        _write_commands(name, python)
    return python


def _files(name: str) -> Iterator[PurePosixPath]:
    """Yield what a distribution has below site-packages."""
    for file in distribution(name).files or ():
        if ".." not in file.parts:
            yield PurePosixPath(file)


def _link(name: str, site: Path, foreign: set[PurePosixPath]) -> None:
    """Link the largest folders that no other distribution has a part in, else files."""
    found = distribution(name)
    for file in _files(name):
        lineage = [*reversed(file.parents), file]
        whole = next(part for part in lineage if part not in foreign and part.parts)
        link, source = site / whole, Path(str(found.locate_file(whole)))
        if not link.is_symlink() and source.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source.resolve())


def _write_commands(name: str, python: Path) -> None:
    for point in distribution(name).entry_points.select(group="console_scripts"):
        script = python.with_name(point.name)
        function = point.attr.partition(".")[0]
        script.write_text(
            _SCRIPT.format(python=python, module=point.module, function=function, called=point.attr)
        )
        script.chmod(0o755)
