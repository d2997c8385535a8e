import numpy as np
import torch

from maskspace.partition.offset_read import embedding_of


def test_without_both_heads_the_embedding_is_as_it_is():
    embedding = torch.randn(3, 5, 7)
    assert embedding_of({"1": embedding, "offset": torch.zeros(2, 5, 7)}) is embedding


def test_a_sure_offset_of_whole_pixels_reads_there():
    embedding = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    offset = torch.zeros(2, 5, 8)
    offset[0], offset[1] = 2 * 2 / 8, -1 * 2 / 5  # two pixels to the right, one up
    outputs = {"1": embedding, "offset": offset, "confidence": torch.ones(1, 5, 8)}
    read = embedding_of(outputs).numpy()
    rows, columns = np.maximum(np.arange(5) - 1, 0), np.minimum(np.arange(8) + 2, 7)
    assert np.allclose(read, embedding.numpy()[:, rows][:, :, columns], atol=1e-5)


def test_confidence_mixes():
    embedding = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(1))
    outputs = {
        "1": embedding,
        "offset": torch.full((2, 4, 4), 2 / 4),
        "confidence": torch.full((1, 4, 4), 0.25),
    }
    read = embedding_of(outputs)
    expected = 0.75 * embedding[:, 0, 0] + 0.25 * embedding[:, 1, 1]
    assert torch.allclose(read[:, 0, 0], expected, atol=1e-6)
