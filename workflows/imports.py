"""Which files a module needs: the import graph, read from the source and never imported.

Input: the source folders, the modules to begin with, and the entries chosen of each table.
Idea: a file needs the files that define the names it imports. One that only passes a name on, such
as a package's `__init__`, is followed to the file that defines it, and a table of options, such as
READERS, to the chosen entries alone. Neither is needed itself: what they decide shows in which
files are.
Cost: each file is parsed once, a second for all of them.
"""

import ast
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

PACKAGES = (Path("src/maskspace"), Path("workflows"))


#: Table -> the names of its entries that are chosen.
Chosen = Mapping[str, Collection[str]]


class Import(NamedTuple):
    """One name that an import binds: `alias` is `name` of the module `source`, or the module."""

    alias: str
    source: str
    name: str


@dataclass(frozen=True)
class Module:
    """One file of source, parsed: what it imports, what it defines, its tables of options."""

    name: str
    path: Path

    @property
    def is_package(self) -> bool:
        """Return whether it is a package's `__init__`."""
        return self.path.name == "__init__.py"

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.path.read_text(), str(self.path))

    @cached_property
    def imports(self) -> list[Import]:
        """Every import; those inside functions count, those for a type checker alone do not."""
        return [one for node in _executed(self.tree) for one in _imports(node)]

    @cached_property
    def passed_on(self) -> dict[str, Import]:
        """What the file imports and does not define anew, by the name others may import it by."""
        return {one.alias: one for one in self.imports if one.alias not in self.defined}

    @cached_property
    def defined(self) -> set[str]:
        """The names that are assigned at the file's top level, or are its functions and classes."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        named = {node.name for node in self.tree.body if isinstance(node, kinds)}
        written = (node for node in ast.walk(self.tree) if isinstance(node, ast.Name))
        return named | {node.id for node in written if isinstance(node.ctx, ast.Store)}

    @cached_property
    def strings(self) -> set[str]:
        """Every string constant of the file."""
        constants = (node for node in ast.walk(self.tree) if isinstance(node, ast.Constant))
        return {node.value for node in constants if isinstance(node.value, str)}

    @cached_property
    def _reads(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """Attributes and literal keys that are read of each name."""
        attributes: dict[str, set[str]] = defaultdict(set)
        keys: dict[str, set[str]] = defaultdict(set)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                attributes[node.value.id].add(node.attr)
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                key = node.slice.value if isinstance(node.slice, ast.Constant) else None
                if isinstance(key, str):
                    keys[node.value.id].add(key)
        return attributes, keys

    def attributes(self, alias: str) -> set[str]:
        """Return the attributes that the file reads of a name, as in `pictures.save_image`."""
        return self._reads[0].get(alias, set())

    def subscripts(self, alias: str) -> set[str]:
        """Return the literal keys that the file reads of a name, as in `DECODERS["components"]`."""
        return self._reads[1].get(alias, set())

    def table(self, name: str) -> dict[str, str]:
        """Return a table's keys with the names of their entries.

        Raises ValueError for a table that is not a literal of plain names: an expression would be
        code that no stage depends on.
        """
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
            if not any(isinstance(t, ast.Name) and t.id == name for t in targets):
                continue
            value = getattr(node, "value", None)
            entries = (
                zip(value.keys, value.values, strict=True) if isinstance(value, ast.Dict) else ()
            )
            found = {
                str(key.value): entry.id
                for key, entry in entries
                if isinstance(key, ast.Constant) and isinstance(entry, ast.Name)
            }
            if isinstance(value, ast.Dict) and len(found) == len(value.keys):
                return found
        raise ValueError(f"{self.path}: {name}: write the table as {{'name': imported_name, ...}}")


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree, without those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _executed(node)


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield Import(alias.asname or alias.name, node.module or "", alias.name)
    elif isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.asname or alias.name, alias.name, "")


class Code:
    """The source of a working tree, as a graph of its modules.

    `tables` are the tables of options, such as `maskspace.data.READERS`.
    """

    def __init__(self, tables: Collection[str] = ()) -> None:
        """Find the modules under the folder that the process is in."""
        self._tables = frozenset(tables)
        self._options: dict[str, frozenset[str]] = {}
        files = [file for package in PACKAGES for file in sorted(package.rglob("*.py"))]
        found = [Module(name=_name(file), path=file) for file in files]
        self.modules = {module.name: module for module in found}

    def needs(
        self, starts: Iterable[str], chosen: Chosen, *, free: Collection[str] = ()
    ) -> list[str]:
        """Return the modules that `starts` need, themselves among them, in order.

        Modules that are `free` are left out, with what only they need.
        """
        found: set[str] = set()
        waiting = list(starts)
        while waiting:
            name = waiting.pop()
            if name in found or name in free or name not in self.modules:
                continue
            found.add(name)
            waiting += self._next(self.modules[name], chosen)
        return sorted(found)

    def _next(self, module: Module, chosen: Chosen) -> Iterator[str]:
        for one in module.imports:
            if one.source.partition(".")[0] in ("maskspace", "workflows"):
                yield from self._defining(one, chosen, reader=module)

    def _defining(self, one: Import, chosen: Chosen, *, reader: Module) -> Iterator[str]:
        """Yield the modules that define what the file `reader` imports."""
        full = f"{one.source}.{one.name}" if one.name else one.source
        if full in self._tables:
            yield from self.entries(full, {*chosen.get(full, ()), *reader.subscripts(one.alias)})
        elif full in self.modules and self.modules[full].is_package:
            for attribute in reader.attributes(one.alias):
                found = Import(f"{one.alias}.{attribute}", full, attribute)
                yield from self._defining(found, chosen, reader=reader)
        elif full in self.modules:
            yield full
        else:
            home = self.modules[one.source]
            passed = home.passed_on.get(one.name)
            if passed is None or passed.source.partition(".")[0] not in ("maskspace", "workflows"):
                yield one.source
            else:
                yield from self._defining(passed, chosen, reader=home)

    def entries(self, table: str, options: Collection[str]) -> Iterator[str]:
        """Yield the modules that define a table's entries of these names."""
        home, name = self._table(table)
        entries = home.table(name)
        for option in sorted(options):
            if entries[option] not in home.passed_on:
                raise ValueError(f"{home.path}: {entries[option]}: move it to a file of its own")
            yield from self._defining(home.passed_on[entries[option]], {}, reader=home)

    def options(self, table: str) -> frozenset[str]:
        """Return the names that a table offers."""
        if table not in self._options:
            home, name = self._table(table)
            self._options[table] = frozenset(home.table(name))
        return self._options[table]

    def _table(self, table: str) -> tuple[Module, str]:
        source, _, name = table.rpartition(".")
        return self.modules[source], name


def _name(file: Path) -> str:
    parts = file.with_suffix("").parts
    parts = parts[1:] if parts[0] == "src" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
