"""Stage `standings`: the objectives' models against each other; docs/objectives.md is its page."""

from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section
from maskspace.data.shards import open_shards
from maskspace.evaluation.standings import measure_standings, trained, untrained
from maskspace.evaluation.standings_page import draw_standings, write_standings
from maskspace.objectives.about import about
from maskspace.segmenter import redecoded
from maskspace.segmenter.peer_loading import load_peer
from maskspace.segmenter.wrapping import load_folder
from maskspace.training.config import ObjectivesConfig
from maskspace.training.drawing import draw_trainings
from workflows.frame import publish, stage_main, work_folder

MODELS = Path("build/objectives")
PEERS = ("felzenszwalb", "otsu-watershed")
PICTURES = "pictures/objectives-{}.png"
HEADING = """# Objectives on equal budgets

Every objective trains the same student on the same data for as many steps, and is read by its own
decoder. That of colours is their merge tree, whose nodes are nested and as many as there is room
for; `NAME, DECODER` reads them by disjoint instances instead. `read at` is what the decoder groups
by, where another than its own was best on some images of `train`. `oracle` is the mean best IoU of
the nearest true means: what the embedding is worth, whatever the decoder does. `TP/(TP+FP+FN)` is
at an IoU of 0.5, pooled over images. ms/step and peak MB, of the whole process beyond its start,
are of the machine as it was: of several seeds the least time and the most memory.
Written by the stage `standings`: {steps} steps, up to {limit} images of `val` a dataset.
"""


def main() -> None:
    """Write `build/standings`: objectives.md, standings.csv and .json, and all pictures."""
    config = load_section(ObjectivesConfig, "objectives")
    work = work_folder("standings")
    datasets, tuning = (
        {
            name: open_shards(Path("build/validate") / name, split)[:limit]
            for name in config.datasets
        }
        for split, limit in (("val", config.limit), ("train", config.tuning_images))
    )
    peers = {name: peer for name in PEERS if (peer := load_peer(name)) is not None}
    contestants = [
        contestant
        for name in datasets
        for contestant in [
            *trained(
                MODELS / name,
                seeds=config.seeds,
                load=lambda place: load_folder(Path(place)),
                redecoded=redecoded,
                factors=config.decoder_factors,
            ),
            *untrained(name, peers),
        ]
    ]
    standings = measure_standings(
        contestants,
        datasets,
        min_area=config.min_area,
        proposals=config.proposals,
        tuning=tuning,
        work=work / "rows",
        map_contestants=partial(parallel.map_units, describe="standings: models"),
    )
    write_standings(
        standings,
        work / "out",
        about=about(config.objectives),
        heading=HEADING.format(steps=config.steps, limit=config.limit),
        drawn={name: PICTURES.format(name) for name in datasets},
    )
    for name, samples in datasets.items():
        shown = [
            (contestant, standing.reading)
            for contestant, standing in zip(contestants, standings, strict=True)
            if contestant.dataset == name and contestant.seed in (None, config.seeds[0])
        ]
        draw_standings(shown, samples[: config.shown], work / "out" / PICTURES.format(name))
    draw_trainings(MODELS, work / "out" / "trainings")
    publish(work / "out", Path("build/standings"))


if __name__ == "__main__":
    stage_main(main)
