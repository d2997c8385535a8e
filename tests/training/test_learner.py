from dataclasses import replace

import pytest
import torch

from maskspace.training.learner import BFloat16, Learner
from tests.training.lines import LineTask, batch_of

TASK = LineTask(batch_size=12)


def learner(recipe, averages=True):
    torch.manual_seed(0)
    return Learner(TASK.build(), TASK.terms, recipe, wrap=lambda model: model, averages=averages)


def parts(accumulate):
    size = 12 // accumulate
    return [batch_of(TASK, 0, range(i, i + size)) for i in range(0, 12, size)]


@pytest.mark.parametrize("accumulate", [2, 3, 12])
def test_parts_of_a_batch_have_its_terms_and_its_gradient(optimisation, accumulate):
    recipe = replace(optimisation, batch=12, clip_norm=1e9)
    whole, split = learner(recipe), learner(replace(recipe, accumulate=accumulate))
    terms, same = whole.step(0, parts(1)), split.step(0, parts(accumulate))
    assert set(terms) == {"square", "absolute", "loss", "norm"}
    torch.testing.assert_close(terms, same)
    for one, other in zip(whole.live.parameters(), split.live.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_gradient_is_clipped_to_its_norm(optimisation):
    clipped = learner(replace(optimisation, batch=12, clip_norm=1e-3))
    norm = clipped.step(0, parts(1))["norm"]
    left = torch.stack([p.grad.norm() for p in clipped.live.parameters()]).norm()
    assert norm > 1e-3 and left <= 1.001e-3


def test_bfloat16_learns_float32_weights_by_nearly_the_same_loss(optimisation):
    recipe = replace(optimisation, batch=12)
    exact = learner(recipe).step(0, parts(1))
    rough = learner(replace(recipe, precision="bfloat16"))
    terms = rough.step(0, parts(1))
    assert {p.dtype for p in rough.live.parameters()} == {torch.float32}
    assert terms["loss"] != exact["loss"]
    torch.testing.assert_close(terms["loss"], exact["loss"], rtol=0.02, atol=0)


def test_losses_see_float32_whatever_the_model_computes_in(embedding_task):
    model, batch = embedding_task.build(), batch_of(embedding_task, 0, range(2))
    rough = BFloat16(model)
    levels = rough(batch.images)
    assert {level.dtype for level in levels.values()} == {torch.float32}
    assert not torch.equal(levels["1"], model(batch.images)["1"])


def test_who_averages_is_validated_by_the_average_and_stores_it(optimisation):
    recipe = replace(optimisation, batch=12, ema=0.9)
    averaging, other = learner(recipe), learner(recipe, averages=False)
    averaging.step(0, parts(1))
    assert not torch.equal(averaging.model[0].weight, averaging.live[0].weight)
    assert averaging.state["average"] is averaging.model
    assert other.model is other.live and "average" not in other.state


def test_a_compiled_model_learns_the_same_under_the_same_names(optimisation):
    recipe = replace(optimisation, batch=12)
    plain, compiled = learner(recipe), learner(replace(recipe, compile=True))
    torch.testing.assert_close(plain.step(0, parts(1)), compiled.step(0, parts(1)))
    torch.testing.assert_close(plain.live.state_dict(), compiled.live.state_dict())
