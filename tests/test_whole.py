"""Files appear whole or not at all."""

import pytest

from maskspace.whole import appearing, write_whole


def test_what_is_written_is_there_with_its_folder_and_nothing_beside(tmp_path):
    path = tmp_path / "a" / "b" / "text"
    write_whole(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    write_whole(path, b"\x00other")
    assert path.read_bytes() == b"\x00other"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, b"as it was"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_what_was_there(tmp_path, before, error):
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)

    def half():
        with appearing(path) as partial:
            partial.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        half()
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [before] * (before is not None)


def test_nothing_is_seen_at_the_place_before_the_end(tmp_path):
    path = tmp_path / "file"
    with appearing(path) as partial:
        partial.write_bytes(b"all")
        assert not path.exists() and partial.parent == tmp_path
    assert path.read_bytes() == b"all" and not partial.exists()
