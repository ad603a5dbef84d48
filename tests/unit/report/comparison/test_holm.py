"""Holm's correction."""

from __future__ import annotations

import pytest

from goloagent.report.comparison.holm import holm


def test_example() -> None:
    """R's ``p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")``."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_bounds() -> None:
    """One p stays, none exceeds 1, and equal ones stay equal."""
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.5, 0.9, 0.5]) == [1, 1, 1]
