"""One object comes out of an answer as it went in, however the answer is cut into pieces."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deploy.pacs.multipart import MOST_HEAD, BrokenAnswer, boundary_of, write_part
from tests.deploy.pacs.made_up_pacs import in_parts

# Much of what could be taken for the end of the part.
CONTENTS = st.lists(st.sampled_from([b"\r\n", b"\r", b"--", b"b", b"--b", b"\r\n--", b"x", b"\0"]))


def pieces(body: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = 0
    for cut in cuts:
        yield body[at : at + cut]
        at += cut
    yield body[at:]


def written(body: bytes, cuts: list[int], most: int = 10**6) -> bytes:
    file = io.BytesIO()
    assert write_part(pieces(body, cuts), b"b", file, most) == len(file.getvalue())
    return file.getvalue()


@given(parts=CONTENTS, cuts=st.lists(st.integers(0, 9), max_size=40), before=st.booleans())
def test_object_comes_out_as_it_went_in(parts: list[bytes], cuts: list[int], before: bool) -> None:
    content = b"".join(parts)
    body = (b"\r\n" if before else b"") + in_parts(content, "b")[0]
    assume(b"\r\n--b" not in content and (content + b"\r\n--b").find(b"\r\n--b") == len(content))
    assert written(body, cuts) == content


@given(
    content=st.binary(max_size=60), cuts=st.lists(st.integers(1, 9), max_size=20), data=st.data()
)
def test_answer_that_ends_early_is_never_taken(
    content: bytes, cuts: list[int], data: st.DataObject
) -> None:
    whole = in_parts(content, "b")[0]
    body = whole[: data.draw(st.integers(0, len(whole) - len(b"--\r\n") - 1))]
    with pytest.raises(BrokenAnswer):
        written(body, cuts)


def test_part_without_headers_is_taken() -> None:
    assert written(b"--b\r\n\r\ncontent\r\n--b--", []) == b"content"


def test_second_part_is_refused() -> None:
    body = in_parts(b"one", "b")[0].removesuffix(b"--\r\n") + b"\r\n\r\ntwo\r\n--b--"
    with pytest.raises(BrokenAnswer, match="several"):
        written(body, [])


@pytest.mark.parametrize(("size", "is_taken"), [(99, True), (100, True), (101, False)])
def test_object_has_a_bound(size: int, is_taken: bool) -> None:
    body = in_parts(bytes(size), "b")[0]
    if is_taken:
        assert len(written(body, [7] * 10, most=100)) == size
    else:
        with pytest.raises(BrokenAnswer, match="larger"):
            written(body, [7] * 10, most=100)


@pytest.mark.parametrize("body", [b"", in_parts(b"x", "b")[0]])
def test_what_is_around_the_object_has_a_bound(body: bytes) -> None:
    def endless() -> Iterator[bytes]:
        yield body
        for _ in range(3 * MOST_HEAD // 1000):
            yield b"y" * 1000
        raise AssertionError("more was read than may be")

    with pytest.raises(BrokenAnswer):
        write_part(endless(), b"b", io.BytesIO(), 10**6)


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary="a b"', b"a b"),
        ("Multipart/Related; Boundary=x;type=application/dicom", b"x"),
        ("application/dicom", None),
        ("", None),
    ],
)
def test_boundary_is_read(kind: str, boundary: bytes | None) -> None:
    assert boundary_of(kind) == boundary


@pytest.mark.parametrize(
    "kind",
    ["multipart/related", 'multipart/related; boundary=""', f"multipart/x; boundary={'b' * 300}"],
)
def test_answer_in_parts_without_a_boundary_is_refused(kind: str) -> None:
    with pytest.raises(BrokenAnswer):
        boundary_of(kind)
