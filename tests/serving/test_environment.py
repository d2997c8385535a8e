import subprocess

import pytest

from maskspace.serving.environment import link_environment
from maskspace.serving.requirements import closure_pins

#: One pure, one with machine code beside it, one in a folder that it shares with google-auth.
REQUIREMENTS = ["jaxtyping", "scipy", "protobuf", "charset-normalizer"]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return link_environment(tmp_path_factory.mktemp("env"), REQUIREMENTS)


def told(python, code):
    done = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=False, cwd="/"
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def test_it_holds_the_requirements_and_what_they_require(python):
    code = (
        "from importlib.metadata import distributions\n"
        "print(*sorted(d.metadata['Name'].lower().replace('_', '-') for d in distributions()))"
    )
    expected = sorted(pin.partition("==")[0] for pin in closure_pins(REQUIREMENTS))
    assert told(python, code).split() == expected


def test_they_work_there(python):
    assert told(python, "import scipy.ndimage as n; print(n.label([1, 0, 1])[1])") == "2"
    assert told(python, "import jaxtyping, google.protobuf.message; print('both')") == "both"


@pytest.mark.parametrize("module", ["torch", "maskspace", "google.auth", "pip", "pytest"])
def test_nothing_else_is_there(python, module):
    name = repr(module)
    assert told(python, f"import {module}") == f"ModuleNotFoundError: No module named {name}"


def test_their_commands_are_beside_the_interpreter(python):
    command = [python.with_name("normalizer"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Charset-Normalizer")
