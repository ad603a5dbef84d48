"""Serves net/rpc on a socket: the part of `sdk` that listens, and that runs calls side by side.

There is one service, `Server`, with one method, `Run`; other names get Go's own refusals. Sockets
are in one asyncio loop, in the main thread; the calls run in threads or as tasks. It refuses to
know what a call does.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Callable, Optional, Protocol

from goloagent.netrpc import Call, ProtocolError, Server
from goloagent.sdk.reporting import text_of

MAX_THREADS = 10_000
GRACE_SECONDS = 5.0

# Told of a call's end: None, or the text of what it raised.
Done = Callable[[Optional[str]], None]


class Runner(Protocol):
    """Runs calls side by side."""

    def start(self, done: Done) -> None:
        """Start a call; tell `done`, in the loop's thread, when it has ended."""


class InThreads:
    """Runs each call in a thread, made when none is idle; beyond the bound, calls wait."""

    def __init__(self, run: Callable[[], object], max_threads: int = MAX_THREADS) -> None:
        self._run = run
        self._max_threads = max_threads
        self._threads = 0
        self._idle = threading.Semaphore(0)
        self._waiting: SimpleQueue[Done] = SimpleQueue()
        self._ended: deque[tuple[Done, str | None]] = deque()
        self._loop: asyncio.AbstractEventLoop
        self._loop_is_told = False
        self._telling = threading.Lock()

    def start(self, done: Done) -> None:
        """Start a call in an idle thread, or a new one."""
        self._loop = asyncio.get_running_loop()
        self._waiting.put(done)
        if not self._idle.acquire(blocking=False) and self._threads < self._max_threads:
            self._add_thread()

    def _add_thread(self) -> None:
        # A daemon: a call that never returns does not keep the program from ending.
        try:
            threading.Thread(target=self._work, daemon=True).start()
        except RuntimeError:
            # The system gives no more: those there are will take what waits.
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            done = self._waiting.get()
            error = None
            # SystemExit too: a call without an answer would cost the agent a user for good.
            try:
                self._run()
            except BaseException as raised:
                error = text_of(raised)
            self._idle.release()
            self._ended.append((done, error))
            self._tell_loop()

    def _tell_loop(self) -> None:
        """Wake the loop once for all calls that end until it looks.

        It is woken through a pipe, and so it is told of signals: a pipe full of ended calls would
        lose SIGTERM.
        """
        with self._telling:
            if self._loop_is_told:
                return
            self._loop_is_told = True
        # The loop is closed when the call outlasted the grace at the end: nobody waits for it.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take_ended)

    def _take_ended(self) -> None:
        with self._telling:
            self._loop_is_told = False
        while self._ended:
            done, error = self._ended.popleft()
            done(error)


class InTasks:
    """Runs each call as a task of the loop."""

    def __init__(self, run: Callable[[], Awaitable[object]]) -> None:
        self._run = run
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, done: Done) -> None:
        """Start a task."""
        task = asyncio.get_running_loop().create_task(self._work(done))
        # The loop itself holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, done: Done) -> None:
        error = None
        try:
            await self._run()
        # CancelledError too: the client waits for an answer to every call.
        except BaseException as raised:
            error = text_of(raised)
        done(error)


class Calls:
    """The calls under way, over all connections."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._under_way = 0
        self._stopped = False
        self.none_under_way = asyncio.Event()
        self.none_under_way.set()

    def start(self, done: Done) -> None:
        """Start a call; tell `done` when it has ended. After `stop`, calls go unanswered."""
        if self._stopped:
            return
        self._under_way += 1
        self.none_under_way.clear()
        self._runner.start(partial(self._ended, done))

    def stop(self) -> None:
        """Start no more calls."""
        self._stopped = True

    def _ended(self, done: Done, error: str | None) -> None:
        done(error)
        self._under_way -= 1
        if not self._under_way:
            self.none_under_way.set()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._server = Server()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Start the calls that the chunk completes; close at what is not net/rpc."""
        try:
            calls = self._server.receive(data)
        except ProtocolError as error:
            print(f"net/rpc client at {self._peer()}: {error}", file=sys.stderr, flush=True)
            self._transport.close()
            return
        for call in calls:
            refused = refusal(call.method)
            if refused is None:
                self._calls.start(partial(self._reply, call))
            else:
                self._reply(call, refused)

    def _reply(self, call: Call, error: str | None) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._server.reply(call, error))

    def _peer(self) -> object:
        return self._transport.get_extra_info("peername")


def refusal(method: str) -> str | None:
    """Give Go's words for a method that is not there; None for the one that is."""
    service, dot, name = method.rpartition(".")
    if not dot:
        return f"rpc: service/method request ill-formed: {method}"
    if service != "Server":
        return f"rpc: can't find service {method}"
    if name != "Run":
        return f"rpc: can't find method {method}"
    return None


def serve(host: str, port: int, runner: Runner) -> None:
    """Serve calls until SIGTERM or SIGINT, and those under way for `GRACE_SECONDS` more.

    Raises:
        OSError: the address cannot be listened on.
    """
    asyncio.run(_serve(host, port, runner))


async def _serve(host: str, port: int, runner: Runner) -> None:
    loop = asyncio.get_running_loop()
    calls = Calls(runner)
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    listener = await loop.create_server(lambda: Connection(calls), host, port)
    await signalled.wait()
    listener.close()
    calls.stop()
    await asyncio.wait([loop.create_task(calls.none_under_way.wait())], timeout=GRACE_SECONDS)
