"""Which bytes a Range header wants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.http.api.ranges import ByteRange, Unsatisfiable, wanted


@given(size=st.integers(0, 50), first=st.integers(0, 60), last=st.integers(0, 60))
def test_from_here_to_there(size: int, first: int, last: int) -> None:
    """Both ends count; what lies behind the end is left out, and nothing at all is refused."""
    content = bytes(range(size))
    expected = content[first : last + 1]
    header = [f"bytes={first}-{last}"]
    if last < first:
        assert wanted(header, size) is None
    elif not expected:
        with pytest.raises(Unsatisfiable):
            wanted(header, size)
    else:
        part = wanted(header, size)
        assert part is not None
        assert content[part.start : part.end] == expected
        assert part.count == len(expected)


@given(size=st.integers(1, 50), count=st.integers(1, 60))
def test_the_last_bytes(size: int, count: int) -> None:
    """A suffix is as many of the last bytes as there are."""
    assert wanted([f"bytes=-{count}"], size) == ByteRange(max(0, size - count), size)


@given(size=st.integers(1, 50), first=st.integers(0, 60))
def test_the_rest(size: int, first: int) -> None:
    """An open range goes to the end; from the end on there is nothing."""
    header = [f"Bytes={first}-"]
    if first < size:
        assert wanted(header, size) == ByteRange(first, size)
    else:
        with pytest.raises(Unsatisfiable):
            wanted(header, size)


@pytest.mark.parametrize("header", ["bytes=-0", "bytes=0-", "bytes=-5", "bytes=0-0"])
def test_of_nothing_there_is_no_part(header: str) -> None:
    """No range of an empty file, nor one of no bytes, can be served."""
    with pytest.raises(Unsatisfiable):
        wanted([header], 9 if header == "bytes=-0" else 0)


@pytest.mark.parametrize(
    "header",
    [
        [],
        ["bytes=0-1,4-5"],
        ["bytes=-"],
        ["bytes=a-"],
        ["lines=0-1"],
        ["bytes 0-1"],
        ["bytes=0-1", "bytes=2-3"],
        ["bytes=" + "9" * 5000 + "-"],
    ],
)
def test_what_is_answered_with_the_whole(header: list[str]) -> None:
    """Several ranges, other units and what cannot be understood leave the whole."""
    assert wanted(header, 10) is None


@given(header=st.text(), size=st.integers(0, 100))
def test_any_header(header: str, size: int) -> None:
    """Whatever it says, the part is some bytes that are there."""
    try:
        part = wanted([header], size)
    except Unsatisfiable:
        return
    if part is not None:
        assert 0 <= part.start < part.end <= size
