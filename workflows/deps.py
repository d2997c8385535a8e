"""Write the `deps` of dvc.yaml: the code that each stage's chosen options use, and its data.

    python -m workflows.deps [--check]

A stage depends on the files that its module imports, of tables of options (READERS, OBJECTIVES,
MODELS, ...) on the chosen entries alone: those whose names stand in the sections of params.yaml
that `STAGES` names, in the stage's own module, or, of decoders, in the chosen objectives. It
depends on the shards of its own datasets, not on all of `build/shards`. A reader is a matter of one
dataset: `code` under `vars` lists each dataset's own files, and the stage `shards` has as many
templates. With --check nothing is written, and the exit status is 1 where dvc.yaml differs.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskspace.bundled import INSTALLED, bundled_models
from maskspace.config import read_params
from maskspace.files import write_whole
from workflows.imports import Code

DVC = Path("dvc.yaml")
#: Tables of options: a stage depends on the entries that it chooses.
TABLES = (
    "maskspace.data.READERS",
    "maskspace.mask_losses.MASK_LOSSES",
    "maskspace.models.MODELS",
    "maskspace.objectives.OBJECTIVES",
    "maskspace.partition.DECODERS",
    "maskspace.partition.PARTITIONERS",
    "maskspace.peers.PEERS",
)
OBJECTIVES, DECODERS = "maskspace.objectives.OBJECTIVES", "maskspace.partition.DECODERS"
#: What no result follows from: how work is spread, recorded, watched, and finds its place.
FREE = (
    "maskspace.parallel",
    "maskspace.spool",
    "maskspace.tracking",
    "maskspace.training.drawing",
    "maskspace.training.live",
    "maskspace.training.sweep_record",
    "workflows.frame",
)
#: Where dvc.yaml has its vars, where its stages begin, and where a stage has its deps.
_VARS = re.compile(r"^vars:.*\n(?: +.*\n)*", re.MULTILINE)
_STAGE = re.compile(r"^(?=  [a-z_]+:$)", re.MULTILINE)
_DEPS = re.compile(r"^( +)deps:\n(?:\1  - .*\n)*", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Reads:
    """What a stage reads beside its code.

    made: outputs of other stages.
    data: keys of params.yaml that name datasets, whose validated shards are read.
    evaluated: keys that name datasets, whose evaluation is read.
    files: keys whose value is a path to read: not null, and no name of what is installed.
    used: of `made`, outputs that are read only where a key is not 0, and that key.
    options: sections of params.yaml that choose of tables.
    code: modules that are started by their path.
    draws: whether what draws a training is needed, which a training itself does not depend on.
    """

    made: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    evaluated: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    used: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    draws: bool = False


#: Of FREE, what a training is drawn by.
DRAWING = ("maskspace.training.drawing", "maskspace.training.sweep_record")
_TEACHER_FILES = ("clicker.initial", "clicker.backbone")
_STUDENT_FILES = ("distill.initial", "distill.backbone")
_STUDENT = ("distill.model", "sweep.objectives")
STAGES: Mapping[str, Reads] = {
    "shards": Reads(made=("${item.root}",)),
    "validate": Reads(made=("build/shards/${key}",)),
    "clicker": Reads(data=("clicker.data",), files=_TEACHER_FILES, options=("clicker",)),
    "regimes": Reads(
        data=("regimes.datasets",), files=_TEACHER_FILES, options=("regimes", "clicker")
    ),
    "compare": Reads(
        made=("build/regimes",), data=("regimes.datasets",), options=("clicker.model",)
    ),
    "regime_report": Reads(made=("build/compare",)),
    "proposals": Reads(made=("build/clicker",), data=("distill.data",), options=("clicker.model",)),
    "overfit": Reads(data=("overfit.dataset",), options=("overfit",)),
    "sweep": Reads(data=("distill.data",), files=_STUDENT_FILES, options=("sweep", "distill")),
    "pictures": Reads(made=("build/${item}",), options=("sweep.objectives", "overfit"), draws=True),
    "objectives": Reads(
        data=("objectives.datasets",),
        files=_STUDENT_FILES,
        options=("objectives", "distill.model"),
    ),
    "standings": Reads(
        made=("build/objectives",),
        data=("objectives.datasets",),
        options=("objectives", "distill.model"),
        draws=True,
    ),
    "select": Reads(made=("build/sweep",), data=("distill.data",), options=_STUDENT),
    "distill": Reads(
        made=("build/proposals", "build/select/winner.json"),
        used={"build/proposals": "distill.teacher_share"},
        data=("distill.data",),
        files=_STUDENT_FILES,
        options=("distill", "sweep.objectives"),
    ),
    "calibrate": Reads(
        made=("build/distilled",), data=("distill.data",), options=("distill.model",)
    ),
    "evaluate": Reads(
        made=(
            "build/clicker",
            "build/shards/${key}",
            "build/student",
            "build/validate/${key}/manifest.json",
        ),
        options=("clicker.model", *_STUDENT),
    ),
    "report": Reads(
        made=(
            "build/evaluate/${key}/findings.json",
            "build/evaluate/${key}/metrics.json",
            "build/evaluate/${key}/shown.npz",
        )
    ),
    "headline": Reads(evaluated=("shards",)),
    "register": Reads(
        made=("build/student",),
        data=("register.metric.datasets",),
        evaluated=("register.metric.datasets",),
        options=_STUDENT,
        code=("maskspace.serving.pyfunc",),
    ),
    "photos": Reads(made=("${item.root}", "src/maskspace/weights"), options=("photos",)),
}


def main(arguments: list[str]) -> int:
    """Write dvc.yaml, or check it; return the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m workflows.deps [--check]", file=sys.stderr)
        return 2
    try:
        if not arguments:
            update()
        elif is_behind():
            print(f"{DVC}: deps are not the code's; run python -m workflows.deps", file=sys.stderr)
            return 1
    except ValueError as error:
        print(f"workflows.deps: {error}", file=sys.stderr)
        return 2
    return 0


