import pytest
import torch

from maskspace.objectives.discriminative import discriminative
from maskspace.objectives.position_sensitive import position_sensitive
from maskspace.targets import Targets


def placed(x, unit):
    """A head's output with the centres of its cells over `unit`, x before y."""
    rows, columns = ((torch.arange(side, dtype=x.dtype) + 0.5) / unit for side in x.shape[2:])
    place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    return torch.cat([x, place.expand(len(x), -1, -1, -1)], 1)


@pytest.fixture
def labels():
    """Two halves side by side."""
    return (torch.arange(8) // 4 + 1).expand(1, 6, 8)


def test_terms_are_those_of_the_discriminative_loss_with_two_channels_more(labels):
    x = torch.randn(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    ours = position_sensitive(channels=3, unit=4.0, foreground=0.0)
    theirs = discriminative(channels=5, foreground=0.0)
    output = placed(x, 4.0)
    torch.testing.assert_close(
        ours.terms({"1": output}, Targets.of_labels(labels)),
        theirs.terms({"1": output}, Targets.of_labels(labels)),
    )
    assert ours.heads["1"].position == "concat"
    assert ours.heads["1"].unit == 4.0


def test_a_constant_output_is_pushed_apart_by_its_positions(labels):
    """The means are 4 pixels apart in x: 2 in units, of 3; the gradient points along nothing else,
    and so leaves the constant channels as they are."""
    x = torch.zeros(1, 3, 6, 8)
    objective = position_sensitive(channels=3, unit=2.0, foreground=0.0)
    terms = objective.terms({"1": placed(x, 2.0)}, Targets.of_labels(labels))
    assert terms["push"] == pytest.approx((3 - 2) ** 2, abs=1e-5)
    near = objective.terms({"1": placed(x, 256.0)}, Targets.of_labels(labels))
    assert near["pull"] == 0
    assert near["push"] == pytest.approx((3 - 4 / 256) ** 2, abs=1e-5)


def test_copies_far_enough_apart_cost_no_push(labels):
    objective = position_sensitive(channels=3, unit=1.0, foreground=0.0)
    assert (
        objective.terms({"1": placed(torch.zeros(1, 3, 6, 8), 1.0)}, Targets.of_labels(labels))[
            "push"
        ]
        == 0
    )


def test_pull_is_what_the_position_exceeds(labels):
    """Of an instance larger than the margin no vector undoes it."""
    objective = position_sensitive(channels=3, unit=1.0, foreground=0.0)
    assert (
        objective.terms({"1": placed(torch.zeros(1, 3, 6, 8), 1.0)}, Targets.of_labels(labels))[
            "pull"
        ]
        > 0
    )


def test_perfect_beats_shuffled(labels):
    objective = position_sensitive(channels=2, unit=256.0, foreground=0.0)
    good = 10 * torch.eye(2)[labels - 1].permute(0, 3, 1, 2)
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    shuffled = good.flatten(2)[..., order].view_as(good)
    cost = [
        sum(objective.terms({"1": placed(x, 256.0)}, Targets.of_labels(labels)).values())
        for x in (good, shuffled)
    ]
    assert cost[0] < cost[1]


def test_a_disturbed_constant_has_a_gradient_in_its_own_channels(labels):
    noise = torch.randn(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    x = (1e-2 * noise).requires_grad_()
    objective = position_sensitive(channels=3, foreground=0.0)
    objective.terms({"1": placed(x, 256.0)}, Targets.of_labels(labels))["push"].backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 1e-4


def test_gradient_in_double_precision(labels):
    x = torch.randn(1, 2, 6, 8, generator=torch.Generator().manual_seed(0)).double()
    objective = position_sensitive(channels=2, unit=4.0, foreground=0.0)
    assert torch.autograd.gradcheck(
        lambda x: sum(objective.terms({"1": placed(x, 4.0)}, Targets.of_labels(labels)).values()),
        x.requires_grad_(),
    )
