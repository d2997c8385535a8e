from maskspace.config import Choice
from maskspace.data.crops import Crops
from maskspace.training.config import OverfitConfig, Workers
from maskspace.training.overfit import overfit
from tests.training.test_proposals import made

__all__ = ["made"]


def test_both_variants_are_scored_and_drawn(made, optimisation, tmp_path):
    config = OverfitConfig(
        dataset="rectangles",
        images=2,
        brightness=Choice(name="balls", options={"radius": 0.04}),
        colours=Choice(name="balls", options={}),
        model=Choice(name="pixel_embedding", options={"width": 8, "registers": 1}),
        crops=Crops(
            size=64,
            placement="square",
            augment=True,
            min_scale=1.0,
            max_scale=1.0,
            turns=True,
            shuffle_channels=False,
            contrast=0.0,
            brightness=0.0,
        ),
        optimisation=optimisation,
        workers=Workers(number=1, threads=1, loaders=0, gpu=False),
        floor=0.0,
    )
    scores = overfit(config, made / "shards", tmp_path / "run", tmp_path / "out")
    assert set(scores) == {"brightness", "colours"}
    assert all(0 <= score <= 1 for score in scores.values())
    assert {path.stem for path in (tmp_path / "out").glob("*.npz")} == set(scores)
    for name in scores:
        assert (tmp_path / "run" / name / "pictures" / "partition.png").stat().st_size > 0
