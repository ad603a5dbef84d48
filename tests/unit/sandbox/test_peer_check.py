"""Which process holds the remote end of a connection, by recorded tables of the kernel."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from goloagent.sandbox import peer_check
from goloagent.sandbox.peer_check import (
    Owner,
    Socket,
    endpoint,
    is_foreign_listener,
    is_local,
    may_be_load_test,
    remote_sockets,
    sockets,
)

# Recorded on a little-endian machine: 127.0.0.1:9999 listens (inode 1111), with a connection from
# :40000 that is not accepted yet, and an accepted one from :40002 (inode 2222).
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:270F 00000000:0000 0A 00000000:00000001 00:00000000 00000000  1000        0 1111 1 \
0000000000000000 100 0 0 10 0
   1: 0100007F:9C40 0100007F:270F 01 00000000:00000000 00:00000000 00000000     0        0 3333 1 \
0000000000000000 20 4 30 10 -1
   2: 0100007F:270F 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 0 1 \
0000000000000000 20 4 0 10 -1
   3: 0100007F:270F 0100007F:9C42 01 00000000:00000000 00:00000000 00000000  1000        0 2222 1 \
0000000000000000 20 4 30 10 -1
"""
# IPv6: [::]:9999 listens (4444), with accepted connections from 127.0.0.1:40004 (5555) and
# [::1]:40004 (6666).
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue \
rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:270F 00000000000000000000000000000000:0000 0A \
00000000:00000000 00:00000000 00000000  1000        0 4444 1 0000000000000000 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:270F 0000000000000000FFFF00000100007F:9C44 01 \
00000000:00000000 00:00000000 00000000  1000        0 5555 1 0000000000000000 20 4 30 10 -1
   2: 00000000000000000000000001000000:270F 00000000000000000000000001000000:9C44 01 \
00000000:00000000 00:00000000 00000000  1000        0 6666 1 0000000000000000 20 4 30 10 -1
"""
HERE = endpoint("127.0.0.1", 40000)
THERE = endpoint("127.0.0.1", 9999)
JOB = "1-2/job"
LEADER = 50
LOADTEST_UID, OTHER_UID = 1000, 1001


def test_sockets() -> None:
    """Addresses are words in the machine's byte order; an IPv4-mapped one is IPv4."""
    listening, client, *_ = sockets(TCP, "little")
    assert listening == Socket(THERE, endpoint("0.0.0.0", 0), True, 1000, 1111)
    assert (client.local, client.remote, client.is_listening) == (HERE, THERE, False)
    of_all, mapped, of_ipv6 = sockets(TCP6, "little")
    assert of_all == Socket(endpoint("::", 9999), endpoint("::", 0), True, 1000, 4444)
    assert (mapped.local, mapped.remote) == (THERE, endpoint("127.0.0.1", 40004))
    assert (of_ipv6.local, of_ipv6.inode) == (endpoint("::1", 9999), 6666)


def test_sockets_of_a_big_endian_machine() -> None:
    """The words are in network byte order there."""
    (listening,) = sockets(TCP.partition("\n   1:")[0].replace("0100007F", "7F000001"), "big")
    assert listening.local == THERE


@pytest.mark.parametrize(
    ("local", "remote", "inodes"),
    [
        (HERE, THERE, [1111]),
        (endpoint("127.0.0.1", 40002), THERE, [2222]),
        (endpoint("127.0.0.1", 40004), THERE, [5555]),
        (endpoint("::1", 40004), endpoint("::1", 9999), [6666]),
        (endpoint("::1", 40006), endpoint("::1", 9999), [4444]),
        (endpoint("127.0.0.1", 40000), endpoint("127.0.0.1", 9998), []),
        (endpoint("192.0.2.1", 40000), endpoint("192.0.2.2", 9998), []),
    ],
    ids=[
        "not accepted yet",
        "accepted",
        "accepted, IPv4 in IPv6",
        "accepted, IPv6",
        "not accepted yet, any IPv6",
        "no listener",
        "another host",
    ],
)
def test_remote_sockets(
    local: peer_check.Endpoint, remote: peer_check.Endpoint, inodes: list[int]
) -> None:
    """An accepted connection has its own socket; before, the listener counts."""
    table = [*sockets(TCP, "little"), *sockets(TCP6, "little")]
    assert [one.inode for one in remote_sockets(table, local, remote)] == inodes


