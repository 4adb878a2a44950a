"""Reads the rows of a SQLite file page by page, without SQLite, so that a damaged page costs only what stands on it.

After "Database File Format", https://www.sqlite.org/fileformat2.html. SQLite itself reads a table from its root down, and a
damaged root hides every row; here each page that looks like a table's leaf is read by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

Value = None | int | float | str | bytes

_MAGIC = b"SQLite format 3\x00"
_HEADER_SIZE = 100  # of the file, at the beginning of page 1
_TABLE_LEAF = 0x0D
_PAGE_SIZES = frozenset(1 << bits for bits in range(9, 17))
_DEFAULT_PAGE_SIZE = 4096
_WAL_HEADER_SIZE, _WAL_FRAME_SIZE = 32, 24
_WAL_MAGIC = 0x377F0682  # its lowest bit says whether checksums read the data as big-endian words


class DamagedPageError(ValueError):
    """Bytes that are not what their place in the file says they are."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as its page holds it.

    Attributes:
        rowid: SQLite's own number of the row; an INTEGER PRIMARY KEY has its value here and None among the values.
        values: the columns' values, in the table's order.
        damaged: some text held bytes that are no UTF-8, and carries replacement characters instead.
    """

    rowid: int
    values: list[Value]
    damaged: bool


class Pages:
    """The pages of a database, with the committed ones of its write-ahead log over those of the file.

    Args:
        data: all bytes of the database's file.
        log: all bytes of the file beside it whose name ends in `-wal`; empty when there is none.
    """

    def __init__(self, data: bytes, log: bytes = b"") -> None:
        self._data = data
        self._log, log_page_size = _committed(log)
        first = self._log.get(1, self._data[:_HEADER_SIZE])
        self._header = first[:_HEADER_SIZE] if first.startswith(_MAGIC) and len(first) >= _HEADER_SIZE else b""
        self.page_size = log_page_size or self._page_size()
        self._usable = self.page_size - (self._header[20] if self._header else 0)
        self.count = max(-(-len(self._data) // self.page_size), max(self._log, default=0))

    def _page_size(self) -> int:
        size = int.from_bytes(self._header[16:18]) if self._header else 0
        size = 65536 if size == 1 else size
        return size if size in _PAGE_SIZES else _DEFAULT_PAGE_SIZE

    def page(self, number: int) -> bytes:
        """A page's bytes, the first page being 1.

        Raises:
            DamagedPageError: the file has no such page, or not all of it.
        """
        page = self._log.get(number)
        if page is None:
            start = (number - 1) * self.page_size
            page = self._data[start : start + self.page_size] if number > 0 else b""
        if len(page) != self.page_size:
            raise DamagedPageError(f"There is no page {number}.")
        return page

    def rows(self) -> Iterator[Row | None]:
        """Every row of every table, in the order of the file; None for one that was there but cannot be read."""
        unused = self._free_pages()
        for number in range(1, self.count + 1):
            if number not in unused:
                yield from self._leaf_rows(number)

    def _free_pages(self) -> set[int]:
        """Pages on the free list: they still hold rows, but deleted ones."""
        free: set[int] = set()
        trunk = int.from_bytes(self._header[32:36]) if self._header else 0
        while trunk and trunk not in free:
            free.add(trunk)
            try:
                page = self.page(trunk)
            except DamagedPageError:
                break
            count = min(int.from_bytes(page[4:8]), (self.page_size - 8) // 4)
            free.update(struct.unpack(f">{count}I", page[8 : 8 + 4 * count]))
            trunk = int.from_bytes(page[:4])
        return free

    def _leaf_rows(self, number: int) -> Iterator[Row | None]:
        try:
            page = self.page(number)
        except DamagedPageError:
            return
        start = _HEADER_SIZE if number == 1 else 0
        if page[start] != _TABLE_LEAF:
            return
        cells = int.from_bytes(page[start + 3 : start + 5])
        end = start + 8 + 2 * cells
        if end > self._usable:
            return
        for at in range(start + 8, end, 2):
            try:
                yield self._row(page, int.from_bytes(page[at : at + 2]))
            except (DamagedPageError, IndexError, struct.error):
                yield None

    def _row(self, page: bytes, at: int) -> Row:
        size, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if size > len(self._data) + len(self._log) * self.page_size:
            raise DamagedPageError("A row cannot be longer than its file.")
        values, damaged = _record(self._payload(page, at, size))
        return Row(rowid - (1 << 64) if rowid >> 63 else rowid, values, damaged)

    def _payload(self, page: bytes, at: int, size: int) -> bytes:
        """A row's bytes; what does not fit on its page stands on a chain of overflow pages."""
        longest = self._usable - 35
        local = size
        if size > longest:
            shortest = (self._usable - 12) * 32 // 255 - 23
            local = shortest + (size - shortest) % (self._usable - 4)
            local = local if local <= longest else shortest
        parts = [page[at : at + local]]
        missing = size - local
        following = int.from_bytes(page[at + local : at + local + 4]) if missing else 0
        while missing > 0:
            overflow = self.page(following)
            parts.append(overflow[4 : 4 + min(missing, self._usable - 4)])
            missing -= len(parts[-1])
            following = int.from_bytes(overflow[:4])
        payload = b"".join(parts)
        if len(payload) != size:
            raise DamagedPageError("A row goes beyond the end of its page.")
        return payload


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer (at most 9 bytes, 64 bits) and where it ends."""
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9


def _record(payload: bytes) -> tuple[list[Value], bool]:
    """The values of a record, and whether some text in it was no UTF-8."""
    header_size, at = _varint(payload, 0)
    types: list[int] = []
    while at < header_size:
        kind, at = _varint(payload, at)
        types.append(kind)
    if at != header_size:
        raise DamagedPageError("A record's header has another length than it says.")
    values: list[Value] = []
    damaged = False
    for kind in types:
        end = at + _size(kind)
        if end > len(payload):
            raise DamagedPageError("A value goes beyond the end of its record.")
        data = payload[at:end]
        value = _value(data, kind)
        if kind >= 12 and kind % 2:
            value = data.decode("utf-8", "replace")
            damaged = damaged or value.encode() != data
        values.append(value)
        at = end
    if at != len(payload):
        raise DamagedPageError("A record has another length than its header says.")
    return values, damaged


def _size(kind: int) -> int:
    """How many bytes a value of this serial type takes."""
    if kind in {10, 11}:
        raise DamagedPageError(f"There is no serial type {kind}.")
    return (kind - 12) // 2 if kind >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]


def _value(data: bytes, kind: int) -> Value:
    """A value by its serial type; text (odd types from 13 on) as its bytes."""
    if kind == 0:
        return None
    if kind < 7:
        return int.from_bytes(data, signed=True)
    if kind == 7:
        number: float = struct.unpack(">d", data)[0]
        return number
    return kind - 8 if kind < 10 else data


def _committed(log: bytes) -> tuple[dict[int, bytes], int]:
    """The pages that a write-ahead log holds of committed transactions, by number, and their size."""
    if len(log) < _WAL_HEADER_SIZE or int.from_bytes(log[:4]) & ~1 != _WAL_MAGIC:
        return {}, 0
    order = ">" if log[3] & 1 else "<"
    page_size = int.from_bytes(log[8:12])
    if page_size not in _PAGE_SIZES:
        return {}, 0
    salt = log[16:24]
    sums = _checksum(log[:24], (0, 0), order)
    committed: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for at in range(_WAL_HEADER_SIZE, len(log) - _WAL_FRAME_SIZE - page_size + 1, _WAL_FRAME_SIZE + page_size):
        head, page = log[at : at + _WAL_FRAME_SIZE], log[at + _WAL_FRAME_SIZE : at + _WAL_FRAME_SIZE + page_size]
        sums = _checksum(page, _checksum(head[:8], sums, order), order)
        if head[8:16] != salt or struct.unpack(">II", head[16:]) != sums:
            break  # frames of an earlier log, or damage: SQLite reads no further either
        pending[int.from_bytes(head[:4])] = page
        if int.from_bytes(head[4:8]):  # the size of the database after a commit; 0 within a transaction
            committed |= pending
            pending = {}
    return committed, page_size


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
