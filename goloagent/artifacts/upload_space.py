"""Disk space for uploads: reserved before the body is read, released when the upload ends.

Uploads stop above the minimum of free space at which a running job ends, so that no upload ends a
job. The announced lengths of all uploads in progress count, or the bytes received without one.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

# Maximum bytes of an upload between two checks of the free space.
_CHECK_BYTES = 256 * 1024


class NoSpace(Exception):
    """There is too little free space for an upload; the message is a sentence without a path."""


@attrs.define(eq=False)
class UploadSpace:
    """The reservations of all uploads.

    Args:
        free_bytes: returns how many bytes uploads may still write, negative below the minimum;
            raises OSError if it is unknown.
    """

    free_bytes: Callable[[], int]
    _reservations: list[Reservation] = attrs.field(init=False, factory=list)

    def reserve(self, announced: int, abort: Callable[[NoSpace], None]) -> Reservation:
        """Reserve space for an upload with this Content-Length, or 0 if it has none.

        Args:
            abort: called to end the upload when free space is below the minimum.

        Raises:
            NoSpace: there is less.
            OSError: the free space is unknown.
        """
        self.check_free(announced)
        reservation = Reservation(self, announced, abort)
        self._reservations.append(reservation)
        return reservation

    def check_free(self, needed: int) -> None:
        """Check that `needed` bytes are free beside those that are reserved.

        Raises:
            NoSpace: there are less.
            OSError: the free space is unknown.
        """
        reserved = sum(reservation.remaining for reservation in self._reservations)
        free_bytes = self.free_bytes() - reserved
        if free_bytes < needed:
            raise NoSpace(
                "the agent's disk has no room for this upload: uploads may write "
                f"{max(0, free_bytes)} bytes, as --min-free keeps the rest for running jobs"
            )

    def abort_if_low(self) -> None:
        """Abort all uploads if free space is below the minimum."""
        if self._reservations and self.free_bytes() < 0:
            error = NoSpace("the upload was aborted: too little is free on the agent's disk")
            for reservation in list(self._reservations):
                reservation.abort(error)

    def release(self, reservation: Reservation) -> None:
        """Release a reservation; a second time does nothing."""
        if reservation in self._reservations:
            self._reservations.remove(reservation)


@attrs.define(eq=False)
class Reservation:
    """The space of one upload; `remaining` of its announced bytes were not received yet."""

    _space: UploadSpace
    remaining: int
    abort: Callable[[NoSpace], None]
    _unchecked: int = 0

    def use(self, count: int) -> None:
        """Count received bytes.

        Raises:
            NoSpace: there is too little free space for them.
            OSError: the free space is unknown.
        """
        reserved = min(self.remaining, count)
        self.remaining -= reserved
        self._unchecked += count
        if self._unchecked < _CHECK_BYTES:
            return
        if reserved < count:  # its length was not announced
            self._space.check_free(self._unchecked)
        elif self._space.free_bytes() < 0:
            raise NoSpace("too little is free on the agent's disk for this upload")
        self._unchecked = 0

    def release(self) -> None:
        """Release the space; a second time does nothing."""
        self._space.release(self)
