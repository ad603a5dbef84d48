"""The limits of connections, and evictions."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from goloagent.http.server.connections import MIN_INACTIVE_SECONDS, Connections, Phase, Slot
from goloagent.http.server.limits import Limits

RESERVE = 8
LIMITS = Limits(connections=4, connections_per_peer=2, reserve=RESERVE)


class World:
    """Connections with a clock, and the evicted ones in order."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.clock = Clock()
        self.connections = Connections(limits, self.clock.seconds)
        self.evicted: list[Slot] = []

    def open(self, peer: str, phase: Phase = Phase.RESPONSE) -> Slot:
        """Open a connection in a phase."""
        slot = self.connections.open(peer, lambda sentence: self.evicted.append(slot))
        assert isinstance(slot, Slot), slot
        self.connections.enter(slot, phase)
        return slot


def test_the_limit_of_a_peer() -> None:
    """A further connection of the peer is in the reserve; others are not."""
    world = World()
    assert [world.open("a").exceeded, world.open("a").exceeded, world.open("b").exceeded] == [
        None
    ] * 3
    assert world.open("a").exceeded == "2 connections of a are open already"
    assert world.open("b").exceeded is None
    assert world.evicted == []


def test_the_limit_of_all() -> None:
    """Peers within their own limits may exceed it."""
    world = World()
    assert [world.open(peer).exceeded for peer in "abcd"] == [None] * 4
    assert world.open("e").exceeded == "4 connections are open already"


def test_unix_sockets_have_only_the_limit_of_all() -> None:
    """Their clients have no address."""
    world = World()
    assert [world.open("").exceeded for _ in range(4)] == [None] * 4
    assert world.open("").exceeded is not None


def test_a_closed_connection_does_not_count() -> None:
    """It is removed from both limits, and no peer is remembered."""
    world = World()
    for _ in range(10):
        slots = [world.open("a") for _ in range(3)]
        assert [slot.exceeded is None for slot in slots] == [True, True, False]
        for slot in slots * 2:
            world.connections.close(slot)
        assert len(world.connections) == 0
    assert not world.connections._by_peer


def test_the_one_idle_for_longest_is_evicted() -> None:
    """The new connection is within the limits."""
    world = World()
    first, second = world.open("a", Phase.IDLE), world.open("a", Phase.IDLE)
    world.clock.advance(1)
    world.connections.enter(first, Phase.IDLE)  # served a request meanwhile
    assert world.open("a").exceeded is None
    assert world.evicted == [second]
    assert len(world.connections) == 2


def test_a_recently_idle_one_is_evicted_for_a_request() -> None:
    """A new connection without a request evicts none that is in use."""
    world = World()
    world.open("a", Phase.IDLE)
    world.clock.advance(0.5)
    second = world.open("a", Phase.IDLE)
    first = next(iter(world.connections._regular))
    third = world.open("a", Phase.HEADERS)
    assert third.exceeded is not None
    assert world.evicted == []
    world.connections.promote(third)
    assert third.exceeded is None
    assert world.evicted == [first]
    assert second.exceeded is None


def test_trusted_connections_are_evicted_last() -> None:
    """An idle trusted connection stays while there are other inactive ones."""
    world = World()
    trusted, other = world.open("a", Phase.IDLE), world.open("a", Phase.HEADERS)
    trusted.trusted = True
    world.clock.advance(MIN_INACTIVE_SECONDS)
    world.open("a")
    assert world.evicted == [other]
    world.open("a")
    assert world.evicted == [other, trusted]


def test_the_limit_of_a_peer_evicts_only_its_own() -> None:
    """Connections of other peers stay."""
    world = World()
    world.open("b", Phase.IDLE)
    world.open("a"), world.open("a")
    assert world.open("a").exceeded is not None
    assert world.evicted == []


def test_the_limit_of_all_evicts_any_peer() -> None:
    """The connection idle for longest is closed."""
    world = World()
    world.open("a"), world.open("b")
    idle = world.open("c", Phase.IDLE)
    world.open("d")
    world.clock.advance(MIN_INACTIVE_SECONDS)
    assert world.open("e").exceeded is None
    assert world.evicted == [idle]


@pytest.mark.parametrize(
    ("phases", "yields"),
    [
        ((Phase.HEADERS, Phase.IDLE), 1),
        ((Phase.CLOSING, Phase.HEADERS), 1),
        ((Phase.CLOSING, Phase.RESPONSE), 0),
        ((Phase.HEADERS, Phase.HEADERS), 0),
        ((Phase.BODY, Phase.HEADERS), 1),
        ((Phase.BODY, Phase.RESPONSE), None),
    ],
)
def test_the_order_of_eviction(phases: tuple[Phase, Phase], yields: int | None) -> None:
    """Idle, then slow headers, then closing; an active one is never evicted."""
    world = World()
    slots = [world.open("a", phase) for phase in phases]
    world.clock.advance(MIN_INACTIVE_SECONDS)
    new = world.open("a")
    assert world.evicted == ([] if yields is None else [slots[yields]])
    assert (new.exceeded is None) == (yields is not None)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.HEADERS, Phase.CLOSING])
def test_recently_active_connections_stay(phase: Phase) -> None:
    """For a second after a change of phase a connection is not evicted."""
    world = World()
    world.open("a", phase), world.open("a", phase)
    world.clock.advance(MIN_INACTIVE_SECONDS - 0.1)
    assert world.open("a").exceeded is not None
    assert world.evicted == []


def test_the_oldest_of_the_reserve_is_evicted() -> None:
    """The reserve is bounded."""
    world = World()
    world.open("a"), world.open("a")
    held = [world.open("a", Phase.HEADERS) for _ in range(RESERVE)]
    for _ in range(RESERVE):
        assert world.open("a", Phase.HEADERS).exceeded is not None
    assert world.evicted == held
    assert len(world.connections) == 2 + RESERVE


def test_a_trusted_request_in_the_reserve_is_not_evicted() -> None:
    """If all of the reserve are such, a new connection is refused."""
    world = World()
    world.open("a"), world.open("a")
    trusted, other = world.open("a"), world.open("a")
    trusted.trusted = True
    for _ in range(RESERVE - 2):
        world.open("a").trusted = True
    world.open("a").trusted = True
    assert world.evicted == [other]
    sentence = world.connections.open("a", lambda sentence: None)
    assert sentence == "2 connections of a are open already"


def test_a_connection_leaves_the_reserve() -> None:
    """It is promoted if another one has closed."""
    world = World()
    first, _ = world.open("a"), world.open("a")
    third = world.open("a", Phase.HEADERS)
    world.connections.promote(third)
    assert third.exceeded is not None
    world.connections.close(first)
    world.connections.promote(third)
    assert third.exceeded is None
    assert world.open("a").exceeded is not None
