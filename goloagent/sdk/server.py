"""The net/rpc server of a load test: sockets in an asyncio loop, calls in threads or as tasks.

It has one service, `Server`, with one method, `Run`; other names get the errors of Go's server.
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

# Called at the end of a call with None, or with the text of its exception.
Done = Callable[[Optional[str]], None]

# Awaited in the loop after the last call.
finalizers: list[Callable[[], Awaitable[None]]] = []


class Runner(Protocol):
    """Runs calls concurrently."""

    def start(self, done: Done) -> None:
        """Start a call; call `done` in the loop's thread when it has ended."""


class InThreads:
    """Runs each call in an idle or a new thread; beyond the maximum, calls wait."""

    def __init__(self, run: Callable[[], object], max_threads: int = MAX_THREADS) -> None:
        self._run = run
        self._max_threads = max_threads
        self._threads = 0
        self._idle = threading.Semaphore(0)
        self._waiting: SimpleQueue[Done] = SimpleQueue()
        self._ended: deque[tuple[Done, str | None]] = deque()
        self._loop: asyncio.AbstractEventLoop
        self._loop_is_woken = False
        self._wake_lock = threading.Lock()

    def start(self, done: Done) -> None:
        """Start a call in an idle thread, or a new one."""
        self._loop = asyncio.get_running_loop()
        self._waiting.put(done)
        if not self._idle.acquire(blocking=False) and self._threads < self._max_threads:
            self._add_thread()

    def _add_thread(self) -> None:
        # A daemon: a call that never returns does not block the exit.
        try:
            threading.Thread(target=self._work, daemon=True).start()
        except RuntimeError:
            # The system allows no more threads: the existing ones run the waiting calls.
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            done = self._waiting.get()
            error = None
            # SystemExit too: without a reply the agent would lose a user.
            try:
                self._run()
            except BaseException as raised:
                error = text_of(raised)
            self._idle.release()
            self._ended.append((done, error))
            self._wake_loop()

    def _wake_loop(self) -> None:
        """Wake the loop once for all calls that end before it runs.

        Wakeups and signals share a pipe, and one that is full would lose SIGTERM.
        """
        with self._wake_lock:
            if self._loop_is_woken:
                return
            self._loop_is_woken = True
        # The loop is closed if the call ends after the grace period.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._report_ended)

    def _report_ended(self) -> None:
        with self._wake_lock:
            self._loop_is_woken = False
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
        # The loop has weak references only.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, done: Done) -> None:
        error = None
        try:
            await self._run()
        # CancelledError too: the client needs a reply to every call.
        except BaseException as raised:
            error = text_of(raised)
        done(error)


class Calls:
    """The running calls of all connections."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._running = 0
        self._stopped = False
        self.none_running = asyncio.Event()
        self.none_running.set()

    def start(self, done: Done) -> None:
        """Start a call; call `done` when it has ended. After `stop`, calls get no reply."""
        if self._stopped:
            return
        self._running += 1
        self.none_running.clear()
        self._runner.start(partial(self._ended, done))

    def stop(self) -> None:
        """Start no further calls."""
        self._stopped = True

    def _ended(self, done: Done, error: str | None) -> None:
        done(error)
        self._running -= 1
        if not self._running:
            self.none_running.set()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._server = Server()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Start the calls that the chunk completes; close the connection on a protocol error."""
        try:
            calls = self._server.receive(data)
        except ProtocolError as error:
            print(f"net/rpc client at {self._peer()}: {error}", file=sys.stderr, flush=True)
            self._transport.close()
            return
        for call in calls:
            failure = method_error(call.method)
            if failure is None:
                self._calls.start(partial(self._reply, call))
            else:
                self._reply(call, failure)

    def _reply(self, call: Call, error: str | None) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._server.reply(call, error))

    def _peer(self) -> object:
        return self._transport.get_extra_info("peername")


def method_error(method: str) -> str | None:
    """Return the error of Go's server for an unknown method; None for the known one."""
    service, dot, name = method.rpartition(".")
    if not dot:
        return f"rpc: service/method request ill-formed: {method}"
    if service != "Server":
        return f"rpc: can't find service {method}"
    if name != "Run":
        return f"rpc: can't find method {method}"
    return None


def serve(host: str, port: int, runner: Runner) -> None:
    """Serve calls until SIGTERM or SIGINT; then wait `GRACE_SECONDS` for running calls.

    Raises:
        OSError: it cannot listen on the address.
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
    await asyncio.wait([loop.create_task(calls.none_running.wait())], timeout=GRACE_SECONDS)
    for finalize in finalizers:
        await finalize()
