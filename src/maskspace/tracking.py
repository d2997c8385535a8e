"""Runs, versions, promotion: MLflow behind a few functions, imported only when they are called.

The store is what `MLFLOW_TRACKING_URI` names, or `mlruns/mlflow.db` of the working folder, made
absolute: MLflow's own default depends on where a process happens to stand. Only the driver of a
stage may write to the SQLite store; workers report to their driver.
"""

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import numpy as np

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"

_QUIET = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a registered model and the value that decides on its promotion."""

    name: str
    version: str
    run_id: str
    value: float | None = None
    content: str = ""

    @property
    def uri(self) -> str:
        """Return the version's address, `models:/NAME/VERSION`."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What the registry held when the register stage ended.

    `champion` says whether the alias moved to, or already stood on, this version; `previous` is the
    champion's version before; `value` is the mean of `metric` over the datasets that params name.
    """

    name: str
    version: str
    run_id: str
    champion: bool
    previous: str | None
    metric: str
    value: float
    tracking_uri: str

    @property
    def alias_on(self) -> str | None:
        """Return the version that the alias `champion` stood on when the receipt was written."""
        return self.version if self.champion else self.previous


def read_receipt(path: Path) -> Receipt:
    """Return the receipt in a JSON file; ValueError if it is not one."""
    try:
        return Receipt(**json.loads(path.read_text()))
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a receipt ({error}); remove it") from None


def write_receipt(receipt: Receipt, path: Path) -> None:
    """Write the receipt as JSON."""
    path.write_text(json.dumps(asdict(receipt), indent=2, sort_keys=True) + "\n")


def tracking_uri() -> str:
    """Return the address of the store: the environment's, or SQLite under this folder's mlruns/."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return given or f"sqlite:///{Path('mlruns/mlflow.db').absolute()}"


class Run:
    """A run being recorded: what happened during it is written as it is told."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self._client = client
        self.id = run_id

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record settings; nested mappings are flattened to dotted names, values cut at 500."""
        from mlflow.entities import Param

        flat = [Param(key, str(value)[:500]) for key, value in _flatten(params)]
        for start in range(0, len(flat), 100):
            self._client.log_batch(self.id, params=flat[start : start + 100])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers at a step; `@` is written `_at_`, as MLflow refuses it in a name."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        logged = [
            Metric(key.replace("@", "_at_"), float(value), now, step)
            for key, value in metrics.items()
        ]
        for start in range(0, len(logged), 1000):
            self._client.log_batch(self.id, metrics=logged[start : start + 1000])

    def log_figure(self, path: Path, folder: str = "pictures") -> None:
        """Copy one picture into the run's artifacts."""
        self._client.log_artifact(self.id, str(path), folder)

    def log_artifacts(self, folder: Path, name: str | None = None) -> None:
        """Copy a folder's files into the run's artifacts, under `name`."""
        self._client.log_artifacts(self.id, str(folder), name)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags."""
        for key, value in tags.items():
            self._client.set_tag(self.id, key, value)


@contextmanager
def run(
    experiment: str,
    name: str,
    *,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    resume: str | None = None,
) -> Iterator[Run]:
    """Record a run while inside; it is FINISHED at the end, FAILED if an exception leaves.

    `parent` is the id of the run it is shown under. `resume` is the id of a run to go on with, such
    as the one that a killed stage had begun; a run that the store no longer holds is begun anew.
    """
    client = _client()
    record = None
    if resume is not None:
        record = _find_run(client, resume)
    if record is None:
        all_tags = {"mlflow.user": "maskspace", **(tags or {})}
        if parent is not None:
            all_tags["mlflow.parentRunId"] = parent
        record = client.create_run(_experiment(client, experiment), run_name=name, tags=all_tags)
    run_id = record.info.run_id
    client.update_run(run_id, status="RUNNING")
    try:
        yield Run(client, run_id)
    except BaseException:
        client.set_terminated(run_id, status="FAILED")
        raise
    client.set_terminated(run_id, status="FINISHED")


def log_model(
    run_id: str,
    weights: Path,
    *,
    name: str,
    loader: Path,
    code: Path,
    example: tuple[np.ndarray, Mapping[str, object]],
    answer: np.ndarray,
    requirements: Sequence[str],
) -> str:
    """Return the address of the folder `weights` logged as a model that the file `loader` serves.

    `code` is the package that `loader` imports, stored beside it without bundled weights. `example`
    is an input with its params and `answer` what the model says to it; the signature is theirs,
    with the batch and the image's size left free. The requirements are given, not inferred:
    inferring starts the model in another process and takes minutes.
    """
    _client()
    import mlflow

    with tempfile.TemporaryDirectory() as scratch:
        bare = Path(scratch, code.name)
        shutil.copytree(code, bare, ignore=shutil.ignore_patterns("__pycache__", "weights"))
        mlflow.start_run(run_id=run_id, nested=True)
        try:
            logged = mlflow.pyfunc.log_model(  # pyright: ignore[reportPrivateImportUsage]
                name=name,
                python_model=str(loader),
                artifacts={"model": str(weights)},
                code_paths=[str(bare)],
                input_example=(example[0], dict(example[1])),
                signature=_signature(example[0], answer, example[1]),
                pip_requirements=list(requirements),
            )
        finally:
            mlflow.end_run()
    return logged.model_uri


def _signature(images: np.ndarray, answer: np.ndarray, params: Mapping[str, object]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.models.signature import infer_signature
    from mlflow.types import Schema, TensorSpec

    inputs = Schema([TensorSpec(images.dtype, (-1, -1, -1, *images.shape[3:]))])
    outputs = Schema([TensorSpec(answer.dtype, (-1,) * answer.ndim)])
    inferred = infer_signature(images, answer, params=dict(params))
    return ModelSignature(inputs=inputs, outputs=outputs, params=inferred.params)


def register_version(uri: str, *, name: str, run_id: str, value: float, content: str) -> Version:
    """Return the new version of the registered model `name` made from the logged model `uri`.

    `value` decides on promotion; `content` is a hash of what it was made from.
    """
    client = _client()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    created = client.create_model_version(
        name,
        source=uri,
        run_id=run_id,
        model_id=uri.rpartition("/")[2],
        tags={"value": repr(value), "content": content},
    )
    return _version(created)


def predict_in_clean_process(
    uri: str, images: np.ndarray, params: Mapping[str, object]
) -> np.ndarray:
    """Return what a registered model answers in a new process that knows nothing of this one.

    Raises RuntimeError with the end of that process's complaint if it cannot be loaded or asked.
    """
    script = (
        "import json, sys, numpy, mlflow.pyfunc; uri, given, told, params = sys.argv[1:];"
        "model = mlflow.pyfunc.load_model(uri);"
        "numpy.save(told, model.predict(numpy.load(given), params=json.loads(params)))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"MLFLOW_TRACKING_URI": tracking_uri(), **_QUIET}
    with tempfile.TemporaryDirectory() as scratch:
        given, told = Path(scratch, "given.npy"), Path(scratch, "told.npy")
        np.save(given, images)
        command = [sys.executable, "-c", script, uri, str(given), str(told), json.dumps(params)]
        done = subprocess.run(
            command, cwd=scratch, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"{uri}: does not load and predict in a clean process: {last}")
        return np.load(told)


def find_version(name: str, content: str) -> Version | None:
    """Return the latest version of `name` made from the same content whose files are there."""
    client = _client()
    same = [
        found
        for found in client.search_model_versions(f"name = '{name}'")
        if found.tags.get("content") == content
        and _files_exist(client.get_model_version_download_uri(name, found.version))
    ]
    return _version(max(same, key=lambda found: int(found.version))) if same else None


def champion(name: str) -> Version | None:
    """Return the version that the alias `champion` stands on, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(_client().get_model_version_by_alias(name, ALIAS))
    except MlflowException:
        return None


