"""Put a trained student into the package: `python -m workflows.bundle [FOLDER]`, by hand, rarely.

No stage: what a release carries is decided by whoever releases. Weights are stored in 16 bits.
"""

import sys
from pathlib import Path

from maskspace.models import load_model, save_model
from maskspace.models.weights import WEIGHTS, read_description
from workflows.frame import stage_main

TARGET = Path("src/maskspace/weights/student")
#: What the package may grow by, in bytes.
LARGEST = 12_000_000


def main(folder: str = "build/student") -> None:
    """Write the student of `folder` to the package; refuse one that is too large to carry."""
    source = Path(folder)
    described = read_description(source)
    save_model(
        load_model(source),
        TARGET,
        name=described["name"],
        options=described["options"],
        provenance=described.get("provenance", {}),
        half=True,
    )
    size = (TARGET / WEIGHTS).stat().st_size
    if size > LARGEST:
        (TARGET / WEIGHTS).unlink()
        raise ValueError(f"{source}: {size} bytes in 16 bits, more than {LARGEST}; train a smaller")
    print(f"{TARGET}: {size} bytes", file=sys.stderr)


if __name__ == "__main__":
    stage_main(main)
