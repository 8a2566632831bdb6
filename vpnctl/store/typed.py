"""What a query returned, as values of the frozen row types."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, cast

Row = TypeVar("Row")


def made(kind: type[Row], values: Sequence[Any]) -> Row:
    """Return a row from the values of its table's columns, in their order."""
    return kind(**dict(zip(_names(cast("Hashable", kind)), values, strict=True)))


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))
