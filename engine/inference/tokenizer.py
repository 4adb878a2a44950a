"""Text to token ids and back, by the `tokenizers` library over a model's own `tokenizer.json`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InvalidInputError

if TYPE_CHECKING:
    import tokenizers

# Noncharacters: Unicode keeps them out of interchange, so no text a person means to send holds them.
_BREAK = "\ufdd0"  # between two characters of a special token
_PLAIN = "\ufdd1"  # before a special token of one character, which cannot be broken


class Tokenizer:
    """A model's tokenizer.

    Args:
        folder: holds `tokenizer.json`.

    Raises:
        InvalidInputError: the file is missing or broken.
    """

    def __init__(self, folder: Path) -> None:
        import tokenizers

        path = folder / "tokenizer.json"
        if not path.is_file():
            raise InvalidInputError(f"{folder} has no tokenizer.json.", "Fetch or build the model again.")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise InvalidInputError(f"{path} cannot be read: {error}.", "Fetch or build the model again.") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        special = [token.content for token in self._tokenizer.get_added_tokens_decoder().values() if token.special]
        control = sorted(filter(_is_control, special), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, control))) if control else None
        single = "".join(re.escape(token) for token in control if len(token) == 1)
        self._single = re.compile(f"{_PLAIN}([{single}])") if single else None

    @property
    def library(self) -> tokenizers.Tokenizer:
        """The underlying tokenizer."""
        return self._tokenizer

    def token_id(self, token: str) -> int | None:
        """The id of one token, or None when the vocabulary lacks it."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def defuse(self, text: str) -> str:
        """Make special tokens that stand in somebody's text mere text, so that no message can end its own turn.

        The marks put into them are taken out again by `encode`. Left alone are special tokens that are blanks or line ends, or a
        single letter or digit: those are what ordinary text is made of, the model was trained on text in which they are these
        very tokens, and a turn that ended at them would end at every word. Nor can one be kept out whose id is also the only
        spelling that the vocabulary has for that character.
        """
        text = text.replace(_BREAK, "").replace(_PLAIN, "")
        if self._special is None:
            return text
        return self._special.sub(lambda match: _marked(match[0]), text)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Token ids of a rendered prompt.

        Args:
            text: special tokens in it are recognised, unless `defuse` marked them.
            add_special_tokens: whether to put what the tokenizer puts around a text (chat templates bring their own).
        """
        head, *rest = text.split(_BREAK)
        ids = self._encode(head, add_special_tokens)
        for part in rest:
            ids += self._encode(part, False)
        return ids

    def _encode(self, text: str, add_special_tokens: bool) -> list[int]:
        # Each mark belongs to the one character after it: a template may cut a message anywhere.
        pieces = self._single.split(text) if self._single else [text]
        ids: list[int] = []
        for number, piece in enumerate(pieces):
            self._tokenizer.encode_special_tokens = number % 2 == 1  # what the pattern caught: spelled like any other text
            plain = piece.replace(_PLAIN, "")
            ids += self._tokenizer.encode(plain, add_special_tokens=add_special_tokens and number == 0).ids
        self._tokenizer.encode_special_tokens = False
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, special tokens left out."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


def _is_control(token: str) -> bool:
    """Whether a special token is something that ordinary text does not consist of; see `Tokenizer.defuse`."""
    return bool(token) and not token.isspace() and not (len(token) == 1 and token.isalnum())


def _marked(token: str) -> str:
    return token[0] + _BREAK + token[1:] if len(token) > 1 else _PLAIN + token


# One character takes at most four bytes, hence four byte-level tokens. What is still no character after eight tokens never
# becomes one.
_LONGEST_CHARACTER = 8


class Detokenizer:
    """Token ids to text as they come; a character split over tokens is held until it is whole.

    A token's text can depend on the one before it (spaces, bytes), so each step decodes a short window with and without the
    new tokens and takes the difference, as in vLLM's detokenizer.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._window = 0
        self._shown = 0

    def add(self, token: int) -> str:
        """The text that this token completes; empty while a character is incomplete."""
        self._ids.append(token)
        before, after = self._texts()
        pending = len(self._ids) - self._shown
        if len(after) <= len(before) or (after.endswith("\ufffd") and pending < _LONGEST_CHARACTER):
            return ""
        self._window, self._shown = self._shown, len(self._ids)
        return after[len(before) :]

    def finish(self) -> str:
        """What was held back, without a character that never became whole."""
        before, after = self._texts()
        self._window = self._shown = len(self._ids)
        return after[len(before) :].rstrip("\ufffd")

    def _texts(self) -> tuple[str, str]:
        before = self._tokenizer.decode(self._ids[self._window : self._shown])
        return before, self._tokenizer.decode(self._ids[self._window :])


class StopStrings:
    """Ends a text at the first of some strings; holds back what may be the start of one.

    Args:
        strings: none of them empty.
    """

    def __init__(self, strings: tuple[str, ...]) -> None:
        self._strings = strings
        self._held = ""
        self.found = False

    def add(self, text: str) -> str:
        """What can be shown of the text so far. Once `found` is set, the rest is dropped."""
        if not self._strings or self.found:
            return "" if self.found else text
        text = self._held + text
        places = [place for string in self._strings if (place := text.find(string)) >= 0]
        if places:
            self.found, self._held = True, ""
            return text[: min(places)]
        keep = max((_overlap(text, string) for string in self._strings), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back in vain."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, string: str) -> int:
    """How many of the text's last characters begin `string`."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0
