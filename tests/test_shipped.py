"""What leaves the repository works where nothing is but what it says that it requires."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import requests
import torch
from packaging.requirements import Requirement
from PIL import Image

import maskspace
from maskspace import tracking
from maskspace.models import load_model
from maskspace.serving import registered
from maskspace.serving.environment import link_environment
from maskspace.serving.requirements import closure_pins, needs_of, pins

ROOT = Path(__file__).resolve().parents[1]
STUDENT = Path(maskspace.__file__).parent / "weights" / "student"
REGIONS = 6

#: Declared and imported by nobody here: who uses it.
USED_BY_OTHERS = {"dvc": "the stages are its commands", "optuna": "Ray Tune's search imports it"}


@dataclass(frozen=True)
class Shipped:
    """What is sent away: its requirements, files to install beside them, how it is asked.

    `ask` takes the interpreter of an environment and a folder with image.npy and image.png.
    """

    requirements: list[str]
    ask: Callable[[Path, Path], np.ndarray]
    answer: np.ndarray
    wheel: Path | None = None


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    rows, columns = np.mgrid[:64, :96]
    blobs = np.stack([rows // 16 * 50, columns // 16 * 40, (rows + columns) // 32 * 40], axis=-1)
    noise = np.random.default_rng(0).integers(0, 40, blobs.shape)
    return (blobs + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def partition(image) -> np.ndarray:
    return maskspace.load("student").partition(image, regions=REGIONS)


@pytest.fixture(scope="module")
def logged(image, partition, tmp_path_factory) -> Iterator[Path]:
    """The folder of the bundled student in a registry."""
    patch = pytest.MonkeyPatch()
    store = tmp_path_factory.mktemp("store")
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    example = (image[None], {"regions": REGIONS})
    with tracking.run("register", "student") as run:
        uri = registered.log_student(run.id, STUDENT, example=example, answer=partition[None])
    yield tracking.download(uri)
    patch.undo()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the package, built from a copy: building leaves files beside the sources."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, copy / name)
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, "."], cwd=copy, check=True, capture_output=True)
    return next(copy.glob("*.whl"))


def run(command: list[object], folder: Path) -> None:
    """Run a command with nothing of this process's environment for Python."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {**kept, **tracking.QUIET}


@pytest.fixture
def registered_model(logged, partition) -> Shipped:
    """A model of the registry, loaded by MLflow's pyfunc."""
    code = (
        "import mlflow.pyfunc, numpy, sys; model = mlflow.pyfunc.load_model(sys.argv[1]);"
        f"told = model.predict(numpy.load('image.npy')[None], params={{'regions': {REGIONS}}});"
        "numpy.save('told.npy', told)"
    )

    def ask(python: Path, folder: Path) -> np.ndarray:
        run([python, "-I", "-c", code, logged], folder)
        return np.load(folder / "told.npy")[0]

    return Shipped(registered.requirements(logged), ask, partition)


@pytest.fixture
def registered_model_over_http(logged, partition) -> Shipped:
    """A model of the registry, behind `mlflow models serve`."""

    def ask(python: Path, folder: Path) -> np.ndarray:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        serve = ["mlflow", "models", "serve", "--env-manager", "local", "--port", str(port)]
        path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
        with subprocess.Popen(
            [python.with_name("mlflow"), *serve[1:], "--model-uri", logged],
            env={**environment(), "PATH": path},
            cwd=folder,
        ) as server:
            try:
                return _ask_server(server, f"http://127.0.0.1:{port}", folder)
            finally:
                server.terminate()

    return Shipped(registered.requirements(logged), ask, partition)


def _ask_server(server: subprocess.Popen[bytes], url: str, folder: Path) -> np.ndarray:
    while server.poll() is None:
        try:
            requests.get(f"{url}/ping", timeout=60).raise_for_status()
            break
        except requests.ConnectionError:
            time.sleep(0.1)  # between two attempts; the server's end is what ends the loop
    asked = {
        "inputs": np.load(folder / "image.npy")[None].tolist(),
        "params": {"regions": REGIONS},
    }
    told = requests.post(f"{url}/invocations", json=asked, timeout=600)
    assert told.status_code == 200, told.text
    return np.array(told.json()["predictions"][0])


@pytest.fixture
def command_of_the_wheel(wheel, partition) -> Shipped:
    """The package from its wheel, asked by the command that it brings."""

    def ask(python: Path, folder: Path) -> np.ndarray:
        command = [python.with_name("maskspace"), "segment", "image.png", "--format", "npz"]
        run([*command, "--regions", REGIONS, "--out", "out"], folder)
        (written,) = (folder / "out").glob("*.npz")
        with np.load(written) as arrays:
            return arrays["labels"]

    return Shipped(required_by(wheel), ask, partition, wheel)


