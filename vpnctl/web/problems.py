"""Errors as problem+json (RFC 9457), with our exit codes and hints."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from vpnctl.errors import (
    Busy,
    Conflict,
    Distrust,
    InvalidInput,
    NotFound,
    StateTrouble,
    Stopped,
    Unreachable,
    VpnctlError,
    bug,
)

MEDIA_TYPE = "application/problem+json"
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, MISSING, TIMEOUT = 400, 401, 403, 404, 408
CONFLICT, TOO_LARGE, LONG_ADDRESS, MISDIRECTED, INVALID = 409, 413, 414, 421, 422
TOO_MANY, LARGE_HEAD, BROKEN, UNREACHABLE, UNAVAILABLE = 429, 431, 500, 502, 503
_TITLES = {
    BAD_REQUEST: "Bad request",
    UNAUTHORIZED: "No valid key",
    FORBIDDEN: "Not allowed",
    MISSING: "Not found",
    TIMEOUT: "Too slow",
    CONFLICT: "Conflict",
    TOO_LARGE: "Too large",
    LONG_ADDRESS: "Address too long",
    MISDIRECTED: "Another host",
    INVALID: "Invalid input",
    TOO_MANY: "Too many requests",
    LARGE_HEAD: "Headers too large",
    BROKEN: "A bug",
    UNREACHABLE: "A node or provider does not answer",
    UNAVAILABLE: "Not now",
}
_STATUS: tuple[tuple[type[VpnctlError], int], ...] = (
    (InvalidInput, INVALID),
    (NotFound, MISSING),
    (Conflict, CONFLICT),
    (Stopped, CONFLICT),
    (Distrust, CONFLICT),
    (Busy, UNAVAILABLE),
    (StateTrouble, UNAVAILABLE),
    (Unreachable, UNREACHABLE),
)
"""The first class that fits."""


class Refusal(Exception):  # noqa: N818 - named for what it is
    """A request that is not served, for a reason of HTTP's own."""

    def __init__(self, status: int, detail: str, hint: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.hint, self.headers = status, detail, hint, headers or {}


def body(status: int, detail: str, hint: str = "", **more: Any) -> dict[str, Any]:
    """Return a problem document."""
    title = _TITLES.get(status, "Error")
    given = {"detail": detail} | ({"hint": hint} if hint else {})
    return {"type": "about:blank", "title": title, "status": status} | given | more


def response(status: int, detail: str, hint: str = "", headers: dict[str, str] | None = None, **more: Any) -> Any:
    """Return a problem as an answer."""
    return JSONResponse(body(status, detail, hint, **more), status, headers, MEDIA_TYPE)


def of(error: BaseException) -> Any:
    """Return the answer to what was raised; what is no error of ours is told by type and place only."""
    if isinstance(error, Refusal):
        return response(error.status, error.detail, error.hint, error.headers)
    if not isinstance(error, VpnctlError):
        return response(BROKEN, bug(error), "please report this line", exit_code=1)
    status = next((number for kind, number in _STATUS if isinstance(error, kind)), BROKEN)
    later = {"Retry-After": "5"} if status == UNAVAILABLE else {}
    return response(status, error.what, error.hint, later, exit_code=error.code)