def promote(version: Version) -> None:
    """Move the alias `champion` to `version`."""
    _client().set_registered_model_alias(version.name, ALIAS, version.version)


def download_model(uri: str) -> Path:
    """Return the folder of weights (model.json, model.safetensors) of a registered model.

    `uri` is `models:/NAME@ALIAS` or `models:/NAME/VERSION`. Raises ValueError naming the store when
    there is no such model or its files are gone.
    """
    _client()
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    if not uri.startswith("models:/"):
        raise ValueError(f"{uri}: a registered model is models:/NAME@ALIAS or models:/NAME/VERSION")
    try:
        folder = Path(download_artifacts(uri))
    except (MlflowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{uri}: not in the registry {tracking_uri()} ({reason})") from None
    found = sorted(folder.glob("artifacts/*/model.json"))
    if not found:
        raise ValueError(f"{uri}: holds no model.json; it was not registered by maskspace")
    return found[0].parent


def holds(receipt: Receipt) -> bool:
    """Return whether the registry still holds what the receipt says: version, files and alias.

    SQLite stores are read directly, in milliseconds; others are asked through MLflow's client.
    """
    if receipt.tracking_uri != tracking_uri():
        return False
    if receipt.tracking_uri.startswith("sqlite:///"):
        return _sqlite_holds(receipt, Path(receipt.tracking_uri.removeprefix("sqlite:///")))
    from mlflow.exceptions import MlflowException

    try:
        _client().get_model_version(receipt.name, receipt.version)
    except MlflowException:
        return False
    present = champion(receipt.name)
    return (present.version if present is not None else None) == receipt.alias_on


def _sqlite_holds(receipt: Receipt, database: Path) -> bool:
    if not database.is_file():
        return False
    version = (
        "SELECT storage_location FROM model_versions "
        "WHERE name = ? AND version = ? AND run_id = ? AND current_stage != 'Deleted_Internal'"
    )
    alias = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
    key = (receipt.name, int(receipt.version))
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as store:
            found = store.execute(version, (*key, receipt.run_id)).fetchone()
            stands = store.execute(alias, (receipt.name, ALIAS)).fetchone()
    except sqlite3.Error:
        return False
    if found is None or not _files_exist(found[0]):
        return False
    return (str(stands[0]) if stands is not None else None) == receipt.alias_on


def _files_exist(location: str | None) -> bool:
    parsed = urlparse(location or "")
    if parsed.scheme not in ("", "file"):
        return True
    return bool(location) and Path(unquote(parsed.path), "MLmodel").is_file()


def _client() -> "MlflowClient":
    """Return a client of the store; an SQLite store that is not there is made."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    uri = tracking_uri()
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(os.environ.get("MLFLOW_REGISTRY_URI", uri))
    return mlflow.MlflowClient()


def _experiment(client: "MlflowClient", name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    uri = tracking_uri()
    location = None
    if uri.startswith("sqlite:///"):
        # MLflow's default for SQLite is ./mlruns of whatever process asks first.
        database = Path(uri.removeprefix("sqlite:///"))
        location = (database.parent / "artifacts" / name).as_uri()
    return client.create_experiment(name, artifact_location=location)


def _find_run(client: "MlflowClient", run_id: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException:
        return None


def _version(found: Any) -> Version:
    value = found.tags.get("value")
    return Version(
        name=found.name,
        version=str(found.version),
        run_id=found.run_id or "",
        value=None if value is None else float(value),
        content=found.tags.get("content", ""),
    )


def _flatten(params: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
