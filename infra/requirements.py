"""Print what pyproject.toml requires, with the extras that are named: a layer without the code.

python infra/requirements.py [EXTRA ...]
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

#: How an extra names others of the same package.
_OWN = re.compile(r"maskspace\[([\w,-]+)\]")


def required(project: Mapping, extras: Iterable[str]) -> Iterator[str]:
    """Yield the requirements of a project and of its extras, and of the extras that these name."""
    yield from project["dependencies"]
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            own = _OWN.fullmatch(line)
            if own is None:
                yield line
            else:
                yield from required({**project, "dependencies": []}, own[1].split(","))


if __name__ == "__main__":
    described = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    sys.stdout.write("\n".join(dict.fromkeys(required(described, sys.argv[1:]))) + "\n")
