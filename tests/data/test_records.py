import json
from dataclasses import replace

import pytest

from maskspace.data import READERS
from maskspace.data.records import check_image, encode_record, parse_record, sample_of
from maskspace.data.source import ImagePlace
from maskspace.types import Annotation, Sample


@pytest.fixture(scope="module")
def sample() -> Sample:
    drawn = READERS["scenes"]("", seed=0, limit=1)[0]
    ignored = Annotation(id=99, counts="0", area=3, box_xywh=(1, 2, 3, 4), ignore=True, layer=2)
    return replace(
        drawn,
        annotations=(*drawn.annotations, ignored),
        split="val",
        licence="CC0-1.0, é",
        source="a/b.tar:c.jpg",
    )


def test_a_record_and_its_image_give_the_sample_back(sample: Sample) -> None:
    record = parse_record(encode_record(sample), where="x")
    assert sample_of(record, sample.image, sample.extension, where="x") == sample
    assert (record.key, record.place) == (sample.key, None)
    check_image(record, sample.image, where="x")
    with pytest.raises(ValueError, match=r"^x: its image has changed"):
        check_image(record, sample.image + b"0", where="x")


def test_the_same_sample_gives_the_same_bytes_in_plain_json(sample: Sample) -> None:
    text = encode_record(sample)
    assert text == encode_record(replace(sample))
    plain = json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    assert json.loads(text)["sha256"] and text == plain


def test_a_record_may_point_to_its_image(sample: Sample) -> None:
    place = ImagePlace("a/b.tar", 512, len(sample.image))
    record = parse_record(encode_record(sample, place=place), where="x")
    assert (record.place, record.extension) == (place, sample.extension)
    assert sample_of(record, sample.image, record.extension or "", where="x") == sample


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b'{"key": "a"',
        b"[" * 100_000,
        b'{"key":"a","size_hw":[1,1],"annotations":3}',
        b'{"key":"a","size_hw":[1,1],"annotations":[3]}',
        b'{"key":"a","size_hw":[1,1],"annotations":[{"id":1}]}',
        b'{"key":"a","size_hw":3,"annotations":[]}',
        b'{"key":"a","size_hw":[1,1],"annotations":[],"image":3}',
        b'{"key":"a","size_hw":[1,1],"annotations":[],"image":{"file":"a"}}',
        b'{"size_hw":[1,1],"annotations":[]}',
        b'{"key":"a\xff"}',
    ],
)
def test_what_is_no_record_is_one_line(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^x: not a record \(.*make it again") as caught:
        parse_record(text, where="x")
    assert "\n" not in str(caught.value)


def test_a_field_that_no_sample_has_is_one_line(sample: Sample) -> None:
    text = json.dumps({**json.loads(encode_record(sample)), "colour": "red"}).encode()
    with pytest.raises(ValueError, match=r"^x: not a record \(.*colour"):
        sample_of(parse_record(text, where="x"), b"", "jpg", where="x")


def test_categories_come_back_and_records_without_them_are_as_before(sample: Sample) -> None:
    first, *others = sample.annotations
    named = replace(sample, annotations=(replace(first, category=7), *others))
    text = encode_record(named)
    record = parse_record(text, where="x")
    assert sample_of(record, sample.image, sample.extension, where="x") == named
    assert text.count(b'"category"') == 1
    assert b'"category"' not in encode_record(sample)


def test_a_record_written_before_there_were_categories_opens(sample: Sample) -> None:
    """As this project wrote them until November 2026: every field but the category."""
    fields = json.loads(encode_record(sample))
    names = {"id", "counts", "area", "box_xywh", "parent", "score", "ignore", "layer"}
    assert {frozenset(one) for one in fields["annotations"]} == {frozenset(names)}
    record = parse_record(json.dumps(fields).encode(), where="x")
    opened = sample_of(record, sample.image, sample.extension, where="x")
    assert opened == sample
    assert all(one.category is None for one in opened.annotations)
    assert [vars(one).keys() for one in opened.annotations] == [
        vars(Annotation(id=1, counts="", area=0, box_xywh=(0, 0, 0, 0))).keys()
    ] * len(opened.annotations)
