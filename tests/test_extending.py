"""The examples of docs/extending.md are run as they stand, a section in a namespace of its own."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from maskspace.data import READERS
from maskspace.evaluation.measures import MEASURES
from maskspace.models import MODELS
from maskspace.objectives import OBJECTIVES
from maskspace.partition import DECODERS
from maskspace.peers import PEERS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
TABLES = (READERS, OBJECTIVES, MODELS, DECODERS, MEASURES, PEERS)

#: The files of the last section, in its order.
FAMILY = ("query_network", "mask_classification", "classified_masks")


def sections() -> dict[str, list[str]]:
    """Return the blocks of Python of each section that has any, by its heading."""
    parts = re.split(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {
        heading: re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }
    return {heading: blocks for heading, blocks in found.items() if blocks}


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    """Let every table be afterwards what it was."""
    before = [dict(table) for table in TABLES]
    yield
    for table, rows in zip(TABLES, before, strict=True):
        for name in table.keys() - rows.keys():
            del table[name]  # pyright: ignore[reportIndexIssue]


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """The namespace of a section; pydantic looks for it among the modules."""
    made = ModuleType("extending_example")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


@pytest.mark.parametrize("heading", sections())
def test_an_example_runs(heading, module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in sections()[heading]:
        exec(compile(block, f"{PAGE.name}: {heading}", "exec"), vars(module))


def test_every_kind_of_part_has_an_example():
    rows = re.findall(r"^\| an? (\w+) \|", PAGE.read_text(), re.MULTILINE)
    kinds = [heading.split()[1] for heading in sections() if ":" not in heading]
    assert kinds == rows
    assert len(rows) == len(TABLES)


def test_the_family_of_the_page_is_the_one_that_is_trained_and_measured():
    (blocks,) = [found for heading, found in sections().items() if heading.startswith("A family")]
    for block, name in zip(blocks, FAMILY, strict=False):
        comment, _, code = block.partition("\n")
        assert comment.endswith(f"/{name}.py")
        assert code == (PAGE.parents[1] / "tests" / "family" / f"{name}.py").read_text()
