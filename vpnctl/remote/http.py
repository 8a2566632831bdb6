"""The little HTTP that is spoken: JSON to the Bot API, and a beat for the dead man's switch. TLS is verified."""

from __future__ import annotations

import contextlib
import json
from typing import Any

SECONDS = 15.0
CAP = 1024 * 1024


def post(url: str, body: dict[str, Any], seconds: float = SECONDS) -> tuple[int, dict[str, Any]]:
    """Send JSON and return (status, answer), also for a refusal. Raises OSError when nobody answers in time.

    The URL may hold a token: it is in no exception that leaves here.
    """
    import urllib.error
    import urllib.request

    request = urllib.request.Request(  # noqa: S310 - the settings take http and https only
        url, json.dumps(body).encode(), {"Content-Type": "application/json", "User-Agent": "vpnctl"}
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            return answer.status, _parsed(answer.read(CAP))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _parsed(error.read(CAP))
    except urllib.error.URLError as error:
        raise OSError(f"no answer: {type(error.reason).__name__}") from None
    except ValueError:
        raise OSError("the address is not one") from None


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def beat(url: str) -> None:
    """Fetch the dead man's switch; that it cannot be reached is for the switch itself to report."""
    import urllib.request

    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310
        answer.read(CAP)
