import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from maskspace.data.crops import Crop, label_map_at_depth
from maskspace.data.stream import stream
from maskspace.targets import UNLABELLED, Targets
from maskspace.training.checkpoint import Progress
from maskspace.training.embedding_task import EmbeddingTask, confidence, limited, weighted_terms
from maskspace.training.loop import fit
from maskspace.training.progress import followed, line
from tests.training.lines import batch_of


def test_batches_depend_on_step_and_seed_alone(click_task, embedding_task):
    for task in (click_task, embedding_task):
        again, same, other = (batch_of(task, step, range(4)) for step in (5, 5, 6))
        torch.testing.assert_close(tuple(same), tuple(again), rtol=0, atol=0)
        assert not torch.equal(again.images, other.images)


def test_terms_are_named_by_level_and_weighted(embedding_task):
    model, batch = embedding_task.build(), batch_of(embedding_task, 0, range(4))
    assert set(embedding_task.terms(model, batch)) == {"pull/1", "push/1", "pull/4", "push/4"}


def test_a_constant_student_is_reported_as_collapsed(embedding_task, optimisation, tmp_path):
    model = embedding_task.build().eval()
    with torch.inference_mode():
        for head in model.heads.values():
            head.weight.zero_()
        row = embedding_task.validate(model, tmp_path / "shown.npz")
    assert row["val_collapsed"] == 1
    pace = {"step": 1.0, "images_per_second": 1.0, "wait_share": 0.0}
    assert "constant output" in line(row | pace, optimisation)


@pytest.fixture
def validated(embedding_task, tmp_path):
    model = embedding_task.build().eval()
    with torch.inference_mode():
        return embedding_task.validate(model, tmp_path / "shown.npz")


def test_a_validation_tells_every_term_its_gradient_and_the_spread(validated):
    for term in ("pull/1", "push/1", "pull/4", "push/4"):
        assert {f"val_{term}", f"val_gradient_{term}", f"val_active_{term}"} <= set(validated)
    for level in ("1", "4"):
        for figure in ("std", "variance", "least_variance", "between_within", "mean_distance"):
            assert validated[f"val_{figure}/{level}"] > 0
    json.dumps(validated, allow_nan=False)


def test_looking_on_changes_nothing_of_a_training(
    embedding_task, optimisation, tmp_path, monkeypatch
):
    seldom = optimisation.shortened(4, 4)
    plain = fit(embedding_task, seldom, tmp_path / "plain").state_dict()
    monkeypatch.setattr("maskspace.training.loop.WATCH_EVERY", 1)
    watched = fit(embedding_task, seldom, tmp_path / "watched").state_dict()
    assert all(torch.equal(value, watched[name]) for name, value in plain.items())


@dataclass(frozen=True)
class Collapsing(EmbeddingTask):
    """A student that becomes constant at a step, as a wrong objective makes it."""

    at: int = 0

    def terms(self, model, batch):
        if int(batch.positions[0]) >= self.at * self.config.optimisation.batch:
            with torch.no_grad():
                for head in model.heads.values():
                    head.weight.zero_()
        return super().terms(model, batch)


def test_a_collapse_is_named_with_its_reason_within_a_hundred_steps(
    embedding_task, optimisation, tmp_path, capsys
):
    recipe = replace(optimisation, steps=110, validate_every=110, batch=2)
    config = replace(
        embedding_task.config,
        optimisation=recipe,
        crops=replace(embedding_task.config.crops, size=32),
    )
    task = Collapsing(
        config=config,
        objective=embedding_task.objective,
        train=embedding_task.train,
        held_out=embedding_task.held_out,
        at=10,
    )
    with followed({"it": tmp_path}, recipe):
        fit(task, recipe, tmp_path)
    (verdict,) = Progress(tmp_path).verdicts()
    assert 10 < verdict["step"] <= 110
    assert "constant output" in verdict["verdict"]
    assert f"it: step {verdict['step']}: collapsed: the features" in capsys.readouterr().out


