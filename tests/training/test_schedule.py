from maskspace.training.schedule import learning_rate


def test_rate_rises_to_its_peak_and_falls_to_its_share(optimisation):
    rates = [learning_rate(optimisation, step) for step in range(optimisation.steps + 1)]
    peak = optimisation.learning_rate
    assert rates[optimisation.warmup - 1] == rates[optimisation.warmup] == peak
    assert rates[: optimisation.warmup] == sorted(rates[: optimisation.warmup])
    assert rates[optimisation.warmup :] == sorted(rates[optimisation.warmup :], reverse=True)
    assert abs(rates[-1] - peak * optimisation.final_share) < 1e-12
