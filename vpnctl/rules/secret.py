"""A text that must not be shown by accident."""

from __future__ import annotations

from typing import Any, NoReturn


class Secret:
    """Wraps a secret text. `repr`, `str` and formatting give `***`; only `reveal()` gives the text.

    It cannot be pickled, and it is not JSON serialisable, so that no log or dump gets hold of it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself. Every call is a place to look at in a review."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")

    def __getstate__(self) -> Any:
        raise TypeError("a Secret is not pickled")
