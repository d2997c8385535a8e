"""Runs, versions and promotion: MLflow behind a few functions; it is imported when they are called.

The store is the one of `MLFLOW_TRACKING_URI`, or `mlruns/mlflow.db` in the working folder as an
absolute path: MLflow's own default depends on where a process was started. Only the driver of a
stage may write to the SQLite store; workers report to their driver.
"""

import getpass
import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import numpy as np

from maskspace.servers import require_database, require_http

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"
#: Characters of a param's value that MLflow takes.
MOST_OF_PARAM = 6000
#: The tags of a run: what it is found by, and a hash of the weights that it made.
KEY, WEIGHTS = "maskspace.key", "weights"
#: The tag of a champion that says which version was champion before.
BEFORE = "champion_before"

#: The store of a working folder that the environment names none for.
DATABASE = "mlruns/mlflow.db"

#: The environment of a process that says no more than its errors.
QUIET = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # whoever calls keeps what could not be sent; MLflow's own seven retries take minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a registered model.

    name, version: those of the registry.
    run_id: the run that made it.
    value: the number that decides on its promotion; None if there is none.
    content: hash of what it was made from.
    comparison: hash of how, and on what data, it was measured.
    metric: name of the number.

    Example:
        >>> Version(name="student", version="3", run_id="0").uri
        'models:/student/3'
    """

    name: str
    version: str
    run_id: str
    value: float | None = None
    content: str = ""
    comparison: str = ""
    metric: str = ""

    @property
    def uri(self) -> str:
        """Return the version's address, `models:/NAME/VERSION`."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, kw_only=True)
class Input:
    """A dataset that a run reads: its name, a hash of its manifest, where it is, its counts.

    Example:
        >>> Input(name="scenes", digest="00", source="build/validate/scenes/manifest.json").profile
        {}
    """

    name: str
    digest: str
    source: str
    profile: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What the registry held when the stage `register` ended.

    name, version, run_id: the registered version.
    champion: whether the alias moved to this version, or stood on it before.
    previous: the champion's version before; None if there was none.
    metric: name of the number that decides.
    value: its mean over the datasets that params name.
    tracking_uri: address of the store.
    reason: why the alias moved or did not.

    Example:
        >>> receipt = Receipt(
        ...     name="student", version="3", run_id="0", champion=False, previous="2",
        ...     metric="ap", value=0.5, tracking_uri="sqlite:///mlflow.db",
        ... )
        >>> receipt.alias_on
        '2'
    """

    name: str
    version: str
    run_id: str
    champion: bool
    previous: str | None
    metric: str
    value: float
    tracking_uri: str
    reason: str = ""

    @property
    def alias_on(self) -> str | None:
        """Return the version on which the alias `champion` was when the receipt was written."""
        return self.version if self.champion else self.previous


def read_receipt(path: Path) -> Receipt:
    """Return the receipt in a JSON file; ValueError if it is not one.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "receipt.json")
        >>> receipt = Receipt(
        ...     name="student", version="3", run_id="0", champion=True, previous=None,
        ...     metric="ap", value=0.5, tracking_uri="sqlite:///mlflow.db",
        ... )
        >>> write_receipt(receipt, path)
        >>> read_receipt(path) == receipt
        True
    """
    try:
        return Receipt(**json.loads(path.read_text()))
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a receipt ({error}); remove it") from None


def write_receipt(receipt: Receipt, path: Path) -> None:
    """Write the receipt as JSON.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "receipt.json")
        >>> receipt = Receipt(
        ...     name="student", version="3", run_id="0", champion=True, previous=None, metric="ap",
        ...     value=0.5, tracking_uri="sqlite:///mlflow.db")
        >>> write_receipt(receipt, path)
        >>> read_receipt(path).version
        '3'
    """
    path.write_text(json.dumps(asdict(receipt), indent=2, sort_keys=True) + "\n")


def tracking_uri() -> str:
    """Return the address of the store: the environment's, or SQLite in this folder's mlruns/.

    Example:
        >>> tracking_uri().partition(":")[0] in ("sqlite", "http", "https", "file", "postgresql")
        True
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(Path(DATABASE).absolute())


def store_name() -> str:
    """Return the name of the store in messages: the database's file, or the server's address.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, MLFLOW_TRACKING_URI="sqlite:////data/my%20runs.db"):
        ...     store_name()
        'sqlite:////data/my runs.db'
    """
    database = _database(tracking_uri())
    return tracking_uri() if database is None else f"sqlite:///{database}"


