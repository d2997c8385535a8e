import json
from dataclasses import replace

import numpy as np
import pytest

from maskspace.data import READERS
from maskspace.evaluation.standings import (
    Contestant,
    measure_standings,
    trained,
    untrained,
    whole_image,
)
from maskspace.evaluation.standings_page import draw_standings, ranked_standings, write_standings
from maskspace.masks import decode
from maskspace.models import MODELS, save_model
from maskspace.segmenter import redecoded
from maskspace.segmenter.loading import load
from maskspace.types import Prediction

OPTIONS = {"backbone": "b0", "width": 8, "registers": 1, "heads": None, "decoder": None}
OBJECTIVE = {"name": "balls", "options": {"radius": 0.2}}


@pytest.fixture(scope="module")
def samples():
    return list(READERS["rectangles"]("", seed=0, limit=3))


@pytest.fixture
def knowing(samples):
    """A contestant that knows the true masks by the image's mean."""
    known = {}
    from maskspace.types import read_rgb

    for sample in samples:
        masks = decode([a.counts for a in sample.annotations], sample.size_hw)
        known[float(read_rgb(sample.image).mean())] = masks

    def propose(image, limit):
        masks = known[float(image.mean())][:limit]
        return Prediction(masks, np.ones(len(masks), np.float32))

    return Contestant(
        dataset="rectangles", name="knowing", seed=0, propose=propose, model=None, cost={}
    )


def test_who_knows_comes_first_and_a_constant_last(samples, knowing):
    contestants = [*untrained("rectangles", {}), knowing]
    found = measure_standings(contestants, {"rectangles": samples}, min_area=1, proposals=100)
    order = [group[0].name for group in ranked_standings(found)["rectangles"]]
    assert order[0] == "knowing"
    assert order[-1] == "constant output"
    assert found[-1].score.mean_best_iou == 1
    assert found[-1].oracle is None


def test_the_reading_that_is_best_on_the_tuning_images_is_measured(samples, knowing):
    blind = replace(
        knowing,
        name="blind",
        propose=whole_image,
        readings={"b=1": whole_image, "b=2": knowing.propose},
    )
    data = {"rectangles": samples[:2]}
    options = {"min_area": 1, "proposals": 100}
    (tuned,) = measure_standings([blind], data, tuning={"rectangles": samples[2:]}, **options)
    assert tuned.reading == "b=2" and tuned.score.mean_best_iou == 1
    (own,) = measure_standings([blind], data, **options)
    assert own.reading == "" and own.score.mean_best_iou < 1
    # none of the others is better than its own
    (first,) = measure_standings(
        [replace(knowing, readings={"b=1": whole_image, "b=2": knowing.propose})],
        data,
        tuning=data,
        **options,
    )
    assert first.reading == ""


def test_what_was_measured_is_kept(samples, tmp_path):
    asked = []

    def propose(image, limit):
        asked.append(1)
        return whole_image(image, limit=limit)

    one = Contestant(dataset="rectangles", name="x", seed=1, propose=propose, model=None, cost={})
    data = {"rectangles": samples}
    first = measure_standings([one], data, min_area=1, proposals=9, work=tmp_path)
    again = measure_standings([one], data, min_area=1, proposals=9, work=tmp_path)
    assert again == first
    assert len(asked) == len(samples)


def test_trained_models_are_found_by_seed_with_an_oracle_of_their_own(samples, tmp_path):
    folder = tmp_path / "rectangles"
    for seed in (0, 3):
        place = folder / f"balls-seed{seed}"
        save_model(
            MODELS["pixel_embedding"](**OPTIONS),
            place,
            name="pixel_embedding",
            options=OPTIONS,
            provenance={"objective": OBJECTIVE},
        )
        (place / "cost.json").write_text(json.dumps({"milliseconds_a_step": 3.0, "peak_bytes": 9}))
    found = trained(folder, seeds=[3], load=load, redecoded=redecoded)
    assert [(c.name, c.seed) for c in found] == [("balls", 3), ("balls, mean_shift", 3)]
    standing, _ = measure_standings(found, {"rectangles": samples[:2]}, min_area=1, proposals=20)
    assert standing.oracle is not None and 0 < standing.oracle <= 1
    out = tmp_path / "out"
    write_standings(
        [standing], out, about={"balls": "words"}, heading="# x", drawn={"rectangles": "a/b.png"}
    )
    page = (out / "objectives.md").read_text()
    assert "| balls |" in page and "### balls" in page and "(a/b.png)" in page
    draw_standings([(c, "") for c in found], samples[:1], out / "a" / "b.png")
    assert (out / "a" / "b.png").stat().st_size > 0


def test_of_several_seeds_the_page_has_the_least_time_and_the_most_memory(samples, tmp_path):
    one = Contestant(
        dataset="rectangles", name="x", seed=0, propose=whole_image, model=None, cost={}
    )
    (first,) = measure_standings([one], {"rectangles": samples[:2]}, min_area=1, proposals=1)
    costs = ({"milliseconds_a_step": 7.0, "peak_bytes": 3e6}, {"milliseconds_a_step": 5.0}, {})
    seeds = [replace(first, seed=seed, cost=cost) for seed, cost in enumerate(costs)]
    write_standings(seeds, tmp_path, about={}, heading="# x")
    (row,) = (x for x in (tmp_path / "objectives.md").read_text().splitlines() if "| x |" in x)
    assert row.endswith("| 5 | 3 |")
