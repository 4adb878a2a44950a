"""What the prompt remembers besides the text in it: large pastes, and earlier prompts."""

from __future__ import annotations

LARGE_PASTE = 5_000
"""Characters above which a paste is shown as a placeholder. A text area wraps the whole line it stands in at every key."""

LARGE_PASTE_LINES = 60
"""The same for lines."""

_MOST_PROMPTS = 500


class Pastes:
    """Large pieces of text, each standing in the prompt as one short placeholder."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def wants(self, text: str) -> bool:
        """Whether `text` is better shown as a placeholder."""
        return len(text) > LARGE_PASTE or text.count("\n") > LARGE_PASTE_LINES

    def add(self, text: str) -> str:
        """Keep `text`; returns what stands for it, which is the same as before for a text that is kept already."""
        if (known := next((mark for mark, kept in self._texts.items() if kept == text), None)) is not None:
            return known
        lines = text.count("\n") + 1
        size = f"{lines:,} lines" if lines > 1 else f"{len(text):,} characters"
        placeholder = f"[pasted text {len(self._texts) + 1}: {size}]"
        self._texts[placeholder] = text
        return placeholder

    def expand(self, text: str) -> str:
        """`text` with every placeholder replaced by what it stands for."""
        pieces: list[str] = []
        while found := min(((text.find(mark), mark) for mark in self._texts if mark in text), default=None):
            at, mark = found
            pieces += (text[:at], self._texts[mark])
            text = text[at + len(mark) :]
        return "".join([*pieces, text])

    def ending(self, before: str) -> str | None:
        """The placeholder that `before` ends with, so that it can be deleted as one."""
        return next((mark for mark in self._texts if before.endswith(mark)), None)


class PromptHistory:
    """Earlier prompts, recalled with the arrow keys."""

    def __init__(self) -> None:
        self._prompts: list[str] = []
        self._at = 0

    def add(self, prompt: str) -> None:
        """Put a prompt at the end, and the end is where recalling starts again."""
        if prompt in self._prompts:
            self._prompts.remove(prompt)
        self._prompts = [*self._prompts, prompt][-_MOST_PROMPTS:]
        self._at = len(self._prompts)

    def older(self) -> str | None:
        """The prompt before the one shown; None at the first."""
        if self._at == 0:
            return None
        self._at -= 1
        return self._prompts[self._at]

    def newer(self) -> str:
        """The prompt after the one shown; empty past the last."""
        self._at = min(len(self._prompts), self._at + 1)
        return self._prompts[self._at] if self._at < len(self._prompts) else ""

    def leave(self) -> None:
        """Start again from the end."""
        self._at = len(self._prompts)