def require_store() -> None:
    """Raise ValueError in one line, within seconds, if the store's server does not answer.

    MLflow itself tries for minutes. A store of files has no server and is not checked.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, MLFLOW_TRACKING_URI="http://127.0.0.1:1"):  # nobody listens
        ...     require_store()
        Traceback (most recent call last):
            ...
        ValueError: MLFLOW_TRACKING_URI=http://127.0.0.1:1: no server answers there ...
    """
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        uri = os.environ.get(variable, "")
        scheme = uri.partition("://")[0]
        try:
            if scheme in ("http", "https"):
                require_http(uri, name=f"{variable}={uri}")
            elif scheme not in ("", "sqlite", "file", "databricks", "databricks-uc"):
                require_database(uri, name=f"{variable}={uri}")
        except ValueError as error:
            raise ValueError(f"{error}; start it, or correct {variable}") from None


def _sqlite_uri(database: Path) -> str:
    """Return the address of an SQLite file, whatever its folders are called.

    SQLAlchemy takes `%` for a code and `?` for the end of the path. Where one of those has to be
    coded, `/` is too: MLflow makes the folder of what it believes to be the path, which then is
    none. Raises ValueError for a name that is not UTF-8: MLflow cannot store its artifacts' paths.
    """
    text = str(database)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{os.fsencode(text).decode(errors='backslashreplace')}: the folder's name is not "
            "UTF-8, and MLflow cannot store it; rename the folder, or set MLFLOW_TRACKING_URI"
        ) from None
    if any(character in text for character in "%?#"):
        text = text.translate({ord(character): f"%{ord(character):02X}" for character in "%?#/"})
    return f"sqlite:///{text}"


def _database(uri: str) -> Path | None:
    """Return the file of an SQLite store, None for another store."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0]))


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Tell what MLflow, its database and its server refuse as a ValueError that names the store."""
    _silence()
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{store_name()}: MLflow's store refuses ({reason})") from error


