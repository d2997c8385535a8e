"""Which records of which shards validation found to be bad: the others leave them out."""

import json
from collections.abc import Mapping
from pathlib import Path

EXCLUDED = "excluded.json"


def read_excluded(folder: Path) -> Mapping[str, list[int]]:
    """Return the positions to leave out, by shard, that the stage `validate` wrote in `folder`."""
    path = folder / EXCLUDED
    try:
        return json.loads(path.read_text())["positions"]
    except FileNotFoundError:
        raise ValueError(f"{path}: missing; run the stage `validate`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a list of positions ({error}); validate again") from None
