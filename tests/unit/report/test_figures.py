"""Figures for people."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.report import figures
from goloagent.report.checks import margin_of, value_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0 ms"),
        (0.0000421, "0.042 ms"),
        (0.000421, "0.421 ms"),
        (0.00999, "9.99 ms"),
        (0.009999, "10.0 ms"),
        (0.0123, "12.3 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1.2, "1.20 s"),
        (123.4, "123 s"),
        (12_345.0, "12,345 s"),
    ],
)
def test_times_have_three_digits(value: float | None, text: str) -> None:
    """Times have three digits."""
    assert figures.seconds(value) == text


@given(st.floats(0, 1e7))
def test_a_time_fits_its_column(value: float) -> None:
    """The columns of the summary and the live view have nine places."""
    assert len(figures.seconds(value)) <= 12
    if value < 10_000:
        assert len(figures.seconds(value)) <= 8


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "0 %"),
        (0, 10, "0 %"),
        (1, 1_000_000, "< 0.01 %"),
        (12, 1000, "1.20 %"),
        (1, 3, "33.3 %"),
        (999_999, 1_000_000, "> 99.99 %"),
        (5, 5, "100 %"),
    ],
)
def test_a_part_is_never_nothing_and_the_rest_never_all(part: int, whole: int, text: str) -> None:
    """A part is never nothing and the rest never all."""
    assert figures.share(part, whole) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (999.9, "1.00 kB"), (4_820_000, "4.82 MB"), (2e15, "2,000 TB")],
)
def test_sizes(value: float, text: str) -> None:
    """Sizes."""
    assert figures.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-1, "0:00"), (5, "0:05"), (59.6, "1:00"), (3723, "1:02:03")]
)
def test_clocks(value: float, text: str) -> None:
    """Clocks."""
    assert figures.duration(value) == text


def test_hostile_texts_cannot_change_the_terminal() -> None:
    """Escapes, line ends and marks of direction are shown as their escapes."""
    assert figures.printable("\x1b[2J\r\n\t") == r"\x1b[2J\r\n\t"
    assert figures.printable("a\u202eb\ud800") == r"a\u202eb\ud800"
    assert figures.printable("Größe 端末 \xa0") == "Größe 端末  "


@given(st.text())
def test_no_text_has_a_control_character_left(text: str) -> None:
    """No text has a control character left."""
    shown = figures.printable(text)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("metric", "threshold", "value", "shown", "margin"),
    [
        ("duration", "p(95)<250ms", 0.2, "200 ms", "20.0 % below the limit"),
        ("duration", "p(95)<250ms", 0.3, "300 ms", "20.0 % above the limit"),
        ("duration", "p(95)<250ms", 2.5, "2.5 s", "10.0 times the limit"),
        ("duration{url:/a}", "p(95)<250ms", None, "no data", ""),
        ("errors", "rate<1%", 0.01, "1 %", "at the limit"),
        ("dropped", "count==0", 54, "54", "54 above the limit"),
        ("results", "rate>150", 198.0, "198/s", "32.0 % above the limit"),
        ("of_the_future", "p(95)<1", 3.0, "3", ""),
    ],
)
def test_a_threshold_has_its_figure_and_margin(
    metric: str, threshold: str, value: float | None, shown: str, margin: str
) -> None:
    """A threshold has its figure and margin."""
    assert value_of(metric, threshold, value) == shown
    assert margin_of(metric, threshold, value) == margin