def update() -> bool:
    """Bring the deps of dvc.yaml up to date; return whether it was behind."""
    text = written(read_params(Path("params.yaml")))
    is_changed = text != DVC.read_text()
    if is_changed:
        write_whole(DVC, text)
    return is_changed


def is_behind() -> bool:
    """Return whether the deps of dvc.yaml are others than those of the code and params.yaml."""
    return written(read_params(Path("params.yaml"))) != DVC.read_text()


def written(params: Mapping[str, Any]) -> str:
    """Return dvc.yaml with the deps that code and parameters ask for, all else as it is."""
    code = Code(TABLES)
    readers = reader_files(code, params)
    text = _VARS.sub(lambda _: _vars(readers), DVC.read_text())
    head, *stages = _STAGE.split(text)
    number = len(next(iter(readers.values())))
    return head + "".join(_with_deps(stage, code, params, number) for stage in stages)


def _vars(readers: Mapping[str, Sequence[str]]) -> str:
    lines = ["vars:", "  - shards:"]
    for dataset, files in readers.items():
        lines += [f"      {dataset}:", "        code:", *(f"          - {file}" for file in files)]
    return "\n".join(lines) + "\n"


def _with_deps(text: str, code: Code, params: Mapping[str, Any], number: int) -> str:
    """Return the lines of a stage with its deps; `number` are the files of a reader."""
    stage = text.partition(":")[0].strip()
    deps = stage_deps(stage, code, params)
    if stage == "shards":
        deps += [f"${{item.code[{index}]}}" for index in range(number)]
    listed = [f"  - {path}\n" for path in deps]
    found, blocks = _DEPS.subn(lambda m: m[1] + "deps:\n" + "".join(m[1] + d for d in listed), text)
    if blocks != 1:
        raise ValueError(f"{DVC}: stage {stage!r}: give it one block of deps, which may be empty")
    return found


def stage_deps(stage: str, code: Code, params: Mapping[str, Any]) -> list[str]:
    """Return the deps of a stage, templates of a foreach stage as DVC fills them in."""
    if stage not in STAGES:
        raise ValueError(
            f"{DVC}: stage {stage!r}: add what it reads to STAGES of workflows/deps.py"
        )
    reads = STAGES[stage]
    data = set(_datasets(reads.data, params))
    made = {
        *(out for out in reads.made if out not in reads.used or _value(params, reads.used[out])),
        *(f"build/shards/{name}" for name in data),
        *(f"build/validate/{name}/manifest.json" for name in data),
        *(f"build/evaluate/{name}" for name in _datasets(reads.evaluated, params)),
        *(path for key in reads.files for path in _files(_value(params, key, optional=True))),
    }
    needed = sorted(code.modules[name].path.as_posix() for name in _needed(stage, code, params))
    return [*sorted(made), *needed]


def _files(value: str | None) -> Iterator[str]:
    """Yield the path that an option names; a bundled model's folder for its name."""
    if value in bundled_models():
        yield f"src/maskspace/weights/{value}"
    elif value not in (None, INSTALLED):
        yield str(value)


def _datasets(keys: Iterable[str], params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the datasets that sections name."""
    for key in keys:
        named = _value(params, key)
        yield from [named] if isinstance(named, str) else named


def _needed(stage: str, code: Code, params: Mapping[str, Any], *, reader: str = "") -> set[str]:
    """Return the modules that a stage needs; of the stage `shards`, with a reader."""
    reads = STAGES[stage]
    strings = [text for key in reads.options for text in _strings(_value(params, key))]
    named = {part for text in strings for part in (text, text.partition("@")[0])}
    named |= code.modules[f"workflows.{stage}"].strings | {reader}
    chosen = {table: named & code.options(table) for table in TABLES}
    for module in code.needs(code.entries(OBJECTIVES, chosen[OBJECTIVES]), {}, free=FREE):
        if module.startswith("maskspace.objectives."):  # which name their decoders
            chosen[DECODERS] |= code.modules[module].strings & code.options(DECODERS)
    free = FREE if not reads.draws else tuple(name for name in FREE if name not in DRAWING)
    return set(code.needs([f"workflows.{stage}", *reads.code], chosen, free=free))


def reader_files(code: Code, params: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the files that each dataset's shards need beside those of all datasets.

    Templates are as many for all: the last file of a shorter list is repeated.
    """
    common = _needed("shards", code, params)
    files = {}
    for dataset, section in params["shards"].items():
        own = _needed("shards", code, params, reader=section["reader"]["name"]) - common
        files[dataset] = sorted(code.modules[name].path.as_posix() for name in own)
    most = max(map(len, files.values()))
    return {dataset: own + own[-1:] * (most - len(own)) for dataset, own in files.items()}


def _value(params: Mapping[str, Any], key: str, *, optional: bool = False) -> Any:
    """Return what a key names; None for one that is missing, if it is `optional`."""
    value: Any = params
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            if optional:
                return None
            raise ValueError(f"params.yaml: {key}: missing; stages depend on what it names")
        value = value[name]
    return value


def _strings(value: object) -> Iterator[str]:
    """Yield every string of a section, keys among them."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
