import io
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import maskspace
from maskspace.masks import split_components
from maskspace.models import MODELS, to_published
from maskspace.models.weights import save_model
from maskspace.partition.grid_clicks import ClickGrid, propose_from_clicks
from maskspace.peers import PEERS
from maskspace.segmenter import ClickSegmenter, EmbeddingSegmenter, Segmenter, questions, wrap
from maskspace.segmenter.loading import load
from maskspace.types import Click

#: Peers that read weights or trees from files, or from a package of their own.
NEED_FILES = ("dinov2", "gpb-owt-ucm", "hed", "sam", "sam-hq", "sam2")


class Colors(nn.Module):
    """A student that passes colours on, at strides 1 and 2; counts its passes."""

    passes = 0

    def forward(self, image):
        self.passes += 1
        half = nn.functional.avg_pool2d(image, 2, ceil_mode=True)
        return {"1": image, "2": half.repeat(1, 4, 1, 1)}


class SameColor:
    """A teacher whose clicks stand for the pixels of exactly their colour; counts encodings."""

    encodings = 0

    def encode(self, image):
        self.encodings += 1
        return torch.from_numpy(image.astype(np.int64) @ np.array([1, 256, 65536]))

    def click_logits(self, features, size_hw, clicks_xy, positive):
        colors = features.numpy()
        clicked = colors[clicks_xy[:, 1], clicks_xy[:, 0]]
        same = colors[None] == clicked[:, None, None]
        return np.where(same & (clicked != 0)[:, None, None], 4, -4).astype(np.float32)


@pytest.fixture
def student() -> EmbeddingSegmenter:
    return EmbeddingSegmenter("student", Colors())


