import torch

from maskspace.training.monitors import collapse_verdict, feature_std, mean_terms


def test_a_constant_output_has_no_spread_and_a_verdict():
    assert feature_std(torch.full((2, 3, 4, 4), 0.4)) < 1e-6
    assert "constant output" in str(collapse_verdict(0.0))


def test_spread_is_at_most_a_half_for_colours():
    halves = torch.zeros(1, 3, 2, 4)
    halves[..., 2:] = 1
    assert feature_std(halves) == 0.5
    assert collapse_verdict(0.5) is None


def test_spread_between_images_does_not_count():
    images = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    assert feature_std(images) == 0


def test_terms_are_averaged_by_name():
    rows = [{"pull": torch.tensor(1.0)}, {"pull": torch.tensor(3.0)}]
    assert mean_terms(rows) == {"pull": 2.0}