def test_what_is_constant_from_the_start_is_not_yet_called_collapsed(
    embedding_task, optimisation, tmp_path
):
    recipe = replace(optimisation, steps=4, validate_every=2, batch=2)
    config = replace(embedding_task.config, optimisation=recipe)
    task = Collapsing(
        config=config,
        objective=embedding_task.objective,
        train=embedding_task.train,
        held_out=embedding_task.held_out,
    )
    fit(task, recipe, tmp_path)
    assert all(row["val_collapsed"] for row in Progress(tmp_path).history())
    assert not Progress(tmp_path).verdicts()


@dataclass(frozen=True)
class Breaking(EmbeddingTask):
    """A student one of whose terms is no number at a step."""

    at: int = 0

    def terms(self, model, batch):
        terms = super().terms(model, batch)
        if int(batch.positions[0]) == self.at * self.config.optimisation.batch:
            terms["push/1"] = terms["push/1"] * torch.nan
        return terms


def test_a_broken_term_ends_the_training_with_step_term_and_samples(
    embedding_task, optimisation, tmp_path
):
    task = Breaking(
        config=embedding_task.config,
        objective=embedding_task.objective,
        train=embedding_task.train,
        held_out=embedding_task.held_out,
        at=2,
    )
    with pytest.raises(ValueError, match=r"push/1.* NaN or infinite at step 3") as error:
        fit(task, optimisation, tmp_path)
    keys = task.keys(2)
    assert len(keys) == 4
    assert all(key in str(error.value) for key in keys)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "checkpoint.pt").exists() or Progress(tmp_path).history()[-1]["step"] < 3


def test_keys_are_those_of_the_samples_that_are_read(embedding_task):
    recipe = embedding_task.config.optimisation
    positions = [range(2 * recipe.batch, 3 * recipe.batch)]
    (read,) = stream(embedding_task.train, lambda s, _: s.key, positions, seed=recipe.seed)
    assert embedding_task.keys(2) == [f"rectangles/{key}" for key in read]


def test_an_output_that_is_no_number_names_its_head_and_sample(embedding_task, tmp_path):
    model = embedding_task.build().eval()
    with torch.inference_mode():
        model.heads["4"].bias[0] = torch.inf
        model.heads["4"].weight[0] = torch.nan
        with pytest.raises(ValueError, match="validation: head 4 is NaN or infinite for rectangl"):
            embedding_task.validate(model, tmp_path / "shown.npz")


def test_labels_of_another_size_are_refused_in_one_line(embedding_task):
    batch = batch_of(embedding_task, 0, range(2))
    wrong = batch._replace(targets=Targets.of_labels(batch.targets.labels()[:, ::2]))
    with pytest.raises(ValueError, match=r"targets are \(32, 64\), images \(64, 64\) \(h, w\)"):
        embedding_task.terms(embedding_task.build(), wrong)


def test_the_smallest_of_too_many_instances_are_unlabelled_and_counted():
    labels = np.array([[1, 1, 2], [3, 3, 0], [4, -1, 0]])
    kept, left_out = limited(labels, 2)
    assert left_out == 2
    u = UNLABELLED
    assert kept.tolist() == [[1, 1, u], [3, 3, 0], [u, u, 0]]
    assert limited(labels, 4)[1] == 0
    assert limited(kept, 2)[1] == 0


def test_instances_left_out_are_in_the_history(embedding_task, optimisation, tmp_path):
    config = replace(embedding_task.config, max_instances=1)
    task = replace(embedding_task, config=config)
    fit(task, optimisation.shortened(2, 2), tmp_path)
    row = Progress(tmp_path).history()[0]
    assert row["train_left_out"] > 0 and row["val_left_out"] > 0
    labels = batch_of(task, 0, range(4)).targets.labels()
    assert int(labels.flatten(1).unique().clamp(min=0).max()) >= 1
    assert all((one[one > 0].unique().numel() <= 1) for one in labels)


