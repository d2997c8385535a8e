"""Objectives: time against a naive loop and against the student's own step, and memory.

    python -m benchmarks.objectives [--only balls plain] [--terms] [--compile] [--device cuda]

For every objective of the table, forward and backward of its terms on random outputs of its heads,
4 images of 512 x 512 with 64 instances each: milliseconds, times as fast as a loop over instances
(where one is written here: the same value, checked; the median of runs in turn), and the share of
forward and backward of the student with these heads. With `--compile` also by torch.compile; with
`--terms` nothing but terms, no student, loop or memory. Then, in a fresh process each, how much the
process grows (on a GPU: is allocated) by the terms of one image of 1024 x 1024 with 100 instances.
Last the level-line loss of every mask loss, 3 nested masks an image, against a call for each image
and level. On the CPU by one thread, and in its CPU time.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from math import log
from pathlib import Path
from statistics import median

import psutil
import torch
from torch import Tensor

from maskspace.config import Choice
from maskspace.models.pixel_embedding import build_pixel_embedding
from maskspace.objectives import MASK_LOSSES, OBJECTIVES, MaskLoss, Objective, level_line, levels_of
from maskspace.objectives.foreground import BESIDE_DISTANCES, foreground_term
from maskspace.objectives.objective import LEVEL_WEIGHTS, colours
from maskspace.objectives.samples import sample_instances

LEVELS = 3
Outputs = Mapping[str, Tensor]
#: The outputs of the heads and the labels of a batch -> what is minimised.
Loss = Callable[[Outputs, Tensor], Tensor]
#: An image's embedding, its labels and those of its instances -> what it costs.
Loop = Callable[[Tensor, Tensor, list[int]], Tensor]


def loop_balls(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the terms of `balls`, an instance at a time."""
    total = x.sum() * 0
    for label in present:
        inside = y == label
        distance = distance_to(x, x[:, inside].mean(1))
        total = total + (distance[inside] - 0.1).clamp(min=0).mean()
        total = total + (0.3 - distance[~inside]).clamp(min=0).mean()
    return total / len(present)


