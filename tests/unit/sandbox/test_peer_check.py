"""Whose the far end of a connection is, by recorded tables of the kernel."""

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
    is_load_tests,
    is_local,
    remote_sockets,
    sockets,
)

# Recorded on a little-endian machine: 127.0.0.1:9999 listens (inode 1111), has a connection from
# :40000 that nobody has accepted yet, and one from :40002 that was accepted (inode 2222).
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
# The same of IPv6: [::]:9999 listens (4444), and has accepted 127.0.0.1:40004 (5555).
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


def test_the_tables() -> None:
    """Addresses are words in the machine's order; one of IPv4 in IPv6 is that one of IPv4."""
    listening, client, *_ = sockets(TCP, "little")
    assert listening == Socket(THERE, endpoint("0.0.0.0", 0), True, 1000, 1111)
    assert (client.local, client.remote, client.listens) == (HERE, THERE, False)
    of_all, mapped, of_ipv6 = sockets(TCP6, "little")
    assert of_all == Socket(endpoint("::", 9999), endpoint("::", 0), True, 1000, 4444)
    assert (mapped.local, mapped.remote) == (THERE, endpoint("127.0.0.1", 40004))
    assert (of_ipv6.local, of_ipv6.inode) == (endpoint("::1", 9999), 6666)


def test_the_tables_of_a_big_endian_machine() -> None:
    """The words are as the network has them there."""
    (listening,) = sockets(TCP.partition("\n   1:")[0].replace("0100007F", "7F000001"), "big")
    assert listening.local == THERE


@pytest.mark.parametrize(
    ("ours", "theirs", "inodes"),
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
        "nobody",
        "another host",
    ],
)
def test_far_ends(
    ours: peer_check.Endpoint, theirs: peer_check.Endpoint, inodes: list[int]
) -> None:
    """An accepted connection is its own evidence; before that it is whoever listens."""
    table = [*sockets(TCP, "little"), *sockets(TCP6, "little")]
    assert [one.inode for one in remote_sockets(table, ours, theirs)] == inodes


def listening(address: str, inode: int) -> Socket:
    """Make a listener on port 9999."""
    return Socket(endpoint(address, 9999), endpoint(address, 0), True, 1000, inode)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", [1, 2]), ("127.0.0.2", [3]), ("::1", [4])],
)
def test_who_may_accept(address: str, expected: list[int]) -> None:
    """All that share the address, before those of any address, and its own family before IPv6."""
    table = [
        listening("::", 4),
        listening("0.0.0.0", 3),
        listening("127.0.0.1", 1),
        listening("127.0.0.1", 2),
    ]
    found = remote_sockets(table, endpoint(address, 1), endpoint(address, 9999))
    assert [one.inode for one in found] == expected


def test_ipv6_listens_for_ipv4() -> None:
    """A listener on any address of IPv6 takes IPv4 where nobody of IPv4 listens."""
    assert remote_sockets([listening("::", 4)], HERE, THERE) == [listening("::", 4)]
    ours, theirs = endpoint("::1", 1), endpoint("::1", 9999)
    assert remote_sockets([listening("0.0.0.0", 3)], ours, theirs) == []


def test_an_address_with_a_zone() -> None:
    """The kernel's tables have no zones."""
    assert endpoint("fe80::1%eth0", 1) == (ip_address("fe80::1"), 1)


class Proc:
    """A directory that looks like /proc."""

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

    def is_strangers(self, uid: int = LOADTEST_UID) -> bool:
        return is_foreign_listener(HERE, THERE, Owner(LEADER, JOB, uid), self.path, pause_seconds=0)

    def is_load_tests(
        self, ours: peer_check.Endpoint = HERE, uid: int = LOADTEST_UID, mark: str = JOB
    ) -> bool:
        return is_load_tests(ours, THERE, Owner(LEADER, mark, uid), self.path, pause_seconds=0)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """A /proc whose listener, of inode 1111, nobody holds yet."""
    return Proc(tmp_path)


def test_the_load_test_listens(proc: Proc) -> None:
    """It holds the socket that listens, among others."""
    proc.process(LEADER, "socket:[999]", "socket:[1111]")
    assert not proc.is_strangers()


def test_a_child_listens(proc: Proc) -> None:
    """What it has started is as good, also in another environment."""
    proc.process(LEADER)
    proc.process(51, "socket:[1111]", parent=LEADER, environ=b"")
    assert not proc.is_strangers()


def test_a_marked_daemon_listens(proc: Proc) -> None:
    """A daemon that bears the mark is the load test's."""
    proc.process(LEADER)
    proc.process(51, "socket:[1111]", environ=f"GOLO_JOB={JOB}\0".encode())
    assert not proc.is_strangers()


@pytest.mark.parametrize("uid", [LOADTEST_UID, OTHER_UID])
def test_a_stranger_listens(proc: Proc, uid: int) -> None:
    """Another job's process is one, and so is any that nobody knows, of whatever user."""
    proc.process(LEADER, "socket:[999]")
    proc.process(51, "socket:[1111]", environ=b"GOLO_JOB=1-2/another\0")
    assert proc.is_strangers(uid)