@pytest.fixture
def teacher() -> ClickSegmenter:
    return ClickSegmenter("teacher", SameColor())


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image, its red object and its green one."""
    image = np.zeros((48, 64, 3), np.uint8)
    red, green = np.zeros((2, 48, 64), bool)
    red[8:40, 6:30], green[8:40, 36:60] = True, True
    image[red], image[green] = (220, 20, 20), (20, 220, 20)
    return image, red, green


def test_all_kinds_are_segmenters(student, teacher):
    for model in (student, teacher, load("felzenszwalb")):
        assert isinstance(model, Segmenter)
        assert model.ranking


def test_the_student_answers_everything(student, scene):
    image, red, green = scene
    assert set(student.embed(image).levels) == {1, 2}
    assert student.hierarchy(image).max_regions >= 1024
    labels = student.partition(image, regions=3)
    assert (labels == labels[10, 10]).tolist() == red.tolist()
    masks = student.propose(image, limit=5).masks
    assert any((mask == red).all() for mask in masks)
    clicked = student.click(image, clicks=[(10, 10, True)])
    np.testing.assert_array_equal(clicked, red)
    both = student.click(image, clicks=[(10, 10, True), Click(40, 10), (0, 0, False)])
    np.testing.assert_array_equal(both, red | green)


def test_one_pass_answers_every_question_on_an_image(student, scene):
    image, *_ = scene
    student.click(image, clicks=[(10, 10, True)])
    student.propose(image.copy())
    student.partition(Image.fromarray(image), regions=5)
    assert student.module.passes == 1
    student.partition(255 - image, regions=5)
    assert student.module.passes == 2


def test_the_teacher_answers_clicks_and_proposals(teacher, scene):
    image, red, green = scene
    np.testing.assert_array_equal(teacher.click(image, clicks=[(10, 10, True)]), red)
    clicks = [(10, 10, True), (40, 10, True)]
    np.testing.assert_array_equal(teacher.click(image, clicks=clicks), red | green)
    clicks = [(10, 10, True), (40, 10, False)]
    kept = teacher.click(image, clicks=clicks, start=green | red)
    np.testing.assert_array_equal(kept, red)
    assert teacher.model.encodings == 1
    masks = teacher.propose(image).masks
    assert sorted(mask.tobytes() for mask in masks) == sorted([red.tobytes(), green.tobytes()])


def test_probabilities_are_maps_of_each_click_by_itself(teacher, scene):
    image, red, green = scene
    maps = teacher.click_probabilities(image, [Click(10, 10), Click(40, 10), Click(10, 10)])
    np.testing.assert_array_equal(maps > 0.5, np.stack([red, green, red]))
    assert maps.min() > 0 and maps.max() < 1


def test_a_click_cut_at_a_level_is_the_map_above_it(teacher, scene):
    image, red, _ = scene
    everything = teacher.click(image, clicks=[(10, 10, True)], level=0.01)
    assert everything.all()
    np.testing.assert_array_equal(teacher.click(image, clicks=[(10, 10, True)], level=0.9), red)
    assert not teacher.click(image, clicks=[(10, 10, True)], level=0.99).any()


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        *[("teacher", method) for method in ("embed", "hierarchy", "partition")],
        *[("felzenszwalb", method) for method in ("embed", "hierarchy", "partition")],
        *[("flood-fill", method) for method in ("hierarchy", "partition", "propose")],
    ],
)
def test_what_a_model_cannot_answer_is_an_error_with_model_and_method(kind, method, teacher, scene):
    model = teacher if kind == "teacher" else load(kind)
    more = {"partition": {"regions": 4}, "click": {"clicks": [(1, 1, True)]}}.get(method, {})
    with pytest.raises(ValueError, match=f"{kind} cannot answer {method}"):
        getattr(model, method)(scene[0], **more)


@pytest.mark.parametrize("kind", ["student", "student-tiny", "lab", "slic-merging"])
def test_the_graph_is_that_of_the_superpixels_that_the_tree_has(kind, student, scene):
    model = student if kind == "student" else load(kind)
    graph, tree = model.graph(scene[0]), model.hierarchy(scene[0])
    np.testing.assert_array_equal(graph.superpixels, tree.superpixels)
    assert graph.size_hw == tree.size_hw == scene[0].shape[:2]
    assert len(graph.means) == len(graph.areas) == tree.max_regions
    assert graph.means.shape[1] and np.isfinite(graph.strengths).all()


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 700), (33, 17), (1, 40), (15, 400)])
def test_sizes_from_16_a_side_work_and_smaller_are_refused(student, size_hw):
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    if min(size_hw) < 16:
        with pytest.raises(ValueError, match="at least 16 a side"):
            student.hierarchy(image)
        return
    tree = student.hierarchy(image)
    assert tree.max_regions >= min(image.size // 3, 1024)
    labels = tree.partition(24)
    assert labels.shape == size_hw and split_components(labels).max() == 24


def test_a_large_image_is_worked_on_small_and_answered_large(scene):
    image, red, _ = scene
    large = np.kron(image, np.ones((4, 4, 1), np.uint8))
    student = EmbeddingSegmenter("student", Colors(), max_side=64)
    assert student.embed(large).levels[1].shape == (3, 48, 64)
    mask = student.click(large, clicks=[(60, 60, True)])
    np.testing.assert_array_equal(mask, np.kron(red, np.ones((4, 4), bool)))


@pytest.mark.parametrize("name", [n for n in PEERS if n not in NEED_FILES])
def test_images_beyond_the_working_size_are_answered_at_their_own(name, scene, monkeypatch):
    """Smaller inside, the same outside: a scene of large even regions is found as it is."""
    image, red, _ = scene
    large = np.kron(image, np.ones((4, 4, 1), np.uint8))
    monkeypatch.setattr(questions, "WORKING_PIXELS", image.shape[0] * image.shape[1])
    assert questions.told_smaller(large) is not None and questions.told_smaller(image) is None
    model = load(name)
    for ask in (
        lambda: model.propose(large, limit=5).masks.shape[1:],
        lambda: model.click(large, [(60, 60, True)]).shape,
        lambda: model.partition(large, regions=3).shape,
        lambda: next(iter(model.scales(large, [3]))).shape,
    ):
        try:
            assert ask() == large.shape[:2]
        except (ValueError, AttributeError) as error:
            assert "cannot answer" in str(error) or "no attribute 'scales'" in str(error)
    if name == "flood-fill":
        expected = np.kron(red, np.ones((4, 4), bool))
        np.testing.assert_array_equal(model.click(large, [(60, 60, True)]), expected)


def test_coarser_levels_can_join_the_tree(scene):
    image, red, _ = scene
    student = EmbeddingSegmenter("student", Colors(), levels=(1, 2))
    labels = student.partition(image, regions=3)
    assert (labels == labels[10, 10]).tolist() == red.tolist()


def encoded(image: Image.Image, extension: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, extension, **options)
    return file.getvalue()


def test_grey_rgba_16_bit_and_rotated_images_are_read(student, tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    expected = student.partition(rgb, regions=7)
    rgba = np.concatenate([rgb, np.full((20, 30, 1), 9, np.uint8)], axis=2)
    wide = Image.fromarray(grey.astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held so that rows run from right to left
    path = tmp_path / "grey.png"
    path.write_bytes(encoded(Image.fromarray(grey), "PNG"))
    for image in (
        grey,
        rgba,
        grey.astype(np.uint16) * 257,
        Image.fromarray(grey),
        encoded(wide, "PNG"),
        encoded(Image.fromarray(rgba), "PNG"),
        encoded(Image.fromarray(np.rot90(grey)), "PNG", exif=turned),
        path,
        str(path),
    ):
        np.testing.assert_array_equal(student.partition(image, regions=7), expected)


@pytest.mark.parametrize("click", [(64, 0, True), (-1, 3, True), (0, 48, False)])
def test_clicks_outside_the_image_are_refused_with_its_range(student, teacher, scene, click):
    for model in (student, teacher):
        with pytest.raises(ValueError, match=r"x is in 0\.\.63 and y in 0\.\.47"):
            model.click(scene[0], clicks=[(1, 1, True), click])
        with pytest.raises(ValueError, match="at least one"):
            model.click(scene[0], clicks=[])


def test_a_file_that_is_no_image_is_named(student, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.png"):
        student.partition(path, regions=3)


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ValueError, match=r"felzenszwalb, .*, a folder with model\.json"):
        maskspace.load("no-such-model")


def test_networks_become_the_kind_they_are(scene):
    module = nn.Module()
    for name in ("encode", "click_logits"):
        setattr(module, name, getattr(SameColor(), name))
    module.answers = frozenset({"click"})
    assert isinstance(wrap(module, name="a"), ClickSegmenter)
    assert isinstance(wrap(Colors(), name="b"), EmbeddingSegmenter)


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("pixel_embedding", {"backbone": "b0", "width": 16, "registers": 1}, EmbeddingSegmenter),
        (
            "click_vit",
            {"size": 64, "patch": 8, "dim": 32, "depth": 1, "heads": 2, "global_every": 1,
             "fusion_depth": 1, "neck_dims": (8, 8, 8, 8), "head_dim": 8},
            ClickSegmenter,
        ),
    ],
)  # fmt: skip
def test_a_folder_is_loaded_and_answers(tmp_path, name, options, kind, scene):
    module = MODELS[name](**options)
    save_model(module, tmp_path / "mine", name=name, options=options, provenance={})
    assert json.loads((tmp_path / "mine" / "model.json").read_text())["name"] == name
    model = load(str(tmp_path / "mine"))
    assert isinstance(model, kind) and model.name == "mine"
    assert model.click(scene[0], clicks=[(10, 10, True)]).shape == (48, 64)
    assert model.propose(scene[0], limit=3).masks.shape[1:] == (48, 64)


PUBLISHED = {"size": 32, "patch": 8, "dim": 64, "depth": 2, "heads": 1, "global_every": 1}


@pytest.mark.parametrize("method", ["click", "propose"])
def test_a_published_checkpoint_answers_as_its_folder_does(tmp_path, method):
    model = MODELS["click_vit"](**PUBLISHED, neck_dims=(8, 8, 8, 8), head_dim=8).eval()
    published = to_published(model)
    torch.save(dict(published), tmp_path / "official.pth")
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    question = {"click": {"clicks": [(25, 20, True)]}, "propose": {"limit": 5}}[method]
    answers = [
        getattr(one, method)(image, **question)
        for one in (load(str(tmp_path / "official.pth")), wrap(model, name="ours"))
    ]
    masks = [one if isinstance(one, np.ndarray) else one.masks for one in answers]
    assert (masks[0] == masks[1]).all()


def test_a_click_model_takes_the_options_of_its_grid_with_its_name(tmp_path, scene):
    options = {**PUBLISHED, "neck_dims": (8, 8, 8, 8), "head_dim": 8}
    save_model(
        MODELS["click_vit"](**options),
        tmp_path / "mine",
        name="click_vit",
        options=options,
        provenance={},
    )
    text = "per_side=5,levels=0.75+0.5,nms=box,min_region=9,negative=true"
    model = load(f"{tmp_path / 'mine'}@{text}")
    assert isinstance(model, ClickSegmenter) and model.name == f"mine@{text}"
    assert model.grid == ClickGrid(
        per_side=5, levels=(0.75, 0.5), nms="box", min_region=9, negative=True
    )
    expected = propose_from_clicks(model.model, scene[0], limit=7, grid=model.grid)
    np.testing.assert_array_equal(model.propose(scene[0], limit=7).masks, expected.masks)
    for wrong, said in {
        "side=5": "unknown option 'side'",
        "per_side=0": "per_side and chunk are at least 1",
        "per_side=a": "option per_side",
        "nms=no": "option nms",
        "levels=0.5+1.5": r"levels: one or more, each in \(0, 1\)",
    }.items():
        with pytest.raises(ValueError, match=said) as error:
            load(f"{tmp_path / 'mine'}@{wrong}")
        assert "\n" not in str(error.value) and "mine@" in str(error.value)


def test_a_student_takes_no_options_of_a_grid_of_clicks():
    with pytest.raises(ValueError, match="unknown option 'per_side'; it takes flips"):
        load("student@per_side=5")


def test_what_is_no_checkpoint_is_told_in_one_line(tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"bad\.pth: not a checkpoint") as error:
        load(str(tmp_path / "bad.pth"))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"none\.pth: cannot be read"):
        load(str(tmp_path / "none.pth"))


@pytest.fixture(scope="module")
def clicker() -> ClickSegmenter:
    """An untrained clicker of the real architecture."""
    torch.manual_seed(0)
    module = MODELS["click_vit"](**PUBLISHED, neck_dims=(8, 8, 8, 8), head_dim=8).eval()
    return ClickSegmenter("clicker", module)


CLICKS = [Click(10, 10), Click(40, 12, positive=False), Click(50, 40)]


def test_iterative_is_one_refinement_a_click_from_the_start_mask_on(clicker, scene):
    image, red, _ = scene
    model, size_hw = clicker.model, (48, 64)
    features = model.encode(image)
    for start in (None, red):
        previous = None if start is None else start.astype(np.float32)
        for count in range(1, 4):
            xy = np.array([(click.x, click.y) for click in CLICKS[:count]])
            positive = np.array([click.positive for click in CLICKS[:count]])
            logits = model.mask_logits(features, size_hw, xy, positive, previous)
            refined = clicker.refine(image, CLICKS[:count], previous)
            previous = torch.from_numpy(logits).sigmoid().numpy()
            np.testing.assert_array_equal(refined, previous)
            mask = clicker.click(image, CLICKS[:count], start=start, rule="iterative", level=0.4)
            np.testing.assert_array_equal(mask, previous > 0.4)


def test_claims_are_the_same_in_any_order_and_largest_is_another_rule(clicker, scene):
    image = scene[0]
    again = ClickSegmenter("again", clicker.model)
    for rule in ("claims", "largest"):
        mask = clicker.click(image, CLICKS, rule=rule)
        np.testing.assert_array_equal(again.click(image, CLICKS[::-1], rule=rule), mask)
    one_negative = [Click(10, 10, positive=False)]
    assert not clicker.click(image, one_negative).any()


def test_a_session_answers_what_click_does(clicker, student, scene):
    image, red, _ = scene
    for model in (clicker, student, load("flood-fill")):
        session = model.session(image)
        assert session.model == model.name and not session.mask.any()
        for count in range(1, 4):
            click = CLICKS[count - 1]
            mask = session.add(click.x, click.y, click.positive)
            np.testing.assert_array_equal(mask, model.click(image, CLICKS[:count]))
        session.undo(2)
        np.testing.assert_array_equal(session.mask, model.click(image, CLICKS[:1]))
    for model in (student, load("lab")):  # trees correct a mask
        corrected = model.session(image, red)
        np.testing.assert_array_equal(corrected.mask, red)
        expected = model.click(image, CLICKS, start=red)
        np.testing.assert_array_equal(corrected.extend(CLICKS), expected)
    corrected = clicker.session(image, red, level=0.3, rule="iterative")
    corrected.extend(CLICKS)
    expected = clicker.click(image, CLICKS, start=red, level=0.3, rule="iterative")
    np.testing.assert_array_equal(corrected.mask, expected)


def test_sessions_on_two_images_do_not_disturb_each_other(teacher, scene):
    image, red, green = scene
    first, second = teacher.session(image), teacher.session(image[:, ::-1].copy())
    np.testing.assert_array_equal(first.add(10, 10), red)
    np.testing.assert_array_equal(second.add(10, 10), green[:, ::-1])
    np.testing.assert_array_equal(first.add(40, 10), red | green)
    assert teacher.model.encodings == 2


def test_models_of_masks_have_no_settings(student, scene):
    with pytest.raises(ValueError, match="flood-fill takes no start mask"):
        load("flood-fill").session(scene[0], scene[1])
    for model in (student, load("flood-fill")):
        with pytest.raises(ValueError, match=f"{model.name} answers masks, not maps"):
            model.session(scene[0]).change(level=0.4)


def test_what_a_clicker_refuses_names_it(teacher, clicker, scene):
    image = scene[0]
    with pytest.raises(ValueError, match=r"teacher: the model answers clicks one by one"):
        teacher.refine(image, CLICKS)
    with pytest.raises(ValueError, match=r"teacher: .*one by one"):
        teacher.click(image, CLICKS, rule="iterative")
    with pytest.raises(ValueError, match=r"clicker: editing rule 'most' is unknown; .*iterative"):
        clicker.session(image, rule="most")
    with pytest.raises(ValueError, match="clicker: level is a probability"):
        clicker.click(image, CLICKS, level=1.0)
    with pytest.raises(ValueError, match=r"clicker: the start mask is \(2, 2\)"):
        clicker.click(image, CLICKS, start=np.zeros((2, 2), bool))
    with pytest.raises(ValueError, match="at least one"):
        clicker.refine(image, [])
    for method in ("click", "refine", "session"):
        more = {} if method == "session" else {"clicks": CLICKS}
        with pytest.raises(ValueError, match="at least 16 a side"):
            getattr(clicker, method)(image[:7], **more)


def test_weights_that_are_not_finite_or_of_another_model_are_refused(tmp_path, clicker, scene):
    state = dict(to_published(clicker.model))
    weights = {k: v.clone() for k, v in state["state_dict"].items()}
    name = next(key for key, value in weights.items() if value.ndim == 4)
    broken = weights | {name: torch.full_like(weights[name], torch.nan)}
    torch.save(state | {"state_dict": broken}, tmp_path / "nan.pth")
    less = {k: v for k, v in weights.items() if k != name}
    torch.save(state | {"state_dict": less}, tmp_path / "other.pth")
    options = {"backbone": "b0", "width": 16, "registers": 1}
    student = MODELS["pixel_embedding"](**options)
    save_model(student, tmp_path / "folder", name="click_vit", options=PUBLISHED, provenance={})
    for path in ("nan.pth", "other.pth", "folder"):
        with pytest.raises(ValueError, match=path) as refused:
            load(str(tmp_path / path))
        assert "\n" not in str(refused.value)


def test_a_clicker_that_has_seen_an_image_goes_to_another_process():
    network = MODELS["click_vit"](**PUBLISHED, neck_dims=(8, 8, 8, 8), head_dim=8)
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    clicker = wrap(network.eval(), name="x")
    mask = clicker.click(image, [(25, 20, True)])
    again = pickle.loads(pickle.dumps(clicker))
    assert (again.click(image, [(25, 20, True)]) == mask).all()


def test_a_model_with_other_options_does_not_answer_from_the_tree_of_the_first(student, scene):
    """What is remembered of the last image is a model's own."""
    first = student.hierarchy(scene[0])
    other = replace(student, regions=16)
    assert other.hierarchy(scene[0]).max_regions != first.max_regions
