"""Stage `register`: the student to the registry, proven on its own, promoted if better."""

import json
from pathlib import Path

import numpy as np

from maskspace import tracking
from maskspace.config import load_section, read_params
from maskspace.data.dense import dense
from maskspace.data.shards import open_shards
from maskspace.segmenter.wrapping import load_folder
from maskspace.serving.config import REGIONS, PromotionMetric, RegisterConfig
from maskspace.serving.registered import log_student, predict_alone
from workflows.frame import fingerprint, publish, stage_main, work_folder

STUDENT = Path("build/student")


def main() -> None:
    """Write `build/register/receipt.json`."""
    config = load_section(RegisterConfig, "register")
    value = mean_metric(config.metric, Path("build/evaluate"))
    content = fingerprint("register")
    found = tracking.find_version(config.model_name, content)
    registered = found or register(config, value, content)
    receipt = promote(registered, config, value)
    partial = work_folder("register") / "receipt.json"
    tracking.write_receipt(receipt, partial)
    publish(partial, Path("build/register/receipt.json"))
    standing = "is" if receipt.champion else "does not become"
    print(f"register: {registered.uri} {standing} {tracking.ALIAS} ({receipt.metric} {value:.4f})")


def mean_metric(metric: PromotionMetric, evaluated: Path) -> float:
    """Return the mean over the datasets of the student's metric in metrics.json."""
    values = []
    for dataset in metric.datasets:
        path = evaluated / dataset / "metrics.json"
        students = json.loads(path.read_text())[dataset]["student"]
        if metric.name not in students:
            known = ", ".join(key for key, item in students.items() if isinstance(item, float))
            raise ValueError(
                f"params.yaml: register.metric.name: {metric.name!r} is not in {path}, "
                f"which has {known}"
            )
        values.append(float(students[metric.name]))
    return float(np.mean(values))


def register(config: RegisterConfig, value: float, content: str) -> tracking.Version:
    """Return a new version, logged and proven; ValueError if it answers otherwise alone."""
    sample = open_shards(Path("build/validate") / config.metric.datasets[0], "test")[0]
    images = dense(sample).image[None]
    params = {"regions": REGIONS}
    answer = load_folder(STUDENT).partition(images[0], **params)[None]
    with tracking.run("register", config.model_name) as run:
        run.log_params(json.loads((STUDENT / "model.json").read_text()))
        run.log_params({"register": read_params(Path("params.yaml"))["register"]})
        run.log_metrics({config.metric.name: value})
        for dataset in config.metric.datasets:
            run.log_artifacts(Path("build/evaluate") / dataset, f"evaluate/{dataset}")
        uri = log_student(run.id, STUDENT, example=(images, params), answer=answer)
        told = predict_alone(uri, images, params)
        if not np.array_equal(told, answer):
            share = np.mean(told != answer) if told.shape == answer.shape else 1.0
            raise ValueError(f"{uri}: alone it answers otherwise on {share:.1%} of pixels")
    return tracking.register_version(
        uri, name=config.model_name, run_id=run.id, value=value, content=content
    )


def promote(registered: tracking.Version, config: RegisterConfig, value: float) -> tracking.Receipt:
    """Move the alias if the version is better than the champion; return what the registry holds."""
    present = tracking.champion(config.model_name)
    better = present is None or present.value is None or value > present.value
    if better:
        tracking.promote(registered)
    stands = better or (present is not None and present.version == registered.version)
    return tracking.Receipt(
        name=registered.name,
        version=registered.version,
        run_id=registered.run_id,
        champion=stands,
        previous=present.version if present is not None else None,
        metric=f"mean {config.metric.name} on {' '.join(config.metric.datasets)}",
        value=value,
        tracking_uri=tracking.tracking_uri(),
    )


if __name__ == "__main__":
    stage_main(main)