class Run:
    """A run that is being recorded; everything is written at once.

    Example:
        >>> with run("objectives", "balls") as record:
        ...     record.log_params({"optimisation": {"steps": 3}})
        ...     record.log_metrics({"loss": 0.5, "miou@10": 0.7}, step=1)
        >>> import mlflow
        >>> sorted(mlflow.get_run(record.id).data.metrics)
        ['loss', 'miou_at_10']
    """

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self._client = client
        self.id = run_id

    @_in_one_line()
    def log_params(self, params: Mapping[str, object]) -> None:
        """Record settings; nested mappings get dotted names, values are cut at 6000 characters."""
        from mlflow.entities import Param

        flat = [Param(key, str(value)[:MOST_OF_PARAM]) for key, value in _flatten(params)]
        for start in range(0, len(flat), 100):
            self._client.log_batch(self.id, params=flat[start : start + 100])

    @_in_one_line()
    def log_metrics(
        self, metrics: Mapping[str, float], step: int = 0, *, at_ms: int | None = None
    ) -> None:
        """Record numbers at a step; `@` is written `_at_`, as MLflow refuses it in a name.

        `at_ms` is when they were, in milliseconds of the epoch: now, by default. The same numbers
        of the same time and step are recorded once.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000) if at_ms is None else at_ms
        logged = [
            Metric(key.replace("@", "_at_"), float(value), now, step)
            for key, value in metrics.items()
        ]
        for start in range(0, len(logged), 1000):
            self._client.log_batch(self.id, metrics=logged[start : start + 1000])

    @_in_one_line()
    def log_figure(self, path: Path, folder: str = "pictures") -> None:
        """Copy one picture into the run's artifacts."""
        self._client.log_artifact(self.id, str(path), folder)

    @_in_one_line()
    def log_artifacts(self, folder: Path, name: str | None = None) -> None:
        """Copy a folder's files into the run's artifacts, under `name`."""
        self._client.log_artifacts(self.id, str(folder), name)

    @_in_one_line()
    def log_json(self, content: Mapping[str, Any], file: str) -> None:
        """Record a mapping as a JSON file among the run's artifacts."""
        self._client.log_dict(self.id, dict(content), file)

    @_in_one_line()
    def log_inputs(self, inputs: Sequence[Input]) -> None:
        """Record the datasets that the run reads."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        context = [InputTag("mlflow.data.context", "training")]
        described = [
            Dataset(
                name=one.name,
                digest=one.digest,
                source_type="local",
                source=json.dumps({"uri": one.source}),
                profile=json.dumps(dict(one.profile)),
            )
            for one in inputs
        ]
        self._client.log_inputs(self.id, [DatasetInput(each, context) for each in described])

    @_in_one_line()
    def end(self, status: str, *, at_ms: int | None = None) -> None:
        """Say that the run is over, FINISHED or FAILED, and when."""
        self._client.set_terminated(self.id, status=status, end_time=at_ms)

    @_in_one_line()
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
    """Record a run while inside; it ends as FINISHED, or as FAILED if an exception leaves.

    Args:
        experiment: name of the experiment, which is made if needed.
        name: name of the run.
        parent: id of the run under which it is shown (default None).
        tags: tags of the run (default None).
        resume: id of a run to continue, such as that of a killed stage; a new run is begun if the
            store does not have it any more (default None: a new run).

    Example:
        >>> with run("objectives", "balls", tags={"seed": "0"}) as record:
        ...     record.log_metrics({"loss": 0.5})
        >>> import mlflow
        >>> mlflow.get_run(record.id).info.status
        'FINISHED'
    """
    all_tags = {"mlflow.user": user(), **(tags or {})}
    if parent is not None:
        all_tags["mlflow.parentRunId"] = parent
    with _in_one_line():
        client = _client()
        record = None if resume is None else _find_run(client, resume)
        if record is None:
            place = _experiment(client, experiment)
            record = client.create_run(place, run_name=name, tags=all_tags)
        run_id = record.info.run_id
        client.update_run(run_id, status="RUNNING")
    try:
        yield Run(client, run_id)
    except BaseException:
        with suppress(ValueError), _in_one_line():  # what went wrong first is what is told
            client.set_terminated(run_id, status="FAILED")
        raise
    with _in_one_line():
        client.set_terminated(run_id, status="FINISHED")


@_in_one_line()
def resumed(
    experiment: str, name: str, *, run_id: str | None, key: str, parent: str | None = None
) -> Run:
    """Return a run to go on with: of this id, else with this key, else begun; it stays RUNNING.

    `key` is a tag that no other run has: by it a run is found whose id was never learnt, because
    the answer of the store was lost.
    """
    client = _client()
    place = _experiment(client, experiment)
    record = None if run_id is None else _find_run(client, run_id)
    if record is None:
        same = client.search_runs([place], f"tags.`{KEY}` = '{key}'", max_results=1)
        record = same[0] if same else None
    if record is None:
        tags = {"mlflow.user": user(), KEY: key}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        record = client.create_run(place, run_name=name, tags=tags)
    if record.info.status != "RUNNING":
        client.update_run(record.info.run_id, status="RUNNING")
    return Run(client, record.info.run_id)


@_in_one_line()
def find_training(weights: str) -> str | None:
    """Return the id of the latest run whose training made weights of this hash, or None."""
    client = _client()
    places = [place.experiment_id for place in client.search_experiments()]
    found = client.search_runs(places, f"tags.{WEIGHTS} = '{weights}'", max_results=1)
    return found[0].info.run_id if found else None


def user() -> str:
    """Return who runs this, by the system; `unknown` where it does not know.

    Example:
        >>> bool(user())
        True
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


@_in_one_line()
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
    """Log a folder of weights as a model that the file `loader` serves; return its address.

    See `maskspace.serving.registered.log_student` for a call.

    Args:
        run_id: the run that the model belongs to.
        weights: the folder.
        name: name of the model.
        loader: the file that loads and serves it.
        code: the package that `loader` imports; it is stored beside it.
        example: an input with its params.
        answer: what the model answers to it; both give the signature, in which the batch and the
            size of the image are free.
        requirements: lines as pip reads them. They are given because MLflow would infer them by
            starting the model in another process, which takes minutes.
    """
    _client()
    import mlflow

    mlflow.start_run(run_id=run_id, nested=True)
    try:
        logged = mlflow.pyfunc.log_model(  # pyright: ignore[reportPrivateImportUsage]
            name=name,
            python_model=str(loader),
            artifacts={"model": str(weights)},
            code_paths=[str(code)],
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


@_in_one_line()
def register_version(
    uri: str,
    *,
    name: str,
    run_id: str,
    value: float,
    content: str,
    tags: Mapping[str, str] | None = None,
    description: str = "",
) -> Version:
    """Return a new version of the registered model `name`.

    Args:
        uri: address of the logged model.
        name: name of the registered model, which is made if needed.
        run_id: the run that made it.
        value: the number that decides on promotion.
        content: hash of what it was made from.
        tags: more tags (default None).
        description: of the registered model, where it is made (default none).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())  # stands for a logged model
        >>> (folder / "MLmodel").touch()
        >>> with run("register", "student") as record:
        ...     version = register_version(
        ...         str(folder), name="new", run_id=record.id, value=0.5, content="a hash")
        >>> version.uri, version.value
        ('models:/new/1', 0.5)
    """
    client = _client()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=description or None)
    created = client.create_model_version(
        name,
        source=uri,
        run_id=run_id,
        model_id=uri.rpartition("/")[2],
        tags={**(tags or {}), "value": repr(value), "content": content},
    )
    return _version(created)


