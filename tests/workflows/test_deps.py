"""What a change makes stale, by a table of edits; deps of dvc.yaml against the import graph."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import grimp
import pytest

from maskspace.config import read_params
from workflows import deps, plan, profiles
from workflows.frame import dependencies, outputs
from workflows.imports import Code

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "src/maskspace/"
State = dict[str, dict[str, object]]

#: What reads images and masks, whatever it does with them.
TRAININGS = {"clicker", "regimes", "overfit", "sweep", "objectives", "distill"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of what stages depend on; its `objectives` read one by a decoder of their own."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("src", "workflows"):
        ignored = shutil.ignore_patterns("__pycache__", "weights")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
    params = read_params(ROOT / "params.yaml")
    params["objectives"]["objectives"]["clustering_queries"] = {}
    profiles.write_params(params, folder / "params.yaml")
    return folder


@pytest.fixture(scope="module")
def before(copy) -> State:
    return state(copy)


def state(folder: Path) -> State:
    """What each stage depends on: files of code by their bytes, others by name, parameters."""
    with chdir(folder):
        deps.update()
        params = read_params(Path("params.yaml"))
        found: State = {}
        for stage, item in plan._instances(params):
            paths, names = dependencies(stage, item, params)
            name = f"{stage}@{item}" if item else stage
            found[name] = {str(path): path.is_file() and path.read_bytes() for path in paths}
            found[name] |= {key: deps._value(params, key) for key in names}
    return found


def changed(before: State, after: State) -> set[str]:
    """Return the stages that `dvc status` would tell: new ones, and those with another input."""
    return {name for name, inputs in after.items() if before.get(name) != inputs}


def grouped(stages: set[str]) -> set[str]:
    """Return stages, `report@` for all of a foreach stage."""
    return {name[: name.index("@") + 1] if "@" in name else name for name in stages}


def assert_stale(found: set[str], expected: set[str]) -> None:
    """Check stages against names of stages, or `report@` for all of a foreach stage."""
    told = found & expected
    assert told | grouped(found - told) == expected


def comment(name: str) -> Callable[[Path], None]:
    """Return an edit that changes a file and nothing that it does."""

    def edit(folder: Path) -> None:
        with (folder / name).open("a") as file:
            file.write("\n# edited\n")

    return edit


def added(package: str, table: str, kind: str) -> Callable[[Path], None]:
    """Return an edit that adds a file to a package and an entry to its table."""

    def edit(folder: Path) -> None:
        place = folder / SOURCE / package
        (place / f"fresh_{kind}.py").write_text('"""New."""\n\n\ndef fresh() -> None: ...\n')
        home = place / "__init__.py" if kind != "reader" else place.parent / "__init__.py"
        head, begun, tail = home.read_text().partition("\n\nfrom maskspace")
        line = f"from maskspace.{package.replace('/', '.')}.fresh_{kind} import fresh"
        at = tail.index("{\n", tail.index(f"{table}: ")) + 2
        tail = f'{tail[:at]}    "fresh": fresh,\n{tail[at:]}'
        home.write_text(f"{head}\n\n{line}\n{begun.lstrip()}{tail}")

    return edit


def dataset(folder: Path) -> None:
    """Add a data set to `shards` alone."""
    params = read_params(folder / "params.yaml")
    params["shards"]["extra"] = {**params["shards"]["scenes"], "seed": 99}
    profiles.write_params(params, folder / "params.yaml")


EDITS: list[tuple[str, Callable[[Path], None], set[str]]] = [
    ("a reader that a dataset uses", comment(SOURCE + "data/readers/sa1b.py"), {"shards@sa1b"}),
    (
        "a file that two readers share",
        comment(SOURCE + "data/readers/textures.py"),
        {"shards@mosaics", "shards@scenes"},
    ),
    ("a reader that none uses", comment(SOURCE + "data/readers/davis.py"), set()),
    ("a new reader", added("data/readers", "READERS", "reader"), set()),
    ("a new objective", added("objectives", "OBJECTIVES", "objective"), set()),
    ("an objective that none chose", comment(SOURCE + "objectives/harmonic.py"), set()),
    ("a new model", added("models", "MODELS", "model"), set()),
    ("a new mask loss", added("mask_losses", "MASK_LOSSES", "loss"), set()),
    ("a mask loss of the regimes", comment(SOURCE + "mask_losses/lovasz.py"), {"regimes"}),
    ("a new decoder", added("partition", "DECODERS", "decoder"), set()),
    ("a new peer", added("peers", "PEERS", "peer"), set()),
    (
        "a metric",
        comment(SOURCE + "metrics/best_iou.py"),
        {"select", "evaluate@", "compare", "standings"},
    ),
    (
        "a page",
        comment(SOURCE + "evaluation/html_report.py"),
        {"report@", "regime_report"},
    ),
    ("the standings' page", comment(SOURCE + "evaluation/standings_page.py"), {"standings"}),
    (
        "a decoder that only `objectives` uses",
        comment(SOURCE + "partition/queries.py"),
        {"standings"},
    ),
    (
        "a data set, to `shards` alone",
        dataset,
        {"shards@extra", "validate@extra", "evaluate@extra", "headline", "report@extra"},
    ),
    (
        "a plot",
        comment(SOURCE + "pictures/plots.py"),
        {"report@", "regime_report", "pictures@", "standings"},
    ),
    ("an expectation", comment(SOURCE + "data/expectations/suites.py"), {"validate@"}),
    ("the teacher's clicks", comment(SOURCE + "data/click_sampling.py"), {"clicker", "regimes"}),
    (
        "the teacher's network",
        comment(SOURCE + "models/click_vit.py"),
        {"clicker", "regimes", "compare", "proposals", "evaluate@"},
    ),
    (
        "the records that all pass on",
        comment(SOURCE + "types.py"),
        {
            *TRAININGS, "shards@", "validate@", "pictures@", "compare", "regime_report",
            "proposals", "standings", "select", "calibrate", "evaluate@", "report@", "register",
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "expected"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_a_change_makes_stale_what_depends_on_it_and_nothing_else(copy, before, edit, expected):
    touched = [copy / name for name in ("params.yaml", "dvc.yaml")]
    kept = {path: path.read_bytes() for path in [*touched, *(copy / "src").rglob("*.py")]}
    try:
        edit(copy)
        found = changed(before, state(copy))
    finally:
        for path in (copy / "src").rglob("*.py"):
            if path not in kept:
                path.unlink()
        for path, content in kept.items():
            path.write_bytes(content)
    assert_stale(found, expected)


@pytest.mark.parametrize("room", ["cli", "download", "peers", "serving"])
def test_a_room_that_no_option_uses_makes_nothing_stale(copy, before, room):
    """Of the peers those that stages ask, and of serving what registers the model, are used."""
    used = {path for inputs in before.values() for path in inputs}
    files = [str(path.relative_to(copy)) for path in (copy / SOURCE / room).rglob("*.py")]
    asked = {Path(name).stem for name in files if name in used}
    assert asked <= {
        "cli": set(),
        "download": set(),
        "peers": {
            "felzenszwalb", "otsu_watershed", "finding", "kinds", "rankings", "shrunk",
            "tree_answers", "lab", "linked_tree",
        },
        "serving": {"config", "environment", "gate", "pyfunc", "registered", "requirements"},
    }[room]  # fmt: skip
    users = {name for name, inputs in before.items() for path in files if path in inputs}
    assert grouped(users) <= {"peers": {"evaluate@", "standings"}, "serving": {"register"}}.get(
        room, set()
    )


def test_an_objective_that_is_chosen_is_what_its_trainings_depend_on(copy, before):
    kept = {name: (copy / name).read_bytes() for name in ("params.yaml", "dvc.yaml")}
    params = read_params(copy / "params.yaml")
    params["sweep"]["objectives"]["harmonic"] = {"spread": [8.0]}
    profiles.write_params(params, copy / "params.yaml")
    found = changed(before, state(copy))
    for name, content in kept.items():
        (copy / name).write_bytes(content)
    # whatever wins is trained and read: by code that was not there before
    assert {"sweep", "distill", "select"} <= found
    assert found.isdisjoint({"clicker", "objectives", "overfit"} | TRAININGS - {"sweep", "distill"})


def test_a_training_depends_on_its_own_shards_and_on_no_picture(before):
    for name in TRAININGS | {"proposals", "select"}:
        inputs = before[name]
        assert "build/shards" not in inputs and "build/validate" not in inputs
        assert not [path for path in inputs if "/pictures/" in path or path.endswith("pictures.py")]
    assert "build/shards/sa1b" in before["distill"]
    assert "build/shards/sa1b" not in before["overfit"]
    assert [path for path in before["distill"] if path.startswith("build/select")] == [
        "build/select/winner.json"
    ]


@pytest.mark.parametrize(
    "distill, read",
    [
        ({"backbone": "installed"}, set()),
        ({"initial": "student"}, {"src/maskspace/weights/student"}),
        ({"initial": "models/mine"}, {"models/mine"}),
        ({"teacher_share": 0.0}, set()),
    ],
)  # fmt: skip
def test_a_student_depends_on_the_weights_it_starts_from_and_on_a_teacher_that_it_has(
    distill, read, monkeypatch
):
    monkeypatch.chdir(ROOT)
    params = read_params(Path("params.yaml"))
    code = Code(deps.TABLES)
    plain = set(deps.stage_deps("distill", code, params))
    params["distill"] |= distill
    found = set(deps.stage_deps("distill", code, params))
    assert found - plain == read
    assert plain - found == ({"build/proposals"} if "teacher_share" in distill else set())


def test_with_every_option_chosen_the_graph_is_that_of_the_imports(monkeypatch):
    monkeypatch.chdir(ROOT)
    graph = grimp.build_graph(
        "maskspace", "workflows", cache_dir=None, exclude_type_checking_imports=True
    )
    code = Code(deps.TABLES)
    every = {table: code.options(table) for table in deps.TABLES}
    for stage in deps.STAGES:
        found = set(code.needs([f"workflows.{stage}"], every))
        whole = {f"workflows.{stage}"} | graph.find_upstream_modules(f"workflows.{stage}")
        packages = {name for name, module in code.modules.items() if module.is_package}
        assert found - whole == set()
        lost = whole - found - packages
        # what only a package's `__init__` imports, to pass it on to others
        assert all(_passed_on(graph, name, packages) for name in lost), stage


def _passed_on(
    graph: grimp.ImportGraph, name: str, packages: set[str], seen: frozenset[str] = frozenset()
) -> bool:
    """Return whether a module is reached from others only through a package's `__init__`."""
    users = graph.find_modules_that_directly_import(name)
    return bool(users & packages) or all(
        _passed_on(graph, user, packages, seen | {name})
        for user in users - seen
        if user.startswith("maskspace")
    )


