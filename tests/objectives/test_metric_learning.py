import json
import math

import pytest
import torch

from maskspace.objectives import OBJECTIVES
from maskspace.objectives.metric_learning import (
    THRESHOLDS,
    gathers_instance,
    pair_costs,
    pair_terms,
    seed_term,
)
from maskspace.targets import Targets


def cases(vectors):
    recorded = json.loads((vectors / "embedding_vectors.json").read_text())
    return recorded["3_metric_learning"]["cases"]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    ("weighting", "name"),
    [("inv_both_norm", "loss_sumw1"), ("inv_p", "loss_w_1_over_size_p_over_S")],
)
def test_costs_are_the_recorded_ones(vectors, index, weighting, name):
    case = cases(vectors)[index]
    labels = torch.tensor(case["labels"])
    sizes = case["instance_sizes"] or {str(k): case["labels"].count(k) for k in case["labels"]}
    pull, push = pair_costs(
        torch.tensor(case["embeddings"], dtype=torch.float64)[None],
        labels[None],
        torch.tensor([[float(sizes[str(k)]) for k in case["labels"]]], dtype=torch.float64),
        weighting=weighting,
    )
    assert (pull + push).item() == pytest.approx(case["expected"][name], abs=1e-6)


def test_uniform_weights_are_a_mean_over_pairs(vectors):
    case = cases(vectors)[0]
    similarity = torch.tensor(case["expected"]["similarity"])
    same = torch.tensor(case["labels"])[:, None] == torch.tensor(case["labels"])
    expected = -torch.where(same, similarity.log(), (1 - similarity).log()).mean()
    costs = pair_costs(
        torch.tensor(case["embeddings"])[None],
        torch.tensor(case["labels"])[None],
        torch.tensor([[1.0, 70.0, 2.0, 3.0]]),
        weighting="uniform",
    )
    torch.testing.assert_close(sum(costs)[0], expected)


