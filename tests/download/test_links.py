import pytest

from maskspace.download.links import read_links


def test_links_are_read_with_and_without_a_header(tmp_path):
    lines = "sa_1.tar\thttps://host/x?k=1\nsa_000000.tar\thttp://host/y\n\n"
    for text in (lines, f"file_name\tcdn_link\n{lines}", lines.replace("\n", "\r\n")):
        path = tmp_path / "links.txt"
        path.write_text(text)
        expected = {"sa_1.tar": "https://host/x?k=1", "sa_000000.tar": "http://host/y"}
        assert read_links(path) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("../../etc/x.tar\thttps://h/x", "no name of a tar"),
        ("/x.tar\thttps://h/x", "no name of a tar"),
        (".x.tar\thttps://h/x", "no name of a tar"),
        ("x.sh\thttps://h/x", "no name of a tar"),
        ("sa_2.tar https://h/x", "no name of a tar"),
        ("sa_2.tar", "no tab and"),
        ("sa_2.tar\tfile:///etc/passwd", "no tab and"),
        ("sa_2.tar\thttps://h/x y", "no tab and"),
        ("sa_1.tar\thttps://h/x", "comes twice"),
    ],
)
def test_a_bad_line_is_told_by_its_number(tmp_path, line, said):
    path = tmp_path / "links.txt"
    path.write_text(f"file_name\tcdn_link\nsa_1.tar\thttps://h/1\n{line}\n")
    with pytest.raises(ValueError, match=rf"links\.txt: line 3: .*{said}"):
        read_links(path)


def test_a_file_without_links_is_told(tmp_path):
    path = tmp_path / "links.txt"
    with pytest.raises(ValueError, match=r"links\.txt: cannot be read"):
        read_links(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"links\.txt: cannot be read"):
        read_links(path)
    path.write_text("file_name\tcdn_link\n")
    with pytest.raises(ValueError, match=r"links\.txt: no links in it"):
        read_links(path)
