"""The fixture of the tests of outputs."""

from __future__ import annotations

import pytest
from unit.outputs.world import World


@pytest.fixture
def world() -> World:
    """Return a world with a started worker."""
    return World()
