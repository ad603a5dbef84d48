"""The uploaded binaries in the database. Several binaries can have the same content."""

from __future__ import annotations

from collections import Counter

from goloagent.jobs.rows import Binary, Content, binary_row, read_binary, read_content
from goloagent.jobs.sqlite_file import SqliteFile, where


class BinaryTable(SqliteFile):
    """The rows of the table ``binaries``."""

    def _load(self) -> None:
        super()._load()
        # By SHA-256: the size of each content, and the number of binaries with it.
        self._sizes = {content.sha256: content.size for content in self.contents()}
        rows = self._database.execute("SELECT sha256, COUNT(*) FROM binaries GROUP BY sha256")
        self._holders: Counter[str] = Counter(dict(rows))

    def add_binary(self, binary: Binary) -> None:
        """Add a binary."""
        self._insert("binaries", binary_row(binary))
        self._sizes[binary.sha256] = binary.size
        self._holders[binary.sha256] += 1

    def binary(self, binary_id: str) -> Binary | None:
        """Return the binary with this id, or None."""
        return self._first("SELECT * FROM binaries WHERE id = :id", {"id": binary_id}, read_binary)

    def binaries(
        self, limit: int = -1, before: str | None = None, sha256: str | None = None
    ) -> list[Binary]:
        """Return up to `limit` binaries older than `before` with a content, newest first."""
        conditions = {
            "rowid < (SELECT rowid FROM binaries WHERE id = :before)": before,
            "sha256 = :sha256": sha256,
        }
        query = f"SELECT * FROM binaries {where(conditions)} ORDER BY rowid DESC"
        return self._some(query, {"before": before, "sha256": sha256}, read_binary, limit)

    def contents(self) -> list[Content]:
        """Return each content once, the least recently uploaded first."""
        query = (
            "SELECT sha256, max(size) AS size, sha256 AS id FROM binaries"
            " GROUP BY sha256 ORDER BY max(rowid)"
        )
        return self._some(query, {}, read_content)

    def binary_ids(self) -> set[str]:
        """Return the ids of all binaries."""
        return self._ids("binaries")

    def remove_binary(self, binary_id: str) -> None:
        """Remove a binary; jobs keep its id."""
        self._check_frozen()
        query = "DELETE FROM binaries WHERE id = :id RETURNING sha256"
        for row in self._write(query, {"id": binary_id}):
            self._holders[row["sha256"]] -= 1
            if self._holders[row["sha256"]] <= 0:
                self._forget_content(row["sha256"])

    def remove_content(self, sha256: str) -> list[str]:
        """Remove all binaries with a content, and return their ids."""
        self._check_frozen()
        query = "DELETE FROM binaries WHERE sha256 = :sha256 RETURNING id"
        ids = [row["id"] for row in self._write(query, {"sha256": sha256})]
        self._forget_content(sha256)
        return ids

    def bytes_with(self, incoming: Content) -> int:
        """Return the bytes of all contents and `incoming` together. Reads no row."""
        return sum((self._sizes | {incoming.sha256: incoming.size}).values())

    def _forget_content(self, sha256: str) -> None:
        self._sizes.pop(sha256, None)
        self._holders.pop(sha256, None)