@_in_one_line()
def find_version(name: str, content: str) -> Version | None:
    """Return the latest version made from the same content whose files still exist, or None.

    Example:
        >>> find_version("no-such-model", "a hash") is None
        True
    """
    client = _client()
    same = [
        version
        for version in client.search_model_versions(f"name = '{name}'")
        if version.tags.get("content") == content
        and _files_exist(client.get_model_version_download_uri(name, version.version))
    ]
    return _version(max(same, key=lambda version: int(version.version))) if same else None


@_in_one_line()
def champion(name: str) -> Version | None:
    """Return the version on which the alias `champion` is, or None.

    Example:
        >>> champion("no-such-model") is None
        True
    """
    client = _client()
    version = _unless_missing(lambda: client.get_model_version_by_alias(name, ALIAS))
    return None if version is None else _version(version)


@_in_one_line()
def promote(version: Version) -> None:
    """Move the alias `champion` to `version`; the version notes who was champion before.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())  # stands for a logged model
        >>> (folder / "MLmodel").touch()
        >>> with run("register", "student") as record:
        ...     version = register_version(
        ...         str(folder), name="promoted", run_id=record.id, value=0.5, content="a hash")
        >>> promote(version)
        >>> champion("promoted") == version
        True
    """
    client = _client()
    present = _unless_missing(lambda: client.get_model_version_by_alias(version.name, ALIAS))
    if present is not None and str(present.version) != version.version:
        client.set_model_version_tag(version.name, version.version, BEFORE, str(present.version))
    client.set_registered_model_alias(version.name, ALIAS, version.version)


@_in_one_line()
def versions(name: str) -> list[Version]:
    """Return all versions of a registered model, the newest first; none for an unknown name.

    Example:
        >>> versions("no-such-model")
        []
    """
    of_name = _client().search_model_versions(f"name = '{name}'")
    return sorted(map(_version, of_name), key=lambda version: -int(version.version))


@_in_one_line()
def roll_back(name: str) -> Version | None:
    """Move the alias `champion` back to the champion before; return that version.

    If there was none before, the alias is removed and None is returned. ValueError if there is no
    champion.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())  # stands for a logged model
        >>> (folder / "MLmodel").touch()
        >>> with run("register", "student") as record:
        ...     for value in (0.5, 0.6):
        ...         version = register_version(
        ...             str(folder), name="back", run_id=record.id, value=value, content="hash")
        ...         promote(version)
        >>> champion("back").version, roll_back("back").version
        ('2', '1')
    """
    client = _client()
    present = _unless_missing(lambda: client.get_model_version_by_alias(name, ALIAS))
    if present is None:
        raise ValueError(f"models:/{name}@{ALIAS}: there is no champion to take back")
    before = present.tags.get(BEFORE)
    if before is None:
        client.delete_registered_model_alias(name, ALIAS)
        return None
    client.set_registered_model_alias(name, ALIAS, before)
    return _version(client.get_model_version(name, before))


@_in_one_line()
def run_files(run_id: str, folder: str) -> Path:
    """Return a folder of a run's artifacts; it is downloaded if it is elsewhere.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "curve.png").touch()
        >>> with run("objectives", "balls") as record:
        ...     record.log_artifacts(folder, "pictures")
        >>> [path.name for path in run_files(record.id, "pictures").iterdir()]
        ['curve.png']
    """
    _client()
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(run_id=run_id, artifact_path=folder))


def is_own_store() -> bool:
    """Return whether the store is that of this folder, which the environment may name too.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, MLFLOW_TRACKING_URI="http://tracking.example"):
        ...     is_own_store()
        False
    """
    return tracking_uri() == _sqlite_uri(Path(DATABASE).absolute())


def download(uri: str) -> Path:
    """Return the folder of a registered model; it is downloaded if it is elsewhere.

    `uri` is `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or `models:/ID` of a logged model.
    ValueError, naming the store, if there is no such model or its files are gone.

    Example:
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, MLFLOW_TRACKING_URI="http://127.0.0.1:1"):  # nobody listens
        ...     download("models:/student@champion")
        Traceback (most recent call last):
            ...
        ValueError: MLFLOW_TRACKING_URI=http://127.0.0.1:1: no server answers there ...
    """
    require_store()
    with _in_one_line():
        return _downloaded(uri)


