"""What a module needs to run: files of our package and other people's distributions.

Import statements are read, not run, so that the answer does not depend on what the process that
asks has loaded. Every statement of a module counts, those within functions too, but two kinds: what
stands under `if TYPE_CHECKING`, and what the functions of a package's `__init__` import where the
package is only passed through on the way to one of its modules.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import (
    PackageNotFoundError,
    distribution,
    packages_distributions,
    version,
)
from pathlib import Path
from sys import stdlib_module_names

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a module needs: `files` of its own package and the `packages` that they import.

    `packages` are top-level import names of others, such as `skimage`; none is of Python itself.

    Example:
        >>> Needs(files=frozenset(), packages=frozenset({"numpy"})).packages
        frozenset({'numpy'})
    """

    files: frozenset[Path]
    packages: frozenset[str]


def needs_of(modules: Iterable[str], root: Path) -> Needs:
    """Return what modules need, themselves included; their packages lie in the folder `root`.

    Example:
        >>> needs = needs_of(["maskspace.jpeg"], Path(__file__).parents[2])
        >>> sorted(path.name for path in needs.files)
        ['__init__.py', 'jpeg.py']
        >>> sorted(needs.packages)
        ['jaxtyping', 'numpy', 'simplejpeg']
    """
    waiting = [(module, True) for module in modules]
    own = {module.partition(".")[0] for module, _ in waiting}
    read: dict[str, bool] = {}  # module -> whether its functions' imports were read too
    others: set[str] = set()
    while waiting:
        name, whole = waiting.pop()
        path = _file_of(name, root)
        if path is None or read.get(name, -1) >= whole:
            continue
        read[name] = whole
        parts = name.split(".")
        waiting += [(".".join(parts[:end]), False) for end in range(1, len(parts))]
        for imported, attribute in _imports(path, whole=whole):
            if imported.partition(".")[0] not in own:
                others.add(imported.partition(".")[0])
                continue
            below = f"{imported}.{attribute}"
            is_module = bool(attribute) and _file_of(below, root) is not None
            waiting.append((below, True) if is_module else (imported, True))
    files = {path for name in read if (path := _file_of(name, root)) is not None}
    return Needs(files=frozenset(files), packages=frozenset(others - stdlib_module_names))


def _file_of(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    found = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in found if file.is_file()), None)


def _imports(path: Path, *, whole: bool) -> Iterator[tuple[str, str]]:
    """Yield (module, attribute) of each import; attribute is "" for `import module`."""
    for node in _statements(ast.parse(path.read_text()).body, whole=whole):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) or (
            isinstance(node, ast.Attribute) and node.attr == "import_module"
        ):
            raise ValueError(f"{path}: line {node.lineno}: import by a full name, written out")


def _statements(nodes: Iterable[ast.AST], *, whole: bool) -> Iterator[ast.AST]:
    """Yield all that is run; `whole`: what functions would run, too."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not whole:
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _statements(node.orelse, whole=whole)
            continue
        yield node
        yield from _statements(ast.iter_child_nodes(node), whole=whole)


def pins(packages: Iterable[str]) -> list[str]:
    """Return `name==version` of the distributions, as installed, that provide the import names.

    Where several provide one, as mlflow and mlflow-skinny do, those are left out that another of
    them requires. A build's local version (`+cpu`) is dropped. ValueError for a name that nothing
    installed provides.

    Example:
        >>> pins(["numpy"])[0].partition("==")[0]
        'numpy'
    """
    names = {name for package in packages for name in _distributions(package)}
    return sorted(f"{name}=={_public_version(name)}" for name in names)


def closure_pins(requirements: Iterable[str]) -> list[str]:
    """Return the pins, as installed, of all that the requirements bring with them.

    ValueError where one is not installed, or in another version than is asked for.

    Example:
        >>> [pin.partition("==")[0] for pin in closure_pins(["jaxtyping"])]
        ['jaxtyping', 'wadler-lindig']
    """
    seen: dict[str, set[str]] = {}
    waiting = [(Requirement(text), "the list") for text in requirements]
    while waiting:
        needed, by = waiting.pop()
        name, extras = canonicalize_name(needed.name), {"", *needed.extras}
        if extras <= seen.get(name, set()):
            continue
        _check_installed(needed, by=by)
        new = extras - seen.get(name, set())
        seen.setdefault(name, set()).update(extras)
        for text in distribution(name).requires or ():
            found = Requirement(text)
            if any(found.marker is None or found.marker.evaluate({"extra": e}) for e in new):
                waiting.append((found, name))
    return sorted(f"{name}=={_public_version(name)}" for name in seen)


def _check_installed(needed: Requirement, *, by: str) -> None:
    try:
        present = version(needed.name)
    except PackageNotFoundError:
        raise ValueError(f"{needed}, which {by} requires, is not installed here") from None
    if not needed.specifier.contains(present, prereleases=True):
        raise ValueError(f"{needed}, which {by} requires, is installed here as {present}")


def _public_version(name: str) -> str:
    return version(name).partition("+")[0]


def _distributions(package: str) -> set[str]:
    """Return who provides an import name, without those that another of them requires."""
    found = {canonicalize_name(name) for name in _providers().get(package, ())}
    if not found:
        raise ValueError(f"import {package}: no installed distribution provides it")
    required = {
        canonicalize_name(Requirement(text).name)
        for name in found
        for text in distribution(name).requires or ()
    }
    return set(found - required) or set(found)


@cache
def _providers() -> dict[str, list[str]]:
    return dict(packages_distributions())
