import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from maskspace.data.readers.npz import holds_masks, npz_counts, npz_labels
from maskspace.masks import encode

RNG = np.random.default_rng(0)


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_masks_are_their_strings() -> None:
    masks = RNG.random((4, 6, 9)) < 0.5
    assert holds_masks(npz(masks=masks), name="x")
    assert npz_counts(npz(masks=masks), name="x", size_hw=(6, 9)) == encode(masks)
    one = np.asfortranarray(masks[:1])
    assert npz_counts(npz(masks=one), name="x", size_hw=(6, 9)) == encode(masks[:1])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"labels": np.zeros((5, 9), int)}, r"labels are int64 \(5, 9\)"),
        ({"labels": np.zeros((6, 9))}, "labels are float64"),
        ({"labels": np.array([[{}]])}, "Python objects"),
        ({"masks": np.zeros((2, 6, 8), bool)}, r"masks are bool \(2, 6, 8\)"),
        ({"masks": np.zeros((2, 6, 9), np.uint8)}, "masks are uint8"),
        ({"masks": np.asfortranarray(np.zeros((2, 6, 9), bool))}, "C order"),
        ({"other": np.zeros(3)}, "holds `labels`"),
        ({"labels": np.zeros((6, 9), int), "masks": np.zeros((0, 6, 9), bool)}, "holds `labels`"),
    ],
)
def test_other_arrays_are_one_line(arrays: dict, words: str) -> None:
    check(npz(**arrays), words)


def test_damaged_files_are_one_line() -> None:
    whole = npz(labels=RNG.integers(0, 9, (6, 9)))
    for cut in range(0, len(whole), 7):
        check(whole[:cut], "")
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        (entry,) = archive.infolist()
        end = archive.start_dir
    for place in range(end - entry.compress_size, end - 1, 5):  # the last byte is mere padding
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        check(bytes(broken), "")


def test_a_header_that_promises_terabytes_takes_no_memory() -> None:
    header = b"{'descr': '|b1', 'fortran_order': False, 'shape': (60000, 6, 9), }"
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("masks.npy", body)
    tracemalloc.start()
    check(buffer.getvalue(), "ends early")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def check(encoded: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=f"^x: .*{words}") as error:
        if holds_masks(encoded, name="x"):
            npz_counts(encoded, name="x", size_hw=(6, 9))
        else:
            npz_labels(encoded, name="x", size_hw=(6, 9))
    assert "\n" not in str(error.value)
