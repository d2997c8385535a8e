"""Laws that every entry of the table of decoders obeys."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from maskspace.partition import DECODERS
from tests.partition.scenes import disjoint, perfect_outputs, same_partition, touching


@dataclass(frozen=True)
class Case:
    """A decoder with the heads that it reads, and options under which perfect outputs are exact."""

    name: str
    heads: tuple[str, ...]
    options: dict[str, object] = field(default_factory=dict)

    def __call__(self, outputs):
        return DECODERS[self.name](outputs, **self.options)


CASES = [
    Case("agglomeration", ("1", "foreground"), {"bandwidth": 1.0}),
    Case("border_tree", ("1", "boundary", "foreground")),
    Case("centre_votes", ("direction", "foreground"), {"radius": 5}),
    Case("centre_votes", ("offset", "foreground"), {"radius": 5}),
    Case("components", ("1", "foreground"), {"threshold": 2.0}),
    Case("components", ("affinity", "foreground")),
    Case("hdbscan", ("1", "foreground")),
    Case("mean_shift", ("1", "foreground"), {"bandwidth": 0.5}),
    Case("mean_shift", ("1", "foreground"), {"bandwidth": 0.7, "kernel": "flat"}),
    Case("mean_shift", ("1", "foreground"), {"bandwidth": 0.4, "kernel": "von_mises_fisher"}),
    Case("merge_tree", ("1", "foreground")),
    Case("mutex_watershed", ("1", "foreground")),
    Case("queries", ("1", "query", "foreground")),
    Case("seeded_similarity", ("1", "seeds", "foreground")),
    Case("sequential_gaussian", ("1", "seed", "bandwidth", "foreground")),
    Case("watershed_cut", ("energy", "foreground")),
    Case("watershed_cut", ("energy", "foreground"), {"expected": True, "energy": 2}),
]
SIZES = [(47, 61), (64, 64), (90, 33)]


def named(case):
    extra = "+".join((*case.heads, *map(str, case.options.values())))
    return f"{case.name}-{extra}"


def test_every_decoder_has_a_case():
    assert {case.name for case in CASES} == set(DECODERS)


@pytest.mark.parametrize("case", CASES, ids=named)
@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("scene", [disjoint, touching])
def test_perfect_outputs_give_the_true_instances(case, scene, size_hw):
    true = scene(size_hw)
    found = case(perfect_outputs(true, heads=case.heads))
    assert same_partition(found.labels, true)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_labels_are_contiguous_and_each_has_a_finite_score(case):
    generator = torch.Generator().manual_seed(0)
    outputs = perfect_outputs(touching((31, 42)), heads=case.heads)
    noisy = {
        name: output + 0.3 * torch.randn(output.shape, generator=generator)
        for name, output in outputs.items()
    }
    for given in (outputs, noisy):
        found = case(given)
        values = np.unique(found.labels)
        assert values[values > 0].tolist() == list(range(1, len(found.scores) + 1))
        assert np.isfinite(found.scores).all()
        assert found.labels.shape == (31, 42)
        assert found.labels.dtype == np.int32
        assert found.scores.dtype == np.float32
        again = case({name: output.clone() for name, output in given.items()})
        assert (again.labels == found.labels).all()
        assert (again.scores == found.scores).all()


@pytest.mark.parametrize("case", CASES, ids=named)
def test_without_foreground_there_is_no_instance(case):
    outputs = perfect_outputs(touching((31, 42)), heads=case.heads)
    outputs["foreground"] = torch.full((1, 31, 42), -3.0)
    found = case(outputs)
    assert not found.labels.any()
    assert len(found.scores) == 0


@pytest.mark.parametrize("case", CASES, ids=named)
@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (2, 3)])
def test_the_smallest_images_are_decoded(case, size_hw):
    outputs = perfect_outputs(np.ones(size_hw, np.int64), heads=case.heads)
    assert case(outputs).labels.shape == size_hw


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_missing_head_is_told_in_one_line(case):
    with pytest.raises(ValueError) as error:
        case({"something": torch.zeros(1, 8, 8)})
    assert "\n" not in str(error.value)
    assert "something" in str(error.value)


@pytest.mark.parametrize(
    "case", [c for c in CASES if "1" in c.heads and "boundary" not in c.heads], ids=named
)
def test_a_constant_embedding_gives_the_foreground(case):
    mask = np.zeros((21, 34), np.int64)
    mask[3:18, 5:30] = 1
    outputs = perfect_outputs(mask, heads=case.heads)
    outputs["1"] = torch.full_like(outputs["1"], 0.37)
    assert same_partition(case(outputs).labels, mask)


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_gpu_gives_the_same_instances(case):
    true = touching((64, 50))
    outputs = perfect_outputs(true, heads=case.heads)
    found = case({name: output.cuda() for name, output in outputs.items()})
    assert same_partition(found.labels, true)
    assert np.allclose(found.scores, case(outputs).scores, atol=1e-4)
