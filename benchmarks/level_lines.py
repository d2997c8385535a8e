"""Whether one map of logits holds an object, its parts and their parts, each at its own level.

    OMP_NUM_THREADS=1 python -m benchmarks.level_lines [--scenes 4 --steps 700] [--picture P.png]

Trains a small clicker on nested scenes with the level-line loss, and cuts its answer to clicks on
these scenes, learnt by heart, at the level of each mask of the nest that holds the click. Prints
the mean IoU of each level by the number of masks in the nest, finest first, beside that of one cut
at 1/2 for all of them. The picture shows a click in each scene, its true nest and the cuts.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskspace import pictures
from maskspace.config import Choice
from maskspace.data import READERS
from maskspace.data.crops import Crops
from maskspace.data.stream import Mixture
from maskspace.mask_losses.level_line import cut_levels
from maskspace.training.click_task import ClickTask, level_iou
from maskspace.training.config import ClickerConfig, Optimisation, Workers
from maskspace.training.learner import Learner

SIZE, BATCH, LEVELS, SIDE = 96, 4, 3, 192


def main() -> None:
    """Train, print the table as training goes, and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.level_lines", description=__doc__)
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    task = make_task(options.scenes, options.steps)
    learner = Learner(
        task.build(), task.terms, task.config.optimisation, wrap=lambda model: model, averages=True
    )
    start = time.perf_counter()
    for step in range(options.steps):
        learner.step(step, task.batches([(step, range(BATCH))]))
        if (step + 1) % 100 == 0 or step + 1 == options.steps:
            spent = time.perf_counter() - start
            left = spent / (step + 1) * (options.steps - step - 1)
            print(f"step {step + 1}/{options.steps}, {left:.0f} s left", file=sys.stderr)
            show(task, learner.model.eval())
    if options.picture:
        draw(task, learner.model.eval(), options.picture)


def make_task(scenes: int, steps: int) -> ClickTask:
    """Return the task of clicking some scenes of one object with its parts and theirs."""
    source = READERS["scenes"](
        "", seed=0, limit=scenes, size_hw=(SIZE, SIZE), objects=(1, 1), texture=4.0
    )
    mixture = Mixture(datasets={"scenes": source}, weights={"scenes": 1.0})
    return ClickTask(config=recipe(steps), train=mixture, held_out=mixture)


def recipe(steps: int) -> ClickerConfig:
    """Return the recipe: level lines of a focal loss and of the Lovász hinge."""
    return ClickerConfig(
        data={"scenes": 1.0},
        model=Choice(
            name="click_vit",
            options={
                "size": SIZE, "patch": 8, "dim": 64, "depth": 2, "heads": 4, "global_every": 1,
                "stem": "convolutional", "prompts": "relative", "fusion_depth": 1,
                "neck_dims": (24, 32, 32, 32), "head_dim": 32, "click_radius": 2.5,
            },
        ),
        losses={"normalised_focal": 1.0, "lovasz_hinge": 1.0},
        initial=None,
        backbone=None,
        crops=Crops(
            size=SIZE, placement="square", augment=False, min_scale=1.0, max_scale=1.0, turns=False,
            shuffle_channels=False, contrast=0.0, brightness=0.0,
        ),
        clicks=Choice(
            name="one", options={"centre_share": 0.0, "least_pixels": 32, "power": 0.0}
        ),
        clicks_per_image=6,
        rounds=0,
        levels=LEVELS,
        pseudo_share=0.0,
        pseudo_stability=0.9,
        jitter=None,
        optimisation=Optimisation(
            steps=steps, batch=BATCH, accumulate=1, optimiser="adamw", betas=(0.9, 0.98),
            learning_rate=3e-3, schedule=Choice(name="cosine", options={"final_share": 0.02}),
            warmup=50, layer_decay=1.0, weight_decay=0.01, clip_norm=1.0, ema=0.99,
            precision="float32", compile=False, seed=0, validate_every=100, early_stop=None,
            checkpoint_seconds=1e9,
        ),
        validation_images=24,
        workers=Workers(number=1, threads=1, loaders=0, gpu=False),
    )  # fmt: skip


@torch.no_grad()
def answers(task: ClickTask, model: torch.nn.Module) -> Float[Tensor, "b p s s"]:
    """Return the logits of the task's validation clicks."""
    held = task.validation
    parts = zip(held.images.split(8), held.clicks.split(8), strict=True)
    return torch.cat([model(images, clicks) for images, clicks in parts])


def show(task: ClickTask, model: torch.nn.Module) -> None:
    """Print the IoU of each level by the number of masks in the nest."""
    logits = answers(task, model).flatten(0, 1)
    nests = task.validation.nests.flatten(0, 1)
    number = (nests >= 0).flatten(2).any(2).sum(1)
    print("masks  clicks  IoU at its own level, finest first  all cut at 1/2")
    for count in range(1, LEVELS + 1):
        rows = number == count
        if not rows.any():
            continue
        own = level_iou(logits[rows], nests[rows]).view(-1, count).mean(0)
        half = torch.stack([half_iou(logits[rows], nests[rows][:, k]) for k in range(count)])
        cells = [" ".join(f"{value:.3f}" for value in line.tolist()) for line in (own, half)]
        print(f"{count:<5}  {int(rows.sum()):>6}  {cells[0]:<34}  {cells[1]}", flush=True)


def half_iou(logits: Float[Tensor, "b s s"], truth: Float[Tensor, "b s s"]) -> Float[Tensor, ""]:
    """Return the mean IoU of the maps cut at 1/2 with one mask each."""
    predicted, true = (logits > 0) & (truth >= 0), truth > 0.5
    shared, union = (predicted & true).sum((1, 2)), (predicted | true).sum((1, 2))
    return (shared / union.clamp(min=1)).mean()


def draw(task: ClickTask, model: torch.nn.Module, path: Path) -> None:
    """Write a row a scene, of a click inside a nest of three masks."""
    held, maps = task.validation, answers(task, model)
    rows: dict[bytes, list[np.ndarray]] = {}
    for image, clicks, nests, logits in zip(
        held.images, held.clicks, held.nests, maps, strict=True
    ):
        full = np.flatnonzero((nests >= 0).flatten(2).any(2).all(1).numpy())
        pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        if len(full) == 0 or pixels.tobytes() in rows:
            continue
        prompt = int(full[0])
        row, column, _ = clicks[prompt, 0].long().tolist()
        probability = pictures.fit_map(logits[prompt].sigmoid().numpy(), SIDE)
        truth = np.stack([pictures.fit_map(mask.numpy(), SIDE) > 0.5 for mask in nests[prompt]])
        shown = pictures.fit_image(pixels, SIDE)
        scale = SIDE // SIZE
        levels = cut_levels(LEVELS)
        rows[pixels.tobytes()] = [
            pictures.paint_click(shown, (column * scale, row * scale), radius=4, positive=True),
            pictures.paint_masks(shown, truth),
            pictures.paint_masks(shown, np.stack([probability > level for level in levels])),
            pictures.paint_level_lines(shown, probability, levels=levels[::-1]),
            pictures.ramp_colors(probability),
        ]
    titles = ["click", "true nest", "cut at 3/4, 1/2, 1/4", "level lines", "probability"]
    sheet = pictures.contact_sheet(list(rows.values()), titles=titles, side=SIDE)
    pictures.save_image(path, sheet)


if __name__ == "__main__":
    main()