def test_a_stranger_shares_the_port(proc: Proc) -> None:
    """Before it is known which of two will accept, it may be the stranger."""
    (line,) = (line for line in TCP.splitlines() if ": 0100007F:270F 00000000" in line)
    proc.tables(TCP + line.replace("1111", "1112") + "\n", TCP6)
    proc.process(LEADER, "socket:[1111]")
    assert proc.is_strangers()
    proc.process(51, "socket:[1112]", parent=LEADER)
    assert not proc.is_strangers()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Directories that may not be listed: root could list any."""
    directories: set[Path] = set()
    iterdir = Path.iterdir

    def guarded(path: Path) -> object:
        if path in directories:
            raise PermissionError
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", guarded)
    return directories


@pytest.mark.parametrize(("uid", "stranger"), [(LOADTEST_UID, False), (OTHER_UID, True)])
def test_a_load_test_that_may_not_be_looked_into(
    proc: Proc, closed: set[Path], uid: int, stranger: bool
) -> None:
    """It is believed to hold what its user holds, and nothing of another user's."""
    closed.add(proc.process(LEADER, "socket:[1111]"))
    assert proc.is_strangers(uid) is stranger


def test_nobody_to_be_seen(proc: Proc) -> None:
    """An end that is not on this host is nobody's that we know; a kernel may lack IPv6."""
    (proc.path / "self" / "net" / "tcp6").unlink()
    proc.tables(TCP.splitlines()[0], None)
    proc.process(LEADER)
    assert not proc.is_strangers()


def test_seen_at_the_second_look(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that was forked during the first look is no stranger."""
    proc.process(LEADER)
    looks: list[float] = []

    def fork(seconds: float) -> None:
        looks.append(seconds)
        proc.process(51, "socket:[1111]", parent=LEADER)

    monkeypatch.setattr("time.sleep", fork)
    assert not proc.is_strangers()
    assert looks == [0]


# A load test in the collector's place.


def test_a_load_test_in_anothers_place(proc: Proc) -> None:
    """Its listener, its child's and its daemon's are known; another program's is another's."""
    assert not proc.is_load_tests()
    proc.process(51, "socket:[1111]")
    assert not proc.is_load_tests()
    proc.process(LEADER)
    proc.process(52, "socket:[1111]", parent=LEADER)
    assert proc.is_load_tests()


def test_any_job_of_the_agent_in_anothers_place(proc: Proc) -> None:
    """What an earlier job has left bears the agent's mark too."""
    proc.process(51, "socket:[1111]", environ=b"GOLO_JOB=1-2/another\0")
    assert proc.is_load_tests(mark="1-2/")
    assert not proc.is_load_tests(mark="3-4/")


def test_an_accepted_connection_is_its_acceptors(proc: Proc) -> None:
    """Whoever else listens on the port does not have this one."""
    ours = endpoint("127.0.0.1", 40002)
    proc.process(LEADER, "socket:[1111]")
    proc.process(51, "socket:[2222]")
    assert not proc.is_load_tests(ours)
    proc.process(52, "socket:[2222]", parent=LEADER)
    assert proc.is_load_tests(ours)


def test_a_shared_port_may_be_the_load_tests(proc: Proc) -> None:
    """Before anybody accepted, nothing is sent."""
    (line,) = (line for line in TCP.splitlines() if ": 0100007F:270F 00000000" in line)
    proc.tables(TCP + line.replace("1111", "1112") + "\n", TCP6)
    proc.process(LEADER, "socket:[1111]")
    proc.process(51, "socket:[1112]")
    assert proc.is_load_tests()


def test_one_in_anothers_place_that_may_not_be_looked_into(proc: Proc, closed: set[Path]) -> None:
    """What its user holds may be its own; another user's is not."""
    closed.add(proc.process(LEADER))
    assert proc.is_load_tests(uid=LOADTEST_UID)
    assert not proc.is_load_tests(uid=OTHER_UID)


def test_local_addresses() -> None:
    """Those of this host are told from others, which no table here knows."""
    assert is_local("127.0.0.1")
    assert is_local("127.8.9.1")
    assert not is_local("192.0.2.1")
    assert not is_local("fe80::1:2:3%1")


def test_a_table_that_misses_a_socket_is_read_again(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's tables are read in pieces: that a socket is not there once says nothing."""
    proc.process(LEADER, "socket:[1111]")
    header = TCP.partition("\n")[0] + "\n"
    proc.tables(header, TCP6.partition("\n")[0] + "\n")
    assert not proc.is_load_tests()  # in none of the looks: it is nobody's here
    monkeypatch.setattr(peer_check.time, "sleep", lambda _: proc.tables(TCP, TCP6))
    proc.tables(header, TCP6.partition("\n")[0] + "\n")
    assert proc.is_load_tests()


def test_a_family_that_is_seen_too_late_is_looked_for_again(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that forks during a look is missed by it; two looks must agree."""
    proc.process(51, "socket:[1111]")
    children = iter([52, 53])
    monkeypatch.setattr(
        peer_check.time,
        "sleep",
        lambda _: proc.process(next(children), "socket:[1111]", environ=f"GOLO_JOB={JOB}".encode()),
    )
    assert proc.is_load_tests()
