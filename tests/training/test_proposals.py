import pytest

from maskspace.config import Choice, build_section
from maskspace.data import READERS
from maskspace.data.config import ShardsConfig
from maskspace.data.shards import open_shards, write_dataset
from maskspace.models import save_model
from maskspace.parallel import map_here
from maskspace.partition.grid_clicks import ClickGrid
from maskspace.training.proposals import ProposalsConfig, write_proposals

CONFIG = ProposalsConfig(
    images_per_dataset=5, images_per_shard=2, limit=4, grid=ClickGrid(per_side=3)
)


@pytest.fixture
def made(tmp_path, click_task):
    section = {
        "reader": {"name": "rectangles", "options": {}},
        "root": "",
        "seed": 0,
        "limit": 12,
        "split": {"mode": "hash", "val": 0.0, "test": 0.0},
        "split_components": True,
        "min_component_area": 8,
        "containment": 0.95,
        "samples_per_shard": 8,
        "repack": True,
        "store": ".",
    }
    folder = tmp_path / "shards" / "rectangles"
    folder.mkdir(parents=True)
    write_dataset(folder, "rectangles", build_section(ShardsConfig, section, place="test"), READERS)
    model: Choice = click_task.config.model
    save_model(
        click_task.build(),
        tmp_path / "clicker",
        name=model.name,
        options=model.options,
        provenance={},
    )
    return tmp_path


def propose(made, out):
    return write_proposals(
        made / "shards", ["rectangles"], made / "clicker", out, CONFIG, map_units=map_here
    )


def test_proposals_keep_the_images_and_replace_the_masks(made):
    counts = propose(made, made / "out")
    before = open_shards(made / "shards" / "rectangles", "train")
    after = open_shards(made / "out" / "rectangles", "train")
    assert len(after) == 5
    assert [s.image for s in after] == [before[i].image for i in range(5)]
    assert all(len(s.annotations) <= CONFIG.limit for s in after)
    assert counts == {"rectangles": sum(len(s.annotations) for s in after)}


def test_a_lost_shard_is_made_again_and_the_others_are_kept(made):
    propose(made, made / "out")
    folder = made / "out" / "rectangles"
    shards = sorted(folder.glob("*.tar"))
    contents = [path.read_bytes() for path in shards]
    kept = shards[0].stat().st_mtime_ns
    shards[1].unlink()
    propose(made, made / "out")
    assert [path.read_bytes() for path in shards] == contents
    assert shards[0].stat().st_mtime_ns == kept
