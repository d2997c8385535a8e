"""Checkpoints are whole or not there, a damaged one is told and gone back from."""

import resource

import pytest
import torch
from torch import nn

from maskspace.training.checkpoint import BEFORE, BEST, CHECKPOINT, Progress


def network(value: float) -> nn.Linear:
    model = nn.Linear(64, 64)
    nn.init.constant_(model.weight, value)
    return model


@pytest.fixture
def progress(tmp_path) -> Progress:
    """Checkpoints of the steps 10 and 20, whose weights are 1 and 2."""
    progress = Progress(tmp_path)
    for step, value in ((10, 1.0), (20, 2.0)):
        progress.save(step, {"model": network(value)})
    return progress


def damage_bit(content: bytearray) -> bytes:
    content[len(content) // 2] ^= 1
    return bytes(content)


DAMAGES = {
    "a bit": damage_bit,
    "cut": lambda content: bytes(content[: len(content) // 2]),
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.fault
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_taken(progress, damage, capsys):
    path = progress.folder / CHECKPOINT
    path.write_bytes(damage(bytearray(path.read_bytes())))
    model = network(0.0)
    assert progress.restore({"model": model}) == 10
    assert torch.equal(model.weight, torch.ones(64, 64))
    assert "goes on from step 10" in capsys.readouterr().err
    before = progress.folder / BEFORE
    before.write_bytes(damage(bytearray(before.read_bytes())))
    with pytest.raises(ValueError, match=r"checkpoint\.before\.pt: damaged"):
        progress.restore({"model": model})


@pytest.mark.fault
def test_weights_that_are_damaged_are_not_exported(progress):
    progress.save_best(10, network(1.0))
    path = progress.folder / BEST
    path.write_bytes(damage_bit(bytearray(path.read_bytes())))
    with pytest.raises(ValueError, match=r"best\.pt: damaged"):
        progress.restore_weights(network(0.0))


@pytest.mark.fault
def test_killed_between_the_renames_the_one_before_is_there(progress):
    (progress.folder / CHECKPOINT).unlink()
    assert progress.restore({"model": network(0.0)}) == 10


@pytest.mark.fault
def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(progress):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # files grow no further, for root too
    try:
        with pytest.raises(ValueError, match=r"checkpoint\.pt: cannot be written, \d+ MB"):
            progress.save(30, {"model": network(3.0)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in progress.folder.iterdir()) == [BEFORE, CHECKPOINT]
    model = network(0.0)
    assert progress.restore({"model": model}) == 20 and model.weight[0, 0] == 2.0
