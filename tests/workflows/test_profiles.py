import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspace.config import read_params
from workflows import profiles

ROOT = Path(__file__).resolve().parents[2]

# RFC 7386, appendix A
RFC = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

trees = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=1), inner, max_size=3),
)


@pytest.mark.parametrize(("target", "patch", "expected"), RFC)
def test_the_examples_of_the_rfc(target, patch, expected):
    assert profiles.merge_patch(target, patch) == expected


@given(trees, trees)
def test_a_patch_applied_twice_is_a_patch_applied_once(target, patch):
    once = profiles.merge_patch(target, patch)
    assert profiles.merge_patch(once, patch) == once


@given(st.dictionaries(st.text("ab", min_size=1, max_size=2), trees, max_size=3))
def test_the_empty_patch_changes_nothing_and_the_target_is_left_alone(target):
    before = repr(target)
    assert profiles.merge_patch(target, {}) == target
    profiles.merge_patch(target, dict.fromkeys(target))
    assert repr(target) == before


def test_mirroring_writes_only_what_differs_and_removes_what_is_gone(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    for name in ("same", "changed", "deep/gone"):
        (source / name).write_text(name)
    profiles.mirror(source, target)
    before = (target / "same").stat().st_mtime_ns
    (source / "changed").write_text("other")
    (source / "deep" / "gone").unlink()
    (target / "deep" / "__pycache__").mkdir()
    profiles.mirror(source, target)
    assert (target / "same").stat().st_mtime_ns == before
    assert (target / "changed").read_text() == "other"
    assert not (target / "deep" / "gone").exists()
    assert (target / "deep" / "__pycache__").exists()


def test_numba_finds_what_it_compiled_in_a_mirror(tmp_path):
    """It goes by the source's size and time of change."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "__pycache__").mkdir(parents=True)
    (source / "a.py").write_text("a")
    for name in ("a.f-1.py311.nbi", "a.f-1.py311.1.nbc", "a.cpython-311.pyc"):
        (source / "__pycache__" / name).write_text(name)
    os.utime(source / "a.py", (1e9, 1e9))
    profiles.mirror(source, target)
    assert (target / "a.py").stat().st_mtime == 1e9
    assert len(list((target / "__pycache__").iterdir())) == 2


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_patches_only_touch_what_params_has(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    params = read_params(Path("params.yaml"))
    assert set(profiles.profile_params(name)) == set(params)


def test_unknown_profiles_are_told(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match=r"profile 'nope' is unknown; profiles/ has .*full"):
        profiles.profile_params("nope")


def test_folders_come_from_the_environment(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MASKSPACE_ASSETS", "/somewhere")
    shards = profiles.profile_params("bsds500")["shards"]
    assert shards["bsds500"]["root"] == "/somewhere/bsds500"  # pyright: ignore
    assert list(shards) == ["bsds500"]  # pyright: ignore
