"""Exports a run from its agent: the log is read once for all files made from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from goloagent.client import reactor
from goloagent.client.agents.access import Access, agents_of
from goloagent.client.agents.api import AgentApi
from goloagent.client.errors import ClientError
from goloagent.client.export.output_file import STDOUT, OutputFile
from goloagent.client.export.parquet import ParquetWriter, require
from goloagent.client.export.results import CsvWriter, JsonLinesWriter, ResultFeed, ResultWriter
from goloagent.client.run.lookup import find_run

WRITERS: Mapping[str, Callable[[OutputFile], ResultWriter]] = {
    "csv": CsvWriter,
    "jsonl": JsonLinesWriter,
    "parquet": ParquetWriter,
}
"""Of results, by the names of options."""

PATHS = {"timeline_csv": "timeline.csv", "hlog": "stats.hlog"}
"""Where the agent has files of another kind."""


def export(access: Access, run: str, files: Mapping[str, Path]) -> list[str]:
    """Write the files of a run, each by the name of its option; return a sentence for each.

    Raises:
        ClientError: there is no such run, a file cannot be written, or pyarrow is missing.
    """
    if "parquet" in files:
        require()
    if list(files.values()).count(STDOUT) > 1:
        raise ClientError("only one of the files can be stdout (-): name the others")
    if len({path.absolute() for path in files.values()}) < len(files):
        raise ClientError("two files have the same name: give each its own")

    async def work(the_reactor: Any) -> list[str]:
        async with agents_of(the_reactor, access, os.environ) as agents:
            found = await find_run(agents, run)
            job = f"/jobs/{found.job['id']}"
            api, sentences = found.agent.api, []
            for name in (name for name in PATHS if name in files):
                with OutputFile(files[name]) as file:
                    await _download(api, f"{job}/{PATHS[name]}", file.write)
                sentences.append(f"{files[name]}: written")
            return [*sentences, *await _results(api, job, files)]

    return reactor.run(work)


async def _results(api: AgentApi, job: str, files: Mapping[str, Path]) -> list[str]:
    names = [name for name in WRITERS if name in files]
    if not names:
        return []
    with ExitStack() as stack:
        feed = ResultFeed(
            [WRITERS[name](stack.enter_context(OutputFile(files[name]))) for name in names]
        )
        await _download(api, f"{job}/out.log", feed.feed)
        feed.close()
    left_out = f", {feed.left_out:,} lines that are no results left out" if feed.left_out else ""
    return [f"{files[name]}: {feed.results:,} results{left_out}" for name in names]


async def _download(api: AgentApi, path: str, write: Callable[[bytes], None]) -> None:
    """Write what an agent sends; an error of the writer is no error of the agent."""
    guarded = _Guarded(write)
    try:
        await api.download(path, guarded)
    except ClientError:
        if guarded.failure is None:
            raise
    if isinstance(guarded.failure, OSError):
        raise ClientError(f"cannot write: {guarded.failure.strerror}; free space") from None
    if guarded.failure is not None:
        raise guarded.failure


@attrs.define
class _Guarded:
    """Calls `write` until it fails once; `failure` is why."""

    write: Callable[[bytes], None]
    failure: Exception | None = None

    def __call__(self, data: bytes) -> None:
        if self.failure is not None:
            return
        try:
            self.write(data)
        except Exception as error:
            self.failure = error
            raise