@pytest.fixture
def every_module_of_the_wheel(wheel) -> Shipped:
    """The package from its wheel: without the extras every module can be imported."""
    code = (
        "import importlib, maskspace, numpy, pkgutil\n"
        "found = pkgutil.walk_packages(maskspace.__path__, 'maskspace.', onerror=print)\n"
        "names = [each.name for each in found]\n"
        "[importlib.import_module(name) for name in names]\n"
        "numpy.save('told.npy', numpy.array(sorted(names)))\n"
    )

    def ask(python: Path, folder: Path) -> np.ndarray:
        run([python, "-I", "-c", code], folder)
        return np.load(folder / "told.npy")

    return Shipped(required_by(wheel), ask, np.array(modules()[1:]), wheel)


@pytest.fixture
def exported_graph(image, tmp_path, monkeypatch) -> Shipped:
    """What `torch.export` makes of the student: it needs torch alone."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it cannot be traced
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    student = load_model(STUDENT)
    head = next(iter(student(pixels)))
    torch.export.save(torch.export.export(student, (pixels,)), tmp_path / "student.pt2")
    torch.save(pixels, tmp_path / "pixels.pt")
    code = (
        "import torch; graph = torch.export.load('student.pt2').module()\n"
        f"told = graph(torch.load('pixels.pt', weights_only=True))[{head!r}]\n"
        "torch.save(told.detach(), 'told.pt')\n"
    )

    def ask(python: Path, folder: Path) -> np.ndarray:
        for name in ("student.pt2", "pixels.pt"):
            shutil.copyfile(tmp_path / name, folder / name)
        run([python, "-I", "-c", code], folder)
        return torch.load(folder / "told.pt", weights_only=True).numpy()

    with torch.inference_mode():
        return Shipped(pins({"torch"}), ask, student(pixels)[head].numpy())


def linked(folder: Path, shipped: Shipped) -> Path:
    """Return the interpreter of an environment of links to what is installed here."""
    return link_environment(folder, shipped.requirements)


def installed(folder: Path, shipped: Shipped) -> Path:
    """Return the interpreter of an environment that pip has filled, from its index or cache."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    (folder / "constraints.txt").write_text("\n".join(closure_pins(shipped.requirements)))
    install = [python, "-m", "pip", "install", "--quiet", "-c", "constraints.txt"]
    run([*install, *shipped.requirements], folder)
    return python


#: With links every row is quick but the registry's, which tests/serving asks in its own way.
QUICK = ("command_of_the_wheel", "every_module_of_the_wheel", "exported_graph")
SLOW = ("registered_model", "registered_model_over_http")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        *((name, linked) for name in QUICK),
        *(pytest.param(name, linked, marks=pytest.mark.slow) for name in SLOW),
        *(pytest.param(name, installed, marks=pytest.mark.slow) for name in (*QUICK, *SLOW)),
    ],
)
def test_where_nothing_else_is_it_answers_as_here(name, place, image, tmp_path, request):
    shipped = request.getfixturevalue(name)
    python = place(tmp_path / "env", shipped)
    if shipped.wheel is not None:
        install = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--no-deps",
            "--no-index",
        ]
        run([*install, shipped.wheel], tmp_path)
    folder = tmp_path / "asked"
    folder.mkdir()
    np.save(folder / "image.npy", image)
    Image.fromarray(image).save(folder / "image.png")
    np.testing.assert_array_equal(shipped.ask(python, folder), shipped.answer)


def required_by(wheel: Path) -> list[str]:
    """Return what a wheel requires without its extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    return [line for line in lines if "extra ==" not in line]


def modules() -> list[str]:
    package = Path(maskspace.__file__).parent
    paths = (path.relative_to(package.parent).with_suffix("") for path in package.rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def test_what_is_declared_is_what_is_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = _names(project["dependencies"])
    offered = _names([*extras["geo"], *extras["peers"], *extras["s3"]])
    source = Path(maskspace.__file__).parents[1]
    stages = [f"workflows.{path.stem}" for path in ROOT.glob("workflows/*.py")]
    packages = needs_of(modules(), source).packages | needs_of(stages, ROOT).packages
    packages -= {"maskspace"}
    imported = _names(pins(packages))
    assert imported - declared <= offered
    assert declared - imported == set(USED_BY_OTHERS)


def _names(requirements: list[str]) -> set[str]:
    return {re.sub(r"[-_.]+", "-", Requirement(text).name).lower() for text in requirements}
