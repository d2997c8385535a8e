import torch

from maskspace.objectives.samples import features_at, sample_instances, sample_pixels


def test_samples_are_of_their_own_instance_and_carry_its_features():
    torch.manual_seed(0)
    embedding, labels = torch.rand(3, 4, 6, 5), torch.randint(-1, 5, (3, 6, 5))
    labels[2] = 0
    drawn = sample_instances(embedding, labels, number=6)
    for image in range(3):
        present = sorted(set(labels[image].flatten().tolist()) - {0, -1})
        assert drawn.present[image].sum() == len(present)
        for column, label in enumerate(present):
            pixels = drawn.pixel[image, column]
            assert (labels[image].flatten()[pixels] == label).all()
            assert drawn.counts[image, column] == (labels[image] == label).sum()
            torch.testing.assert_close(
                drawn.features[image, column], embedding[image].flatten(1)[:, pixels].T
            )


def test_samples_differ_where_there_are_enough_and_every_pixel_is_as_likely():
    torch.manual_seed(0)
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, 1:3] = 5
    hits = torch.zeros(16)
    for _ in range(2000):
        pixel = sample_instances(torch.zeros(1, 1, 4, 4), labels, number=4).pixel[0, 0]
        assert len(pixel.unique()) == 4
        hits[pixel] += 1
    torch.testing.assert_close(hits[4:12] / 2000, torch.full((8,), 0.5), atol=0.04, rtol=0)
    assert hits.sum() == hits[4:12].sum()


def test_drawn_pixels_are_known_and_all_of_them_come_up():
    torch.manual_seed(0)
    known = torch.rand(2, 5, 6) > 0.4
    pixel = sample_pixels(known, number=int(known[0].sum()))
    assert known[0].flatten()[pixel[0]].all()
    assert known[1].flatten()[pixel[1]].all()
    assert len(pixel[0].unique()) == known[0].sum()


def test_of_an_image_without_a_known_pixel_anything_is_drawn():
    pixel = sample_pixels(torch.zeros(2, 3, 3, dtype=torch.bool), number=4)
    assert pixel.shape == (2, 4)
    assert ((pixel >= 0) & (pixel < 9)).all()


def test_features_come_in_the_order_of_the_pixels_and_in_float32():
    embedding = torch.arange(12).view(1, 2, 2, 3).bfloat16()
    found = features_at(embedding, torch.tensor([[5, 0]]))
    assert found.tolist() == [[[5.0, 11.0], [0.0, 6.0]]]
    assert found.dtype == torch.float32


def test_a_seed_draws_the_same():
    labels = torch.randint(0, 4, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(sample_instances(torch.zeros(2, 1, 8, 8), labels, number=5).pixel)
    assert torch.equal(*drawn)
