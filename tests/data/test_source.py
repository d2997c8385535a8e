import pickle
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

from maskspace.config import Choice, choose
from maskspace.data import READERS
from maskspace.data.annotations import CONTAINMENT
from maskspace.data.config import ShardsConfig, SplitConfig
from maskspace.data.dense import dense
from maskspace.data.drawn import is_drawn
from maskspace.data.shards import open_shards, write_dataset
from maskspace.data.source import PackedNames, Repeated, Source, generated
from maskspace.masks import decode, encode

DRAWN = sorted(name for name, reader in READERS.items() if is_drawn(reader))
READ = sorted(READERS.keys() - set(DRAWN))
ROOTS = {"hypersim": "hypersim", "mosaics": "textures", "sa1b": "sa1b"}
TREES = {"coco_lvis": "coco_lvis", "hqseg44k": "hqseg44k", "sav": "sav"}
ASSETS = {
    "bsds500": "bsds500",
    "camvid": "camvid",
    "coco": "coco_format/coco_tiny",
    "coco_panoptic": "coco_format/coco_panoptic",
    "davis": "davis/DAVIS",
    "davis_interactive": "davis_interactive",
    "dsb2018": "dsb2018",
    "folder": "dsb2018",
    "grabcut": "grabcut_bsds_subset",
}


@pytest.fixture(scope="session")
def roots(raw: Path, trees: Path, assets: Path) -> dict[str, str]:
    roots = {name: str(raw / folder) for name, folder in ROOTS.items()}
    roots |= {name: str(trees / folder) for name, folder in TREES.items()}
    return roots | {name: str(assets / folder) for name, folder in ASSETS.items()}


@pytest.fixture(scope="session")
def sources(roots: dict[str, str]) -> dict[str, Source]:
    return {name: READERS[name](roots.get(name, ""), seed=3, limit=4) for name in READERS}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_gives_whole_samples(sources: dict[str, Source], name: str) -> None:
    for index, sample in enumerate(sources[name]):
        arrays = dense(sample)
        assert sample.key == sources[name].keys[index]
        assert sample.split == sources[name].splits[index]
        assert sample.dataset == name and sample.licence != "unknown"
        assert arrays.image.shape[:2] == sample.size_hw
        assert arrays.masks.any(axis=(1, 2)).all() and len(arrays.masks)
        assert list(arrays.ids) == list(range(1, len(arrays.ids) + 1))
        assert ((arrays.scores >= 0) & (arrays.scores <= 1)).all()


@pytest.mark.parametrize("name", READERS)
def test_every_parent_contains_its_child_and_is_larger(
    sources: dict[str, Source], name: str
) -> None:
    arrays = dense(sources[name][0])
    for mask, parent in zip(arrays.masks, arrays.parents, strict=True):
        if parent:
            whole = arrays.masks[list(arrays.ids).index(parent)]
            assert (mask & whole).sum() >= 0.95 * mask.sum()
            assert mask.sum() < whole.sum()


@pytest.mark.parametrize("name", READERS)
def test_reading_again_or_alone_gives_the_same_sample(
    sources: dict[str, Source], name: str
) -> None:
    source = sources[name]
    last = source[len(source) - 1]
    assert last == source[-1] == list(source)[-1]


@pytest.mark.parametrize("name", READERS)
def test_what_every_reader_reads_comes_back_from_its_shards_as_it_was(
    sources: dict[str, Source], tmp_path: Path, name: str
) -> None:
    config = ShardsConfig(
        reader=Choice(name=name, options={}),
        root="",
        seed=3,
        limit=4,
        split=SplitConfig(mode="hash", val=0.0, test=0.0),
        split_components=False,
        min_component_area=1,
        containment=CONTAINMENT,
        samples_per_shard=3,
        repack=True,
        store=".",
    )
    source = sources[name]

    def read(root: str, *, seed: int, limit: int | None) -> Source:
        return source

    write_dataset(tmp_path, name, config, {name: read})
    assert list(open_shards(tmp_path, "train")) == list(source)
    for sample in source:
        masks = decode([one.counts for one in sample.annotations], sample.size_hw)
        assert encode(masks) == [one.counts for one in sample.annotations]


