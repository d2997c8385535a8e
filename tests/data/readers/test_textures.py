from pathlib import Path

import numpy as np
import pytest

from maskspace.data.readers.textures import TEXTURES, crop_real, real_textures, standardise


@pytest.mark.parametrize("name", TEXTURES)
def test_procedural_textures_have_mean_0_and_variance_1(name: str) -> None:
    for seed in range(30):
        values = TEXTURES[name](np.random.default_rng(seed), (48, 70))
        assert values.shape == (48, 70)
        assert abs(values.mean()) < 1e-9
        assert values.std() == pytest.approx(1.0)


def test_crops_of_real_textures_fit_any_size(raw: Path) -> None:
    rng = np.random.default_rng(0)
    for texture in real_textures(str(raw / "textures")):
        for size_hw in ((16, 40), (64, 64), (150, 130)):
            crop = crop_real(rng, texture, size_hw)
            assert crop.shape == (*size_hw, 3)
            assert np.sqrt(np.mean(crop**2)) == pytest.approx(1.0)


def test_a_constant_patch_stays_zero() -> None:
    assert not standardise(np.full((4, 5), 3.0)).any()
