"""The program that becomes the load test: it confines its own process, then executes the program.

The agent runs it as ``python -I -S launcher.py PLAN ARGUMENT...``. It creates a session, dies with
the agent, changes the user, sets limits, default signals and Landlock, and calls exec. Just before,
it writes `EXECUTING` to descriptor 3, which exec closes. An error is one JSON object there instead.

PLAN is a JSON object: ``agent`` (the process ID of its parent), ``join`` (the file by which it
joins a cgroup, or null), ``program``, ``directory``, ``user`` (a name or null), ``max_file_bytes``,
``max_tasks`` (or null), and ``protected``: null, or an object with the paths that Landlock denies
(``paths``), and those of which it allows reading (``readable``).
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
    # With -I and by its path, Python does not find the package.
    sys.path.append(os.path.abspath(f"{__file__}/../../.."))  # noqa: PTH100

from goloagent.sandbox import exec_errors, landlock, path_rules

STATUS_FD = 3
EXECUTING = b"executing\n"
FAILED = 127
GIVEN = "GOLO_GIVEN_"
"""Marks the variables that only the load test gets, without this prefix."""
# Above the agent's: when memory runs out, the kernel kills the load test, not the agent.
_OOM_SCORE_ADJ = 500
_MAX_OOM_SCORE_ADJ = 1000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _join(processes: str) -> None:
    # Not by open(), which would create a missing file.
    descriptor = os.open(processes, os.O_WRONLY | os.O_CLOEXEC)
    os.write(descriptor, b"0")
    os.close(descriptor)


def _rules(paths: list[str], readable: list[str], directory: str) -> landlock.Ruleset:
    """Allow everything except `paths`, but reading `readable` and all of `directory`."""
    ruleset = landlock.Ruleset()
    for path in path_rules.allowed_paths([*paths, *readable]):
        with suppress(OSError):  # denied if it cannot be granted
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
        if stat.S_ISFIFO(os.fstat(output).st_mode):  # only its owner may open /dev/stderr
            os.fchown(output, entry.pw_uid, entry.pw_gid)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _die_with_parent(agent: int) -> None:
    """Have the kernel kill this process when its parent ends; the agent may have ended before."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent:
        os._exit(FAILED)


def _limit(max_file_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if hard == resource.RLIM_INFINITY or hard > max_file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    # A load generator needs sockets: as many as the agent may have.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _limit_tasks(count: int) -> None:
    """Limit the tasks of the user, so that some are left for the agent.

    The kernel counts all tasks of a user, also in other containers. If they alone exceed the limit,
    it is removed again.
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


def _raise_oom_score() -> None:
    """Have the kernel kill this process before the agent when memory runs out, if permitted."""
    with suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+") as file:  # noqa: PTH123
        score = max(0, int(file.read())) + _OOM_SCORE_ADJ
        file.seek(0)
        file.write(str(min(score, _MAX_OOM_SCORE_ADJ)))


def _default_scheduling() -> None:
    """Undo the agent's SCHED_BATCH, if permitted."""
    with suppress(OSError, AttributeError):
        if os.sched_getscheduler(0) == os.SCHED_BATCH:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _default_signals() -> None:
    """Reset the signals that Python and the agent ignore or block, because exec does not."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _environment() -> dict[bytes, bytes]:
    """Return the variables of the load test, of which those of the client win."""
    given, mark = {}, os.fsencode(GIVEN)
    own = dict(os.environb)
    for name in list(own):
        if name.startswith(mark):
            given[name[len(mark) :]] = own.pop(name)
    return own | given


def main(plan_text: str, *arguments: str) -> None:
    """Become the load test, or report the error and exit with `FAILED`."""
    plan = json.loads(plan_text)
    step = "prepare"
    try:
        os.set_inheritable(STATUS_FD, False)
        if plan["join"] is not None:
            step = "join a cgroup"
            _join(plan["join"])  # before the change of user
        os.setsid()
        _raise_oom_score()  # before the change of user
        ruleset = None
        if plan["protected"] is not None:
            step = "protect the agent's files"
            # Before the change of user, who may not list every directory.
            ruleset = _rules(**plan["protected"], directory=plan["directory"])
        if plan["user"] is not None:
            step = f"become user {plan['user']}"
            _become(plan["user"])
        step = "prepare"
        _die_with_parent(plan["agent"])  # after the change of user, which clears it
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
            step = "protect the agent's files"
            ruleset.enforce()
        step = "exec"
        os.write(STATUS_FD, EXECUTING)
        os.execve(plan["program"], [plan["program"], *arguments], _environment())
    except Exception as error:  # any: without a report the launch would count as a success
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number is not None else str(error)
        if step == "exec" and (cause := exec_errors.explain(plan["program"], number)) is not None:
            reason = f"{reason}: {cause}"
        report = {"step": step, "errno": number, "error": reason}
        os.write(STATUS_FD, json.dumps(report).encode())
    os._exit(FAILED)


if __name__ == "__main__":
    main(*sys.argv[1:])
