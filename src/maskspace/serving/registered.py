"""The student in the registry: logged with what it needs, asked where it has nothing else."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from maskspace import tracking
from maskspace.serving.environment import link_environment
from maskspace.serving.requirements import closure_pins, needs_of, pins

#: The module that serves it, by the name under which its needs are found.
LOADER = "maskspace.serving.pyfunc"

_ASK = """
import json, sys, numpy, mlflow.pyfunc
folder, given, told, params = sys.argv[1:]
model = mlflow.pyfunc.load_model(folder)
numpy.save(told, model.predict(numpy.load(given), params=json.loads(params)))
"""


def log_student(
    run_id: str,
    weights: Path,
    *,
    example: tuple[np.ndarray, Mapping[str, object]],
    answer: np.ndarray,
) -> str:
    """Return the address of the folder `weights` logged as a model that `pyfunc` serves.

    With it go the files of our package that `pyfunc` imports and no others, the distributions that
    they import, pinned as they are installed, and the pins of all that those bring with them as
    pip's constraints. `example` is an input with its params, `answer` what the model says to it.
    """
    root = Path(__file__).parents[2]
    needs = needs_of([LOADER], root)
    required = pins(needs.packages)
    with tempfile.TemporaryDirectory() as scratch:
        code, constraints = Path(scratch, "code"), Path(scratch, "constraints.txt")
        _copy(needs.files, root, code)
        constraints.write_text("\n".join(closure_pins(required)) + "\n")
        return tracking.log_model(
            run_id,
            weights,
            name="student",
            loader=root.joinpath(*LOADER.split(".")).with_suffix(".py"),
            code=code / "maskspace",
            example=example,
            answer=answer,
            requirements=[*required, f"-c {constraints}"],
        )


def _copy(files: Iterable[Path], root: Path, folder: Path) -> None:
    for file in files:
        copy = folder / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def requirements(folder: Path) -> list[str]:
    """Return what the model in a downloaded folder says that it requires.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "requirements.txt").write_text("numpy==2.0")
        >>> requirements(folder)
        ['numpy==2.0']
    """
    lines = folder.joinpath("requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("-", "#"))]


def predict_alone(uri: str, images: np.ndarray, params: Mapping[str, object]) -> np.ndarray:
    """Return what a registered model answers in an environment of its own requirements alone.

    The environment is made of links to what is installed here (`link_environment`): what the model
    needs and does not require is missing there, as it would be for its user. Raises RuntimeError
    with the end of that process's complaint if the model cannot be loaded or asked, ValueError if
    the registry does not have it or what it requires is not installed here.
    """
    folder = tracking.download(uri)
    with tempfile.TemporaryDirectory() as scratch:
        python = link_environment(Path(scratch, "env"), requirements(folder))
        given, told = Path(scratch, "given.npy"), Path(scratch, "told.npy")
        np.save(given, images)
        command = [str(python), "-I", "-c", _ASK, str(folder), str(given), str(told)]
        done = subprocess.run(
            [*command, json.dumps(params)],
            cwd=scratch,
            env={**os.environ, **tracking.QUIET},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"{uri}: its requirements do not let it load and predict: {last}")
        return np.load(told)
