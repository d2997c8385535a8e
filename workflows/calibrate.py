"""Stage `calibrate`: heights and ranks of the student's tree, fitted on training images."""

from dataclasses import asdict
from functools import partial
from itertools import chain, islice
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section, read_params
from maskspace.data.open_shards import open_shards
from maskspace.models.weights import read_description, write_description
from maskspace.segmenter.border import BorderSegmenter
from maskspace.segmenter.wrapping import load_folder
from maskspace.training.calibration import CalibrateConfig, calibrated
from workflows.frame import publish, stage_main, work_folder

TRAINED, SHARDS = Path("build/distilled"), Path("build/validate")


def main() -> None:
    """Write `build/student`: `build/distilled`, with what is fitted in its model.json.

    A student without a tree of borders is passed on as it is.
    """
    config = load_section(CalibrateConfig, "calibrate")
    student = load_folder(TRAINED)
    if not isinstance(student, BorderSegmenter):
        publish(TRAINED, Path("build/student"))
        return
    data = read_params(Path("params.yaml"))["distill"]["data"]
    samples = chain.from_iterable(open_shards(SHARDS / name, "train") for name in sorted(data))
    rule = calibrated(
        student.rule,
        student.merging,
        islice(samples, config.limit),
        map_units=partial(parallel.map_units, describe="calibrate: images"),
    )
    out = work_folder("calibrate") / "out"
    publish(TRAINED, out)
    described = read_description(TRAINED)
    described["options"]["decoder"] = {"name": "border_tree", "options": {"rule": asdict(rule)}}
    write_description(out, described)
    publish(out, Path("build/student"))


if __name__ == "__main__":
    stage_main(main)
