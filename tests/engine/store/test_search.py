"""What a person types never breaks a search, and never means more than its words."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.search import fts_query


@pytest.fixture(scope="module")
def table() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5 (content, tokenize = 'unicode61 remove_diacritics 2')")
    connection.executemany("INSERT INTO t VALUES (?)", [("a hash table",), ("the table of contents",), ("AND OR NOT NEAR",)])
    yield connection
    connection.close()


@given(text=st.text() | st.text(alphabet='"*()^:-+ANDORNOT{} \0\t'))
def test_nothing_that_is_typed_is_syntax(table: sqlite3.Connection, text: str) -> None:
    if query := fts_query(text.encode("utf-8", "replace").decode()):
        table.execute("SELECT * FROM t WHERE t MATCH ?", (query,)).fetchall()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("table", 2),
        ("tab", 2),
        ("tab hash", 0),
        ("table has", 1),
        ('"hash table"', 1),
        ('"table hash"', 0),
        ('"hash tab', 1),
        ("NOT", 1),
        ("content: table", 0),
        ("hash OR contents", 0),
    ],
)
def test_words_are_words(table: sqlite3.Connection, text: str, found: int) -> None:
    assert len(table.execute("SELECT * FROM t WHERE t MATCH ?", (fts_query(text),)).fetchall()) == found


@pytest.mark.parametrize("text", ["", "  ", "***", '""', "- + :"])
def test_without_a_word_there_is_no_query(text: str) -> None:
    assert fts_query(text) == ""
