"""Worker threads: two pools of a fixed size, all started before the agent listens.

A load test that uses up the tasks of the machine can then no longer keep the agent from a thread.
Durability and the running job have threads of their own, so that no number of uploads, rebuilds or
removals delays them. Callers limit what waits: each of them has at most one call under way, or one
for each connection.

Threads are daemons: one that hangs in a system call does not keep the process from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

CRITICAL_THREADS = 6
"""One for each that may wait for a disk that hangs: the sync of logs, the commits of the database,
the look at the free space, the checks of the host and the running job; and one for the looks at who
holds a connection."""
BULK_THREADS = 7

P = ParamSpec("P")
T = TypeVar("T")
OnResult = Callable[[bool, Any], object]


@attrs.frozen
class _Call:
    function: Callable[[], Any]
    on_result: OnResult
    cancelled: Callable[[], bool] = lambda: False


class Pool:
    """`size` threads that take calls in order.

    Args:
        make_thread: makes a thread that is not started yet.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorFromThreads,
        name: str,
        size: int,
        make_thread: Callable[..., threading.Thread] = threading.Thread,
    ) -> None:
        self.name = name
        self.size = size
        self._reactor = reactor
        self._make_thread = make_thread
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0

    def start(self) -> None:
        """Start every thread.

        Raises:
            RuntimeError: the system allows no further thread.
        """
        for number in range(self.size):
            name = f"{self.name}-{number}"
            self._make_thread(target=self._work, name=name, daemon=True).start()

    def stop(self) -> None:
        """End each thread once it has finished what was given to the pool before."""
        for _ in range(self.size):
            self._calls.put(None)

    @property
    def unfinished(self) -> int:
        """How many calls wait or run."""
        return self._unfinished

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call a function in a thread; the Deferred fires with its result on the reactor thread.

        If it is cancelled while the call waits, the function is not called; one that runs already
        runs to its end.
        """
        cancelled = threading.Event()
        done: Deferred[T] = Deferred(lambda _: cancelled.set())

        def fire(result: Any) -> None:
            if not done.called:
                done.callback(result)  # a Failure is passed on as one

        def on_result(_: bool, result: Any) -> None:
            self._reactor.callFromThread(fire, result)

        self._put(_Call(lambda: function(*args, **kwargs), on_result, cancelled.is_set))
        return done

    def callInThreadWithCallback(
        self, onResult: OnResult, func: Callable[..., Any], *args: Any, **kw: Any
    ) -> None:
        """Call `func` in a thread and `onResult` there, as Twisted's thread pool does."""
        self._put(_Call(lambda: func(*args, **kw), onResult))

    def _put(self, call: _Call) -> None:
        with self._lock:
            self._unfinished += 1
        self._calls.put(call)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            succeeded, result = True, None
            made = not call.cancelled()
            if made:
                try:
                    result = call.function()
                except BaseException:
                    succeeded, result = False, Failure()
            with self._lock:
                self._unfinished -= 1
            if made:
                self._report(call, succeeded, result)
            # What a call holds must not live until the next one.
            del call, result

    def _report(self, call: _Call, succeeded: bool, result: Any) -> None:
        """Pass a result on; what breaks there must not end the thread."""
        try:
            call.on_result(succeeded, result)
        except Exception:
            self._log.failure("the result of a call in pool {name} is lost", name=self.name)


class Threads:
    """The agent's threads.

    Attributes:
        critical: for syncs, the database and the running job: short calls that others wait for.
        bulk: for everything else: uploads, statistics, removals, recovery, names of hosts.
    """

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self.critical = Pool(reactor, "critical", CRITICAL_THREADS)
        self.bulk = Pool(reactor, "bulk", BULK_THREADS)

    def start(self) -> None:
        """Start all of them.

        Raises:
            RuntimeError: the system allows no further thread.
        """
        self.critical.start()
        self.bulk.start()

    def stop(self) -> None:
        """End each thread once it has finished what it was given."""
        self.critical.stop()
        self.bulk.stop()

    @property
    def unfinished(self) -> list[str]:
        """Which pools have calls that wait or run, with their number."""
        pools = (self.critical, self.bulk)
        return [f"{pool.name} ({pool.unfinished})" for pool in pools if pool.unfinished]