def test_thresholds_are_the_recorded_distances(vectors):
    for tau, distance in zip(
        cases(vectors)[2]["tau"], cases(vectors)[2]["max_euclid_distance"], strict=True
    ):
        assert math.sqrt(math.log(2 / tau - 1)) == pytest.approx(distance, abs=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("background", [False, True])
def test_terms_equal_the_loop_over_pairs(temperature, background):
    torch.manual_seed(0)
    embedding = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    labels = torch.tensor([4, 7, 0, -1]).repeat_interleave(4).view(1, 4, 4).expand(2, 4, 4)
    number = 12 if background else 8  # the samples are all of the instances
    instance = torch.arange(number) // 4
    images = []
    for x in embedding.flatten(2).transpose(1, 2)[:, :number]:
        apart = (x[:, None] - x).square().sum(-1) / temperature
        sigma = 2 / (1 + apart.exp())
        same = instance[:, None] == instance
        images.append(-torch.where(same, sigma.log(), (1 - sigma).log()).mean())
    terms = pair_terms(embedding, labels, samples=4, temperature=temperature, background=background)
    torch.testing.assert_close(sum(terms.values()), torch.stack(images).mean())


def test_an_image_of_background_takes_no_part():
    embedding = torch.randn(1, 3, 4, 4).expand(2, 3, 4, 4)
    labels = torch.tensor([0, 2]).repeat_interleave(8).view(1, 4, 4)
    alone = pair_terms(embedding[:1], labels, samples=8, weighting="uniform")
    both = pair_terms(embedding, torch.cat([labels, labels * 0]), samples=8, weighting="uniform")
    for name, value in alone.items():
        torch.testing.assert_close(both[name], value)


def test_small_instances_weigh_more_unless_uniform():
    embedding = torch.zeros(1, 1, 1, 12)
    embedding[..., :2] = torch.tensor([0.0, 1.0])  # only the small one is spread
    labels = torch.tensor([[[1] * 2 + [2] * 10]])
    costs = {
        weighting: pair_terms(embedding, labels, weighting=weighting, samples=2, background=False)[
            "pull"
        ].item()
        for weighting in ("inv_both_norm", "uniform")
    }
    spread = math.log((1 + math.e) / 2)
    assert costs["uniform"] == pytest.approx(2 * spread / 16)
    # 1/n of 2 and of 10, two samples each
    assert costs["inv_both_norm"] == pytest.approx(2 * spread * 0.25 / (2 * 0.6) ** 2)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    embedding = torch.randn(1, 2, 2, 4, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([[[1, 1, 2, 2], [1, 3, 3, 0]]])

    def value(x):
        torch.manual_seed(0)
        return sum(pair_terms(x, labels, samples=3).values())

    assert torch.autograd.gradcheck(value, embedding)


def test_a_constant_output_is_stationary_and_a_hundredth_off_it_is_pushed_hard():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    costs = []
    for step in (0.0, 0.01):
        embedding = torch.full((1, 1, 1, 4), 0.3, dtype=torch.float64)
        embedding[..., 2:] += step
        embedding.requires_grad_()
        terms = pair_terms(embedding, labels, samples=2)
        sum(terms.values()).backward()
        costs.append((terms["push"].item(), embedding.grad.abs().max().item()))
    # half of the pairs are foreign: log(2 / 1e-6) each; then log(2 / step^2)
    assert costs[0] == (pytest.approx(0.5 * math.log(2e6), abs=1e-6), 0)
    # half of 2 / step, over four pixels of which each is in half of the pairs, twice
    assert costs[1][0] == pytest.approx(0.5 * math.log(2e4), abs=1e-3)
    assert costs[1][1] == pytest.approx(0.25 * 2 / 0.01, rel=1e-3)


def test_points_far_apart_cost_nothing():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    embedding = torch.tensor([0.0, 0.0, 9.0, 9.0]).view(1, 1, 1, 4)
    assert sum(pair_terms(embedding, labels).values()) < 1e-6


def test_what_a_seed_gathers_is_an_instance_if_enough_of_their_union_is_shared():
    labels = torch.tensor([[[1, 1, 1, 1, 2, 2, 0, 0, -1, -1]]])
    # the fourth pixel lies with instance 2; the unknown ones with instance 1
    place = torch.tensor([0.0, 0.0, 0.0, 5.0, 5.0, 5.0, 10.0, 15.0, 0.0, 0.0])
    embedding, pixel = place.view(1, 1, 1, 10), torch.tensor([[0, 3, 4, 6]])
    # 3 of 4; 2 of 3; 2 of 3; the background
    for least, right in ((0.5, [1, 1, 1, 0]), (0.7, [1, 0, 0, 0]), (0.75, [0, 0, 0, 0])):
        found = gathers_instance(embedding, labels, pixel, least_iou=least)
        assert found[0].all(1).tolist() == found[0].any(1).tolist() == list(map(bool, right))
    # at the widest threshold a distance of 1.39 is gathered, at the next one of 1.05
    near = torch.tensor([0.0, 0.0, 1.2, 1.2, 5.0, 5.0, 9.0, 9.0, 9.0, 9.0]).view(1, 1, 1, 10)
    found = gathers_instance(near, labels, torch.tensor([[0]]))
    assert found[0, 0].tolist() == [True, False, False, False]
    warm = gathers_instance(near, labels, torch.tensor([[0]]), temperature=3.0)
    assert warm[0, 0].sum() == 3


def test_the_seeds_term_is_the_cross_entropy_of_gathering_an_instance():
    labels = torch.tensor([[[1, 1, 2, 2]], [[0, 0, 0, 0]]])
    embedding = torch.tensor([0.0, 0.0, 9.0, 9.0]).view(1, 1, 1, 4).expand(2, -1, -1, -1)
    logits = torch.full((2, len(THRESHOLDS), 1, 4), 2.0)
    value = seed_term(embedding, logits, labels)
    assert value.item() == pytest.approx(math.log(1 + math.exp(-2)))
    worse = seed_term(embedding, -logits, labels)
    assert worse.item() == pytest.approx(math.log(1 + math.exp(2)))


def test_gradients_of_the_seeds_reach_their_head_alone():
    torch.manual_seed(0)
    objective = OBJECTIVES["metric_learning"](stride=1, channels=3)
    outputs = {"1": torch.randn(1, 3, 6, 6), "seeds": torch.randn(1, 4, 6, 6)}
    for output in outputs.values():
        output.requires_grad_()
    labels = torch.randint(0, 3, (1, 6, 6))
    objective.terms(outputs, Targets.of_labels(labels))["seeds"].backward()
    assert outputs["1"].grad is None
    assert outputs["seeds"].grad.abs().max() > 0


def test_the_decoder_knows_the_thresholds_and_the_temperature():
    objective = OBJECTIVES["metric_learning"](thresholds=(0.5, 0.8), temperature=2.0)
    assert objective.heads["seeds"].channels == 2
    options = {"thresholds": (0.5, 0.8), "decay": 0.3, "temperature": 2.0}
    assert objective.decoder.options == options
    with pytest.raises(ValueError, match="seed_weight"):
        OBJECTIVES["metric_learning"](seed_weight=0.0)
