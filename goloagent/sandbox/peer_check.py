"""Whose the far end of a connection is: the load test's own, or another's.

Whoever takes the RPC port before the load test does would be driven in its place, and a load test
that takes the collector's port would be sent the results of others. So the socket is looked up in
the kernel's tables: it must be held by a process of the load test for RPC, and must not be for the
collector. Only sockets of this host can be looked up; one elsewhere is nobody's that we know.
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

PROC = Path("/proc")
# A table is read in pieces, and processes fork meanwhile: nobody is a stranger at first sight.
LOOKS = 3
PAUSE_SECONDS = 0.02

_LISTEN = "0A"  # linux/tcp_states.h

IpAddress = IPv4Address | IPv6Address
Endpoint = tuple[IpAddress, int]


@attrs.frozen
class Socket:
    """A TCP socket; `inode` is 0 while no process holds it, such as before its accept(2)."""

    local: Endpoint
    remote: Endpoint
    listens: bool
    uid: int
    inode: int


@attrs.frozen
class Owner:
    """Who may hold the far end: the family of `leader` and `mark`, which runs as `uid`."""

    leader: int
    mark: str
    uid: int


def endpoint(host: str, port: int) -> Endpoint:
    """Return one end of a connection; an IPv4 address in IPv6 is that IPv4 address."""
    return _plain(ip_address(host.partition("%")[0])), port


def sockets(table: str, byteorder: Literal["little", "big"] = sys.byteorder) -> Iterator[Socket]:
    """Read a /proc/net/tcp or tcp6 (proc(5)), as a machine of that byte order writes it."""
    for line in table.splitlines()[1:]:
        _, local, remote, state, _, _, _, uid, _, inode, *_ = line.split()
        yield Socket(
            _end(local, byteorder), _end(remote, byteorder), state == _LISTEN, int(uid), int(inode)
        )


def remote_sockets(table: Iterable[Socket], ours: Endpoint, theirs: Endpoint) -> list[Socket]:
    """Return the far end of a connection, or before its accept(2) whoever may accept it.

    That are several when they share a port, and none when the far end is not on this host.
    """
    table = list(table)
    accepted = [one for one in table if (one.local, one.remote) == (theirs, ours) and one.inode]
    if accepted:
        return accepted
    address, port = theirs
    any_address = type(address)(0)
    # In the order in which the kernel looks for a listener.
    for wanted in (address, any_address, IPv6Address(0)):
        listening = [one for one in table if one.listens and one.local == (wanted, port)]
        if listening:
            return listening
    return []


def listens(end: Endpoint, proc: Path = PROC) -> bool:
    """Tell whether any program of this host listens on an address, or on all with that port."""
    address, port = end
    wanted = {(address, port), (type(address)(0), port), (IPv6Address(0), port)}
    return any(one.local in wanted for one in _listening(proc))


def is_foreign_listener(
    ours: Endpoint,
    theirs: Endpoint,
    owner: Owner,
    proc: Path = PROC,
    pause_seconds: float = PAUSE_SECONDS,
) -> bool:
    """Tell whether the far end of a connection is certainly not the load test's.

    Takes its time: call it off the reactor thread.
    """
    suspicious = False
    for look in range(LOOKS):
        if look:
            time.sleep(pause_seconds)
        found = remote_sockets(_tables(proc), ours, theirs)
        if found and not _strangers(found, owner, proc):
            return False
        suspicious = suspicious or bool(found)
    return suspicious


def is_load_tests(
    ours: Endpoint,
    theirs: Endpoint,
    owner: Owner,
    proc: Path = PROC,
    pause_seconds: float = PAUSE_SECONDS,
) -> bool:
    """Tell whether the far end of a connection may be the load test's.

    It is not when two looks find it to be held by others alone, or none finds it: then it is in
    another network namespace. Takes its time: call it off the reactor thread.
    """
    seen = others = 0
    for look in range(LOOKS):
        if look:
            time.sleep(pause_seconds)
        found = remote_sockets(_tables(proc), ours, theirs)
        if not found:
            continue
        seen += 1
        if len(_strangers(found, owner, proc)) == len(found):
            others += 1
            if others == 2:
                return False
        elif not any(one.listens for one in found):
            return True  # it has accepted the connection
    return seen > 0


def is_local(address: str) -> bool:
    """Tell whether an address, an IPv6 one perhaps with its interface, is of this host."""
    kind, _, _, _, name = socket.getaddrinfo(
        address, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    with socket.socket(kind, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind(name)
        except OSError:
            return False
    return True


def _strangers(found: list[Socket], owner: Owner, proc: Path) -> list[Socket]:
    """Return those that the load test does not hold.

    When it has a process that we may not look into, what its user holds counts as its own.
    """
    held, all_seen = _held(process_tree.find(owner.leader, owner.mark, proc), proc)
    return [one for one in found if one.inode not in held and (all_seen or one.uid != owner.uid)]


def _held(pids: Set[int], proc: Path) -> tuple[set[int], bool]:
    """Return the inodes of the sockets that processes hold, and whether all could be seen."""
    inodes: set[int] = set()
    all_seen = True
    for pid in pids:
        try:
            for descriptor in (proc / str(pid) / "fd").iterdir():
                with suppress(FileNotFoundError):  # it is closed
                    kind, _, rest = str(descriptor.readlink()).partition(":[")
                    if kind == "socket":
                        inodes.add(int(rest.rstrip("]")))
        except PermissionError:
            all_seen = False
        except OSError:
            continue  # it has ended
    return inodes, all_seen


def _tables(proc: Path) -> Iterator[Socket]:
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            yield from sockets((proc / "self" / "net" / name).read_text())


def _listening(proc: Path) -> Iterator[Socket]:
    """Give those that listen: the kernel writes them first, however many others there are."""
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError), (proc / "self" / "net" / name).open() as table:
            header = table.readline()
            for line in table:
                for one in sockets(header + line):
                    if one.listens:
                        yield one
                        continue
                    break
                else:
                    continue
                break


def _end(text: str, byteorder: Literal["little", "big"]) -> Endpoint:
    """Read an address, in words of the machine's byte order, and a port."""
    address, _, port = text.partition(":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    octets = b"".join(word.to_bytes(4, byteorder) for word in words)
    return _plain(ip_address(octets)), int(port, 16)


def _plain(address: IpAddress) -> IpAddress:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
