"""Commands run as another user, who need not be able to enter the directories on the way to them.

In a mount namespace of its own each such directory is replaced by one that everybody may enter, and
that has nothing but what is needed.
"""

from __future__ import annotations

import pwd
import shlex
import stat
import sys
from pathlib import Path

import goloagent

# What an agent is made of.
NEEDED = (Path(sys.prefix), Path(sys.base_prefix), Path(goloagent.__file__).parents[1])


def become(
    user: str, aside: Path, cgroup: Path | None = None, hardened: bool = False
) -> tuple[str, ...]:
    """Return a command for root that executes what follows it as `user`, in no other group.

    Args:
        aside: an empty directory, where the command sees what it replaces.
        cgroup: one to do it in.
        hardened: whether kernel variables are read-only, as by systemd's ProtectKernelTunables.
    """
    entry = pwd.getpwnam(user)
    steps = ["set -e"]
    if cgroup is not None:
        steps.append("echo $$ > " + shlex.quote(str(cgroup / "cgroup.procs")))
    if hardened:
        steps += ["mount --bind /proc/sys /proc/sys", "mount -o remount,bind,ro /proc/sys"]
    for number, (closed, needed) in enumerate(_closed().items()):
        kept = aside / str(number)
        steps += [
            shlex.join(["mkdir", "-p", str(kept)]),
            shlex.join(["mount", "--rbind", str(closed), str(kept)]),
            shlex.join(["mount", "-t", "tmpfs", "-o", "mode=755", "none", str(closed)]),
        ]
        for name in sorted(needed):
            steps += [
                shlex.join(["mkdir", str(closed / name)]),
                shlex.join(["mount", "--rbind", str(kept / name), str(closed / name)]),
            ]
    identity = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    steps.append(shlex.join(["exec", "setpriv", *identity]) + ' "$@"')
    return ("unshare", "--mount", "/bin/sh", "-c", "\n".join(steps), "sh")


def _closed() -> dict[Path, set[str]]:
    """Return what not everybody may enter, outer directories first, and what is needed in each."""
    closed: dict[Path, set[str]] = {}
    for path in NEEDED:
        real = path.resolve()
        for directory in reversed(real.parents):
            if not directory.stat().st_mode & stat.S_IXOTH:
                closed.setdefault(directory, set()).add(real.relative_to(directory).parts[0])
    return dict(sorted(closed.items(), key=lambda item: len(item[0].parts)))