def _downloaded(uri: str) -> Path:
    _client()
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        return Path(download_artifacts(uri))
    except (MlflowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{uri}: not in the registry {store_name()} ({reason})") from None


def download_model(uri: str) -> Path:
    """Return the folder of weights (model.json, model.safetensors) of a registered model.

    `uri` is `models:/NAME@ALIAS` or `models:/NAME/VERSION`. ValueError as in `download`, and for a
    model that maskspace did not register.

    Example:
        >>> download_model("student")
        Traceback (most recent call last):
            ...
        ValueError: student: a registered model is models:/NAME@ALIAS or models:/NAME/VERSION
    """
    if not re.fullmatch(r"models:/[^/@]+(@[^/@]+|/[^/@]+)", uri):
        raise ValueError(f"{uri}: a registered model is models:/NAME@ALIAS or models:/NAME/VERSION")
    descriptions = sorted(download(uri).glob("artifacts/*/model.json"))
    if not descriptions:
        raise ValueError(f"{uri}: holds no model.json; it was not registered by maskspace")
    return descriptions[0].parent


def holds(receipt: Receipt) -> bool:
    """Return whether the registry still holds what a receipt says: version, files and alias.

    SQLite stores are read directly, in milliseconds; others are asked through MLflow's client.

    Example:
        >>> receipt = Receipt(
        ...     name="student", version="3", run_id="0", champion=True, previous=None, metric="ap",
        ...     value=0.5, tracking_uri="sqlite:////another/store.db")
        >>> holds(receipt)  # not the store that is asked
        False
    """
    if receipt.tracking_uri != tracking_uri():
        return False
    database = _database(receipt.tracking_uri)
    if database is not None:
        return _sqlite_holds(receipt, database)
    with _in_one_line():
        client = _client()
        version = _unless_missing(lambda: client.get_model_version(receipt.name, receipt.version))
    if version is None:
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
            row_of_version = store.execute(version, (*key, receipt.run_id)).fetchone()
            row_of_alias = store.execute(alias, (receipt.name, ALIAS)).fetchone()
    except sqlite3.Error:
        return False
    if row_of_version is None or not _files_exist(row_of_version[0]):
        return False
    return (str(row_of_alias[0]) if row_of_alias is not None else None) == receipt.alias_on


def _files_exist(location: str | None) -> bool:
    parsed = urlparse(location or "")
    if parsed.scheme not in ("", "file"):
        return True
    return bool(location) and Path(unquote(parsed.path), "MLmodel").is_file()


def _client() -> "MlflowClient":
    """Return a client of the store; an SQLite store that is not there is made."""
    uri = tracking_uri()
    require_store()
    database = _database(uri)
    if database is not None:
        _make_folder(database.parent)
        # Where MLflow's own experiment 0 would put files, quoted: it writes this into SQL as it is.
        root = (database.absolute().parent / "artifacts").as_uri()
        os.environ.setdefault("_MLFLOW_SERVER_ARTIFACT_ROOT", root)
    _silence()
    import mlflow

    mlflow.set_tracking_uri(uri)
    # unset, it follows the store; set, MLflow writes it into the environment, where it would stay
    mlflow.set_registry_uri(os.environ.get("MLFLOW_REGISTRY_URI", ""))
    return mlflow.MlflowClient()


def _silence() -> None:
    """Let MLflow say errors only; it reads the environment when it is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.ERROR)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{folder}: cannot be made ({error.strerror}); set MLFLOW_TRACKING_URI to a store "
            "elsewhere"
        ) from None


def _experiment(client: "MlflowClient", name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return experiment.experiment_id
    database, location = _database(tracking_uri()), None
    if database is not None:
        # MLflow's default for SQLite is ./mlruns of whatever process asks first.
        location = (database.absolute().parent / "artifacts" / name).as_uri()
    return client.create_experiment(name, artifact_location=location)


def _find_run(client: "MlflowClient", run_id: str) -> Any:
    return _unless_missing(lambda: client.get_run(run_id))


def _unless_missing(ask: Callable[[], Any]) -> Any:
    """Return the answer, or None if the store answers that there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _version(registered: Any) -> Version:
    value = registered.tags.get("value")
    return Version(
        name=registered.name,
        version=str(registered.version),
        run_id=registered.run_id or "",
        value=None if value is None else float(value),
        content=registered.tags.get("content", ""),
        comparison=registered.tags.get("comparison", ""),
        metric=" on ".join(
            registered.tags[k] for k in ("metric", "datasets") if k in registered.tags
        ),
    )


def _flatten(params: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