@pytest.mark.parametrize("name", READ)
def test_an_image_is_the_bytes_of_the_file_that_its_source_names(
    roots: dict[str, str], sources: dict[str, Source], name: str
) -> None:
    for sample in sources[name]:
        tar, _, member = sample.source.rpartition(":")
        if tar:
            with tarfile.open(Path(roots[name]) / tar) as archive:
                file = archive.extractfile(f"./{member}")  # as SA-1B is published
                assert file is not None and sample.image == file.read()
        else:
            assert sample.image == (Path(roots[name]) / member).read_bytes()


@pytest.mark.parametrize("name", READ)
def test_the_order_of_the_file_system_changes_nothing(
    roots: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    found = []
    for backwards in (False, True):
        with monkeypatch.context() as patch:
            for listing in ("glob", "rglob", "iterdir"):
                original = getattr(Path, listing)

                def listed(*arguments, original=original, backwards=backwards):
                    return iter(sorted(original(*arguments), reverse=backwards))

                patch.setattr(Path, listing, listed)
            source = READERS[name](roots[name], seed=0, limit=None)
            found.append((list(source.keys), list(source.splits), source[0], source[-1]))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ASSETS)
def test_a_reader_reads_the_same_from_a_url(assets: Path, name: str) -> None:
    files = fsspec.filesystem("memory")
    files.put(str(assets / ASSETS[name]), f"/{name}", recursive=True)
    try:
        local = READERS[name](str(assets / ASSETS[name]), seed=0, limit=None)
        remote = READERS[name](f"memory://{name}", seed=0, limit=None)
        assert list(remote.keys) == list(local.keys)
        assert list(remote.splits) == list(local.splits)
        assert remote[len(remote) // 2] == local[len(local) // 2]
    finally:
        files.rm(f"/{name}", recursive=True)


@pytest.mark.parametrize("name", DRAWN)
def test_a_generated_sample_depends_on_seed_and_index_alone(raw: Path, name: str) -> None:
    root = str(raw / "textures")
    short, long = (READERS[name](root, seed=5, limit=limit) for limit in (3, 9))
    other = READERS[name](root, seed=6, limit=3)
    assert short[2] == long[2]
    assert short[2].image != other[2].image
    assert short[1].image != short[2].image


def test_a_generated_dataset_needs_a_limit() -> None:
    with pytest.raises(ValueError, match="no end"):
        READERS["rectangles"]("", seed=0, limit=None)


def test_an_option_of_a_wrong_type_is_one_line() -> None:
    choice = Choice(name="rectangles", options={"noise": "high"})
    with pytest.raises(ValueError, match=r"rectangles: option noise: .*got 'high'"):
        choose(READERS, choice, kind="reader")


def test_a_source_refuses_keys_that_clash_or_cannot_be_names() -> None:
    with pytest.raises(ValueError, match="2 images share"):
        Source(keys=("a", "a"), splits=(None, None), read=lambda index: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="cannot be a key"):
        Source(keys=("a/b",), splits=(None,), read=lambda index: None)  # type: ignore[arg-type, return-value]


def test_a_source_is_indexed_as_a_sequence(raw: Path) -> None:
    source = READERS["rectangles"]("", seed=0, limit=3)
    assert source[1:] == [source[1], source[2]]
    with pytest.raises(IndexError):
        source[3]
    assert generated("x", limit=0, read=lambda index: source[0]).keys == ()
    assert np.shape(source.keys) == (3,)


def test_packed_names_are_a_sequence_of_strings() -> None:
    names = [f"sa_{'x' * (i % 7)}{i}" for i in range(250)]
    packed = PackedNames(name for name in names)
    assert list(packed) == names and len(packed) == 250
    assert packed[3] == names[3] and packed[-1] == names[-1] and packed[5:9] == names[5:9]
    assert list(pickle.loads(pickle.dumps(packed))) == names
    assert list(PackedNames([])) == []
    with pytest.raises(IndexError):
        packed[250]


def test_one_value_for_all_is_a_sequence() -> None:
    repeated = Repeated(None, 3)
    assert list(repeated) == repeated[:] == [None] * 3 and repeated[-1] is None
    with pytest.raises(IndexError):
        repeated[3]


def test_a_clash_is_found_among_packed_keys() -> None:
    keys = PackedNames([*(f"k{i}" for i in range(1000)), "k17"])
    with pytest.raises(ValueError, match="k17: 2 images share this key"):
        Source(keys=keys, splits=Repeated(None, 1001), read=lambda index: None)  # type: ignore[arg-type, return-value]
