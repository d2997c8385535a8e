import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
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
from maskspace.serving.environment import link_environment
from workflows.frame import dependencies

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
FILES = sorted(
    path
    for path in INFRA.rglob("*")
    if path.is_file() and path.name != ".env" and path.suffix != ".pyc"
)
WORKFLOW = ROOT / ".github" / "workflows" / "tests.yaml"
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
MACHINES, CLOUD = documents("ray-cluster.yaml")[0], documents("ray-aws.yaml")[0]
(JOB,) = documents("rayjob.yaml")
CRD = json.loads((Path(__file__).parent / "kuberay_crd.json").read_text())
GROUPS = [CLUSTER["spec"]["headGroupSpec"], *CLUSTER["spec"]["workerGroupSpecs"]]
CONTAINERS = [pod for group in GROUPS for pod in group["template"]["spec"]["containers"]]
SLURM = (INFRA / "slurm.sh").read_text().replace("\\\n", " ")
OPTIONS = {
    "ray": source("ray", "scripts/scripts.py", "scripts/symmetric_run.py"),
    "mlflow": source("mlflow", "cli/__init__.py", "utils/cli_args.py"),
}


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield who runs what: every command line of `ray` and of `mlflow` in the files."""
    for name, service in SERVICES.items():
        line = [*service.get("entrypoint", []), *service.get("command", [])]
        if line[:1] == ["sh"]:
            line = shlex.split(line[2].splitlines()[0])
        if line[:1] in (["ray"], ["mlflow"]):
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
        yield f"cloud-{key}", shlex.split(CLOUD[key][0])
    (line,) = re.findall(r"srun .*?ray (symmetric-run .*?) -- ", SLURM)
    yield "slurm", ["ray", *shlex.split(line)]


@pytest.mark.parametrize(("who", "line"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_commands_and_their_options_exist(who: str, line: list[str]) -> None:
    program, verb, *options = line
    assert (Path(sys.executable).parent / program).is_file()
    assert verb in {"ray": ("start", "symmetric-run"), "mlflow": ("server",)}[program]
    for option in (option for option in options if option.startswith("-")):
        assert f'"{option.partition("=")[0]}"' in OPTIONS[program], f"{who}: {option}"


def test_everything_of_ours_runs_the_image_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    images = {device: f"maskspace:{project['version']}-{device}" for device in ("cpu", "cuda")}
    ours = [service for service in SERVICES.values() if "build" in service]
    assert {service["image"] for service in ours} == {
        f"maskspace:{project['version']}-${{DEVICE:-cpu}}"
    }
    for group in GROUPS:
        for pod in group["template"]["spec"]["containers"]:
            gpu = "nvidia.com/gpu" in pod["resources"]["limits"]
            assert pod["image"] == images["cuda" if gpu else "cpu"]
    assert CLOUD["docker"]["image"] == images["cuda"]
    named = set(re.findall(r"maskspace:\d[\w.]*", "".join(f.read_text() for f in FILES)))
    assert named == {f"maskspace:{project['version']}"}
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
    for service in (service for service in SERVICES.values() if "build" in service):
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
        assert f"{name}={value}" in SLURM.split()
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            assert f"{name}={value}" in MACHINES[key][0].split()


def test_services_name_services_volumes_and_hosts_that_exist() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for volume in service.get("volumes", []):
            place = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            assert place in COMPOSE["volumes"] or (INFRA / place).exists()
    environment = SERVICES["repro"]["environment"]
    assert environment["RAY_ADDRESS"] == "ray-head:6379"
    assert "--address=ray-head:6379" in SERVICES["ray-worker"]["command"]
    assert environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    (allowed,) = (word for word in SERVICES["mlflow"]["command"] if "allowed-hosts" in word)
    assert "mlflow:5000" in allowed.partition("=")[2].split(",")
    (scraped,) = documents("prometheus.yaml")[0]["scrape_configs"][0]["dns_sd_configs"]
    for name in scraped["names"]:
        assert f"--metrics-export-port={scraped['port']}" in SERVICES[name]["command"]


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
        sources = [v.get("persistentVolumeClaim", {}).get("claimName") for v in pod["volumes"]]
        mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounted == {v["name"] for v in pod["volumes"]}
        assert set(sources) - {None} <= claims
    assert all(pod["resources"]["limits"] for pod in CONTAINERS)


@pytest.mark.parametrize("described", [MACHINES, CLOUD], ids=["own", "cloud"])
def test_ray_accepts_the_cluster_files(described: dict[str, Any]) -> None:
    schema = json.loads(source("ray", "autoscaler/ray-schema.json"))
    jsonschema.validate(described, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(described | {"head_ip": "192.0.2.10"}, schema)


def test_workers_of_the_cloud_are_spot_and_the_head_is_not() -> None:
    market = "InstanceMarketOptions"
    spot = {
        name: kind["node_config"].get(market, {}).get("MarketType")
        for name, kind in CLOUD["available_node_types"].items()
    }
    assert spot == {"head": None, "cpu-spot": "spot", "gpu-spot": "spot"}


@pytest.mark.parametrize("described", [CLUSTER, JOB], ids=lambda one: one["kind"])
def test_the_operator_knows_every_key(described: dict[str, Any]) -> None:
    knows = jsonschema.Draft202012Validator(CRD | {"$ref": f"#/$defs/{described['kind']}"})
    knows.validate(described)
    free = ("resources", "limits", "requests", "rayStartParams", "annotations", "nodeSelector")
    parts = list(mappings(described["spec"]))
    named = [part for part in parts if not any(part is p.get(k) for p in parts for k in free)]
    for part in {id(part): part for part in named}.values():  # aliases are the same part
        part["typo"] = 1
        assert not knows.is_valid(described)
        del part["typo"]


def test_the_job_runs_on_the_cluster_and_says_nothing_that_the_operator_refuses() -> None:
    assert JOB["spec"]["clusterSelector"] == {"ray.io/cluster": CLUSTER["metadata"]["name"]}
    assert "rayClusterSpec" not in JOB["spec"]
    assert "backoffLimit" not in JOB["spec"]  # "incompatible with ClusterSelector mode"
    for group in CLUSTER["spec"]["workerGroupSpecs"]:
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    (gpu,) = (g for g in CLUSTER["spec"]["workerGroupSpecs"] if g["groupName"] == "gpu")
    assert gpu["template"]["spec"]["nodeSelector"] and CLUSTER["spec"]["enableInTreeAutoscaling"]


CHECKS = {
    "compose": ["check-jsonschema", "--builtin-schema", "vendor.compose-spec"],
    "workflow": ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
    "dockerfile": ["hadolint"],
    "script": ["shellcheck"],
}
CHECKED = {
    "compose": INFRA / "compose.yaml",
    "workflow": WORKFLOW,
    "dockerfile": INFRA / "Dockerfile",
    "script": INFRA / "slurm.sh",
}


@pytest.mark.parametrize("name", CHECKS)
def test_its_own_checker_finds_nothing(name: str) -> None:
    program, *options = CHECKS[name]
    path = Path(sys.executable).parent / program
    done = subprocess.run([path, *options, CHECKED[name]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_runs_what_the_makefile_has() -> None:
    workflow = YAML(typ="safe", pure=True).load(WORKFLOW.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    targets = re.findall(r"make (\w+)", WORKFLOW.read_text())
    makefile = (ROOT / "Makefile").read_text()
    assert targets and all(f"\n{target}:" in makefile for target in targets)


def test_the_dashboard_shows_metrics_that_ray_exports() -> None:
    board = json.loads((INFRA / "grafana" / "dashboards" / "maskspace.json").read_text())
    sources = documents("grafana/provisioning/datasources/prometheus.yaml")[0]["datasources"]
    known = source(
        "ray",
        "dashboard/modules/reporter/reporter_agent.py",
        "dashboard/modules/metrics/dashboards/default_dashboard_panels.py",
    )
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 0
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == sources[0]["uid"]
        for target in panel["targets"]:
            for name in re.findall(r"\bray_\w+", target["expr"]):
                assert name in known or f'"{name.removeprefix("ray_")}"' in known, name


def test_every_node_asks_for_the_token_and_no_file_holds_one() -> None:
    nodes = [service for service in SERVICES.values() if "user" in service]
    for node in nodes:
        assert node["environment"]["RAY_AUTH_MODE"] == "token"
        assert node["environment"]["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")
    assert CLUSTER["spec"]["authOptions"] == {"mode": "token", "secretName": "maskspace-ray"}
    assert "--env RAY_AUTH_MODE=token" in CLOUD["docker"]["run_options"]
    assert "~/.ray/auth_token" in CLOUD["file_mounts"]
    assert "RAY_AUTH_MODE=token" in SLURM
    assert "/.env" in (INFRA / ".gitignore").read_text().split()
    secret = re.compile(r"(?i)(token|password|secret|key)\w*[\"']?\s*[:=]\s*[\"']?[\w+/-]{16,}")
    for file in FILES:
        text = re.sub(r"maskspace-\w+|secretKeyRef", "", file.read_text())
        assert not secret.search(text), file
        assert not re.search(r"\b[0-9a-fA-F]{24,}\b|BEGIN [A-Z ]*PRIVATE KEY", text)
    kinds = {entry.get("kind") for entry in mappings(documents("kuberay.yaml"))}
    assert "Secret" not in kinds


def test_nothing_is_published_beyond_this_machine_and_servers_ask_who_comes() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    servers = [SERVICES["mlflow"]["command"], *(pod["args"] for pod in CONTAINERS if "args" in pod)]
    assert len(servers) == 2 and all("--app-name=basic-auth" in words for words in servers)
    assert "--host=127.0.0.1" in servers[1]
    for name, variables in {
        "mlflow": ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY", "PGPASSWORD"),
        "postgres": ("POSTGRES_PASSWORD",),
        "grafana": ("GF_SECURITY_ADMIN_PASSWORD",),
    }.items():
        for variable in variables:
            assert SERVICES[name]["environment"][variable].startswith("${")


def test_the_guide_has_a_command_for_every_file_and_every_secret() -> None:
    guide = (ROOT / "docs" / "scale.md").read_text()
    for name in ("Dockerfile", "compose.yaml", "kuberay.yaml", "rayjob.yaml", "slurm.sh"):
        assert f"infra/{name}" in guide
    for name in ("ray-cluster.yaml", "ray-aws.yaml"):
        assert f"ray up infra/{name}" in guide
    assert "--profile monitoring" in guide
    asked = set(re.findall(r"\$\{(\w+):\?", (INFRA / "compose.yaml").read_text()))
    assert asked and all(name in guide for name in asked)


def built(folder: Path) -> Path:
    """What the image holds, made by the Dockerfile's own steps: its files, its requirements."""
    rules = (INFRA / "Dockerfile.dockerignore").read_text().split()
    for rule in (rule[1:] for rule in rules if rule.startswith("!")):
        place = folder / rule
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / rule).is_dir() else shutil.copyfile
        ignored = {"ignore": shutil.ignore_patterns("__pycache__")}
        copy(ROOT / rule, place, **(ignored if (ROOT / rule).is_dir() else {}))
    return folder


@pytest.mark.slow
def test_its_steps_without_docker_make_a_place_where_the_pipeline_starts(tmp_path: Path) -> None:
    image = built(tmp_path / "maskspace")
    asked = [sys.executable, "infra/requirements.py"]
    required = subprocess.check_output(asked, cwd=image, text=True).split()
    python = link_environment(tmp_path / "env", required)
    (image / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(image / "src"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [python, "-m", "workflows", "--dry-run", "shards@rectangles"],
        cwd=image,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "would run" in done.stdout


def test_the_image_requires_the_extras_that_extras_name() -> None:
    spec = importlib.util.spec_from_file_location("requirements", INFRA / "requirements.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = set(module.required(project, ["cluster"]))
    extras = project["optional-dependencies"]
    assert set(project["dependencies"]) | set(extras["s3"]) < found
    assert not any(line.startswith("maskspace") for line in found)
