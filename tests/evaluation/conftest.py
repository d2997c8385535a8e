"""Images with exact truth, and models whose answers are known beforehand."""

from dataclasses import replace

import numpy as np
import pytest

from maskspace import masks
from maskspace.data.dense import dense
from maskspace.data.readers.rectangles import read_rectangles
from maskspace.evaluation.config import OWN_PROTOCOL, EvaluateConfig
from maskspace.loaded import Segmenter
from maskspace.types import Embedding, Prediction


class Oracle(Segmenter):
    """Knows the truth of its samples: every question that it answers, it answers perfectly."""

    name, ranking = "oracle", "the truth's own order"
    answers = frozenset({"embed", "propose", "click"})

    def __init__(self, samples):
        arrays = [dense(sample) for sample in samples]
        self.known = {a.image.tobytes(): a for a in arrays}
        self.asked = 0

    def truth(self, image):
        return self.known[image.tobytes()].masks

    def embed(self, image):
        labels = masks.to_label_map(self.truth(image)).astype(np.float32)
        return Embedding({1: np.stack([labels, labels**2, 0 * labels]) / 100})

    def propose(self, image, limit):
        self.asked += 1
        truth = self.truth(image)[:limit]
        return Prediction(truth, np.ones(len(truth), np.float32))

    def click(self, image, clicks):
        truth = self.truth(image)
        click = clicks[0]
        hit = truth[truth[:, click.y, click.x]]
        return hit[masks.areas(hit).argmin()] if len(hit) else np.zeros(image.shape[:2], bool)


class ProbabilityOracle(Oracle):
    """The same, with maps of probability that are sure by the given margin."""

    answers = Oracle.answers | {"click_probabilities"}
    margin = 0.4

    def click_probabilities(self, image, clicks):
        answers = np.stack([self.click(image, [click]) for click in clicks])
        return np.where(answers, 0.5 + self.margin, 0.5 - self.margin).astype(np.float32)


class Refining(ProbabilityOracle):
    """Answers all clicks together, and a corner more of the object at each: never all of it."""

    answers = ProbabilityOracle.answers | {"refine"}

    def refine(self, image, clicks, previous):
        mask = self.click(image, clicks)
        inside = np.flatnonzero(mask)
        known = inside[: len(inside) * len(clicks) // (len(clicks) + 1)]
        probability = np.full(mask.shape, 0.1, np.float32)
        probability.flat[known] = 0.9
        self.previous = previous
        return probability


class Constant(Oracle):
    """A student that collapsed: one feature vector, one region."""

    ranking = "nothing"

    def embed(self, image):
        return Embedding({1: np.full((3, *image.shape[:2]), 0.5, np.float32)})

    def propose(self, image, limit):
        return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))

    def click(self, image, clicks):
        return np.ones(image.shape[:2], bool)


class Silent(Oracle):
    """Answers proposals only, and none at that."""

    name, answers = "silent", frozenset({"propose"})
    embed, click = Segmenter.embed, Segmenter.click

    def propose(self, image, limit):
        return Prediction(np.zeros((0, *image.shape[:2]), bool), np.zeros(0, np.float32))


MODELS = {"oracle": Oracle, "probability": ProbabilityOracle, "constant": Constant,
          "refining": Refining, "silent": Silent}  # fmt: skip


@pytest.fixture(scope="session")
def samples():
    return list(read_rectangles("", seed=0, limit=6))


@pytest.fixture
def models(samples):
    """Return a function that makes a model by name."""
    return lambda *names: {name: MODELS[name](samples) for name in names}


@pytest.fixture
def config():
    return EvaluateConfig(
        limit=None,
        min_area=100,
        proposal_counts=(1, 5, 50),
        recall_counts=(1, 10, 100),
        region_counts=(1, 2, 4),
        interactive=replace(
            OWN_PROTOCOL, first_clickers=("center", "random"), max_clicks=3, cases=1
        ),
        collapse_std=1e-3,
        gallery_images=2,
        max_left_out=0.0,
    )
