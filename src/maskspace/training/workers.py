"""The training loop on Ray Train: one process for each worker; DDP averages the gradients."""

import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import distributed

from maskspace.training.config import Optimisation, Workers
from maskspace.training.loop import Task, Worker, fit
from maskspace.training.progress import followed


def fit_distributed(
    make_task: Callable[[], Task], optimisation: Optimisation, folder: Path, *, workers: Workers
) -> None:
    """Train on Ray's workers. Needs a connected Ray; each worker runs `loop.fit`.

    The run goes on from the last checkpoint in `folder`. If a worker dies, Ray starts the group
    again. Ray's own record of the run has a fresh name each time: with a name that it knows, Ray
    would resume a finished run.

    Args:
        make_task: returns the task, on each worker.
        optimisation: the recipe.
        folder: holds the progress, on storage that all workers see.
        workers: number of workers, and the threads, loaders and device of each.
    """
    import ray.train
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        _work,
        train_loop_config={
            "make_task": make_task,
            "optimisation": optimisation,
            "folder": folder.resolve(),
            "threads": workers.threads,
            "loaders": workers.loaders,
        },
        scaling_config=ScalingConfig(num_workers=workers.number, use_gpu=workers.gpu),
        run_config=RunConfig(
            name=f"{folder.name}-{uuid.uuid4().hex[:8]}",
            storage_path=str(folder.resolve() / "ray"),
            failure_config=FailureConfig(max_failures=2),
        ),
    )
    try:
        with followed({folder.parent.name.split("-")[0]: folder}, optimisation):
            trainer.fit()
    except ray.train.TrainingFailedError as error:
        cause = _root(error)
        if isinstance(cause, ValueError):
            raise cause from None
        raise


def _root(error: BaseException) -> BaseException:
    failures = list(getattr(error, "worker_failures", {}).values())
    inner = failures[0] if failures else error.__cause__
    return getattr(inner, "cause", inner) or error


def _work(config: dict) -> None:
    import ray.train
    from ray.train.torch import get_device, prepare_model

    torch.set_num_threads(config["threads"])
    context = ray.train.get_context()
    worker = Worker(
        rank=context.get_world_rank(),
        world=context.get_world_size(),
        loaders=config["loaders"],
        device=get_device(),  # pyright: ignore[reportArgumentType]
        wrap=lambda model: prepare_model(model, move_to_device=False),
        agree=partial(_from_rank_0, device=get_device()),
    )
    fit(config["make_task"](), config["optimisation"], config["folder"], worker=worker)


def _from_rank_0(answer: bool, *, device: torch.device) -> bool:
    value = torch.tensor(answer, device=device, dtype=torch.uint8)
    distributed.broadcast(value, src=0)
    return bool(value)
