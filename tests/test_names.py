"""What the names in src are for: one name, one thing, and nothing that only tests would miss."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
#: Functions of one name in several rooms, and why a reader takes none for another.
SAME_NAME = {
    "add": "every command of the command line adds its parser",
    "run": "every command runs; tracking opens a run of MLflow",
    "promote": "the command and what it does to a version, `tracking.promote`",
    "load": "maskspace.load is segmenter.loading.load, imported when it is first called",
    "dice": "the loss and the metric of the same formula, `mask_losses.dice` and `metrics.dice`",
    "centre_votes": "an objective and the decoder that reads it, under one name in both tables",
}
#: Public names that nothing in src or workflows uses and no page names, and why they are there.
KEPT = {
    "METRICS": "the table of all metrics, for those who call them",
    "recall_at": "recall of a table of ranks, of the proofs in docs/metrics.md",
    "best_match_recall": "R(t) of the proofs in docs/metrics.md",
    "mean_average_precision": "COCO's number over classes: parity with pycocotools",
    "boundary_summary": "BSDS500's numbers of one data set; resamples take `boundary_summaries`",
    "lovasz_softmax": "the published loss over classes, by which `jaccard_extension` is checked",
    "random_click": "one draw, by which the draws of many masks at once are checked",
    "inner_click": "the same",
    "encode_layers": "the inverse of the decoder, with which an example makes a file",
    "clean_small_regions_of_tensors": "the form for GPUs, equal to that of arrays",
    "combine_clicks": "the rule of clicks at once, by which sessions click by click are checked",
    "combine_probabilities": "the same of probabilities, as models answer them",
    "iou_nms": "the plain form, by which `mask_nms` is checked and measured",
    "UNIT": "the unit in which `chamfer_depth` answers",
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def defined(path: Path) -> Iterator[str]:
    """Names of public classes, functions and type aliases of a module; not constants."""
    for node in parsed(path).body:
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


def loaded(path: Path) -> Counter[str]:
    """Names that a module reads: as a variable, an attribute, an import or a quoted annotation."""
    found: Counter[str] = Counter()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found[node.id] += 1
        elif isinstance(node, ast.Attribute):
            found[node.attr] += 1
        elif isinstance(node, ast.ImportFrom):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).isidentifier():
            found[str(node.value)] += 1
    return found


def constants(path: Path) -> Iterator[str]:
    """Names in capitals that a module assigns."""
    for node in parsed(path).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            yield from (name for name in names if name.isupper() and not name.startswith("_"))


def test_nothing_in_src_is_there_for_tests_alone():
    """A name is used in src or workflows, or a page documents it in code, or it is in `KEPT`."""
    used = Counter[str]()
    for path in [*SRC.rglob("*.py"), *ROOT.glob("workflows/*.py")]:
        used += loaded(path)
    pages = "".join(path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")])
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`|```.*?```", pages, re.DOTALL))))
    names = {name for path in SRC.rglob("*.py") for name in (*defined(path), *constants(path))} - {
        "__all__"
    }
    unused = {name for name in names if not used[name]}
    assert unused - told - KEPT.keys() == set()
    assert KEPT.keys() - unused == set(), "an exception that is none any more"
