"""The database of the agent: its jobs and binaries. docs/operations.md explains every column."""

from __future__ import annotations

from goloagent.jobs.binary_table import BinaryTable
from goloagent.jobs.job_table import JobTable
from goloagent.jobs.rows import Binary, Content, SettledRun
from goloagent.jobs.sqlite_file import Damaged

__all__ = ["Binary", "Content", "Damaged", "SettledRun", "Store"]


class Store(BinaryTable, JobTable):
    """Both tables in one SQLite file."""