def listening(address: str, inode: int) -> Socket:
    """Return a listener on port 9999."""
    return Socket(endpoint(address, 9999), endpoint(address, 0), True, 1000, inode)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", [1, 2]), ("127.0.0.2", [3]), ("::1", [4])],
)
def test_listeners_in_the_kernels_order(address: str, expected: list[int]) -> None:
    """Listeners on the address come before those on all, and its own family before IPv6."""
    table = [
        listening("::", 4),
        listening("0.0.0.0", 3),
        listening("127.0.0.1", 1),
        listening("127.0.0.1", 2),
    ]
    found = remote_sockets(table, endpoint(address, 1), endpoint(address, 9999))
    assert [one.inode for one in found] == expected


def test_an_ipv6_listener_accepts_ipv4() -> None:
    """A listener on all IPv6 addresses accepts IPv4 if there is no IPv4 listener."""
    assert remote_sockets([listening("::", 4)], HERE, THERE) == [listening("::", 4)]
    local, remote = endpoint("::1", 1), endpoint("::1", 9999)
    assert remote_sockets([listening("0.0.0.0", 3)], local, remote) == []


def test_an_address_with_a_zone() -> None:
    """A zone is removed, because the kernel's tables have none."""
    assert endpoint("fe80::1%eth0", 1) == (ip_address("fe80::1"), 1)


class Proc:
    """A directory that models /proc."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "self" / "net").mkdir(parents=True)
        self.tables(TCP, TCP6)

    def tables(self, tcp: str, tcp6: str | None) -> None:
        (self.path / "self" / "net" / "tcp").write_text(tcp)
        if tcp6 is not None:
            (self.path / "self" / "net" / "tcp6").write_text(tcp6)

    def process(self, pid: int, *holds: str, parent: int = 1, environ: bytes = b"") -> Path:
        entry = self.path / str(pid)
        (entry / "fd").mkdir(parents=True)
        (entry / "stat").write_text(f"{pid} (x) S {parent} {pid} {pid} 0 -1")
        (entry / "environ").write_bytes(environ)
        for number, target in enumerate(["/dev/null", "pipe:[1111]", *holds]):
            (entry / "fd" / str(number)).symlink_to(target)
        return entry / "fd"

    def is_foreign(self, uid: int = LOADTEST_UID) -> bool:
        return is_foreign_listener(HERE, THERE, Owner(LEADER, JOB, uid), self.path, retry_seconds=0)

    def may_be_load_test(
        self, local: peer_check.Endpoint = HERE, uid: int = LOADTEST_UID, tag: str = JOB
    ) -> bool:
        return may_be_load_test(local, THERE, Owner(LEADER, tag, uid), self.path, retry_seconds=0)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """Return a /proc in which no process holds the listener, inode 1111."""
    return Proc(tmp_path)


def test_the_load_test_listens(proc: Proc) -> None:
    """It holds the listener among other sockets."""
    proc.process(LEADER, "socket:[999]", "socket:[1111]")
    assert not proc.is_foreign()


@pytest.mark.parametrize(("parent", "environ"), [(LEADER, b""), (1, f"GOLO_JOB={JOB}\0".encode())])
def test_another_process_of_the_load_test_listens(proc: Proc, parent: int, environ: bytes) -> None:
    """A child counts in any environment, a daemon by its tag."""
    proc.process(LEADER)
    proc.process(51, "socket:[1111]", parent=parent, environ=environ)
    assert not proc.is_foreign()


@pytest.mark.parametrize("uid", [LOADTEST_UID, OTHER_UID])
def test_a_foreign_process_listens(proc: Proc, uid: int) -> None:
    """The process of another job is foreign, whatever its user."""
    proc.process(LEADER, "socket:[999]")
    proc.process(51, "socket:[1111]", environ=b"GOLO_JOB=1-2/another\0")
    assert proc.is_foreign(uid)


def test_a_foreign_process_shares_the_port(proc: Proc) -> None:
    """As long as either of two listeners may accept, the end counts as foreign."""
    (line,) = (line for line in TCP.splitlines() if ": 0100007F:270F 00000000" in line)
    proc.tables(TCP + line.replace("1111", "1112") + "\n", TCP6)
    proc.process(LEADER, "socket:[1111]")
    assert proc.is_foreign()
    proc.process(51, "socket:[1112]", parent=LEADER)
    assert not proc.is_foreign()


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Directories that may not be listed, although the test may run as root."""
    directories: set[Path] = set()
    iterdir = Path.iterdir

    def guarded(path: Path) -> object:
        if path in directories:
            raise PermissionError
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", guarded)
    return directories