def loop_plain(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the terms of `plain`, an instance at a time."""
    total = x.sum() * 0
    for label in present:
        inside = y == label
        distance = distance_to(x, x[:, inside].mean(1))
        total = total + distance[inside].mean() - distance[~inside].mean()
    return total / len(present)


def loop_softmax(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the term of `instance_softmax`, an instance at a time."""
    squares = [distance_to(x, x[:, y == label].mean(1)).square() for label in present]
    log = (torch.stack(squares) / (-2 * 0.1**2)).log_softmax(0)
    costs = [-log[i][y == label].mean() for i, label in enumerate(present)]
    return torch.stack(costs).mean()


def loop_discriminative(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the terms of `discriminative` without the foreground's, an instance at a time."""
    means = [x[:, y == label].mean(1) for label in present]
    total = x.sum() * 0
    for label, mean in zip(present, means, strict=True):
        distance = distance_to(x, mean)[y == label]
        total = total + (distance - 0.5).clamp(min=0).square().mean() + 0.001 * mean.norm()
    return total / len(present) + push_by_pairs(means)


def push_by_pairs(means: list[Tensor]) -> Tensor:
    """Return the mean over ordered pairs of [3 - |mu_a - mu_b|]+^2, a pair at a time."""
    push = torch.stack(means).sum() * 0
    for one in range(len(means)):
        for other in range(len(means)):
            if one != other:
                push = push + (3 - (means[one] - means[other]).norm()).clamp(min=0).square()
    return push / max(1, len(means) * (len(means) - 1))


def loop_anchor(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the terms of `anchor_mask` without the foreground's, an instance at a time."""
    costs = []
    for label, anchor in zip(present, anchors(x, y), strict=True):
        inside = y == label
        phi = (distance_to(x, anchor).square() * (-log(2) / 0.5**2)).exp()
        shared, total = 2 * phi[inside].sum() + 1, phi.square().sum() + inside.sum() + 1
        costs.append(1 - shared / total)
    return torch.stack(costs).mean() + loop_discriminative(x, y, present)


def anchors(x: Tensor, y: Tensor) -> Tensor:
    """Return a pixel of each instance, the one that the objective draws next."""
    return sample_instances(x[None], y[None], number=1).features[0, :, 0]


def loop_semi(outputs: Outputs, labels: Tensor) -> Tensor:
    """Return the terms of `semi_convolutional`, an instance at a time."""
    images = []
    for x, raw, y in zip(outputs["1"], outputs["scale"], labels, strict=True):
        pull, kernel, means = [], [], []
        present = [label for label in y.unique().tolist() if label > 0]
        for label, seed in zip(present, anchors(x, y), strict=True):
            inside = y == label
            means.append(x[:, inside].mean(1))
            pull.append(distance_to(x, means[-1])[inside].mean())
            distance = distance_to(x, seed) / raw.exp()
            outside = -(1 - (-distance.clamp(min=1e-6)).exp()).log()
            kernel.append(torch.where(inside, distance, outside).mean())
        images.append(torch.stack(pull).mean() + torch.stack(kernel).mean() + push_by_pairs(means))
    return torch.stack(images).mean() + BESIDE_DISTANCES * foreground_term(outputs, labels)


def loop_lovasz(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the term of `lovasz_instances` without the foreground's, an instance at a time."""
    costs = []
    for label in present:
        inside = y == label
        squared = distance_to(x, x[:, inside].mean(1)).square()
        costs.append(hinge_by_sorting((squared / (-2 * 0.5**2)).exp(), inside))
    return torch.stack(costs).mean()


def hinge_by_sorting(phi: Tensor, inside: Tensor) -> Tensor:
    """Return the Lovász hinge of 2 phi - 1 as the paper's code has it."""
    errors, order = torch.where(inside, 2 - 2 * phi, 2 * phi).flatten().sort(descending=True)
    true = inside.flatten()[order].to(phi.dtype)
    shared, union = true.sum() - true.cumsum(0), true.sum() + (1 - true).cumsum(0)
    return (errors * (1 - shared / union).diff(prepend=true.new_zeros(1))).sum()


def loop_spatial(outputs: Outputs, labels: Tensor) -> Tensor:
    """Return the terms of `spatial_embedding`, an instance at a time."""
    images = []
    heads = (outputs["1"], outputs["bandwidth"], outputs["seed"])
    for e, raw, seed, y in zip(*heads, labels, strict=True):
        rows, columns = ((torch.arange(side, device=e.device) + 0.5) / 1023 for side in y.shape)
        place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
        instance, smooth, wanted = [], [], (seed[0].square() * (y == 0)).sum()
        present = y.unique().tolist()
        for label in present:
            if label > 0:
                inside = y == label
                mean, centre = raw[0][inside].mean(), place[:, inside].mean(1)
                squared = (e - centre[:, None, None]).square().sum(0)
                phi = (-(10 * mean).exp() * squared).exp()
                instance.append(hinge_by_sorting(phi, inside))
                smooth.append((raw[0][inside] - mean.detach()).square().mean())
                error = (seed[0] - phi.detach())[inside]
                wanted = wanted + 10 * error.square().sum()
        means = torch.stack(instance).mean() + 10 * torch.stack(smooth).mean()
        images.append(means + wanted / y.numel())
    return torch.stack(images).mean()


def distance_to(x: Tensor, mean: Tensor) -> Tensor:
    """Return the distance of every pixel to one vector."""
    return ((x - mean[:, None, None]).square().sum(0) + 1e-12).sqrt()


def looped(loop: Loop, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the mean of a loop over the images of a batch."""
    images = []
    for pixels, y in zip(x, labels, strict=True):
        images.append(loop(pixels, y, [label for label in y.unique().tolist() if label > 0]))
    return {"loop": torch.stack(images).mean()}


def of_levels(loop: Loop) -> Loss:
    """Return a loop over every level of the colours."""
    decoder = Choice(name="mean_shift", options={})
    terms = partial(looped, loop)
    return summed(colours(terms, level_weights=LEVEL_WEIGHTS, channels=3, decoder=decoder))


def of_masked(loop: Loop, weight: float, outputs: Outputs, labels: Tensor) -> Tensor:
    """Return a loop over the finest embedding, plus the foreground's term times its weight."""
    return looped(loop, outputs["1"], labels)["loop"] + weight * foreground_term(outputs, labels)


def loop_level_line(base: MaskLoss, logits: Tensor, nest: Tensor) -> Tensor:
    """Return `level_line`, an image and a level at a time."""
    images = []
    for z, masks in zip(logits, nest, strict=True):
        thresholds = torch.tensor(levels_of(len(masks)), device=z.device).logit()
        costs = [base((z - t)[None], m[None]) for t, m in zip(thresholds, masks, strict=True)]
        images.append(torch.stack(costs).mean())
    return torch.stack(images).mean()


def summed(objective: Objective) -> Loss:
    """Return the sum of an objective's terms as one function."""

    def loss(outputs: Outputs, labels: Tensor) -> Tensor:
        return torch.stack(list(objective.terms(outputs, labels).values())).sum()

    return loss


LOOPS: dict[str, Loss] = {
    "anchor_mask": partial(of_masked, loop_anchor, BESIDE_DISTANCES),
    "balls": of_levels(loop_balls),
    "discriminative": partial(of_masked, loop_discriminative, BESIDE_DISTANCES),
    "instance_softmax": of_levels(loop_softmax),
    "lovasz_instances": partial(of_masked, loop_lovasz, 1.0),
    "plain": of_levels(loop_plain),
    "position_sensitive": partial(of_masked, loop_discriminative, BESIDE_DISTANCES),
    "semi_convolutional": loop_semi,
    "spatial_embedding": loop_spatial,
}


def grid_labels(side: int, batch: int, instances: int, device: str) -> Tensor:
    """Return a square grid of about so many square instances, on a background of a fourth."""
    number = round(instances**0.5)
    place = torch.arange(side, device=device) * number
    cells, within = place // side, (place % side) / side
    shown = (within - 0.5).abs() < 0.433
    labels = (cells[:, None] * number + cells[None] + 1) * (shown[:, None] & shown[None])
    return labels.expand(batch, side, side)


def leaves(outputs: Outputs) -> dict[str, Tensor]:
    """Return outputs that gradients end at."""
    return {name: output.detach().requires_grad_() for name, output in outputs.items()}


def nests(side: int, batch: int, device: str) -> tuple[Tensor, Tensor]:
    """Return random logits and discs that nest, a tenth of their pixels unknown."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, side, side)
    logits = torch.randn(shape, generator=generator).to(device).requires_grad_()
    place = torch.linspace(-1, 1, side)
    distance = (place[:, None] ** 2 + place**2).sqrt()
    radii = torch.linspace(0.2, 0.8, LEVELS)[:, None, None]
    unknown = torch.rand(shape, generator=generator)[:, None] < 0.1
    return logits, torch.where(unknown, -1.0, (distance < radii).float()).to(device)


def milliseconds(step: Callable[[], Tensor], *, repeats: int, warm: bool = True) -> float:
    """Return the median time of forward and backward.

    Without a GPU that is CPU time, of one thread, which other processes disturb less.
    """
    clock = time.perf_counter if torch.cuda.is_initialized() else time.process_time
    times = []
    for _ in range(repeats + warm):
        torch.manual_seed(0)  # objectives that sample
        wait()
        start = clock()
        step().backward()
        wait()
        times.append(clock() - start)
    return median(times[warm:]) * 1e3


def wait() -> None:
    """Wait for the GPU, if one is in use."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def student_step(model: torch.nn.Module, images: Tensor) -> Tensor:
    """Return something of every output whose gradient costs nothing."""
    return torch.stack([output.sum() for output in model(images).values()]).sum()


def measure(name: str, options: argparse.Namespace) -> None:
    """Print the row of one objective."""
    objective = OBJECTIVES[name]()
    torch.manual_seed(0)
    heads = {head: asdict(value) for head, value in objective.heads.items()}
    model = build_pixel_embedding(heads=heads).to(options.device)
    images = torch.rand(options.batch, 3, options.side, options.side, device=options.device)
    labels = grid_labels(options.side, options.batch, options.instances, options.device)
    outputs = leaves(model(images))
    loss, timed = summed(objective), partial(milliseconds, repeats=options.repeats)
    ours = timed(lambda: loss(outputs, labels))
    row = f"{name:20} {ours:9.0f}"
    if options.compile:
        row += f" {compiled(loss, outputs, labels, timed):>11}"
    if not options.terms:
        network = timed(lambda: student_step(model, images))
        row += f" {network:10.0f} {100 * ours / network:6.0f} %"
    if name in LOOPS and not options.terms:
        loop = LOOPS[name]
        torch.manual_seed(0)  # both draw the same pixels
        with torch.no_grad():
            expected = loop(outputs, labels)
            torch.manual_seed(0)
            same = torch.isclose(expected, loss(outputs, labels), rtol=1e-3, atol=1e-4)
        # in turn: what else the machine does disturbs both
        once = partial(milliseconds, repeats=1, warm=False)
        pairs = [
            (once(lambda: loop(outputs, labels)), once(lambda: loss(outputs, labels)))
            for _ in range(options.repeats)
        ]
        theirs, times = median(t for t, _ in pairs), median(t / mine for t, mine in pairs)
        row += f" {theirs:9.0f} {times:7.1f}{'' if same else '  another value'}"
    print(row, flush=True)


def compiled(
    loss: Loss, outputs: Outputs, labels: Tensor, timed: Callable[[Callable[[], Tensor]], float]
) -> str:
    """Return the milliseconds when compiled, or that it does not compile here."""
    fast = torch.compile(loss)
    try:
        return f"{timed(lambda: fast(outputs, labels)):.0f}"
    except Exception as error:  # noqa: BLE001  # of any backend: the table goes on
        print(f"{type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
        return "fails"


def growth(name: str, options: argparse.Namespace) -> float:
    """Return by how many GB the terms and their gradient make this process grow, at their peak."""
    objective = OBJECTIVES[name]()
    side, device = options.memory_side, options.device
    torch.manual_seed(0)
    heads = {head: asdict(value) for head, value in objective.heads.items()}
    with torch.no_grad():  # the outputs of a small image, side by side
        small = build_pixel_embedding(heads=heads)(torch.rand(1, 3, 64, 64))
    tiles = side // 64
    outputs = leaves(
        {
            head: x.repeat(1, 1, *(1 if objective.heads[head].constant else tiles,) * 2).to(device)
            for head, x in small.items()
        }
    )
    labels = grid_labels(side, 1, options.memory_instances, device).contiguous()
    wait()
    if device == "cpu":
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    else:
        torch.cuda.reset_peak_memory_stats()
    before = (
        torch.cuda.memory_allocated() if device != "cpu" else psutil.Process().memory_info().rss
    )
    summed(objective)(outputs, labels).backward()
    wait()
    if device != "cpu":
        return (torch.cuda.max_memory_allocated() - before) / 1e9
    return (peak_memory() - before) / 1e9


def peak_memory() -> int:
    """Return the most bytes that this process has held since its peak was last reset.

    getrusage would begin with what the process that started this one held.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def growth_apart(name: str, options: argparse.Namespace) -> str:
    """Return the growth in a fresh process."""
    given = ["--memory-side", options.memory_side, "--memory-instances", options.memory_instances]
    command = [sys.executable, "-m", "benchmarks.objectives", "--peak", name, *map(str, given)]
    found = subprocess.run(
        [*command, "--device", options.device], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or f"fails: {found.stderr.strip().splitlines()[-1]}"


def read_options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=sorted(OBJECTIVES))
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--instances", type=int, default=64)
    parser.add_argument("--memory-side", type=int, default=1024)
    parser.add_argument("--memory-instances", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--terms", action="store_true", help="nothing but the terms")
    parser.add_argument("--peak", help="print only the memory of this objective, in GB")
    return parser.parse_args()


def main() -> None:
    """Print the tables."""
    options = read_options()
    torch.set_num_threads(1)
    if options.peak:
        print(f"{growth(options.peak, options):.2f}")
        return
    names = options.only or sorted(OBJECTIVES)
    fast = " compiled ms" if options.compile else ""
    rest = "" if options.terms else " student ms    share   loop ms  times"
    print(f"objective             terms ms{fast}{rest}")
    for name in names:
        measure(name, options)
    if options.terms:
        return
    print("objective            peak GB")
    for name in names:
        print(f"{name:20} {growth_apart(name, options):>7}", flush=True)
    if options.only:
        return
    print("level line of         terms ms   loop ms  times")
    batch = nests(options.side, options.batch, options.device)
    for name, base in MASK_LOSSES.items():
        ours, theirs = (
            milliseconds(partial(form, base, *batch), repeats=options.repeats)
            for form in (level_line, loop_level_line)
        )
        print(f"{name:20} {ours:9.0f} {theirs:9.0f} {theirs / ours:6.1f}")


if __name__ == "__main__":
    main()
