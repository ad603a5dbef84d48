"""Run commands as the user `nobody`, for whom directories on their paths may be closed.

In a mount namespace each closed directory is replaced by an open one that has only what is needed.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

import goloagent
from goloagent.sandbox import cgroup

# The files of an agent.
NEEDED = (Path(sys.prefix), Path(sys.base_prefix), Path(goloagent.__file__).parents[1])
# Uses the isolation backend with the given name, as an agent would.
PROBE = """
import sys
from goloagent.sandbox.isolation import probe, backends
(backend,) = (one for one in backends("tests/") if one.name == sys.argv[1])
sys.exit(probe(backend, None))
"""


class NotSupported(Exception):
    """Load tests of `nobody` cannot be isolated on this host; the message has the reason."""


@attrs.frozen
class Unprivileged:
    """The command prefix that runs a command as `nobody`, and the isolation backend."""

    prefix: tuple[str, ...]
    isolation: str

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        """Run Python as `nobody`."""
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-c", *arguments],
            cwd="/",
            env=os.environ | {"PYTHONPATH": str(Path(goloagent.__file__).parents[1])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@contextmanager
def run_as_nobody(isolation: str, hardened: bool = False) -> Iterator[Unprivileged]:
    """Prepare to run an agent as `nobody` with an isolation backend.

    Args:
        hardened: make kernel variables read-only, like systemd's ProtectKernelTunables.

    Raises:
        NotSupported: this host does not allow it.
    """
    if os.geteuid() != 0:
        raise NotSupported("only root can become another user")
    with tempfile.TemporaryDirectory() as aside, _delegated(isolation == "cgroup") as delegated:
        user = Unprivileged(_prefix(Path(aside), delegated, hardened), isolation)
        with user.run(PROBE, isolation) as probed:
            error = probed.communicate(timeout=30)[1].strip()
        if probed.returncode:
            raise NotSupported(f"no {isolation} here: {error}")
        yield user
        for directory in Path(aside).iterdir():
            directory.rmdir()


@contextmanager
def _delegated(wanted: bool) -> Iterator[Path | None]:
    """Delegate a cgroup to `nobody` as systemd does; yield None if it cannot be created."""
    own = cgroup.current_cgroup() if wanted else None
    directory = None if own is None else own / f"golo-agent-tests-{os.getpid()}"
    try:
        if directory is not None:
            directory.mkdir()
    except OSError:
        directory = None
    if directory is None:
        yield None
        return
    for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
        shutil.chown(directory / name, "nobody")
    yield directory
    left = [path for path in directory.iterdir() if path.is_dir()]
    cgroup.remove(directory)
    assert left == []


def _prefix(aside: Path, cgroup: Path | None, hardened: bool) -> tuple[str, ...]:
    """Return a command for root that executes its arguments as `nobody`.

    Args:
        aside: an empty directory, where the command mounts the closed directories.
        cgroup: the cgroup to join.
    """
    entry = pwd.getpwnam("nobody")
    steps = ["set -e"]
    if cgroup is not None:
        steps.append("echo $$ > " + shlex.quote(str(cgroup / "cgroup.procs")))
    if hardened:
        steps += ["mount --bind /proc/sys /proc/sys", "mount -o remount,bind,ro /proc/sys"]
    for number, (closed, needed) in enumerate(_closed().items()):
        moved = aside / str(number)
        steps += [
            shlex.join(["mkdir", "-p", str(moved)]),
            shlex.join(["mount", "--rbind", str(closed), str(moved)]),
            shlex.join(["mount", "-t", "tmpfs", "-o", "mode=755", "none", str(closed)]),
        ]
        for name in sorted(needed):
            steps += [
                shlex.join(["mkdir", str(closed / name)]),
                shlex.join(["mount", "--rbind", str(moved / name), str(closed / name)]),
            ]
    identity = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    steps.append(shlex.join(["exec", "setpriv", *identity]) + ' "$@"')
    return ("unshare", "--mount", "/bin/sh", "-c", "\n".join(steps), "sh")


def _closed() -> dict[Path, set[str]]:
    """Return the closed directories, outer ones first, with the needed entries of each."""
    closed: dict[Path, set[str]] = {}
    for path in NEEDED:
        real = path.resolve()
        for directory in reversed(real.parents):
            if not directory.stat().st_mode & stat.S_IXOTH:
                closed.setdefault(directory, set()).add(real.relative_to(directory).parts[0])
    return dict(sorted(closed.items(), key=lambda item: len(item[0].parts)))
