import json
import subprocess
import sys
from pathlib import Path

import pytest

import maskspace
from maskspace.serving.registered import LOADER
from maskspace.serving.requirements import closure_pins, needs_of, pins

ROOT = Path(maskspace.__file__).parents[1]

#: A package whose modules import what their names say, in every form that the language has.
PACKAGE = {
    "__init__": "def load():\n    import pkg.passed_by\n    import a_function_of_the_package\n",
    "passed_by": "import passed_by",
    "plain": "import a.b, c as d",
    "attribute": "from pkg.plain import a",
    "module": "from pkg import plain",
    "package": "from pkg import load",
    "function": "def f():\n    import a\n    return lambda: __builtins__",
    "method": "class C:\n    def f(self):\n        from a.b import c",
    "attempt": "try:\n    import a\nexcept ImportError:\n    import b",
    "types": "import typing\nif typing.TYPE_CHECKING:\n    import a\nelse:\n    import b",
    "circle": "import pkg.circle_back",
    "circle_back": "import pkg.circle, a",
    "standard": "import os, json.decoder\nfrom collections import abc",
    "relative": "from .plain import a",
    "computed": "import importlib\nimportlib.import_module('a')",
}


@pytest.fixture
def package(tmp_path):
    (tmp_path / "pkg").mkdir()
    for name, text in PACKAGE.items():
        (tmp_path / "pkg" / f"{name}.py").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "files", "packages"),
    [
        ("plain", "plain", "a c"),
        ("attribute", "attribute plain", "a c"),
        ("module", "module plain", "a c"),
        ("package", "package passed_by", "a_function_of_the_package passed_by"),
        ("function", "function", "a"),
        ("method", "method", "a"),
        ("attempt", "attempt", "a b"),
        ("types", "types", "b"),
        ("circle", "circle circle_back", "a"),
        ("standard", "standard", ""),
    ],
)
def test_what_a_module_imports_is_what_it_needs(package, module, files, packages):
    needs = needs_of([f"pkg.{module}"], package)
    assert {path.stem for path in needs.files} == {"__init__", *files.split()}
    assert needs.packages == set(packages.split())


@pytest.mark.parametrize("module", ["relative", "computed"])
def test_an_import_that_cannot_be_read_is_refused(package, module):
    with pytest.raises(ValueError, match=rf"{module}\.py: line \d: import by a full name"):
        needs_of([f"pkg.{module}"], package)


def test_what_serving_loads_was_read_from_its_imports():
    code = (
        f"import json, sys; before = set(sys.modules); import {LOADER}; import mlflow.pyfunc;"
        "print(json.dumps([m.__file__ for n, m in sys.modules.items() if n[:9] == 'maskspace']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {Path(file) for file in json.loads(done.stdout)}
    assert loaded
    assert loaded <= needs_of([LOADER], ROOT).files


def test_pins_are_of_whom_provides_the_name_and_is_in_no_other():
    assert [pin.partition("==")[0] for pin in pins({"PIL", "ruamel"})] == ["pillow", "ruamel-yaml"]
    assert [pin.partition("==")[0] for pin in pins({"mlflow"})] == ["mlflow"]
    with pytest.raises(ValueError, match="import nobody_has_it: no installed distribution"):
        pins({"nobody_has_it"})


def test_a_closure_holds_what_its_members_require():
    closure = closure_pins(pins(needs_of([LOADER], ROOT).packages))
    assert closure_pins(closure) == closure
    assert not any("+" in pin for pin in closure)


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        ("nobody-has-it", "nobody-has-it, which the list requires, is not installed here"),
        ("numpy==1.0", r"numpy==1\.0, which the list requires, is installed here as 2\."),
    ],
)
def test_what_is_not_installed_as_required_is_told(requirement, told):
    with pytest.raises(ValueError, match=told):
        closure_pins([requirement])
