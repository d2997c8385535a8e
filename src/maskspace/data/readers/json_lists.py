"""The elements of the lists in a JSON object, one at a time, from a file of any size.

Input: one object with a few lists of up to a million elements, as COCO's and LVIS's annotations
are, a gigabyte in all. Idea: decode only the element at hand. Steps: read a piece of the file; let
Python's decoder take the next element; where the text ends inside it, read on. Cost: one pass, and
the memory of one piece and one element.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from maskspace.files import RangedFile, read_exactly

#: Bytes that are read at once, and the most that one element may have.
PIECE = 4 * 2**20
LONGEST = 8 * 2**20

_SPACE = re.compile(r"[ \t\n\r]*")
_WIDE = (b"{\0", b"\0{", b"[\0", b"\0[")  # UTF-16 without a byte order mark
_DECODER = json.JSONDecoder()
#: An error within so many bytes of the end of the text may only mean that the text is cut there.
_NEAR = 32


class NotJsonError(Exception):
    """A file is not JSON; the message says what is wrong, and at which byte.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.files import open_ranged
        >>> path = Path(tempfile.mkdtemp(), "a.json")
        >>> size = path.write_text('{"images" 1}')
        >>> try:
        ...     next(list_elements(open_ranged(path), size, name="a.json"))
        ... except NotJsonError as error:
        ...     print(error)
        Expecting ':' at byte 10
    """


def list_elements(
    file: RangedFile, size: int, *, name: str
) -> Iterator[tuple[str, int, str, object]]:
    """Yield key, first byte, text and value of each list element, in the order of the file.

    Before its elements a list gives its key once with an empty text and None, so that an empty list
    is known too. A character of the text is a byte of the file (Latin-1), and so it is in texts in
    the value.

    Args:
        file: the file, open for reading at any place.
        size: its number of bytes.
        name: its name in errors.

    Raises NotJsonError for what is no JSON object, or has an element of more than `LONGEST` bytes.
    Raises ValueError that starts with `name` for a list, for UTF-16 or UTF-32, and for what cannot
    be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.files import open_ranged
        >>> path = Path(tempfile.mkdtemp(), "a.json")
        >>> size = path.write_text('{"images": [{"id": 1}]}')
        >>> list(list_elements(open_ranged(path), size, name="a.json"))
        [('images', 11, '', None), ('images', 12, '{"id": 1}', {'id': 1})]
    """
    scan = _Scan(file, size, name)
    scan.skip_mark()
    if scan.ahead() == "[":
        raise ValueError(
            f"{name}: is JSON, but a list, of results or of annotations, not a dataset with "
            "`images` and `annotations`; name the dataset's file"
        )
    scan.expect("{")
    while scan.ahead() != "}":
        key = scan.value()[2]
        scan.expect(":")
        if scan.ahead() != "[":
            scan.value()
        else:
            yield str(key), scan.place, "", None
            scan.expect("[")
            while scan.ahead() != "]":
                begin, text, value = scan.value()
                yield str(key), begin, text, value
                scan.separate("]")
            scan.expect("]")
        scan.separate("}")
    scan.expect("}")
    if scan.ahead():
        raise scan.wrong("Extra data")


class _Scan:
    """A place in a JSON file, and the text around it, in which a character is a byte."""

    def __init__(self, file: RangedFile, size: int, name: str) -> None:
        self._file, self._size, self._name = file, size, name
        self._text, self._begin, self._at = "", 0, 0

    @property
    def place(self) -> int:
        """The byte that the scan has come to."""
        return self._begin + self._at

    def wrong(self, reason: str, at: int | None = None) -> NotJsonError:
        """Return the error to raise for a place in the text (default: the place of the scan)."""
        return NotJsonError(f"{reason} at byte {self.place if at is None else self._begin + at}")

    def ahead(self) -> str:
        """Skip spaces and return the next character; "" at the end of the file."""
        while True:
            spaces = _SPACE.match(self._text, self._at)
            self._at = spaces.end() if spaces else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def skip_mark(self) -> None:
        """Skip a byte order mark of UTF-8; ValueError for UTF-16 and UTF-32."""
        self.ahead()
        head = self._text[:4].encode("latin-1")
        if head.startswith(codecs.BOM_UTF8):
            self._at = len(codecs.BOM_UTF8)
        elif head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or head[:2] in _WIDE:
            raise ValueError(f"{self._name}: is UTF-16 or UTF-32 text; save it as UTF-8")

    def expect(self, character: str) -> None:
        """Skip this character; NotJsonError where there is another one."""
        if self.ahead() != character:
            raise self.wrong(f"Expecting {character!r}")
        self._at += 1

    def separate(self, closing: str) -> None:
        """Skip a comma, unless the closing bracket is next."""
        if self.ahead() != closing:
            self.expect(",")

    def value(self) -> tuple[int, str, Any]:
        """Return first byte, text and value of the next JSON value, and go to its end."""
        self.ahead()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not (self._may_be_cut(error) and self._read_on()):
                    raise self.wrong(error.msg, error.pos) from None
            except ValueError:  # Python takes no whole number of more than 4300 digits
                raise self.wrong("Number too long") from None
            else:
                # a number may go on in the next piece, also after "." or "e-"
                if end + 2 < len(self._text) or not self._read_on():
                    begin, text = self.place, self._text[self._at : end]
                    self._at = end
                    return begin, text, value

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Say whether reading on may mend the error: it is near the end, or a text has no end."""
        return error.msg.startswith("Unterminated") or error.pos + _NEAR > len(self._text)

    def _read_on(self) -> bool:
        """Read the next piece, at least as long as the unfinished text; False at the end."""
        place = self._begin + len(self._text)
        needed = len(self._text) - self._at
        if place >= self._size:
            return False
        if needed > LONGEST:
            raise self.wrong(f"An element of more than {LONGEST} bytes")
        count = min(max(PIECE, needed), self._size - place)
        piece = read_exactly(self._file, place, count, name=self._name)
        self._text = self._text[self._at :] + piece.decode("latin-1")
        self._begin, self._at = self._begin + self._at, 0
        return True
