import inspect
from typing import get_args

import numpy as np
import pytest

from maskspace.bundled import bundled_models
from maskspace.loaded import Answer, Segmenter
from maskspace.models import MODELS
from maskspace.peers import PEERS
from maskspace.segmenter import wrap
from maskspace.segmenter.loading import load
from maskspace.types import MapNetwork, network_answers

#: Arguments of the questions beside the image.
CLICK = [(3, 3, True)]
MORE = {
    "partition": {"regions": 2},
    "scales": {"counts": (2,)},
    "click": {"clicks": CLICK},
    "click_probabilities": {"clicks": CLICK},
    "refine": {"clicks": CLICK},
}
QUESTIONS = [one for one in get_args(Answer) if one != "classes"]
TINY = {
    "click_vit": {
        "size": 64, "patch": 8, "dim": 32, "depth": 1, "heads": 2, "global_every": 1,
        "fusion_depth": 1, "neck_dims": (8, 8, 8, 8), "head_dim": 8,
    },
    "pixel_embedding": {"width": 16, "registers": 1},
    "unet": {"width": 4, "depth": 2},
    "feature_pyramid": {"backbone": "efficientnet_lite0", "width": 8},
}  # fmt: skip


def ask(model, question):
    image = np.random.default_rng(0).integers(0, 255, (32, 40, 3)).astype(np.uint8)
    answer = getattr(model, question)(image, **MORE.get(question, {}))
    return list(answer) if inspect.isgenerator(answer) else answer


def kinds():
    models = [wrap(MODELS[name](**options).eval(), name=name) for name, options in TINY.items()]
    peers = [name for name in sorted(PEERS) if name in ("felzenszwalb", "flood-fill", "watershed")]
    flat = {
        "heads": {"foreground": {"channels": 1}},
        "decoder": {"name": "components", "options": {}},
    }
    mapped = wrap(MODELS["unet"](**TINY["unet"], **flat).eval(), name="maps only")
    return [mapped, *models, *map(load, [*bundled_models(), *peers])]


@pytest.mark.parametrize("model", kinds(), ids=lambda model: model.name)
def test_a_model_answers_what_it_declares_and_refuses_the_rest(model):
    assert isinstance(model, Segmenter)
    for question in QUESTIONS:
        if question in model.answers:
            ask(model, question)
        else:
            with pytest.raises(ValueError, match=f"{model.name} cannot answer {question}; it "):
                ask(model, question)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_network_of_the_table_declares_what_it_is(name):
    network = MODELS[name](**TINY[name])
    assert ("click" in network_answers(network)) != isinstance(network, MapNetwork)


def test_every_question_is_a_method():
    assert all(callable(getattr(Segmenter, question)) for question in QUESTIONS)
