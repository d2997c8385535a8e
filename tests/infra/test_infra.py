import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from maskspace import parallel
from workflows.frame import dependencies

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
FILES = sorted(path for path in INFRA.iterdir() if path.name != ".env")
DOCKERFILE = (INFRA / "Dockerfile").read_text().replace("\\\n", " ")


def documents(name: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all((INFRA / name).read_text()))


def instructions(word: str) -> list[str]:
    return re.findall(rf"^{word}\s+(.+)$", DOCKERFILE, re.MULTILINE)


def pinned(name: str) -> str:
    found = re.search(rf"^{name}==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def source(package: str, *files: str) -> str:
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    return "".join(Path(spec.origin).parent.joinpath(file).read_text() for file in files)


def mappings(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from mappings(item)
    elif isinstance(value, list):
        for item in value:
            yield from mappings(item)


COMPOSE = documents("compose.yaml")[0]
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CLAIMS, CLUSTER = documents("kuberay.yaml")[:-1], documents("kuberay.yaml")[-1]
MACHINES = documents("ray-cluster.yaml")[0]
GROUPS = [CLUSTER["spec"]["headGroupSpec"], *CLUSTER["spec"]["workerGroupSpecs"]]
CONTAINERS = [pod for group in GROUPS for pod in group["template"]["spec"]["containers"]]
OPTIONS = {
    "ray": source("ray", "scripts/scripts.py"),
    "mlflow": source("mlflow", "cli/__init__.py", "utils/cli_args.py"),
}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield who runs what: every command line of `ray` and of `mlflow` in the files."""
    for name, service in SERVICES.items():
        line = [*service["entrypoint"], *service["command"]]
        if line[0] == "sh":
            line = shlex.split(line[2].splitlines()[0])
        yield name, line
    for group in GROUPS:
        params = [f"--{key}={value}" for key, value in group["rayStartParams"].items()]
        yield group.get("groupName", "head"), ["ray", "start", *params]
    for pod in CONTAINERS:
        if "command" in pod:
            yield pod["name"], [*pod["command"], *pod["args"]]
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        words = shlex.split(MACHINES[key][0])
        yield key, ["ray", *words[words.index(".venv/bin/ray") + 1 :]]


@pytest.mark.parametrize(("who", "line"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_commands_and_their_options_exist(who: str, line: list[str]) -> None:
    program, verb, *options = line
    assert (Path(sys.executable).parent / program).is_file()
    assert verb == {"ray": "start", "mlflow": "server"}[program]
    for option in options:
        assert f'"{option.partition("=")[0]}"' in OPTIONS[program], f"{who}: {option}"


def test_everything_runs_the_one_image_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    image = f"maskspace:{project['version']}"
    assert {service["image"] for service in SERVICES.values()} == {image}
    assert {pod["image"] for pod in CONTAINERS} == {image}
    assert set(re.findall(r"maskspace:\d[\w.]*", "".join(f.read_text() for f in FILES))) == {image}
    (base,) = instructions("FROM")
    assert project["requires-python"].startswith(f">={base.removeprefix('python:').split('-')[0]}")


def test_versions_are_those_of_the_constraints() -> None:
    assert CLUSTER["spec"]["rayVersion"] == pinned("ray")
    for text in (file.read_text() for file in FILES):
        for name, version in re.findall(r"\b([a-z][\w-]*)(?:\[[\w,]+\])?==(\d[\w.]*)", text):
            assert version == pinned(name)
    installs = [line for line in instructions("RUN") if "pip install" in line]
    assert installs and all("-c constraints.txt" in line for line in installs)


def test_the_build_finds_its_files_and_the_image_what_the_stages_depend_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    for service in SERVICES.values():
        context = INFRA / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).samefile(INFRA / "Dockerfile")
    rules = (INFRA / "Dockerfile.dockerignore").read_text().split()
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    assert rules[0] == "*" and all((ROOT / path).exists() for path in kept)
    params = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage, described in stages.items():
        over = described.get("foreach", [""])
        for item in over if isinstance(over, list) else params[over.strip("${}")]:
            for path in dependencies(stage, item, params)[0]:
                assert path.parts[0] in kept | {"build", "data"}


def test_nodes_get_the_environment_of_a_local_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"RAY_ADDRESS": "head:6379"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", environment)
        parallel.set_environment()
    del environment["RAY_ADDRESS"]
    in_image = set(" ".join(instructions("ENV")).split())
    for name, value in environment.items():
        assert f"{name}={value}" in in_image
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            assert f"{name}={value}" in MACHINES[key][0].split()


def test_services_name_services_volumes_and_hosts_that_exist() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for volume in service["volumes"]:
            place = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            assert place in COMPOSE["volumes"] or (INFRA / place).is_dir()
    environment = SERVICES["repro"]["environment"]
    assert environment["RAY_ADDRESS"] == "ray-head:6379"
    assert "--address=ray-head:6379" in SERVICES["ray-worker"]["command"]
    assert environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    (allowed,) = (word for word in SERVICES["mlflow"]["command"] if "allowed-hosts" in word)
    assert "mlflow:5000" in allowed.partition("=")[2].split(",")


def test_all_nodes_see_the_checkout_at_the_same_path() -> None:
    (place,) = instructions("WORKDIR")
    nodes = [service for service in SERVICES.values() if "user" in service]
    assert len(nodes) == 3 and all(f"..:{place}" in node["volumes"] for node in nodes)
    for group in GROUPS:
        mounts = group["template"]["spec"]["containers"][0]["volumeMounts"]
        assert {"name": "maskspace", "mountPath": place} in mounts
    assert f"cd {place} " in MACHINES["head_start_ray_commands"][0]
    assert f"cd {place} " in MACHINES["worker_start_ray_commands"][0]


def test_claims_mounts_and_volumes_of_the_cluster_fit() -> None:
    claims = {claim["metadata"]["name"] for claim in CLAIMS}
    for group in GROUPS:
        pod = group["template"]["spec"]
        volumes = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]}
        mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounted == set(volumes) and set(volumes.values()) <= claims
    assert all(pod["resources"]["limits"] for pod in CONTAINERS)


def test_ray_accepts_the_cluster_file() -> None:
    schema = json.loads(source("ray", "autoscaler/ray-schema.json"))
    jsonschema.validate(MACHINES, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(MACHINES | {"head_ip": "192.0.2.10"}, schema)


def test_every_node_asks_for_the_token_and_no_file_holds_one() -> None:
    nodes = [service for service in SERVICES.values() if "user" in service]
    assert all(node["environment"]["RAY_AUTH_MODE"] == "token" for node in nodes)
    assert all(node["env_file"] == [".env"] for node in nodes)
    for group in GROUPS:
        env = {e["name"]: e for e in group["template"]["spec"]["containers"][0]["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token"
        assert set(env["RAY_AUTH_TOKEN"]["valueFrom"]) == {"secretKeyRef"}
    assert "/.env" in (INFRA / ".gitignore").read_text().split()
    secret = re.compile(r"(?i)(token|password|secret|key)\w*[\"']?\s*[:=]\s*[\"']?[\w+/-]{16,}")
    for file in FILES:
        assert not secret.search(file.read_text()), file
        assert not re.search(r"\b[0-9a-fA-F]{24,}\b|BEGIN [A-Z ]*PRIVATE KEY", file.read_text())
    kinds = {entry.get("kind") for entry in mappings(documents("kuberay.yaml"))}
    assert "Secret" not in kinds
