"""What the names in src are for: one name, one thing, and nothing that only tests would miss."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
#: Functions of one name in several rooms, and why a reader takes none for another.
SAME_NAME = {
    "add": "every command of the command line adds its parser",
    "run": "every command runs; tracking opens a run of MLflow",
    "load": "maskspace.load is segmenter.loading.load, imported when it is first called",
    "dice": "the loss and the metric of the same formula, `mask_losses.dice` and `metrics.dice`",
    "centre_votes": "an objective and the decoder that reads it, under one name in both tables",
}


def defined(path: Path) -> Iterator[str]:
    """Names of public classes, functions and type aliases of a module; not constants."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not is_type_variable(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            names = [name for name in names if not name.isupper()]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def is_type_variable(value: ast.expr | None) -> bool:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in {"TypeVar", "ParamSpec"}
    )


def test_a_name_is_of_one_thing():
    where = defaultdict(list)
    for path in SRC.rglob("*.py"):
        for name in defined(path):
            where[name].append(str(path.relative_to(SRC)))
    shared = {k: v for k, v in where.items() if len(v) > 1}
    assert {name: shared[name] for name in shared.keys() - SAME_NAME.keys()} == {}
    assert shared.keys() >= SAME_NAME.keys(), "an exception that is none any more"
