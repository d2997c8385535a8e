"""Put a trained student into the package: `python -m workflows.bundle [FOLDER [NAME]]`, by hand.

No stage: what a release carries is decided by whoever releases. Weights are stored in 16 bits, and
heads that only training looks at, `boundary/4` for one, are left out.
"""

from pathlib import Path

from maskspace.bundled import FOLDER
from maskspace.config import Choice, choose, lookup
from maskspace.models import MODELS, load_model, save_model
from maskspace.models.weights import WEIGHTS, load_trunk, read_description
from workflows.frame import stage_main

#: The names of the package's students, and what each may grow it by, in bytes.
LARGEST = {"student": 12_000_000, "student-tiny": 3_000_000, "student-free": 12_000_000}


def main(folder: str = "build/student", name: str = "student") -> None:
    """Write the student of `folder` to the package; refuse one that is too large to carry."""
    most = lookup(LARGEST, name, kind="student")
    source, target = Path(folder), FOLDER / name
    load_model(source)  # complete and finite
    described = read_description(source)
    options = dict(described["options"])
    options["heads"] = {head: about for head, about in options["heads"].items() if "/" not in head}
    model = choose(MODELS, Choice(name=described["name"], options=options), kind="model")()
    load_trunk(model, source)
    save_model(
        model,
        target,
        name=described["name"],
        options=options,
        provenance=described.get("provenance", {}),
        half=True,
    )
    size = (target / WEIGHTS).stat().st_size
    if size > most:
        (target / WEIGHTS).unlink()
        raise ValueError(f"{source}: {size} bytes in 16 bits, more than {most}; train a smaller")
    print(f"{target}: {size} bytes")


if __name__ == "__main__":
    stage_main(main)