@pytest.fixture(scope="module")
def committed(copy, before, tmp_path_factory) -> Path:
    """A DVC workspace in which every stage is up to date, with outputs of no content."""
    folder = tmp_path_factory.mktemp("committed") / "copy"
    shutil.copytree(copy, folder)
    with chdir(folder):
        params = read_params(Path("params.yaml"))
        made = [path for stage in plan._instances(params) for path in outputs(*stage, params)]
        needed = [p for stage in plan._instances(params) for p in dependencies(*stage, params)[0]]
        for path in [*made, *(p for p in needed if p.parts[0] in ("build", "data"))]:
            if path.is_dir():
                continue
            file = path if path.suffix else path / "content"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(path))
        _dvc("init", "--no-scm", "--quiet")
        _dvc("commit", "--force", "--quiet")
    return folder


def _dvc(*arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "a reader that a dataset uses",
        "a new objective",
        "a page",
        "a decoder that only `objectives` uses",
        "a data set, to `shards` alone",
    ],
)
def test_dvc_itself_finds_the_same_stale(committed, tmp_path, name):
    folder = tmp_path / "copy"
    shutil.copytree(committed, folder)
    edit, expected = next(entry[1:] for entry in EDITS if entry[0] == name)
    with chdir(folder):
        assert json.loads(_dvc("status", "--json")) == {}
        edit(Path())
        deps.update()
        assert_stale(set(json.loads(_dvc("status", "--json"))), expected)


def test_a_table_whose_entry_is_an_expression_is_refused(copy):
    home = copy / SOURCE / "mask_losses" / "__init__.py"
    text = home.read_text()
    home.write_text(text.replace('"dice": dice', '"dice": partial(dice)'))
    try:
        with chdir(copy), pytest.raises(ValueError, match="MASK_LOSSES: write the table as"):
            deps.is_behind()
    finally:
        home.write_text(text)


def test_dvc_yaml_is_what_the_code_asks_for():
    done = subprocess.run(
        [sys.executable, "-m", "workflows.deps", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
