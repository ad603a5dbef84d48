"""The small program that becomes the load test.

Run by the agent as ``python -I -S launcher.py PLAN``, it makes the process what a load test should
be (a session of its own, ending with the agent, another user, limits, default signals, kept from
what is closed to it) and then executes it. It writes `EXECUTING` to descriptor 3 just before, which
closes by itself when the load test has taken over. What goes wrong is one JSON object there.
Imports nothing of the agent but its three neighbours.

PLAN is a JSON object: ``agent`` (the agent's process id), ``join`` (the file by which it joins a
cgroup, or null), ``program``, ``directory``, ``user`` (a name or null), ``max_file_bytes``,
``max_tasks`` (or null), and ``closed``: null, or an object with the paths that Landlock has it not
reach (``paths``), and those that it may read (``readable``).
"""

import ctypes
import json
import os
import resource
import signal
import stat
import sys
from contextlib import suppress

if __name__ == "__main__":
    # Run by its path, and isolated, Python does not find the package.
    sys.path.append(os.path.abspath(f"{__file__}/../../.."))  # noqa: PTH100

from goloagent.sandbox import exec_errors, landlock, path_rules

STATUS_FD = 3
EXECUTING = b"executing\n"
FAILED = 127
# Above what the agent has: when memory runs out the kernel ends the load test, and not the agent.
_OOM_SCORE_ADJ = 500
_MAX_OOM_SCORE_ADJ = 1000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _join(processes: str) -> None:
    # Not by open(), which would make the file where there is none.
    descriptor = os.open(processes, os.O_WRONLY | os.O_CLOEXEC)
    os.write(descriptor, b"0")
    os.close(descriptor)


def _rules(paths: list[str], readable: list[str], directory: str) -> landlock.Ruleset:
    """Grant everything but `paths`, of which some are `readable`, and all in the own directory."""
    ruleset = landlock.Ruleset()
    for path in path_rules.allowed_paths([*paths, *readable]):
        with suppress(OSError):  # what cannot be granted is closed, too
            ruleset.grant(path)
    for path in readable:
        with suppress(OSError):
            ruleset.grant(path, landlock.READ)
    ruleset.grant(directory)
    return ruleset


def _become(user: str) -> None:
    import pwd

    entry = pwd.getpwnam(user)
    for output in (1, 2):
        if stat.S_ISFIFO(os.fstat(output).st_mode):  # its owner alone may open /dev/stderr
            os.fchown(output, entry.pw_uid, entry.pw_gid)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _end_with(agent: int) -> None:
    """Ask to be killed when the agent ends; it may have ended before the asking."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent:
        os._exit(FAILED)


def _limit(max_file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if hard == resource.RLIM_INFINITY or hard > max_file_bytes:  # else it is limited already
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    # A load generator needs sockets: as many as the agent was given.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _limit_tasks(count: int) -> None:
    """Leave the agent some of the tasks that there are, if the user's own can be limited so.

    The kernel counts all tasks of a user, also those that this machine does not show to us: with so
    many elsewhere that none could be started here, there is no limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if os.geteuid() == 0 or (hard != resource.RLIM_INFINITY and hard <= count):
        return
    resource.setrlimit(resource.RLIMIT_NPROC, (count, hard))
    try:
        child = os.fork()
    except BlockingIOError:
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
        return
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    resource.setrlimit(resource.RLIMIT_NPROC, (count, count))


def _end_first() -> None:
    """Have the kernel end this process before the agent when memory runs out; it may refuse to."""
    with suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+") as file:  # noqa: PTH123
        score = max(0, int(file.read())) + _OOM_SCORE_ADJ
        file.seek(0)
        file.write(str(min(score, _MAX_OOM_SCORE_ADJ)))


def _default_scheduling() -> None:
    """Undo that the agent gives way to others, where that may be undone: it is for the load."""
    with suppress(OSError, AttributeError):
        if os.sched_getscheduler(0) == os.SCHED_BATCH:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _default_signals() -> None:
    """Undo what Python and the agent ignore or block: both survive an exec."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def main(plan_text: str) -> None:
    """Become the load test; returns only by ending the process with `FAILED`."""
    plan = json.loads(plan_text)
    step = "prepare"
    try:
        os.set_inheritable(STATUS_FD, False)
        if plan["join"] is not None:
            step = "join a cgroup"
            _join(plan["join"])  # while still allowed to
        os.setsid()
        _end_first()  # while the file is ours
        ruleset = None
        if plan["closed"] is not None:
            step = "keep from what is closed"
            # With the agent's rights: it may list more than the user to become.
            ruleset = _rules(**plan["closed"], directory=plan["directory"])
        if plan["user"] is not None:
            step = f"become user {plan['user']}"
            _become(plan["user"])
        step = "prepare"
        _end_with(plan["agent"])  # after the change of user, which would clear it
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _limit(plan["max_file_bytes"])
        if plan["max_tasks"] is not None:
            _limit_tasks(plan["max_tasks"])
        _default_scheduling()
        os.umask(0o077)
        step = f"enter {plan['directory']}"
        os.chdir(plan["directory"])
        _default_signals()
        if ruleset is not None:
            step = "keep from what is closed"
            ruleset.enforce()
        step = "exec"
        os.write(STATUS_FD, EXECUTING)
        os.execv(plan["program"], [plan["program"]])
    except Exception as error:  # whatever it is: silence would mean that the load test runs
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number is not None else str(error)
        if step == "exec" and (cause := exec_errors.explain(plan["program"], number)) is not None:
            reason = f"{reason}: {cause}"
        report = {"step": step, "errno": number, "error": reason}
        os.write(STATUS_FD, json.dumps(report).encode())
    os._exit(FAILED)


if __name__ == "__main__":
    main(sys.argv[1])
