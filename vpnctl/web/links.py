"""People's links: what their app reads, in the form that this app reads, with the headers that apps look for.

Headers as v2rayNG, Happ, Hiddify, sing-box and mihomo clients read them: `Subscription-Userinfo` has bytes and a Unix
time, `Profile-Update-Interval` hours; a title that is not ASCII is `base64:` of it.
"""

from __future__ import annotations

import base64
import contextlib
from datetime import datetime
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from vpnctl.actions.people import link, link_address, peers
from vpnctl.actions.people.issue import Issued
from vpnctl.app import App
from vpnctl.errors import Busy, StateTrouble
from vpnctl.protocols.interface import ClientKind
from vpnctl.reports import mine
from vpnctl.rules.agents import kind, previews
from vpnctl.store.rows import User
from vpnctl.texts.reasons import why
from vpnctl.texts.words import Words
from vpnctl.web import problems
from vpnctl.web.rate_limit import TokenBuckets

_URL_LETTERS = "%/:=&?~#+!$,;'@()*[]"
EVERY, EVERY_ENDED = 12, 1
"""Hours between fetches; somebody whose access ended may have it again soon."""
PER_SECOND, BURST = 1 / 60, 30
TYPES = {
    ClientKind.LINKS: "text/plain; charset=utf-8",
    ClientKind.SING_BOX: "application/json",
    ClientKind.MIHOMO: "application/yaml; charset=utf-8",
    ClientKind.XRAY: "application/json",
    ClientKind.AMNEZIA: "text/plain; charset=utf-8",
}


def routes(app: App) -> APIRouter:
    """Return `/s/SECRET`."""
    router = APIRouter(include_in_schema=False)
    buckets = TokenBuckets(PER_SECOND, BURST)

    @router.get(f"{link_address.PATH}{{secret}}")
    def fetch(secret: str, request: Request, format: str = "") -> Response:
        if previews(request.headers.get("user-agent", "")):
            raise problems.Refusal(problems.MISSING, "this link is for apps")
        owner = link_address.owner(app, secret)
        if owner is None:
            raise problems.Refusal(problems.MISSING, "this link leads nowhere (any more)", "ask for a new one")
        buckets.take(owner.id)
        form = format or kind(request.headers.get("user-agent", ""))
        found = link.written(app, owner.name, form)
        _note(app, found)
        headers = _headers(app, owner, ended=found.ended is not None)
        return Response(found.text.reveal(), media_type=TYPES[ClientKind(form)], headers=headers)

    return router


def _note(app: App, found: link.Link) -> None:
    """Note that the devices were handed out; once a day, for apps come often."""
    today = app.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    fresh = [each.peer.id for each in found.peers if not _has(each, today)]
    if fresh:
        with contextlib.suppress(Busy, StateTrouble):  # an app gets its devices although nothing can be noted now
            peers.delivered(app, fresh, "link")


def _has(issued: Issued, today: datetime) -> bool:
    """Return whether it is noted that somebody has this device as it is now."""
    at, changed = issued.peer.delivered_at, issued.endpoint.clients_changed_at
    return at is not None and at >= today and (changed is None or at >= changed)


def _headers(app: App, owner: User, *, ended: bool) -> dict[str, str]:
    with app.store.read() as tx:
        seen = mine.overview(tx, app.clock(), owner)
    words = Words(owner.locale, persian=app.settings.persian)
    headers = {
        "Profile-Title": _title(seen.plan or owner.name),
        "Profile-Update-Interval": str(EVERY_ENDED if ended else EVERY),
        "Subscription-Userinfo": _userinfo(seen.used, seen.traffic, seen.until),
        "Content-Disposition": f'attachment; filename="{owner.name}"',
    }
    if app.settings.support_contact:
        headers["Support-Url"] = quote(app.settings.support_contact, safe=_URL_LETTERS)
    if ended and seen.reason is not None:
        headers["Announce"] = _title(str(why(words, seen.reason)))
    return headers


def _title(text: str) -> str:
    return text if text.isascii() and text.isprintable() else f"base64:{base64.b64encode(text.encode()).decode()}"


def _userinfo(used: int, traffic: int | None, until: datetime | None) -> str:
    parts = ["upload=0", f"download={used}", f"total={traffic or 0}"]
    return "; ".join(parts + ([f"expire={int(until.timestamp())}"] if until else []))
