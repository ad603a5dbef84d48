"""golo-cli of 2018: the same flags, requests, lines and exit codes.

Errors are the sentences of Go's packages, because scripts may search for them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from goloagent.client.agents import digitalocean
from goloagent.client.errors import ClientError
from goloagent.client.legacy import job_file
from goloagent.client.legacy.errors import LegacyError, describe
from goloagent.client.legacy.flags import UsageError, parse
from goloagent.client.legacy.job_file import Job
from goloagent.client.legacy.log import log
from goloagent.client.legacy.request import send_job, send_program

PROVIDERS = ("localhost", "env", "digitalocean")


def main(program: str, arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Upload a program to every agent and queue a job on each; return the exit code.

    Args:
        program: the name of this program, for the usage.
    """
    try:
        flags = parse(program, arguments)
    except UsageError as error:
        sys.stderr.write(str(error))
        return 2
    try:
        job = job_file.read(flags["f"])
        if flags["provider"] not in PROVIDERS:
            raise LegacyError(f'No provider "{flags["provider"]}" configured')
        log(f'Finding {flags["provider"]} agents with tag "{flags["agent-tag"]}"')
        hosts = _find(flags["provider"], flags["agent-tag"], environ)
        log(f"Found {len(hosts)} agents")
        _update(hosts, flags["schedule"], job, environ)
    except (LegacyError, ClientError) as error:
        log(str(error))
        return 1
    except KeyboardInterrupt:
        # The process ends by the signal, like a program in Go.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 0


def _find(provider: str, tag: str, environ: Mapping[str, str]) -> list[str]:
    """Return the hosts of a provider, as they are written before the port."""
    if provider == "localhost":
        return ["localhost"]
    if provider == "env":
        return environ.get("GOLO_HOSTS", "").split(",")
    return digitalocean.find(tag, environ)


def _update(hosts: list[str], path: str, job: Job, environ: Mapping[str, str]) -> None:
    """Upload to all hosts at once, then queue on all at once."""
    log("Updating agents")
    try:
        content: bytes | OSError = Path(path).read_bytes()
    except OSError as error:
        content = error  # is the error of each upload
    binaries: dict[str, str] = {}

    def upload(host: str) -> None:
        log(f"{host} - Starting Upload")
        try:
            if isinstance(content, OSError):
                raise LegacyError(describe(content, path))
            binaries[host] = send_program(host, path, content, environ)
        finally:
            log(f"{host} - Completed Upload")

    def queue(host: str) -> None:
        send_job(host, job, binaries[host], environ)

    _each(hosts, upload)
    log("Queueing job")
    _each(hosts, queue)


def _each(hosts: list[str], action: Callable[[str], None]) -> None:
    """Run an action for each host in threads, wait for all, and raise the first error."""
    errors: list[BaseException] = []

    def work(host: str) -> None:
        try:
            action(host)
        except BaseException as error:
            errors.append(error)

    # Daemons, so that Ctrl-C does not wait for them.
    threads = [threading.Thread(target=work, args=[host], daemon=True) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
