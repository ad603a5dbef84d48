"""Fixtures of the tests of an RPC client."""

from __future__ import annotations

import pytest
from unit.load.peer import Reports


@pytest.fixture
def reports() -> Reports:
    """Return the reports and counts of the client under test."""
    return Reports()
