"""Worker threads: two pools of a fixed size, started before the agent listens.

So a load test that exhausts the tasks of the host cannot deny the agent a thread, and uploads,
rebuilds or removals do not delay durability and the running job. The queues are bounded by their
callers: each has at most one call at a time, or one for each connection.

The threads are daemons, so one that hangs in a system call does not block the exit.
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
"""One for each call that may block on a hanging disk (the sync of logs, the commits of the
database, the check of free space, the checks of the host, the running job), one for peer checks."""
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
    """`size` threads that run calls in order.

    Args:
        make_thread: creates a thread without starting it.
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
        """Start all threads.

        Raises:
            RuntimeError: the system allows no further thread.
        """
        for number in range(self.size):
            name = f"{self.name}-{number}"
            self._make_thread(target=self._work, name=name, daemon=True).start()

    def stop(self) -> None:
        """End all threads after the calls that are waiting."""
        for _ in range(self.size):
            self._calls.put(None)

    @property
    def unfinished(self) -> int:
        """The number of calls that wait or run."""
        return self._unfinished

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call a function in a thread; the Deferred fires with its result on the reactor thread.

        Cancelling it prevents a call that still waits, and does not interrupt one that runs.
        """
        cancelled = threading.Event()
        done: Deferred[T] = Deferred(lambda _: cancelled.set())

        def fire(result: Any) -> None:
            if not done.called:
                done.callback(result)  # a Failure becomes an errback

        def on_result(_: bool, result: Any) -> None:
            self._reactor.callFromThread(fire, result)

        self._put(_Call(lambda: function(*args, **kwargs), on_result, cancelled.is_set))
        return done

    def callInThreadWithCallback(
        self, onResult: OnResult, func: Callable[..., Any], *args: Any, **kw: Any
    ) -> None:
        """Call `func` and then `onResult` in a thread, like Twisted's thread pool."""
        self._put(_Call(lambda: func(*args, **kw), onResult))

    def _put(self, call: _Call) -> None:
        with self._lock:
            self._unfinished += 1
        self._calls.put(call)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            succeeded, result = True, None
            is_called = not call.cancelled()
            if is_called:
                try:
                    result = call.function()
                except BaseException:
                    succeeded, result = False, Failure()
            with self._lock:
                self._unfinished -= 1
            if is_called:
                self._report(call, succeeded, result)
            # Release its objects before the next call.
            del call, result

    def _report(self, call: _Call, succeeded: bool, result: Any) -> None:
        """Report a result; an exception there must not end the thread."""
        try:
            call.on_result(succeeded, result)
        except Exception:
            self._log.failure("the result of a call in pool {name} is lost", name=self.name)


class Threads:
    """The agent's threads.

    Attributes:
        critical: syncs, the database and the running job: short calls.
        bulk: everything else: uploads, statistics, removals, recovery, name resolution.
        others: pools of one thread, each for one output.
    """

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self.critical = Pool(reactor, "critical", CRITICAL_THREADS)
        self.bulk = Pool(reactor, "bulk", BULK_THREADS)
        self.others: list[Pool] = []
        self._reactor = reactor

    def add(self, name: str) -> Pool:
        """Return a new pool of one thread, which starts and stops with the others."""
        pool = Pool(self._reactor, name, 1)
        self.others.append(pool)
        return pool

    @property
    def _pools(self) -> tuple[Pool, ...]:
        return (self.critical, self.bulk, *self.others)

    def start(self) -> None:
        """Start all threads.

        Raises:
            RuntimeError: the system allows no further thread.
        """
        for pool in self._pools:
            pool.start()

    def stop(self) -> None:
        """End all threads after the calls that are waiting."""
        for pool in self._pools:
            pool.stop()

    @property
    def unfinished(self) -> list[str]:
        """The names of the pools with calls that wait or run, and their number."""
        return [f"{pool.name} ({pool.unfinished})" for pool in self._pools if pool.unfinished]
