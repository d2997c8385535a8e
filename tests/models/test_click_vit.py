import jaxtyping
import numpy as np
import pytest
import torch

from maskspace.models import click_vit
from maskspace.models.click_vit import build_click_vit
from maskspace.types import ClickModel, InteractiveModel

SMALL = {
    "size": 32,
    "patch": 8,
    "dim": 16,
    "depth": 2,
    "heads": 2,
    "global_every": 1,
    "fusion_depth": 1,
    "neck_dims": (8, 8, 8, 8),
    "head_dim": 8,
    "click_radius": 2.0,
}
VARIANTS = {
    "published": {},
    "convolutional": {"stem": "convolutional"},
    "cross": {"fusion": "cross_attention"},
    "naive": {"fusion": "naive"},
    "relative": {"prompts": "relative", "stem": "convolutional"},
    "relative patches": {"prompts": "relative"},
}


@pytest.fixture(params=VARIANTS)
def clicker(request):
    return build(**VARIANTS[request.param])


def build(**options):
    torch.manual_seed(0)
    return build_click_vit(**SMALL | options).eval()


@pytest.fixture
def scene():
    """Two images, three prompts of two clicks each, and what was believed before."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 32, (2, 3, 2, 2), generator=generator).float()
    signs = torch.tensor([[1.0, -1.0], [1.0, 0.0], [-1.0, 1.0]]).expand(2, 3, 2)
    return (
        torch.rand(2, 3, 32, 45, generator=generator),
        torch.cat([pixels, signs[..., None]], dim=-1),
        torch.rand(2, 3, 32, 45, generator=generator),
    )


def test_one_map_a_prompt_at_the_size_of_the_image(clicker, scene):
    images, clicks, previous = scene
    assert clicker(images, clicks).shape == (2, 3, 32, 45)
    assert clicker(images, clicks, previous).shape == (2, 3, 32, 45)
    assert clicker(images[..., :20], clicks[:, :, :0]).shape == (2, 3, 32, 20)


def test_prompts_and_images_are_answered_apart_from_each_other(clicker, scene):
    together = clicker(*scene)
    for image in range(2):
        for prompt in range(3):
            i, p = slice(image, image + 1), slice(prompt, prompt + 1)
            alone = clicker(scene[0][i], scene[1][i, p], scene[2][i, p])
            torch.testing.assert_close(together[i, p], alone)


def test_order_of_clicks_and_padding_are_irrelevant(clicker, scene):
    images, clicks, previous = scene
    padding = torch.tensor([7.0, 7.0, 0.0]).expand(2, 3, 4, 3)
    padded = torch.cat([padding, clicks.flip(2)], dim=2)
    assert torch.equal(clicker(images, padded, previous), clicker(images, clicks, previous))


def test_sign_and_previous_mask_matter(clicker, scene):
    images, clicks, previous = scene
    answer = clicker(images, clicks)
    opposite = clicker(images, clicks * torch.tensor([1.0, 1.0, -1.0]))
    assert not torch.allclose(answer, opposite)
    assert not torch.allclose(answer, clicker(images, clicks, previous))
    assert torch.equal(answer, clicker(images, clicks, torch.zeros_like(previous)))


def test_the_protocols_give_what_training_saw(clicker):
    assert isinstance(clicker, ClickModel) and isinstance(clicker, InteractiveModel)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (32, 40, 3), np.uint8)
    previous = random.random((32, 40), np.float32)
    clicks_xy, positive = np.array([[4, 3], [19, 30]]), np.array([True, False])
    features = clicker.encode(pixels)
    apart = clicker.click_logits(features, (32, 40), clicks_xy, positive)
    together = clicker.mask_logits(features, (32, 40), clicks_xy, positive, previous)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    rows = torch.tensor([[3.0, 4.0, 1.0], [30.0, 19.0, -1.0]])
    with torch.inference_mode():
        expected = clicker(image, rows[None, :, None])
        square = torch.nn.functional.interpolate(
            torch.from_numpy(apart)[None], (32, 40), mode="bilinear"
        )
        torch.testing.assert_close(square, expected)
        expected = clicker(image, rows[None, None], torch.from_numpy(previous)[None, None])
        np.testing.assert_allclose(together, expected[0, 0].numpy(), atol=1e-6)


def test_nothing_of_an_image_is_remembered(clicker):
    random = np.random.default_rng(0)
    first, second = (random.integers(0, 256, (s, 40, 3), np.uint8) for s in (32, 48))
    clicks_xy, positive = np.array([[4, 3]]), np.array([True])
    features = clicker.encode(first)
    alone = clicker.mask_logits(features, (32, 40), clicks_xy, positive, None)
    clicker.encode(second)
    np.testing.assert_array_equal(
        alone, clicker.mask_logits(features, (32, 40), clicks_xy, positive, None)
    )


def test_refining_decodes_from_the_features_of_one_pass_without_dropout(clicker, scene):
    images, clicks, previous = scene
    passes, decoded = [], []
    clicker.backbone.register_forward_hook(lambda *_: passes.append(1))

    def refine(decode, clicks, previous):
        decoded.append(decode(clicks, previous))
        assert not decoded[0].requires_grad
        return clicks[:, :, :1], decoded[0].sigmoid()

    clicker.train()
    clicker.neck.eval()
    modes = {name: module.training for name, module in clicker.named_modules()}
    torch.manual_seed(0)
    answer = clicker(images, clicks, previous, refine=refine)
    assert {name: module.training for name, module in clicker.named_modules()} == modes
    assert len(passes) == 1 and answer.requires_grad
    torch.manual_seed(0)
    torch.testing.assert_close(answer, clicker(images, clicks[:, :, :1], decoded[0].sigmoid()))
    torch.testing.assert_close(decoded[0], clicker.eval()(images, clicks, previous).detach())


@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_reach_every_parameter_after_refining(clicker, scene, autocast):
    def refine(decode, clicks, previous):
        return clicks, decode(clicks, previous).sigmoid()

    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        answer = clicker(*scene, refine=refine)
    answer.square().mean().backward()
    assert [name for name, p in clicker.named_parameters() if p.grad is None] == []


def test_sixteen_bit_arithmetic_gives_float32_logits_that_are_near(clicker, scene):
    with torch.no_grad():
        exact = clicker(*scene)
        with torch.autocast("cpu", torch.bfloat16):
            near = clicker(*scene)
    assert near.dtype == torch.float32
    assert (near - exact).abs().max() < 0.03 * exact.abs().max()


@pytest.mark.parametrize("variant", VARIANTS)
def test_under_autocast_blocks_are_rough_and_stem_and_clicks_exact(variant):
    clicker = build(**VARIANTS[variant])
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    clicks_xy, positive = np.array([[4, 3], [19, 30]]), np.array([True, False])
    exact = clicker.encode(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        rough = clicker.encode(pixels)
        maps = clicker.click_logits(exact, (32, 40), clicks_xy, positive)
        one = clicker.mask_logits(exact, (32, 40), clicks_xy, positive, None)
    assert rough.tokens.dtype == torch.float32 and not torch.equal(rough.tokens, exact.tokens)
    assert (rough.tokens - exact.tokens).abs().max() < 0.05 * exact.tokens.std()
    if exact.detail is not None:
        assert rough.detail is not None and torch.equal(rough.detail, exact.detail)
    np.testing.assert_array_equal(maps, clicker.click_logits(exact, (32, 40), clicks_xy, positive))
    np.testing.assert_array_equal(
        one, clicker.mask_logits(exact, (32, 40), clicks_xy, positive, None)
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_checkpointing_gives_the_same_gradients(variant, scene):
    gradients = []
    for checkpointing in (False, True):
        model = build(checkpointing=checkpointing, **VARIANTS[variant])
        model(*scene).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for kept, computed_again in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, computed_again)


def test_checkpointing_keeps_less(scene):
    def kept(checkpointing):
        sizes = []
        model = build(checkpointing=checkpointing)
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda x: sizes.append(x.numel()) or x, lambda x: x
        )
        with hooks:
            model(*scene)
        return sum(sizes)

    assert kept(True) < 0.5 * kept(False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_halves_compile_without_breaks(variant, scene, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checks are not compiled
    torch.compiler.reset()
    model = build(**VARIANTS[variant])
    images, clicks, previous = scene
    encode = torch.compile(model.image_features, fullgraph=True, backend="eager")
    decode = torch.compile(model.decode, fullgraph=True, backend="eager")
    with torch.no_grad():
        answer = decode(encode(images), (32, 45), clicks, previous)
        torch.testing.assert_close(answer, model(images, clicks, previous))


@pytest.mark.parametrize(
    ("fusion_depth", "size", "published"),
    [(1, 1024, 106_701_761), (2, 1024, 113_789_633), (2, 512, 111_430_337)],
)
def test_default_sizes_are_those_of_the_published_models(fusion_depth, size, published):
    with torch.device("meta"):
        model = build_click_vit(fusion_depth=fusion_depth, size=size)
    dead = 768 + 2 * 768  # the class token's position and a norm that no forward pass uses
    assert sum(p.numel() for p in model.parameters()) == published - dead


@pytest.mark.parametrize(
    ("vit", "millions"), [("tiny", 5.5), ("small", 21.7), ("base", 85.8), ("large", 303.3)]
)
def test_presets_have_the_sizes_of_the_family(vit, millions):
    with torch.device("meta"):
        backbone = build_click_vit(vit=vit, size=448).backbone
    positions = (28**2 - 14**2) * backbone.pos_embed.shape[2]  # papers count them at 224
    total = sum(p.numel() for p in backbone.parameters()) - positions
    assert total / 1e6 == pytest.approx(millions, abs=0.1)


def test_single_options_replace_those_of_a_preset():
    with torch.device("meta"):
        model = build_click_vit(vit="tiny", depth=4, size=512)
    assert model.architecture.dim == 192 and len(model.backbone.blocks) == 4


def test_impossible_sizes_are_told():
    with pytest.raises(ValueError, match="does not divide into 3 windows"):
        build_click_vit(vit="tiny", size=800)
    with pytest.raises(ValueError, match="dim 16 is no multiple of heads 3"):
        build(heads=3)


def test_clicks_decoded_in_pieces_give_what_all_at_once_do(clicker, monkeypatch):
    random = np.random.default_rng(0)
    features = clicker.encode(random.integers(0, 256, (32, 32, 3), np.uint8))
    clicks_xy, positive = random.integers(0, 32, (7, 2)), random.random(7) < 0.5
    together = clicker.click_logits(features, (32, 32), clicks_xy, positive)
    monkeypatch.setitem(click_vit.PIXELS_AT_ONCE, "cpu", 2 * 32 * 32)
    pieces = clicker.click_logits(features, (32, 32), clicks_xy, positive)
    np.testing.assert_allclose(pieces, together, atol=1e-6)
    assert clicker.click_logits(features, (32, 32), clicks_xy[:0], positive[:0]).shape == (
        0,
        32,
        32,
    )


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_gpu_answers_as_the_cpu_does(clicker, scene, precision):
    rough = precision == "bfloat16"
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        expected = clicker(*scene)
        clicker.cuda()
        with torch.autocast("cuda", torch.bfloat16, enabled=rough):
            answer = clicker(*(one.cuda() for one in scene)).float().cpu()
    tolerance = 0.05 * float(expected.std()) if rough else 1e-4
    assert (answer - expected).abs().max() < max(tolerance, 0.05 if rough else 0)


@pytest.mark.gpu
def test_numpy_goes_to_the_gpu_and_comes_back(clicker):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (32, 40, 3), np.uint8)
    clicks_xy, positive = np.array([[4, 3], [19, 30]]), np.array([True, False])

    def answers():
        features = clicker.encode(pixels)
        yield clicker.click_logits(features, (32, 40), clicks_xy, positive)
        yield clicker.mask_logits(features, (32, 40), clicks_xy, positive, None)

    with torch.backends.cudnn.flags(allow_tf32=False):
        expected = list(answers())
        clicker.cuda()
        for one, other in zip(answers(), expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)
