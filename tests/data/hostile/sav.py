"""SA-V: a JSON a video."""

import json
from pathlib import Path

from tests.data.hostile.making import SIZE_HW, Build, Case, gigabyte_of_json, jpeg, write


def sav(counts: object) -> Build:
    """Return the builder of a video of one frame, whose one mask has these run lengths."""

    def build(folder: Path) -> None:
        write(folder / "sav_000001/00000.jpg", jpeg())
        one = {"size": list(SIZE_HW), "counts": counts}
        record = {"video_id": "sav_000001", "video_frame_count": 1.0, "masklet": [[one]]}
        write(folder / "sav_000001_manual.json", json.dumps(record).encode())

    return build


CASES = {
    "sav: JSON of a gigabyte": Case(
        "sav",
        gigabyte_of_json("sav_000001_manual.json"),
        "sav_000001_manual.json",
    ),
    "sav: runs that overflow": Case("sav", sav("o" * 12 + "000"), "sav_000001_manual.json"),
    "sav: plain runs that overflow": Case("sav", sav([2**63, 1]), "sav_000001_manual.json"),
}  # fmt: skip
