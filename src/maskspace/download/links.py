"""Lists of links, which some licences give in place of a URL: file_name, a tab, cdn_link."""

import re
from pathlib import Path


def read_links(path: Path) -> dict[str, str]:
    """Return the URL of each file name in a list with the columns file_name and cdn_link.

    A tab separates the columns; the header may be missing. Raises ValueError with the number of the
    line for a name that is no plain `.tar` name or comes twice, and for a link that is no URL.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "links.txt")
        >>> tab = chr(9)
        >>> _ = path.write_text(f"sa_000020.tar{tab}https://example.org/sa_000020.tar")
        >>> read_links(path)
        {'sa_000020.tar': 'https://example.org/sa_000020.tar'}
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); give the list of links") from None
    links: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (number == 1 and line.split("\t")[0] == "file_name"):
            continue
        name, _, url = (part.strip() for part in line.partition("\t"))
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.tar", name):
            raise ValueError(f"{path}: line {number}: {name[:60]!r} is no name of a tar; remove it")
        if not re.fullmatch(r"https?://\S+", url):
            raise ValueError(f"{path}: line {number}: no tab and http(s) link after {name}; add it")
        if name in links:
            raise ValueError(f"{path}: line {number}: {name} comes twice; remove one")
        links[name] = url
    if not links:
        raise ValueError(f"{path}: no links in it; give the file with file_name and cdn_link")
    return links
