"""The clicker: clicks decoded in batches against one at a time, and what attention needs of memory.

    python -m benchmarks.clicker decoding [--vit base --size 1024 --clicks 8 --turns 3]
    python -m benchmarks.clicker decoding --vit default --clicks 256
    python -m benchmarks.clicker memory   [--vit base --size 1024 [--backward]]
    python -m benchmarks.clicker training [--turns 5 --steps 60]

`decoding` encodes an image once and decodes the same clicks together and one by one, taking turns.
`memory` runs each form of attention in a process of its own and compares peaks of resident memory:
the fused kernel, and the explicit softmax that writes every score down. With `--backward` it is a
training step of one image, and the fused kernel with activation checkpointing is a third form.
`training` trains by the loop of maskspace on Ray Train and by a bare torch loop, taking turns.
`--device cuda` does the first two on a GPU, after a first call that chooses its kernels, and
compares peaks of allocated memory; `--bfloat16` is autocast, in which clicks are still decoded in
the precision of the weights.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import MethodType
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from benchmarks.clicker_training import add_training, show_training
from maskspace.config import Choice, choose, read_params
from maskspace.models import MODELS
from maskspace.models.click_vit import ClickVit, ViT, build_click_vit
from maskspace.models.vit import Attention

DEFAULT = "default"
FORMS = ("fused", "explicit", "checkpointing")


def main() -> None:
    """Run a subcommand."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clicker")
    commands = parser.add_subparsers(required=True)
    for name, (run, add_options) in COMMANDS.items():
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        add_options(command)
    options = parser.parse_args()
    rough = getattr(options, "bfloat16", False)
    with torch.autocast(getattr(options, "device", "cpu"), torch.bfloat16, enabled=rough):
        options.run(options)


def show_decoding(options: argparse.Namespace) -> None:
    """Print clicks a second, batched and one at a time, and their ratio."""
    model = build(options)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (model.size, model.size, 3), np.uint8)
    clicks_xy = random.integers(0, model.size, (options.clicks, 2))
    positive = np.ones(options.clicks, bool)
    if options.device == "cuda":
        model.encode(image)
    start = time.perf_counter()
    features = model.encode(image)
    wait(options)
    encoding = time.perf_counter() - start

    def decode(chunk: int) -> float:
        """Return the seconds that all clicks take, some at a time."""
        start = time.perf_counter()
        for first in range(0, options.clicks, chunk):
            some = slice(first, first + chunk)
            model.click_logits(features, (model.size, model.size), clicks_xy[some], positive[some])
        return time.perf_counter() - start

    if options.device == "cuda":
        decode(options.clicks)
    turns = [(decode(options.clicks), decode(1)) for _ in range(options.turns)]
    together, apart = (options.clicks / median(times) for times in zip(*turns, strict=True))
    print("vit     size  clicks  encode s  batched/s  one by one/s  batched/one by one")
    print(
        f"{options.vit:7} {model.size:4} {options.clicks:7} {encoding:9.3f} {together:10.2f} "
        f"{apart:13.2f} {together / apart:19.2f}"
    )


def show_memory(options: argparse.Namespace) -> None:
    """Print the peak of resident memory of each form, each in a process of its own."""
    what = "step" if options.backward else "image and click"
    print(f"vit    size  of one {what:15}  peak MB  above the weights MB  seconds  of the fused")
    fused = None
    for form in FORMS if options.backward else FORMS[:2]:
        command = [sys.executable, "-m", "benchmarks.clicker", "peak", "--form", form]
        command += ["--vit", options.vit, "--size", str(options.size), "--device", options.device]
        command += ["--bfloat16"] if options.bfloat16 else []
        command += ["--backward"] if options.backward else []
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peak, above, seconds = map(float, output.split())
        fused = fused or above
        print(
            f"{options.vit:6} {options.size:4}  {form:22}  {peak:7.0f} {above:21.0f} "
            f"{seconds:8.1f} {above / fused:13.2f}"
        )


def print_peak(options: argparse.Namespace) -> None:
    """Print for one form: peak MB of this process, MB above what it held before, seconds."""
    model = build(options, checkpointing=options.form == "checkpointing")
    if options.form == "explicit":
        for module in model.modules():
            if isinstance(module, Attention):
                module.forward = MethodType(attend_explicitly, module)
    before = peak_megabytes(options)
    images = torch.rand(1, 3, model.size, model.size, device=options.device)
    clicks = torch.tensor([[[[model.size / 2, model.size / 2, 1.0]]]], device=options.device)

    def step() -> float:
        """Return the seconds of one image and click."""
        start = time.perf_counter()
        model.zero_grad()
        with torch.set_grad_enabled(options.backward):
            logits = model(images, clicks)
        if options.backward:
            logits.mean().backward()
        wait(options)
        return time.perf_counter() - start

    if options.device == "cuda":
        step()
    seconds = step()
    print(peak_megabytes(options), peak_megabytes(options) - before, seconds)


def attend_explicitly(attention: Attention, tokens: Tensor) -> Tensor:
    """Return attended tokens as `Attention` does, with all scores in memory at once."""
    qkv = attention.qkv(tokens).unflatten(-1, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    query, key, value = qkv.unbind(0)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    attended = scores.softmax(-1) @ value
    return attention.proj(attended.transpose(1, 2).flatten(2))


def wait(options: argparse.Namespace) -> None:
    """Return when a GPU has done what it was told."""
    if options.device == "cuda":
        torch.cuda.synchronize()


def peak_megabytes(options: argparse.Namespace) -> float:
    """Return the most memory that this process has had, resident or allocated on the GPU."""
    if options.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def build(options: argparse.Namespace, *, checkpointing: bool = False) -> ClickVit:
    """Return a clicker with fresh weights; `default` is that of params.yaml."""
    if options.vit == DEFAULT:
        section = read_params(Path("params.yaml"))["clicker"]["model"]
        model = choose(MODELS, Choice(**section), kind="model")()
    else:
        model = build_click_vit(vit=options.vit, size=options.size, checkpointing=checkpointing)
    return model.eval().to(options.device)


def add_sizes(parser: argparse.ArgumentParser, *more: str) -> None:
    """Let a subcommand choose its model."""
    parser.add_argument("--vit", choices=[*get_args(ViT), *more], default="base")
    parser.add_argument("--size", type=int, default=1024, help="side in pixels of a ViT's square")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--bfloat16", action="store_true")


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """Let `decoding` choose its clicks."""
    add_sizes(parser, DEFAULT)
    parser.add_argument("--clicks", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)


def add_memory(parser: argparse.ArgumentParser) -> None:
    """Let `memory` choose what is done."""
    add_sizes(parser)
    parser.add_argument("--backward", action="store_true", help="a training step")


def add_peak(parser: argparse.ArgumentParser) -> None:
    """Let `peak` choose its form."""
    add_memory(parser)
    parser.add_argument("--form", choices=FORMS, required=True)


Command = tuple[Callable[[argparse.Namespace], None], Callable[[argparse.ArgumentParser], None]]
#: Subcommands: what each runs, and what gives it its options.
COMMANDS: dict[str, Command] = {
    "decoding": (show_decoding, add_decoding),
    "memory": (show_memory, add_memory),
    "peak": (print_peak, add_peak),
    "training": (show_training, add_training),
}


if __name__ == "__main__":
    main()
