"""Disk space for uploads: reserved before a byte is read, given back when an upload is over. Pure.

Uploads stop well above the floor of free space at which a running job ends, so that no upload ends
one. The sum of all uploads under way counts, by what they have announced or what has come of them.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

# So much of an upload comes at most before the disk is looked at again.
_CHECK_BYTES = 256 * 1024


class NoSpace(Exception):
    """There is none for an upload; the message is a sentence without a path."""


@attrs.define(eq=False)
class UploadSpace:
    """What uploads may write, of `room()` bytes in all.

    Args:
        room: returns how many bytes may still be written for uploads, negative when too many are;
            raises OSError when that cannot be known.
    """

    free_bytes: Callable[[], int]
    _reservations: list[Reservation] = attrs.field(init=False, factory=list)

    def reserve(self, announced: int, abort: Callable[[NoSpace], None]) -> Reservation:
        """Reserve space for an upload of so many bytes; 0 when it does not say.

        Args:
            give_way: called when the upload must end so that a running job need not.

        Raises:
            NoSpace: there is not so much.
            OSError: that cannot be known.
        """
        self.check_free(announced)
        reservation = Reservation(self, announced, abort)
        self._reservations.append(reservation)
        return reservation

    def check_free(self, needed: int) -> None:
        """Check that so many bytes may be written beside what is reserved.

        Raises:
            NoSpace: they may not.
            OSError: that cannot be known.
        """
        room = self.free_bytes() - sum(reservation.remaining for reservation in self._reservations)
        if room < needed:
            raise NoSpace(
                "the agent's disk has no room for this upload: uploads may write "
                f"{max(0, room)} bytes, as --min-free keeps the rest for running jobs"
            )

    def abort_if_low(self) -> None:
        """Have all uploads give way when too little is free, whoever has written it."""
        if self._reservations and self.free_bytes() < 0:
            error = NoSpace("the upload gives way: too little is free on the agent's disk")
            for reservation in list(self._reservations):
                reservation.abort(error)

    def release(self, reservation: Reservation) -> None:
        """Give space back; a second time does nothing."""
        if reservation in self._reservations:
            self._reservations.remove(reservation)


@attrs.define(eq=False)
class Reservation:
    """The space of one upload, of which `rest` bytes have not come yet."""

    _space: UploadSpace
    remaining: int
    abort: Callable[[NoSpace], None]
    _unchecked: int = 0

    def use(self, count: int) -> None:
        """Use the space of so many bytes that have come.

        Raises:
            NoSpace: there is none any more.
            OSError: that cannot be known.
        """
        reserved = min(self.remaining, count)
        self.remaining -= reserved
        self._unchecked += count
        if self._unchecked < _CHECK_BYTES:
            return
        if reserved < count:  # it did not say how long it is
            self._space.check_free(self._unchecked)
        elif self._space.free_bytes() < 0:
            raise NoSpace("too little is free on the agent's disk for this upload")
        self._unchecked = 0

    def release(self) -> None:
        """Give back what was reserved; a second time does nothing."""
        self._space.release(self)
