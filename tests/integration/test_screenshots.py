"""The pictures of the page in docs/, made anew with ``GOLO_SCREENSHOTS=docs``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted
from integration.test_page import SHOP, state_is, until, visit
from peers.agent import Agent
from peers.browser import Browser

import goloagent

if TYPE_CHECKING:
    from playwright.sync_api import Page
