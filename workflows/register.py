"""Stage `register`: the student to the registry, proven on its own, promoted if better."""

import json
import os
from pathlib import Path

import numpy as np

from maskspace import tracking
from maskspace.config import load_section, read_params
from maskspace.data.dense import dense
from maskspace.data.shards import open_shards
from maskspace.models.weights import read_description
from maskspace.segmenter.wrapping import load_folder
from maskspace.serving.config import REGIONS, PromotionMetric, RegisterConfig
from maskspace.serving.gate import Measured, Verdict, judge, read_measured
from maskspace.serving.registered import log_student, predict_alone
from maskspace.spool import send_spooled, shard_inputs, source_tags, weights_hash
from workflows.frame import fingerprint, publish, stage_main, work_folder
from workflows.profiles import WORKSPACES

STUDENT, EVALUATED = Path("build/student"), Path("build/evaluate")
_DESCRIPTION = (
    "maskspace's student: an image is cut into any number of regions, or into ranked proposals, or "
    "answers clicks. A version's tags say what it was measured by and on, and made of; "
    "`training_run` is the run that trained it."
)
#: What DVC sets in the environment of an experiment's stages.
EXPERIMENT = ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")


def main() -> None:
    """Write `build/register/receipt.json`."""
    config = load_section(RegisterConfig, "register")
    measured = measured_in(EVALUATED, config.metric)
    content = fingerprint("register")
    send_spooled()
    found = tracking.find_version(config.model_name, content)
    registered = found or register(config, measured, content)
    receipt = promote(registered, config, measured)
    partial = work_folder("register") / "receipt.json"
    tracking.write_receipt(receipt, partial)
    publish(partial, Path("build/register/receipt.json"))
    standing = "is" if receipt.champion else "does not become"
    print(f"register: {registered.uri} {standing} {tracking.ALIAS}: {receipt.reason}")
    print(f"register: {receipt.metric} {receipt.value:.4f}")


def measured_in(evaluated: Path, metric: PromotionMetric) -> Measured:
    """Return what the student was measured by, on the datasets that params.yaml names."""
    folders = {dataset: evaluated / dataset for dataset in metric.datasets}
    try:
        return read_measured(folders, model="student", metric=metric.name)
    except ValueError as error:
        raise ValueError(f"params.yaml: register.metric: {error}") from None


def register(config: RegisterConfig, measured: Measured, content: str) -> tracking.Version:
    """Return a new version, logged and proven; ValueError if it answers otherwise alone."""
    sample = open_shards(Path("build/validate") / config.metric.datasets[0], "test")[0]
    images = dense(sample).image[None]
    params = {"regions": REGIONS}
    answer = load_folder(STUDENT).partition(images[0], **params)[None]
    with tracking.run("register", config.model_name) as run:
        run.log_params(json.loads((STUDENT / "model.json").read_text()))
        run.log_params({"register": read_params(Path("params.yaml"))["register"]})
        run.log_metrics({config.metric.name: measured.value})
        for dataset in config.metric.datasets:
            run.log_artifacts(EVALUATED / dataset, f"evaluate/{dataset}")
        uri = log_student(run.id, STUDENT, example=(images, params), answer=answer)
        told = predict_alone(uri, images, params)
        if not np.array_equal(told, answer):
            share = np.mean(told != answer) if told.shape == answer.shape else 1.0
            raise ValueError(f"{uri}: alone it answers otherwise on {share:.1%} of pixels")
    trained = tracking.find_training(weights_hash(STUDENT))
    return tracking.register_version(
        uri,
        name=config.model_name,
        run_id=run.id,
        value=measured.value,
        content=content,
        tags={
            "metric": config.metric.name,
            "datasets": " ".join(config.metric.datasets),
            "split": "test",
            "comparison": measured.comparison,
            **({} if trained is None else {"training_run": trained}),
            **_lineage(),
        },
        description=_DESCRIPTION,
    )


def _lineage() -> dict[str, str]:
    """Return what the student was made of: its training's own words, commit and data."""
    made = read_description(STUDENT).get("provenance", {})
    shards = Path("build/validate")
    known = [name for name in made.get("data", {}) if (shards / name / "manifest.json").is_file()]
    inputs = shard_inputs(shards, known)
    commit = source_tags().get("mlflow.source.git.commit")
    return {
        "provenance": json.dumps(made)[:5000],
        **{f"data.{one.name}": one.digest for one in inputs},
        **({} if commit is None else {"git_commit": commit}),
    }


def promote(
    registered: tracking.Version, config: RegisterConfig, measured: Measured
) -> tracking.Receipt:
    """Move the alias if the version is better than the champion; return what the registry holds."""
    present = tracking.champion(config.model_name)
    if present is not None and present.version == registered.version:
        verdict = Verdict(champion=True, reason="it was before")
    else:
        verdict = _withheld(config) or judge(measured, _measured_before(present, config.metric))
        if verdict.champion:
            tracking.promote(registered)
    return tracking.Receipt(
        name=registered.name,
        version=registered.version,
        run_id=registered.run_id,
        champion=verdict.champion,
        previous=present.version if present is not None else None,
        metric=f"mean {config.metric.name} on {' '.join(config.metric.datasets)}",
        value=measured.value,
        tracking_uri=tracking.tracking_uri(),
        reason=verdict.reason,
    )


def _withheld(config: RegisterConfig) -> Verdict | None:
    """Return the verdict on a version that must not become champion however good it is."""
    told = "`maskspace registry promote` does it by hand"
    if config.promote == "never":
        return Verdict(champion=False, reason=f"register.promote is never; {told}")
    if config.promote == "always":
        return None
    if any(name in os.environ for name in EXPERIMENT):
        return Verdict(champion=False, reason=f"an experiment of DVC moves no alias; {told}")
    workspace = Path.cwd()
    if workspace.parent.name == WORKSPACES.name and not tracking.is_own_store():
        return Verdict(
            champion=False,
            reason=f"the profile {workspace.name} moves no alias of a store that others share; "
            f"set register.promote to always, or {told}",
        )
    return None


def _measured_before(present: tracking.Version | None, metric: PromotionMetric) -> Measured | None:
    """Return what the champion was measured by; without its evaluation, nothing is like it."""
    if present is None:
        return None
    try:
        folder = tracking.run_files(present.run_id, "evaluate")
        return measured_in(folder, metric)
    except ValueError:
        return Measured(metric=metric.name, images={})


if __name__ == "__main__":
    stage_main(main)
