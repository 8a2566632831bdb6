"""What all of the API has in common: pages, outcomes, problems."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from vpnctl.errors import InvalidInput
from vpnctl.protocols import PLUGINS

Row = TypeVar("Row")
LARGEST = 500
Limit = Annotated[int, Query(ge=1, le=LARGEST, description="At most so many rows.")]
NAME, ID = r"^[a-z0-9][a-z0-9_-]{0,31}$", r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
PLAIN = r"^[^\x00-\x1f\x7f]*$"
AfterName = Annotated[str | None, Query(pattern=NAME, description="`next` of the page before.")]
AfterMark = Annotated[str | None, Query(pattern="^[A-Za-z0-9_-]{1,300}$", description="`next` of the page before.")]
Name = Annotated[str, Field(pattern=NAME, examples=["anna"])]
Named = Annotated[str, Path(pattern=NAME, examples=["anna"], description="A name.")]
Identified = Annotated[str, Path(pattern=ID, description="An id.")]
Protocol = Annotated[str, Field(pattern=f"^({'|'.join(PLUGINS)})$", examples=[next(iter(PLUGINS))])]
Numbered = Annotated[int, Path(ge=1, lt=2**31, description="An order's number.")]


class Body(BaseModel):
    """A body. What is not known is refused, so that a mistyped field does not pass for a wish."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[Row]):
    """A part of a list. `next` goes into `after` of the next request; null at the end."""

    items: list[Row]
    next: str | None = None


class PendingNode(BaseModel):
    """A node that was not seen to agree yet."""

    node: str
    why: str = ""


class ChangeOutcome(BaseModel, Generic[Row]):
    """What came of a change. It is saved; it is made once `settled`: every node was read again and agrees."""

    run: str
    settled: bool
    pending: list[PendingNode]
    result: Row


class WrongField(BaseModel):
    """A part of the input that is not valid."""

    where: str
    what: str


class Problem(BaseModel):
    """An error (RFC 9457). `exit_code` is that of the command line, `hint` the next thing to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    hint: str | None = None
    exit_code: int | None = None
    fields: list[WrongField] | None = None


def changing(row: Any) -> dict[str, Any]:
    """Return what a route says of itself that changes something and answers with such a row."""
    model = ChangeOutcome[row]
    return {"response_model": model, "responses": {202: {"model": model, "description": "Saved, not settled yet"}}}


PROBLEM: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "model": Problem}
    for status, what in (
        (400, "The request cannot be read"),
        (401, "No valid key"),
        (403, "The key has no such scope"),
        (404, "No object of that name"),
        (409, "It conflicts with what exists, or a brake stopped it"),
        (413, "The body is too large"),
        (414, "The address is too long"),
        (422, "Invalid input"),
        (429, "Too many requests: come again after `Retry-After` seconds"),
        (503, "Locked, or the database cannot be used; try again"),
    )
}


def page(rows: Sequence[Any], limit: int, cursor: Callable[[Any], str]) -> dict[str, Any]:
    """Return a page of rows of which one more than `limit` was asked for."""
    items = list(rows[:limit])
    return {"items": items, "next": cursor(items[-1]) if len(rows) > limit else None}


def packed(*parts: str) -> str:
    """Return a cursor of several parts as one word."""
    return base64.urlsafe_b64encode("\n".join(parts).encode()).decode().rstrip("=")


def unpacked(cursor: str, count: int) -> tuple[str, ...]:
    """Return the parts of a cursor. Raises InvalidInput for what is none."""
    try:
        parts = tuple(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("\n"))
    except (ValueError, binascii.Error):
        parts = ()
    if len(parts) != count:
        raise InvalidInput("that is no cursor", "give `next` of the page before, as it was")
    return parts
