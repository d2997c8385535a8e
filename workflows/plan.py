"""What a run would read and do, known before its first stage: checked parameters, a dry run."""

import configparser
import hashlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from maskspace.config import Choice, choose, load_section, lookup, read_params
from maskspace.servers import require_http, require_port
from workflows.frame import (
    WORK,
    dependencies,
    is_url,
    last_seconds,
    outputs,
    remote_inputs,
)

#: Metrics of the table at the end of a run: key in metrics.json -> column title.
SUMMARY_METRICS = {
    "miou_at_1_center": "mIoU@1",
    "mean_best_iou_50": "best IoU @50",
    "ar_100": "AR@100",
}


def check_params(path: Path) -> None:
    """Raise ValueError, with the path of the key, for anything in params.yaml that cannot run.

    A typo in the last stage's section is told in the first second. What has been checked is
    remembered by a hash of the parameters and the code, so that a run with nothing to do imports
    no reader and no network.
    """
    checked = WORK / "checked-params"
    digest = _digest(path)
    if checked.is_file() and checked.read_text() == digest:
        return
    _check_sections(path)
    checked.parent.mkdir(exist_ok=True)
    checked.write_text(digest)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for file in [path, *sorted(Path("src").rglob("*.py")), *sorted(Path("workflows").glob("*.py"))]:
        if file.is_file():
            digest.update(f"{file}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _check_sections(path: Path) -> None:
    # Imported here: together they import torch, and most runs need none of them.
    from maskspace.data.config import ShardsConfig
    from maskspace.data.expectations import ValidateConfig
    from maskspace.evaluation.config import EvaluateConfig, SelectConfig
    from maskspace.evaluation.photos import PhotosConfig
    from maskspace.serving.config import RegisterConfig
    from maskspace.training.calibration import CalibrateConfig
    from maskspace.training.config import (
        ClickerConfig,
        DistillConfig,
        ObjectivesConfig,
        OverfitConfig,
        RegimesConfig,
        SweepConfig,
    )
    from maskspace.training.proposals import ProposalsConfig

    kinds = {
        "validate": ValidateConfig,
        "clicker": ClickerConfig,
        "regimes": RegimesConfig,
        "compare": EvaluateConfig,
        "proposals": ProposalsConfig,
        "sweep": SweepConfig,
        "select": SelectConfig,
        "distill": DistillConfig,
        "calibrate": CalibrateConfig,
        "evaluate": EvaluateConfig,
        "register": RegisterConfig,
        "overfit": OverfitConfig,
        "objectives": ObjectivesConfig,
    }
    params = read_params(path)
    for name in params:
        if name not in (*kinds, "shards", "photos"):
            raise ValueError(
                f"{path}: {name}: unknown section; the sections are {', '.join(kinds)}"
            )
    shards = params.get("shards")
    if not isinstance(shards, Mapping) or not shards:
        raise ValueError(f"{path}: shards: expected a mapping of datasets, got {shards!r}")
    sections: dict[str, Any] = {
        f"shards.{key}": load_section(ShardsConfig, "shards", key, path=path) for key in shards
    }
    sections |= {name: load_section(kind, name, path=path) for name, kind in kinds.items()}
    sections |= {
        f"photos.{key}": load_section(PhotosConfig, "photos", key, path=path)
        for key in params.get("photos", {})
    }
    for name, section in sections.items():
        try:
            _check_names(name, section, shards)
        except ValueError as error:
            raise ValueError(f"{path}: {name}: {error}") from None


def _check_names(name: str, section: Any, datasets: Mapping[str, object]) -> None:
    """Look up what a section chooses by name: datasets, readers, models, objectives."""
    from maskspace.data import READERS
    from maskspace.data.click_sampling import CLICK_SAMPLERS
    from maskspace.mask_losses import MASK_LOSSES
    from maskspace.models import MODELS

    tables: dict[str, tuple[Mapping[str, Any], str]] = {
        "reader": (READERS, "reader"),
        "model": (MODELS, "model"),
        "clicks": (CLICK_SAMPLERS, "clicks"),
    }
    for field, (table, kind) in tables.items():
        if isinstance(getattr(section, field, None), Choice):
            choose(table, getattr(section, field), kind=kind)
    for field in ("objective", "brightness", "colours"):
        if isinstance(getattr(section, field, None), Choice):
            _check_objective(getattr(section, field))
    for name, regime in getattr(section, "regimes", {}).items():
        _check_names(name, regime, datasets)
    for dataset in _datasets(section):
        lookup(datasets, dataset, kind="dataset")
    for loss in getattr(section, "losses", {}):
        lookup(MASK_LOSSES, loss, kind="loss")
    for objective, options in getattr(section, "objectives", {}).items():
        for chosen in _swept(options) if name == "sweep" else [options]:
            _check_objective(Choice(name=objective, options=chosen))
    for peer in getattr(section, "peers", {}).values():
        _check_names(name, peer, datasets)


def _swept(options: Mapping[str, Sequence[object]]) -> Iterator[dict[str, object]]:
    """Yield options so that each value of each comes once at least, beside the others' first."""
    first = {option: values[0] for option, values in options.items()}
    yield first
    for option, values in options.items():
        yield from (first | {option: value} for value in values[1:])


def _check_objective(choice: Choice) -> None:
    """Make the objective: of some values only that tells that they are wrong."""
    from maskspace.objectives import OBJECTIVES

    make = choose(OBJECTIVES, choice, kind="objective")
    try:
        make()
    except ValueError as error:
        raise ValueError(f"objective {choice.name}: {error}") from None


def _datasets(section: Any) -> Iterator[str]:
    yield from getattr(section, "data", {})
    if hasattr(section, "dataset"):
        yield section.dataset
    yield from getattr(section, "datasets", ())
    yield from getattr(getattr(section, "metric", None), "datasets", ())


def check_inputs() -> None:
    """Raise ValueError for a raw dataset that is neither here nor DVC's to fetch."""
    params = read_params(Path("params.yaml"))
    for key in params["shards"]:
        if is_url(params["shards"][key]["root"]):
            continue  # what is there is told by the stage, which lists it
        root = Path(params["shards"][key]["root"])
        if _state(root, {}) == "MISSING":
            raise ValueError(
                f"params.yaml: shards.{key}.root: {root}: no such file or folder; put the dataset "
                "there, or say where it is (profiles: MASKSPACE_ASSETS, MASKSPACE_DATASETS)"
            )
        if root.parts[0] == "data" and not root.exists():
            _check_remote()


def _check_remote() -> None:
    """Raise ValueError if neither the cache nor the remote can give the raw data."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read([".dvc/config", ".dvc/config.local"])
    cache = Path(settings.get("cache", "dir", fallback=".dvc/cache"))
    digest = read_params(Path("data.dvc"))["outs"][0]["md5"]
    if (cache / "files" / "md5" / digest[:2] / digest[2:]).exists():
        return
    name = settings.get("core", "remote", fallback="")
    url = settings.get(f"'remote \"{name}\"'", "url", fallback="")
    mend = "name one that has the data with `dvc remote add -d NAME URL`"
    if not url:
        raise ValueError(f".dvc/config: no default remote, and data/ is not here; {mend}")
    if "://" in url:
        _require_remote(name, url, settings)
        return
    place = Path(os.path.normpath(Path(".dvc", url)))
    if not place.is_dir():
        raise ValueError(
            f".dvc/config: remote {name!r}: {place}: no such folder; restore it, or {mend}"
        )


def _require_remote(name: str, url: str, settings: configparser.ConfigParser) -> None:
    """Raise ValueError if the server of a DVC remote does not answer; DVC itself would try on."""
    parts = urlsplit(url)
    told = f".dvc/config: remote {name!r}: {url}"
    endpoint = settings.get(f"'remote \"{name}\"'", "endpointurl", fallback=None)
    if parts.scheme in ("http", "https"):
        require_http(url, name=told)
    elif parts.scheme == "s3" and (endpoint or os.environ.get("AWS_ENDPOINT_URL")):
        require_http(endpoint or os.environ["AWS_ENDPOINT_URL"], name=told)
    elif parts.scheme == "ssh" and parts.hostname:
        require_port(parts.hostname, parts.port or 22, name=told)


def changes() -> dict[str, str]:
    """Return what has changed of each stage that is not up to date, as `dvc status` tells it."""
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise ValueError(f"`dvc status` ends with {done.returncode}: {last}")
    return {name: _told(found) for name, found in json.loads(done.stdout or "{}").items()}


def _told(found: Sequence[Any]) -> str:
    """Return the changes of one stage in a line, a few of many."""
    told: list[str] = []
    for one in found:
        if isinstance(one, Mapping):
            for kind, paths in one.items():
                state = kind.removeprefix("changed ").rstrip("s")
                told += [f"{_place(path, how)} ({state})" for path, how in paths.items()]
        else:
            told.append(str(one))
    return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")


def _place(path: str, how: object) -> str:
    return f"{path}: {', '.join(map(str, how))}" if isinstance(how, Mapping) else f"{path} {how}"


def describe(stages: list[str], changed: Mapping[str, str]) -> str:
    """Return what each stage would do: command, inputs, outputs, resources, its parameters.

    First whether it would run, by what has `changed`, or what it makes is kept; a stage after one
    that would run has to wait for what that one makes. And how long it took the last time here.
    """
    params = read_params(Path("params.yaml"))
    made: dict[Path, str] = {}
    unsettled = set(changed)
    lines: list[str] = []
    for stage, item in _instances(params):
        name = f"{stage}@{item}" if item else stage
        inputs = dependencies(stage, item, params)[0]
        before = {maker for path in inputs for maker in _makers(path, made)} & unsettled
        unsettled |= {name} if before else set()
        if not stages or stage in stages or name in stages:
            told = [name, *_state_lines(name, before, changed)]
            lines += [*told, *_describe_one(stage, item, params, made), ""]
        made |= dict.fromkeys(outputs(stage, item, params), name)
    return "\n".join(lines).rstrip()


def _state_lines(name: str, before: Set[str], changed: Mapping[str, str]) -> list[str]:
    if name in changed:
        state = f"would run: {changed[name]}"
    elif before:
        state = f"would run if other outputs come of {', '.join(sorted(before))}"
    else:
        state = "cached: nothing that it depends on has changed"
    seconds = last_seconds(name)
    took = "not known" if seconds is None else f"{seconds:.0f} s"
    return [f"  state      {state}", f"  last time  {took}"]


def check_stages(stages: Sequence[str]) -> None:
    """Raise ValueError for a name that is none of a stage, or of one item of a foreach stage."""
    instances = list(_instances(read_params(Path("params.yaml"))))
    known = sorted({stage for stage, _ in instances})
    for name in stages:
        stage, at, item = name.partition("@")
        if stage not in known:
            raise ValueError(f"stage {name!r} is unknown; dvc.yaml has {', '.join(known)}")
        items = [own for other, own in instances if other == stage and own]
        if at and item not in items:
            has = f"has {', '.join(items)}" if items else "has no items"
            raise ValueError(f"stage {name!r} is unknown; {stage} {has}")


def _instances(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for stage, described in read_params(Path("dvc.yaml"))["stages"].items():
        if "foreach" in described:
            listed = described["foreach"]
            items = listed if isinstance(listed, list) else params[listed.strip("${}")]
            yield from ((stage, str(item)) for item in items)
        else:
            yield stage, ""


def _describe_one(
    stage: str, item: str, params: Mapping[str, Any], made: Mapping[Path, str]
) -> list[str]:
    deps, names = dependencies(stage, item, params)
    raw = [path for path in deps if path.parts[0] not in ("src", "workflows")]
    lines = [f"  command    python -m workflows.{stage} {item}".rstrip()]
    lines += [f"  input      {path} ({_state(path, made)})" for path in raw]
    lines += [f"  input      {url} (remote)" for url in remote_inputs(stage, item, params)]
    lines += [f"  output     {path}" for path in outputs(stage, item, params)]
    section = params.get(stage, {})
    section = section.get(item, section)
    if isinstance(section.get("workers"), Mapping):
        workers = section["workers"]
        device = "one GPU each" if workers.get("gpu") else "no GPU"
        lines.append(
            f"  resources  {workers['number']} workers, {workers['threads']} threads and {device}"
        )
    for name in names:
        value: Any = params
        for key in name.split("."):
            value = value[key]
        told = " ".join(f"{key}={leaf}".replace(" ", "") for key, leaf in _leaves(value))
        lines.append(f"  {name}")
        lines += textwrap.wrap(told, 92, initial_indent="    ", subsequent_indent="    ")
    return lines


def _makers(path: Path, made: Mapping[Path, str]) -> list[str]:
    """Return the stages that make a path, a file in it, or the folder that it is in."""
    return sorted(
        {
            name
            for out, name in made.items()
            if out == path or path in out.parents or out in path.parents
        }
    )


def _state(path: Path, made: Mapping[Path, str]) -> str:
    makers = _makers(path, made)
    if makers:
        return f"made by {makers[0]}" + (f" and {len(makers) - 1} more" if len(makers) > 1 else "")
    if path.exists():
        return "here"
    return "fetched by DVC" if path.parts[0] == "data" and Path("data.dvc").is_file() else "MISSING"


def _leaves(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
