import math

import numpy as np
import pytest
import torch

from maskspace.partition.seeded_similarity import grow, seeded_similarity
from tests.partition.scenes import perfect_outputs, same_partition, touching

HEADS = ("1", "seeds")


def one_by_one(pixels, surest, threshold, decay, seeds):
    """Seeds and masks by loops over pixels."""

    def similarity(p, q):
        return 2 / (1 + math.exp(((pixels[p] - pixels[q]) ** 2).sum()))

    every, chosen, masks = range(len(pixels)), [], []
    for _ in range(seeds):

        def value(p):
            unlike = 1 - max((similarity(p, q) for q in chosen), default=0.0)
            return math.log(surest[p]) + decay * math.log(max(unlike, 1e-6))

        chosen.append(max(every, key=value))
        masks.append([similarity(chosen[-1], q) > threshold[chosen[-1]] for q in every])
    return chosen, masks


def test_seeds_and_masks_are_those_of_a_plain_loop():
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randn((3, 60), generator=generator)
    surest = 0.1 + 0.9 * torch.rand(60, generator=generator)
    threshold = torch.tensor([0.25, 0.5, 0.75])[torch.randint(0, 3, (60,), generator=generator)]
    masks, scores = grow(pixels, surest, threshold, decay=0.4, seeds=6)
    chosen, expected = one_by_one(
        pixels.T.double().numpy(), surest.numpy(), threshold.numpy(), 0.4, 6
    )
    assert masks.tolist() == expected
    assert np.allclose(scores, surest[chosen])


@pytest.mark.parametrize("tau", [0.25, 0.5, 0.75, 0.9])
def test_a_mask_ends_at_the_distance_of_its_threshold(tau):
    edge = math.sqrt(math.log(2 / tau - 1))
    pixels = torch.tensor([[0.0, 0.999 * edge, 1.001 * edge]])
    surest = torch.tensor([0.9, 0.5, 0.5])
    masks, _ = grow(pixels, surest, torch.full((3,), tau), decay=0.3, seeds=1)
    assert masks.tolist() == [[True, True, False]]


def test_a_seed_that_is_sure_of_nothing_grows_nothing():
    outputs = perfect_outputs(touching(), heads=HEADS)
    assert same_partition(seeded_similarity(outputs).labels, touching())
    outputs["seeds"] = torch.full_like(outputs["seeds"], -1.0)
    assert not seeded_similarity(outputs).labels.any()


def test_the_surer_of_two_masks_is_in_front():
    embedding = torch.tensor([0.0, 1.0, 2.0])[None, None].repeat_interleave(20, 1)
    logits = torch.tensor([2.0, -5.0, 1.0])[None, None].repeat_interleave(20, 1)
    outputs = {"1": embedding, "seeds": logits}
    # a reach of 1.39: either end's mask has the middle too
    found = seeded_similarity(outputs, thresholds=(0.25,))
    assert found.labels[0].tolist() == [1, 1, 2]
    assert np.allclose(found.scores, torch.tensor([2.0, 1.0]).sigmoid())


def test_temperature_is_a_squared_distance():
    outputs = perfect_outputs(touching(), heads=(*HEADS, "foreground"))  # root 32 apart
    for temperature, number in ((10.0, 6), (30.0, 1)):  # a reach of 1.39 times its root
        found = seeded_similarity(outputs, thresholds=4 * (0.25,), temperature=temperature)
        assert len(found.scores) == number


def test_a_channel_for_each_threshold():
    outputs = perfect_outputs(touching(), heads=HEADS)
    with pytest.raises(ValueError, match="for each of the 2 thresholds; got 4"):
        seeded_similarity(outputs, thresholds=(0.5, 0.9))
