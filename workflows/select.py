"""Stage `select`: the sweep's models, scored by what the student is for; the best one's setting."""

from functools import partial
from pathlib import Path

from maskspace import parallel
from maskspace.config import load_section, read_params
from maskspace.data.shards import open_shards
from maskspace.evaluation.config import SelectConfig
from maskspace.evaluation.selection import (
    decoder_trials,
    rank_trials,
    ranking_table,
    read_sweep_trials,
    write_ranking,
)
from maskspace.segmenter import decoder_of, redecoded
from maskspace.segmenter.wrapping import load_folder
from workflows.frame import publish, stage_main, work_folder

SHARDS, SWEEP = Path("build/validate"), Path("build/sweep")


def main() -> None:
    """Write `build/select`: winner.json and ranking.csv."""
    config = load_section(SelectConfig, "select")
    work = work_folder("select")
    trained = read_sweep_trials(SWEEP / "trials.json")
    models = {trial.trial: load_folder(SWEEP / trial.trial) for trial in trained}
    trials = []
    for trial in trained:
        own = models[trial.trial]
        tried = decoder_trials(trial, decoder_of(own), config.decoder_factors)
        trials += tried
        models |= {t.trial: redecoded(own, t.decoder) for t in tried if t.decoder}
    data = read_params(Path("params.yaml"))["distill"]["data"]
    scores = rank_trials(
        trials,
        models,
        {name: open_shards(SHARDS / name, "val") for name in sorted(data)},
        config=config,
        work=work / "rows",
        map_units=partial(parallel.map_units, describe="select: images"),
    )
    write_ranking(scores, work / "out", metric=config.metric)
    print(ranking_table(scores), end="")
    publish(work / "out", Path("build/select"))


if __name__ == "__main__":
    stage_main(main)
