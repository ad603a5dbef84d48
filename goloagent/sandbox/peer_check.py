"""Which process holds the remote end of a connection, by the kernel's tables of TCP sockets.

For RPC it must be a process of the load test, because the agent would drive any program that took
the port first. For the collector it must not be one, because a load test that took that port would
receive the results of others. The tables list the sockets of this host's network namespace only.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Literal

import attrs

from goloagent.sandbox import process_tree
from goloagent.sandbox.proc_stat import PROC

# The kernel writes a table in pieces while processes fork, so one reading may be wrong.
ATTEMPTS = 3
RETRY_SECONDS = 0.02

_LISTEN = "0A"  # linux/tcp_states.h

IpAddress = IPv4Address | IPv6Address
Endpoint = tuple[IpAddress, int]


@attrs.frozen
class Socket:
    """A TCP socket; `inode` is 0 if no process holds it, such as before its accept(2)."""

    local: Endpoint
    remote: Endpoint
    is_listening: bool
    uid: int
    inode: int


@attrs.frozen
class Owner:
    """A load test: the processes of `leader` and `tag`, which run as `uid`."""

    leader: int
    tag: str
    uid: int


def endpoint(host: str, port: int) -> Endpoint:
    """Return an end of a connection; an IPv4-mapped IPv6 address becomes IPv4."""
    return _unmap(ip_address(host.partition("%")[0])), port


def sockets(table: str, byteorder: Literal["little", "big"] = sys.byteorder) -> Iterator[Socket]:
    """Parse a /proc/net/tcp or tcp6 (proc(5)) of a machine with that byte order."""
    for line in table.splitlines()[1:]:
        _, local, remote, state, _, _, _, uid, _, inode, *_ = line.split()
        yield Socket(
            _end(local, byteorder), _end(remote, byteorder), state == _LISTEN, int(uid), int(inode)
        )


def remote_sockets(table: Iterable[Socket], local: Endpoint, remote: Endpoint) -> list[Socket]:
    """Return the remote end of a connection or, before its accept(2), the listeners for it.

    There are several if they share the port, and none if the remote end is not on this host.
    """
    table = list(table)
    accepted = [one for one in table if (one.local, one.remote) == (remote, local) and one.inode]
    if accepted:
        return accepted
    address, port = remote
    any_address = type(address)(0)
    # In the order in which the kernel looks for a listener.
    for wanted in (address, any_address, IPv6Address(0)):
        listening = [one for one in table if one.is_listening and one.local == (wanted, port)]
        if listening:
            return listening
    return []


def has_listener(end: Endpoint, proc: Path = PROC) -> bool:
    """Return whether a program listens on an address, or on the port of all addresses."""
    address, port = end
    wanted = {(address, port), (type(address)(0), port), (IPv6Address(0), port)}
    return any(one.local in wanted for one in _listening(proc))


def is_foreign_listener(
    local: Endpoint,
    remote: Endpoint,
    owner: Owner,
    proc: Path = PROC,
    retry_seconds: float = RETRY_SECONDS,
) -> bool:
    """Return whether the remote end of a connection is certainly not the load test's.

    Blocks for up to `ATTEMPTS` readings.
    """
    was_found = False
    for found in _readings(local, remote, proc, retry_seconds):
        if found and not _foreign(found, owner, proc):
            return False
        was_found = was_found or bool(found)
    return was_found


def may_be_load_test(
    local: Endpoint,
    remote: Endpoint,
    owner: Owner,
    proc: Path = PROC,
    retry_seconds: float = RETRY_SECONDS,
) -> bool:
    """Return whether the remote end of a connection may be the load test's.

    It is not if two readings find other holders only, or if none finds it: then it is in another
    network namespace. Blocks for up to `ATTEMPTS` readings.
    """
    was_found, foreign = False, 0
    for found in _readings(local, remote, proc, retry_seconds):
        if not found:
            continue
        was_found = True
        if len(_foreign(found, owner, proc)) == len(found):
            foreign += 1
            if foreign == 2:
                return False
        elif not any(one.is_listening for one in found):
            return True  # it has accepted the connection
    return was_found


def is_local(address: str) -> bool:
    """Return whether an address, if IPv6 perhaps with a zone, is one of this host."""
    kind, _, _, _, name = socket.getaddrinfo(
        address, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    with socket.socket(kind, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind(name)
        except OSError:
            return False
    return True


def _readings(
    local: Endpoint, remote: Endpoint, proc: Path, retry_seconds: float
) -> Iterator[list[Socket]]:
    """Look up the remote end `ATTEMPTS` times."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(retry_seconds)
        yield remote_sockets(_tables(proc), local, remote)


def _foreign(found: list[Socket], owner: Owner, proc: Path) -> list[Socket]:
    """Return the sockets that the load test does not hold.

    If one of its processes may not be inspected, all sockets of its user count as its own.
    """
    held, is_complete = _held(process_tree.find(owner.leader, owner.tag, proc), proc)
    return [one for one in found if one.inode not in held and (is_complete or one.uid != owner.uid)]


def _held(pids: Set[int], proc: Path) -> tuple[set[int], bool]:
    """Return the inodes of the sockets of processes, and whether all could be inspected."""
    inodes: set[int] = set()
    is_complete = True
    for pid in pids:
        try:
            for descriptor in (proc / str(pid) / "fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    kind, _, rest = str(descriptor.readlink()).partition(":[")
                    if kind == "socket":
                        inodes.add(int(rest.rstrip("]")))
        except PermissionError:
            is_complete = False
        except OSError:
            continue  # the process has ended
    return inodes, is_complete


def _tables(proc: Path) -> Iterator[Socket]:
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            yield from sockets((proc / "self" / "net" / name).read_text())


def _listening(proc: Path) -> Iterator[Socket]:
    """Yield the listeners, which the kernel writes first, without reading the rest."""
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError), (proc / "self" / "net" / name).open() as table:
            header = table.readline()
            for line in table:
                [one] = sockets(header + line)
                if not one.is_listening:
                    break
                yield one


def _end(text: str, byteorder: Literal["little", "big"]) -> Endpoint:
    """Parse an address, in words of the machine's byte order, and a port."""
    address, _, port = text.partition(":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    octets = b"".join(word.to_bytes(4, byteorder) for word in words)
    return _unmap(ip_address(octets)), int(port, 16)


def _unmap(address: IpAddress) -> IpAddress:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
