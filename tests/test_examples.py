"""Docstrings say what is true: their examples print what they say, their options are all there."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import maskspace
from maskspace.config import keyword_options
from maskspace.data import READERS
from maskspace.mask_losses import MASK_LOSSES
from maskspace.metrics import METRICS
from maskspace.objectives import OBJECTIVES
from maskspace.partition import DECODERS, PARTITIONERS

PACKAGE = Path(maskspace.__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


WITH_EXAMPLES = [_module(p) for p in sorted(PACKAGE.rglob("*.py")) if ">>> " in p.read_text()]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what an example writes is not left in the repository
    module = importlib.import_module(name)
    told: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=FLAGS)
    for docstring in doctest.DocTestFinder().find(module, name):
        runner.run(docstring, out=told.append)
    assert not runner.failures, "".join(told)
    written = re.findall(r"^ *>>> ", Path(module.__file__).read_text(), re.MULTILINE)
    assert runner.tries == len(written), f"{name}: a '>>>' lies outside the docstrings that run"


DESCRIBED = {
    f"{function.__module__.split('.')[1]}/{function.__name__}": function
    for table in (READERS, DECODERS, PARTITIONERS, METRICS, OBJECTIVES, MASK_LOSSES)
    for function in table.values()
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_option_of_a_table_entry_has_a_line_in_its_docstring(name):
    described = inspect.getdoc(DESCRIBED[name]) or ""
    options = keyword_options(DESCRIBED[name])
    missing = [one for one in options if not re.search(rf"^ +{one}: ", described, re.MULTILINE)]
    assert not missing, f"{name}: no line under Args for {', '.join(missing)}"