@pytest.mark.parametrize(("uid", "expected"), [(LOADTEST_UID, False), (OTHER_UID, True)])
def test_a_load_test_that_may_not_be_inspected(
    proc: Proc, unreadable: set[Path], uid: int, expected: bool
) -> None:
    """The sockets of its user count as its own."""
    unreadable.add(proc.process(LEADER, "socket:[1111]"))
    assert proc.is_foreign(uid) is expected


def test_a_remote_host(proc: Proc) -> None:
    """An end that is not on this host is not foreign; a kernel may have no IPv6."""
    (proc.path / "self" / "net" / "tcp6").unlink()
    proc.tables(TCP.splitlines()[0], None)
    proc.process(LEADER)
    assert not proc.is_foreign()


def test_found_at_the_second_attempt(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child forked during the first attempt is not foreign."""
    proc.process(LEADER)
    pauses: list[float] = []

    def fork(seconds: float) -> None:
        pauses.append(seconds)
        proc.process(51, "socket:[1111]", parent=LEADER)

    monkeypatch.setattr("time.sleep", fork)
    assert not proc.is_foreign()
    assert pauses == [0]


def test_may_be_load_test(proc: Proc) -> None:
    """A listener of the load test's child is one; another program's is not."""
    assert not proc.may_be_load_test()
    proc.process(51, "socket:[1111]")
    assert not proc.may_be_load_test()
    proc.process(LEADER)
    proc.process(52, "socket:[1111]", parent=LEADER)
    assert proc.may_be_load_test()


def test_may_be_a_load_test_of_any_job(proc: Proc) -> None:
    """The leftover of an earlier job has the prefix of the agent's tags."""
    proc.process(51, "socket:[1111]", environ=b"GOLO_JOB=1-2/another\0")
    assert proc.may_be_load_test(tag="1-2/")
    assert not proc.may_be_load_test(tag="3-4/")


def test_an_accepted_connection_belongs_to_its_acceptor(proc: Proc) -> None:
    """Other listeners on the port do not count."""
    local = endpoint("127.0.0.1", 40002)
    proc.process(LEADER, "socket:[1111]")
    proc.process(51, "socket:[2222]")
    assert not proc.may_be_load_test(local)
    proc.process(52, "socket:[2222]", parent=LEADER)
    assert proc.may_be_load_test(local)


def test_a_shared_port_may_be_the_load_tests(proc: Proc) -> None:
    """Before the connection is accepted, either listener may get it."""
    (line,) = (line for line in TCP.splitlines() if ": 0100007F:270F 00000000" in line)
    proc.tables(TCP + line.replace("1111", "1112") + "\n", TCP6)
    proc.process(LEADER, "socket:[1111]")
    proc.process(51, "socket:[1112]")
    assert proc.may_be_load_test()


def test_may_be_a_load_test_that_may_not_be_inspected(proc: Proc, unreadable: set[Path]) -> None:
    """The sockets of its user may be its own."""
    unreadable.add(proc.process(LEADER))
    assert proc.may_be_load_test(uid=LOADTEST_UID)
    assert not proc.may_be_load_test(uid=OTHER_UID)


def test_local_addresses() -> None:
    """Addresses of this host are recognised."""
    assert is_local("127.0.0.1")
    assert is_local("127.8.9.1")
    assert not is_local("192.0.2.1")
    assert not is_local("fe80::1:2:3%1")


def test_a_table_that_misses_a_socket_is_read_again(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reading may miss a socket, because the kernel writes its tables in pieces."""
    proc.process(LEADER, "socket:[1111]")
    header = TCP.partition("\n")[0] + "\n"
    proc.tables(header, TCP6.partition("\n")[0] + "\n")
    assert not proc.may_be_load_test()
    monkeypatch.setattr(peer_check.time, "sleep", lambda _: proc.tables(TCP, TCP6))
    proc.tables(header, TCP6.partition("\n")[0] + "\n")
    assert proc.may_be_load_test()


def test_a_process_that_is_missed_is_found_again(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reading may miss a process that is forked; two must agree."""
    proc.process(51, "socket:[1111]")
    children = iter([52, 53])
    monkeypatch.setattr(
        peer_check.time,
        "sleep",
        lambda _: proc.process(next(children), "socket:[1111]", environ=f"GOLO_JOB={JOB}".encode()),
    )
    assert proc.may_be_load_test()
