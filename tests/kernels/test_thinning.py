import numpy as np
from scipy import ndimage
from skimage.morphology import thin

from maskspace.metrics.boundary import thinned


def test_thinning_is_scikit_images_pixel_by_pixel():
    generator = np.random.default_rng(0)
    for share, width in ((0.1, 0), (0.5, 0), (0.9, 0), (0.4, 1), (0.5, 3)):
        noise = ndimage.gaussian_filter(generator.random((40, 57)), width)
        pixels = noise < np.quantile(noise, share)
        before = pixels.copy()
        assert (thinned(pixels) == thin(pixels)).all()
        assert (pixels == before).all()
    for full in (np.ones((9, 12), bool), np.zeros((3, 3), bool), np.ones((1, 1), bool)):
        assert (thinned(full) == thin(full)).all()
