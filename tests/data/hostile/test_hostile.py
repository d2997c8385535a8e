"""Files made to harm, through every reader as users call it, with little memory and time to spare.

One process imports the readers; each case runs in a fork of it that may take 256 MiB more than it
has, and ten seconds. What a single function refuses is tested beside that function.
"""

import json
import subprocess
import sys

import pytest

from tests.data.hostile import archives, coco, coco_lvis, hypersim, label_maps, sa1b, sav

MORE_BYTES = 256 * 2**20
SECONDS = 10

KINDS = (sa1b, hypersim, coco, coco_lvis, sav, label_maps, archives)
CASES = {name: case for kind in KINDS for name, case in kind.CASES.items()}
#: The same layouts without harm, so that a refusal is one of the harm.
CONTROLS = {name: case for kind in KINDS for name, case in getattr(kind, "CONTROLS", {}).items()}


RUN = """
import json, os, resource, signal, sys
from pathlib import Path
from maskspace.data import READERS
from maskspace.download.archives import unpack

def attempt(kind, root, options):
    if kind == "unpack":
        return unpack(Path(root), Path(root).with_name("out"))
    return list(READERS[kind](root, seed=0, limit=None, **options))

def bounded(case, more, seconds):
    pages = int(open("/proc/self/statm").read().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.alarm(seconds)
    try:
        said = f"read {len(attempt(*case))}"
        kind = "nothing"
    except BaseException as error:
        kind, said = type(error).__name__, str(error)
    return {"kind": kind, "said": said[:2000]}

for name, case in json.load(sys.stdin).items():
    get, put = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(put, json.dumps(bounded(case, int(sys.argv[1]), int(sys.argv[2]))).encode())
        os._exit(0)
    os.close(put)
    said = b""
    while piece := os.read(get, 65536):
        said += piece
    os.close(get)
    status = os.waitpid(child, 0)[1]
    print(json.dumps([name, json.loads(said) if said else {"kind": f"died {status}", "said": ""}]))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, dict[str, str]]:
    """What each case came to, and the folder it ran in."""
    root = tmp_path_factory.mktemp("hostile")
    asked = {}
    for number, (name, case) in enumerate((CASES | CONTROLS).items()):
        folder = root / f"{number:03d}"
        case.build(folder)
        asked[name] = [case.kind, str(folder / case.root), dict(case.options)]
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(MORE_BYTES), str(SECONDS)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=root,
        timeout=240,
        check=True,
    )
    found = dict(map(json.loads, run.stdout.splitlines()))
    assert found.keys() == (CASES | CONTROLS).keys()
    strays = [str(path) for name in ("ran", "escaped") for path in root.rglob(name)]
    strays += [str(path) for path in root.glob("*/out") if not (path / "a/b").is_file()]
    return found | {"strays": {"kind": "", "said": " ".join(strays)}}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_in_one_line(outcomes, name):
    outcome = outcomes[name]
    assert outcome["kind"] == "ValueError", outcome["said"]
    assert CASES[name].named in outcome["said"]
    assert "\n" not in outcome["said"] and len(outcome["said"]) < 500


def test_nothing_was_run_or_left_anywhere(outcomes):
    assert outcomes["strays"]["said"] == ""


@pytest.mark.parametrize("name", CONTROLS)
def test_a_harmless_file_is_read_within_the_same_bounds(outcomes, name):
    assert outcomes[name] == {"kind": "nothing", "said": CONTROLS[name].named}
