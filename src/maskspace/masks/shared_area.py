"""The number of pixels that masks share, exactly: products of membership and areas.

Some masks are unions of the same disjoint pieces, such as superpixels. They are rows of a 0/1
table, with a column for each piece. The area that two of them share is the product of their rows,
weighted by the areas of the pieces. Dense masks have such pieces too, their atoms: the sets of
pixels that the same masks hold. There are far fewer atoms than pixels.

Every partial sum is a whole number of at most all pixels. So a product in float32 is exact below
2**24 pixels, in any order of summation; above that float64 is used.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, Int32, Int64, UInt8
from torch import Tensor

_EXACT_FLOAT32 = 2**24
_BLOCK_ELEMENTS = 2**26  # of the tables that are floats at one time


def shared_area(
    left: Bool[np.ndarray, "n s"], right: Bool[np.ndarray, "m s"], areas: Int[np.ndarray, " s"]
) -> Float64[np.ndarray, "n m"]:
    """Return the area of the pieces that each row of `left` shares with each row of `right`.

    Example:
        >>> pieces = np.array([10, 1, 5])  # pixels of each piece
        >>> masks = np.array([[True, True, False], [False, True, True]])
        >>> shared_area(masks, masks, pieces).tolist()
        [[11.0, 1.0], [1.0, 6.0]]
    """
    dtype = np.float32 if areas.sum(dtype=np.int64) < _EXACT_FLOAT32 else np.float64
    shared = np.zeros((len(left), len(right)), dtype)
    for part in _blocks(len(left) + len(right), len(areas)):
        weighted = np.multiply(right[:, part], areas[part], dtype=dtype, casting="unsafe")
        shared += left[:, part].astype(dtype) @ weighted.T
    return shared.astype(np.float64)


def shared_area_of_tensors(
    left: Bool[Tensor, "n s"], right: Bool[Tensor, "m s"], areas: Int[Tensor, " s"]
) -> Float64[Tensor, "n m"]:
    """Return what `shared_area` does, on the tables' device; in float64 except on a GPU.

    Example:
        >>> pieces = torch.tensor([10, 1, 5])  # pixels of each piece
        >>> masks = torch.tensor([[True, True, False], [False, True, True]])
        >>> shared_area_of_tensors(masks, masks, pieces).tolist()
        [[11.0, 1.0], [1.0, 6.0]]
    """
    fits = areas.is_cuda and int(areas.sum()) < _EXACT_FLOAT32
    dtype = torch.float32 if fits else torch.float64
    shared = torch.zeros((len(left), len(right)), dtype=dtype, device=left.device)
    with _no_tf32():
        for part in _blocks(len(left) + len(right), len(areas)):
            weighted = right[:, part].to(dtype) * areas[part].to(dtype)
            shared += left[:, part].to(dtype) @ weighted.T
    return shared.double()


def atoms(
    masks: Bool[np.ndarray, "n h w"],
) -> tuple[Bool[np.ndarray, "n s"], Int64[np.ndarray, " s"]]:
    """Return which atoms make up each mask, and the number of pixels of each atom.

    Two pixels belong to one atom if every mask holds both or neither. The order of atoms is
    arbitrary.

    Example:
        >>> masks = np.array([[[1, 1, 1, 0]], [[0, 1, 1, 1]]], bool)
        >>> members, pixels = atoms(masks)
        >>> shared_area(members, members, pixels).tolist()  # the intersections of the masks
        [[3.0, 2.0], [2.0, 3.0]]
    """
    count = len(masks)
    if masks.size == 0:
        return np.zeros((count, 0), bool), np.zeros(0, np.int64)
    distinct, atom, lengths = _atom_runs(masks)
    areas = np.bincount(atom, weights=lengths).astype(np.int64)
    bits = distinct.view(np.uint8).reshape(len(distinct), -1)
    covered = np.unpackbits(bits, axis=1, count=count, bitorder="little")  # s n
    return np.ascontiguousarray(covered.T).view(bool), areas


def atom_labels(masks: Bool[np.ndarray, "n h w"]) -> Int32[np.ndarray, "h w"]:
    """Return the atom of each pixel as a label from 1; without masks there is one atom.

    Example:
        >>> masks = np.array([[[1, 1, 1, 0]], [[0, 1, 1, 1]]], bool)
        >>> len(np.unique(atom_labels(masks)))  # only the first, both, only the second
        3
    """
    if masks.size == 0:
        return np.ones(masks.shape[1:], np.int32)
    _, atom, lengths = _atom_runs(masks)
    return (np.repeat(atom, lengths) + 1).astype(np.int32).reshape(masks.shape[1:])


def _atom_runs(
    masks: Bool[np.ndarray, "n h w"],
) -> tuple[np.ndarray, Int64[np.ndarray, " r"], Int64[np.ndarray, " r"]]:
    """Return the masks of each atom as bytes, and of each run of pixels its atom and length."""
    pixels = masks.shape[1] * masks.shape[2]
    codes = _packed(np.ascontiguousarray(masks).reshape(len(masks), pixels))
    # neighbours of one atom first become one run: what is sorted is then borders, not pixels
    begins = np.ones(pixels, bool)
    begins[1:] = False
    for row in codes:
        begins[1:] |= row[1:] != row[:-1]
    starts = np.flatnonzero(begins)
    runs = np.ascontiguousarray(codes[:, starts].T)  # r bytes
    whole = runs.view(np.dtype((np.void, runs.shape[1]))).ravel()
    distinct, atom = np.unique(whole, return_inverse=True)
    return distinct, atom, np.diff(starts, append=pixels)


def _packed(flat: Bool[np.ndarray, "n p"]) -> UInt8[np.ndarray, "bytes p"]:
    """Return 8 masks a byte, the first in the lowest bit, faster than packbits does across rows."""
    codes = np.zeros((-(-len(flat) // 8), flat.shape[1]), np.uint8)
    for index in range(len(flat) - 1, -1, -1):
        code = codes[index // 8]
        code += code
        code |= flat[index].view(np.uint8)
    return codes


def _blocks(rows: int, pieces: int) -> Iterator[slice]:
    """Yield slices of the pieces that bound the memory of `rows` rows of floats."""
    step = max(1, _BLOCK_ELEMENTS // max(rows, 1))
    return (slice(start, start + step) for start in range(0, pieces, step))


@contextmanager
def _no_tf32() -> Iterator[None]:
    """Keep float32 products from TF32 and bfloat16, in which areas are rounded.

    Nothing but float64 keeps a product on the CPU from bfloat16 if the program has asked for it.
    """
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        matmul.fp32_precision = "ieee"
        with torch.autocast("cuda", enabled=False):
            yield
    finally:
        matmul.fp32_precision = before
