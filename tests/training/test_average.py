import torch
from torch import nn

from maskspace.training.average import MovingAverage


def drift(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))


def test_the_average_is_the_loop_over_steps():
    model = nn.Linear(3, 2)
    average = MovingAverage(model, 0.7)
    expected = model.weight.detach().clone()
    for step in range(30):
        drift(model)
        average.update(step)
        decay = min(0.7, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    assert torch.allclose(average.model.weight, expected, atol=1e-6)


def test_the_random_start_is_soon_forgotten():
    model = nn.Linear(3, 2)
    average = MovingAverage(model, 0.9999)
    with torch.no_grad():
        model.weight.fill_(5.0)
    for step in range(100):
        average.update(step)
    assert (average.model.weight - 5).abs().max() < 1e-6


def test_constant_weights_are_their_average_and_counters_are_copied():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = MovingAverage(model, 0.9)
    model.train()
    model(torch.randn(4, 3))
    average.update(0)
    assert torch.equal(average.model[0].weight, model[0].weight)
    assert average.model[1].num_batches_tracked == 1
    assert not average.model.training and model.training
