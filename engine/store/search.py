"""From what a person types to an FTS5 query."""

from __future__ import annotations

import re

_WORD = re.compile(r"\"([^\"]+)\"|(\S+)")


def fts_query(text: str) -> str:
    """An FTS5 query that finds messages with all words of `text`, the last one as a prefix since it may be unfinished.

    Words between double quotes stay together. Nothing in `text` is read as FTS5 syntax. Empty when `text` has no word.
    """
    terms: list[str] = []
    open_end = False
    for match in _WORD.finditer(text):
        phrase, word = match.groups()
        term = phrase if phrase is not None else word.replace('"', "")
        if any(character.isalnum() for character in term):
            terms.append('"' + term.replace("\0", "") + '"')
            open_end = phrase is None and match.end() == len(text)
    if not terms:
        return ""
    return " ".join(terms) + ("*" if open_end else "")
