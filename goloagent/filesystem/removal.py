"""Removal of directory trees of any depth, width and mode.

It uses two descriptors and no recursion: directories are moved to the top of the tree one level at
a time, so neither Python's stack nor the maximum length of a path limits the depth. Links are not
followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

import attrs

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path, stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove a file, a link or a directory with its content, if it exists; in a worker thread.

    Args:
        stopped: called between two steps; once it returns True, the rest stays.

    Raises:
        OSError: the first error; everything else is removed.
    """
    try:
        parent = os.open(path.parent, _DIRECTORY & ~os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    with closing(_Descriptor(parent)):
        remove_at(parent, path.name, stopped)


def remove_at(parent: int, name: str, stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove an entry of the open directory `parent`, as `remove` does."""
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        try:
            top = _open_directory(name, parent)
        except NotADirectoryError:
            raise error from None
    with closing(top):
        first_error = _Tree(top.number, stopped).empty()
    if stopped():
        return
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise first_error or error from None


@attrs.frozen
class _Descriptor:
    """An open file that `contextlib.closing` closes."""

    number: int

    def close(self) -> None:
        os.close(self.number)


@attrs.define
class _Tree:
    """A tree whose top directory is open as `top`."""

    top: int
    stopped: Callable[[], bool]
    _moved: int = 0
    # No name in the tree begins with it, because it cannot be guessed.
    _prefix: str = attrs.Factory(lambda: uuid4().hex)
    _stuck: set[str] = attrs.Factory(set)
    _first_error: OSError | None = None

    def empty(self) -> OSError | None:
        """Remove everything below the top; return the first error, or None."""
        while self._pass():
            pass
        return self._first_error

    def _pass(self) -> bool:
        """Iterate over the top once; return whether more may remain."""
        found = False
        with os.scandir(self.top) as entries:
            for entry in entries:
                if self.stopped():
                    return False
                if entry.name in self._stuck:
                    continue
                found = True
                if not self._remove(entry):
                    self._stuck.add(entry.name)
        return found

    def _remove(self, entry: os.DirEntry[str]) -> bool:
        try:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=self.top)
                return True
            with suppress(OSError):  # it is not empty, or not readable
                os.rmdir(entry.name, dir_fd=self.top)
                return True
            with closing(_open_directory(entry.name, self.top)) as directory:
                while self._raise_entries(directory.number):
                    pass
            if not self.stopped():
                os.rmdir(entry.name, dir_fd=self.top)
        except FileNotFoundError:
            return True
        except OSError as error:
            self._record(error)
            return False
        return True

    def _raise_entries(self, directory: int) -> bool:
        """Remove the files of a directory and move its directories to the top.

        Return whether it must be read again, because entries may be missed while it changes.
        """
        removed = False
        with os.scandir(directory) as entries:
            for entry in entries:
                if self.stopped():
                    return False
                try:
                    if entry.is_dir(follow_symlinks=False):
                        self._raise(entry.name, directory)
                    else:
                        os.unlink(entry.name, dir_fd=directory)
                    removed = True
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self._record(error)
        return removed

    def _raise(self, name: str, directory: int) -> None:
        """Move a directory to the top, or remove it there where it is empty."""
        self._moved += 1
        moved = f"{self._prefix}{self._moved}"
        try:
            os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=self.top)
        except PermissionError:
            # Moving a directory needs write permission in it.
            _open_directory(name, directory).close()
            os.rename(name, moved, src_dir_fd=directory, dst_dir_fd=self.top)

    def _record(self, error: OSError) -> None:
        self._first_error = self._first_error or error


def _open_directory(name: str, parent: int) -> _Descriptor:
    """Open a directory for reading, and set the modes that are needed to empty it.

    Raises:
        OSError: it cannot be opened, or is no directory.
    """
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        _allow(name, parent)
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    if os.fstat(directory).st_mode & 0o700 != 0o700:
        with suppress(OSError):  # later operations report the error
            os.fchmod(directory, 0o700)
    return _Descriptor(directory)


def _allow(name: str, parent: int) -> None:
    """Give the owner all rights on an unreadable directory, never through a link."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    with closing(_Descriptor(place)):
        Path(f"/proc/self/fd/{place}").chmod(0o700)