def test_instances_of_one_pixel_and_images_without_any_are_learnt_from(embedding_task):
    model, batch = embedding_task.build(), batch_of(embedding_task, 0, range(4))
    labels = torch.zeros_like(batch.targets.labels())
    labels[0, 3, 4], labels[0, 3, 5], labels[1, 0, 0] = 1, 2, 7
    terms = embedding_task.terms(model, batch._replace(targets=Targets.of_labels(labels)))
    torch.stack(list(terms.values())).sum().backward()
    assert all(value.isfinite() for value in terms.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def taught(task, **changed):
    return replace(task, config=replace(task.config, **changed), proposals=task.train)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_teacher_labels_its_share_of_an_epoch(embedding_task, share):
    task = taught(embedding_task, teacher_share=share, teacher_weight=0.5)
    epoch = task._samples.order(seed=0).order.length // 4
    weights = torch.cat([batch_of(task, step, range(4)).weights for step in range(epoch)])
    assert int((weights == 0.5).sum()) == share * len(weights)
    assert set(weights.tolist()) <= {0.5, 1.0}
    keys = [key for step in range(epoch) for key in task.keys(step)]
    assert sum(key.startswith("proposals/") for key in keys) == share * len(keys)


def test_what_lies_outside_a_teachers_masks_is_unlabelled(embedding_task):
    task = taught(embedding_task, teacher_share=1.0)
    assert (batch_of(task, 0, range(4)).targets.labels() != 0).all()


def test_weights_of_one_are_the_objective_itself(embedding_task):
    torch.manual_seed(0)
    outputs = {"1": torch.rand(4, 3, 16, 16), "4": torch.rand(4, 48, 4, 4)}
    labels = torch.arange(4).repeat_interleave(4).expand(4, 16, 16) + 1
    own = embedding_task._objective.terms(outputs, Targets.of_labels(labels))
    assert (
        weighted_terms(
            embedding_task._objective.terms, outputs, Targets.of_labels(labels), torch.ones(4)
        )
        == own
    )


def test_terms_are_the_weighted_mean_over_images(embedding_task):
    torch.manual_seed(0)
    outputs = {"1": torch.rand(4, 3, 16, 16), "4": torch.rand(4, 48, 4, 4)}
    labels = torch.arange(4).repeat_interleave(4).expand(4, 16, 16) + 1
    weights = torch.tensor([1.0, 0.5, 1.0, 0.25])
    terms = embedding_task._objective.terms
    found = weighted_terms(terms, outputs, Targets.of_labels(labels), weights)
    for name, value in found.items():
        alone = [
            terms(
                {k: x[i : i + 1] for k, x in outputs.items()}, Targets.of_labels(labels[i : i + 1])
            )[name]
            for i in range(4)
        ]
        torch.testing.assert_close(value, (torch.stack(alone) * weights).mean())


def test_confidence_is_the_mean_score_of_the_labelled_pixels():
    masks = np.zeros((3, 4, 4), bool)
    masks[0], masks[1, :2], masks[2, 3] = True, True, True
    crop = Crop(
        image=np.zeros((4, 4, 3), np.uint8),
        masks=masks,
        depths=np.array([0, 1, 1]),
        scores=np.array([0.5, 1.0, 0.75], np.float32),
        layers=np.zeros(3, np.int64),
        categories=np.full(3, -1),
        ignore=np.zeros((4, 4), bool),
    )
    labels = label_map_at_depth(crop, 1)
    assert confidence(crop, labels) == pytest.approx((8 * 1.0 + 4 * 0.75 + 4 * 0.5) / 16)
    assert confidence(crop, label_map_at_depth(crop, 0)) == pytest.approx(0.5)
    assert confidence(crop, np.zeros((4, 4), np.int64)) == 0


def test_the_backbone_begins_with_weights_of_a_file(embedding_task, tmp_path):
    source = embedding_task.build().backbone.state_dict()
    path = tmp_path / "b0-r224.pt"
    torch.save({f"backbone.{key}": value for key, value in source.items()}, path)
    begun = replace(embedding_task, config=replace(embedding_task.config, backbone=str(path)))
    for key, value in begun.build().backbone.state_dict().items():
        assert torch.equal(value, source[key]), key
