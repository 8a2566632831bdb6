"""The little HTTP that is spoken: JSON to the Bot API, and a beat for the dead man's switch. TLS is verified."""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from vpnctl.rules.exchange import HttpAnswer, HttpCall

SECONDS = 15.0
CAP = 1024 * 1024


@dataclass(frozen=True)
class Part:
    """A file in a form. `name` is one of ours, plain ASCII without quotes."""

    form_name: str
    name: str
    kind: str
    content: bytes = field(repr=False)


def post(url: str, body: dict[str, Any], seconds: float = SECONDS) -> tuple[int, dict[str, Any]]:
    """Send JSON and return (status, answer), also for a refusal. Raises OSError when nobody answers in time.

    The URL may hold a token: it is in no exception that leaves here.
    """
    return _send(url, json.dumps(body).encode(), "application/json", seconds)


def upload(url: str, fields: dict[str, str], part: Part, seconds: float = SECONDS) -> tuple[int, dict[str, Any]]:
    """Send a form with one file in it (RFC 7578); see `post`."""
    boundary = secrets.token_hex(16)
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{part.form_name}"; filename="{part.name}"\r\n'
    head += f"Content-Type: {part.kind}\r\n\r\n"
    body = "".join([*lines, head]).encode() + part.content + f"\r\n--{boundary}--\r\n".encode()
    return _send(url, body, f"multipart/form-data; boundary={boundary}", seconds)


def _send(url: str, body: bytes, kind: str, seconds: float) -> tuple[int, dict[str, Any]]:
    import http.client
    import urllib.error
    import urllib.request

    headers = {"Content-Type": kind, "User-Agent": "vpnctl"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - the settings take http and https only
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            return answer.status, _parsed(answer.read(CAP))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _parsed(error.read(CAP))
    except urllib.error.URLError as error:
        raise OSError(f"no answer: {type(error.reason).__name__}") from None
    except http.client.HTTPException as error:
        raise OSError(f"no whole answer: {type(error).__name__}") from None
    except ValueError:
        raise OSError("the address is not one") from None


def exchange(call: HttpCall, seconds: float = SECONDS) -> HttpAnswer:
    """Send a request and return the answer, whatever its status; nothing is followed that it points to.

    Raises OSError when nobody answers in time, or not wholly; what was sent, and where to, is in no exception.
    """
    import http.client
    import urllib.error
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_args: Any) -> None:
            return None

    headers = {"User-Agent": "vpnctl", **call.headers}
    try:
        request = urllib.request.Request(call.url, call.body, headers, method=call.method)  # noqa: S310 - settings take http and https only
        try:
            answer = urllib.request.build_opener(Stay).open(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return HttpAnswer(answer.status, _whole(answer), dict(answer.headers))
    except urllib.error.URLError as error:
        raise OSError(f"no answer: {type(error.reason).__name__}") from None
    except http.client.HTTPException as error:
        raise OSError(f"no whole answer: {type(error).__name__}") from None
    except ValueError:
        raise OSError("the address is not one") from None


def _whole(answer: Any) -> bytes:
    """Return a body; OSError where it is longer than an answer is, or ends before it says that it does."""
    body: bytes = answer.read(CAP + 1)
    told = answer.headers.get("Content-Length")
    if len(body) > CAP or (told is not None and told.isdigit() and len(body) < int(told)):
        raise OSError("no whole answer")
    return body


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def beat(url: str) -> None:
    """Fetch the dead man's switch; that it cannot be reached is for the switch itself to report."""
    import urllib.request

    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310
        answer.read(CAP)
