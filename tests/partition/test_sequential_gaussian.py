import math

import numpy as np
import pytest
import torch

from maskspace.partition.sequential_gaussian import sequential_gaussian
from tests.partition.scenes import perfect_outputs, same_partition, touching

HEADS = ("1", "seed", "bandwidth")


def line(seed, places, bandwidth):
    """Return outputs of one row of pixels that lie at places on a line."""
    embedding = torch.stack([torch.tensor(places), torch.zeros(len(places))])
    return {
        "1": embedding[:, None],
        "seed": torch.tensor(seed)[None, None],
        "bandwidth": torch.full((1, 1, len(places)), bandwidth),
    }


def one_by_one(outputs, seed_threshold, cut, min_area, scale):
    """The rule, pixel by pixel."""
    embedding, seed = outputs["1"].flatten(1).T.numpy(), outputs["seed"].flatten().numpy()
    sigma = outputs["bandwidth"].flatten(1).T.numpy()
    inside = [p for p in range(len(seed)) if seed[p] > 0.5]
    labels, free = np.zeros(len(seed), int), set(inside)
    while free:
        at = max(free, key=lambda p: (seed[p], -p))
        if seed[at] < seed_threshold:
            break
        proposal = {
            p
            for p in inside
            if math.exp(-(np.exp(scale * sigma[at]) * (embedding[p] - embedding[at]) ** 2).sum())
            > cut
        }
        if len(proposal) >= min_area and len(proposal & free) > len(proposal) / 2:
            labels[list(proposal)] = labels.max() + 1
        free -= proposal
    return labels.reshape(outputs["seed"].shape[1:])


@pytest.mark.parametrize("sigmas", [1, 2])
def test_the_instances_are_those_of_a_plain_loop(sigmas):
    generator = torch.Generator().manual_seed(5)
    outputs = {
        "1": torch.rand((2, 15, 17), generator=generator),
        "seed": torch.rand((1, 15, 17), generator=generator),
        "bandwidth": 0.2 + 0.1 * torch.rand((sigmas, 15, 17), generator=generator),
    }
    found = sequential_gaussian(outputs, seed_threshold=0.8, cut=0.4, min_area=3, scale=12.0)
    expected = one_by_one(outputs, 0.8, 0.4, 3, 12.0)
    assert expected.max() > 3
    assert same_partition(found.labels, expected)


def test_the_score_is_the_seed_of_the_instance():
    outputs = line([0.95, 0.8, 0.6, 0.92, 0.7], [0.0, 0.1, 0.1, 5.0, 5.0], bandwidth=0.0)
    found = sequential_gaussian(outputs, min_area=1)
    assert found.labels.tolist() == [[1, 1, 1, 2, 2]]
    assert np.allclose(found.scores, [0.95, 0.92])


def test_a_proposal_that_is_mostly_another_s_is_taken_out_and_no_instance():
    # the second reaches two of the first's three pixels and adds one
    outputs = line([0.99, 0.9, 0.8, 0.95], [0.0, 0.5, 0.7, 1.2], bandwidth=0.0)
    outputs["bandwidth"][0, 0, 3] = 0.0
    found = sequential_gaussian(outputs, min_area=1)
    assert found.labels.tolist() == [[1, 1, 1, 0]]


def test_the_radius_is_the_seed_s_own():
    edge = math.sqrt(math.log(2) / math.exp(10 * 0.1))
    outputs = line([1.0, 0.9, 0.9], [0.0, 0.99 * edge, 1.01 * edge], bandwidth=0.1)
    found = sequential_gaussian(outputs, min_area=1, seed_threshold=0.95)
    assert found.labels.tolist() == [[1, 1, 0]]


def test_a_huge_bandwidth_stays_finite():
    outputs = perfect_outputs(touching(), heads=HEADS)
    outputs["bandwidth"] = torch.full_like(outputs["bandwidth"], 100.0)
    assert same_partition(sequential_gaussian(outputs).labels, touching())


def test_as_many_bandwidths_as_dimensions_or_one():
    outputs = perfect_outputs(touching(), heads=HEADS)
    outputs["bandwidth"] = outputs["bandwidth"].repeat(3, 1, 1)
    with pytest.raises(ValueError, match="bandwidth has 1 channel or the embedding's 8; got 3"):
        sequential_gaussian(outputs)


def test_after_the_tries_it_ends():
    outputs = perfect_outputs(touching(), heads=HEADS)
    assert len(sequential_gaussian(outputs, tries=2).scores) == 2
