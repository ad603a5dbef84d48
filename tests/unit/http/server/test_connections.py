"""Which connections may be open, and which are closed for new ones: the decisions alone."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from goloagent.http.server.connections import MIN_INACTIVE_SECONDS, Connections, Phase, Slot
from goloagent.http.server.limits import Limits

RESERVE = 8
LIMITS = Limits(connections=4, connections_per_peer=2, reserve=RESERVE)


class Doors:
    """Connections on a clock, and the peers of those that were evicted, in order."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.clock = Clock()
        self.connections = Connections(limits, self.clock.seconds)
        self.evicted: list[Slot] = []

    def open(self, peer: str, phase: Phase = Phase.RESPONSE) -> Slot:
        """Open a connection, and have it do something."""
        slot = self.connections.open(peer, lambda sentence: self.evicted.append(slot))
        assert isinstance(slot, Slot), slot
        self.connections.enter(slot, phase)
        return slot


def test_one_peer_cannot_take_all() -> None:
    """A connection too many of a peer at work is for short requests; others are served in full."""
    doors = Doors()
    assert [doors.open("a").exceeded, doors.open("a").exceeded, doors.open("b").exceeded] == [
        None
    ] * 3
    assert doors.open("a").exceeded == "2 connections of a are open already"
    assert doors.open("b").exceeded is None
    assert doors.evicted == []


def test_all_peers_together_are_bounded() -> None:
    """Many peers within their own bounds stay within that of all."""
    doors = Doors()
    assert [doors.open(peer).exceeded for peer in "abcd"] == [None] * 4
    assert doors.open("e").exceeded == "4 connections are open already"


def test_unix_sockets_have_no_bound_of_their_own() -> None:
    """Clients of Unix sockets have no address to tell them apart: the bound of all is theirs."""
    doors = Doors()
    assert [doors.open("").exceeded for _ in range(4)] == [None] * 4
    assert doors.open("").exceeded is not None


def test_a_closed_connection_makes_room() -> None:
    """What is closed counts no more, for its peer and for all; no peer is remembered."""
    doors = Doors()
    for _ in range(10):
        slots = [doors.open("a") for _ in range(3)]
        assert [slot.exceeded is None for slot in slots] == [True, True, False]
        for slot in slots * 2:
            doors.connections.close(slot)
        assert len(doors.connections) == 0
    assert not doors.connections._by_peer


def test_the_one_idle_for_longest_yields() -> None:
    """At a bound, an idle connection is closed for a new one, which is served in full."""
    doors = Doors()
    first, second = doors.open("a", Phase.IDLE), doors.open("a", Phase.IDLE)
    doors.clock.advance(1)
    doors.connections.enter(first, Phase.IDLE)  # served a request meanwhile
    assert doors.open("a").exceeded is None
    assert doors.evicted == [second]
    assert len(doors.connections) == 2


def test_one_that_was_just_idle_yields_to_a_request() -> None:
    """Who has asked nothing yet closes no connection in use; a request that may be served does."""
    doors = Doors()
    doors.open("a", Phase.IDLE)
    doors.clock.advance(0.5)
    second = doors.open("a", Phase.IDLE)
    first = next(iter(doors.connections._regular))
    third = doors.open("a", Phase.HEADERS)
    assert third.exceeded is not None
    assert doors.evicted == []
    doors.connections.promote(third)
    assert third.exceeded is None
    assert doors.evicted == [first]
    assert second.exceeded is None


def test_who_has_the_token_yields_last() -> None:
    """An idle connection on which the token was shown outlives others that do nothing."""
    doors = Doors()
    trusted, other = doors.open("a", Phase.IDLE), doors.open("a", Phase.HEADERS)
    trusted.trusted = True
    doors.clock.advance(MIN_INACTIVE_SECONDS)
    doors.open("a")
    assert doors.evicted == [other]
    doors.open("a")
    assert doors.evicted == [other, trusted]


def test_only_the_same_peer_yields_to_its_bound() -> None:
    """What another peer has is not closed when one exceeds its own bound."""
    doors = Doors()
    doors.open("b", Phase.IDLE)
    doors.open("a"), doors.open("a")
    assert doors.open("a").exceeded is not None
    assert doors.evicted == []


def test_any_peer_yields_to_the_bound_of_all() -> None:
    """Where all connections are taken, the idlest of all makes room."""
    doors = Doors()
    doors.open("a"), doors.open("b")
    idle = doors.open("c", Phase.IDLE)
    doors.open("d")
    doors.clock.advance(MIN_INACTIVE_SECONDS)
    assert doors.open("e").exceeded is None
    assert doors.evicted == [idle]


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
    """Idle, then slow headers, then answered; what is at work never yields."""
    doors = Doors()
    slots = [doors.open("a", phase) for phase in phases]
    doors.clock.advance(MIN_INACTIVE_SECONDS)
    new = doors.open("a")
    assert doors.evicted == ([] if yields is None else [slots[yields]])
    assert (new.exceeded is None) == (yields is not None)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.HEADERS, Phase.CLOSING])
def test_who_has_just_begun_is_left(phase: Phase) -> None:
    """Headers have a second to come, an answer to be taken, and the next request to be sent."""
    doors = Doors()
    doors.open("a", phase), doors.open("a", phase)
    doors.clock.advance(MIN_INACTIVE_SECONDS - 0.1)
    assert doors.open("a").exceeded is not None
    assert doors.evicted == []


def test_the_reserve_goes_round() -> None:
    """However many connections beyond the bound come, the newest are served, and it is bounded."""
    doors = Doors()
    doors.open("a"), doors.open("a")
    held = [doors.open("a", Phase.HEADERS) for _ in range(RESERVE)]
    for _ in range(RESERVE):
        assert doors.open("a", Phase.HEADERS).exceeded is not None
    assert doors.evicted == held
    assert len(doors.connections) == 2 + RESERVE


def test_a_trusted_request_in_the_reserve_is_not_cut() -> None:
    """While it serves who has the token, a connection in the reserve does not yield."""
    doors = Doors()
    doors.open("a"), doors.open("a")
    trusted, other = doors.open("a"), doors.open("a")
    trusted.trusted = True
    for _ in range(RESERVE - 2):
        doors.open("a").trusted = True
    doors.open("a").trusted = True
    assert doors.evicted == [other]
    sentence = doors.connections.open("a", lambda sentence: None)
    assert sentence == "2 connections of a are open already"


def test_a_connection_leaves_the_reserve_when_there_is_room() -> None:
    """What began beyond the bound is served in full if another has closed by then."""
    doors = Doors()
    first, _ = doors.open("a"), doors.open("a")
    third = doors.open("a", Phase.HEADERS)
    doors.connections.promote(third)
    assert third.exceeded is not None
    doors.connections.close(first)
    doors.connections.promote(third)
    assert third.exceeded is None
    assert doors.open("a").exceeded is not None
