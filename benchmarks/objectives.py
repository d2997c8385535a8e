"""Objectives: time against a naive loop and against the student's own step, and memory.

    python -m benchmarks.objectives [--only balls plain] [--terms] [--compile] [--device cuda]

For every objective of the table, forward and backward of its terms on random outputs of its heads,
4 images of 512 x 512 with 64 instances each: milliseconds, times as fast as a loop over instances
(of those in `naive_loops`: the same value, checked; the median of runs in turn), and the share of
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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import psutil
import torch
from torch import Tensor

from benchmarks.naive_loops import LOOPS, Loss, Outputs, loop_level_line, summed
from maskspace.heads import Queries, heads_as_options
from maskspace.mask_losses import MASK_LOSSES, level_line
from maskspace.models.pixel_embedding import build_pixel_embedding
from maskspace.objectives import OBJECTIVES

LEVELS = 3


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
    heads = heads_as_options(objective.heads)
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
    heads = heads_as_options(objective.heads)
    with torch.no_grad():  # the outputs of a small image, side by side
        small = build_pixel_embedding(heads=heads)(torch.rand(1, 3, 64, 64))
    tiles = side // 64
    outputs = leaves(
        {
            head: x.repeat(
                1, 1, *(1 if isinstance(objective.heads[head], Queries) else tiles,) * 2
            ).to(device)
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
