import torch

from maskspace.clustering import cluster_steps


def test_steps_equal_the_loop_over_clusters():
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(2, 3, 4, generator=generator)
    features = torch.randn(2, 10, 4, generator=generator)
    found = cluster_steps(queries, features, steps=3)
    assert len(found) == 3
    for image in range(2):
        centres = list(queries[image])
        for logits in found:
            expected = torch.stack([features[image] @ c for c in centres], 1)
            torch.testing.assert_close(logits[image], expected)
            share = expected.softmax(1)
            centres = [
                sum(s * x for s, x in zip(share[:, k], features[image], strict=True))
                / (share[:, k].sum() + 1)
                for k in range(3)
            ]


def test_a_large_image_has_the_centres_of_a_small_one():
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(1, 3, 4, generator=generator)
    features = torch.randn(1, 1000, 4, generator=generator)
    once = cluster_steps(queries, features, steps=2)[-1]
    twice = cluster_steps(queries, features.repeat(1, 2, 1), steps=2)[-1]
    torch.testing.assert_close(twice[:, :1000], once, atol=0.01, rtol=0.01)


def test_a_cluster_that_nothing_belongs_to_doubles_no_other():
    features = 6 * torch.eye(2).repeat(9, 1)[None]
    found = cluster_steps(6 * torch.eye(3)[None, :, :2], features, steps=5)
    assert found[-1].softmax(2)[..., 2].max() < 1e-6
