"""Talking to a panel: logging in, and what its answers mean. Nothing that it says is quoted: it may hold secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from vpnctl.errors import NodeFailed
from vpnctl.protocols.panel import inbounds
from vpnctl.protocols.panel.inbounds import Inbound
from vpnctl.protocols.panel.orders import LIST, PanelRequest
from vpnctl.remote.panel.door import Access, Cut, Door, Exchanged, Guard, Reply, Sent

_OK = 200
_AJAX = {"X-Requested-With": "XMLHttpRequest", "Accept": "application/json"}
"""Without the first one, older panels answer with a redirect, and newer ones as if nothing were there."""
OTHER_API = (404, 405)
"""What answers a request that this generation of the panel does not know."""
_LOCKED_OUT = (401, 403, 404, *range(300, 400))


@dataclass(frozen=True)
class PanelSaid:
    """The answers of a panel, decoded: True where it took a request; and what its list says at the end."""

    exchanged: Exchanged
    taken: Sequence[bool]
    found: Sequence[Inbound]
    whole: bool = True
    """False: it was ended before the list was read."""


class Api:
    """One panel. It logs in when that is first needed, once; no session is kept anywhere."""

    def __init__(self, door: Door, access: Access, node: str) -> None:
        self._door, self._access, self._node = door, access, node
        self._headers: dict[str, str] | None = None

    def inbounds(self) -> PanelSaid:
        """Return what the panel lists. Raises Unreachable, or NodeFailed with what to do."""
        return self.tell([])

    def tell(
        self,
        requests: Sequence[PanelRequest],
        guard: Guard | None = None,
        still: Callable[[], bool] = lambda: True,
        cuts: Sequence[Cut] = (),
    ) -> PanelSaid:
        """Send requests, end connections, then read the list. What was not taken is in the answer.

        Raises NodeFailed for a list that is none.
        """
        exchanged = self.ask([*requests, LIST], guard, still, cuts)
        if exchanged.refused or len(exchanged.replies) <= len(requests):
            return PanelSaid(exchanged, (), (), whole=False)
        *written, listed = exchanged.replies
        try:
            found = inbounds.read(self._object(listed))
        except (ValueError, RecursionError):
            raise self._odd("its list of inbounds is none that vpnctl knows") from None
        return PanelSaid(exchanged, [_body(each).get("success") is True for each in written], found)

    def ask(
        self,
        requests: Sequence[PanelRequest],
        guard: Guard | None = None,
        still: Callable[[], bool] = lambda: True,
        cuts: Sequence[Cut] = (),
    ) -> Exchanged:
        """Send requests as they are."""
        headers = self._logged_in()
        return self._door.send([self._message(each, headers) for each in requests], guard, still, cuts)

    def record(self, reply: Reply) -> Mapping[str, Any]:
        """Return the object in an answer; empty where there is none."""
        found = _body(reply).get("obj")
        return found if isinstance(found, dict) else {}

    def _object(self, reply: Reply) -> Any:
        body = _body(reply)
        self._refuse_silence(reply)
        if reply.status in _LOCKED_OUT:
            raise NodeFailed(
                f"{self._node}: the panel lets us in nowhere (HTTP {reply.status}): its path or our token is wrong",
                f"vpnctl node panel {self._node} URL --token-stdin   or with a name: "
                f"vpnctl node panel {self._node} URL --username NAME --password-stdin",
            )
        if reply.status != _OK or not body:
            raise self._odd(f"it does not answer as a panel does (HTTP {reply.status})")
        if body.get("success") is not True:
            raise self._odd("it could not say which inbounds it has")
        return body.get("obj")

    def _refuse_silence(self, reply: Reply) -> None:
        if reply.status == 0:
            raise NodeFailed(
                f"{self._node}: nothing answers where its panel should be",
                f"on the server: x-ui status; or another address: vpnctl node panel {self._node} URL",
            )

    def _logged_in(self) -> dict[str, str]:
        if self._headers is None:
            own, login = self._access, self._access.login
            bearer = {"Authorization": f"Bearer {own.secret.reveal()}"}
            self._headers = {**_AJAX, **(self._log_in() if login else bearer)}
        return self._headers

    def _log_in(self) -> dict[str, str]:
        """Return the headers of a session. From 3.0 on every request of one carries a second secret."""
        first = self._fetch("csrf-token", {})
        cookies = dict(first.cookies)
        marks = _mark(first)
        form = {"username": self._access.login, "password": self._access.secret.reveal()}
        body = urlencode(form).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        message = Sent(f"{self._access.url}/login", {**_AJAX, **kind, **marks, **_jar(cookies)}, body)
        reply = self._one(message)
        cookies |= reply.cookies
        self._refuse_silence(reply)
        if _body(reply).get("success") is not True or not cookies:
            raise NodeFailed(
                f"{self._node}: the panel does not let {self._access.login} log in",
                f"try again: vpnctl node panel {self._node} --username NAME --password-stdin   where it wants a second "
                f"factor, make a token there: vpnctl node panel {self._node} --token-stdin",
            )
        if marks:
            second = self._fetch("csrf-token", _jar(cookies))
            marks, cookies = _mark(second), cookies | dict(second.cookies)
        return {**marks, **_jar(cookies)}

    def _fetch(self, path: str, headers: Mapping[str, str]) -> Reply:
        return self._one(Sent(f"{self._access.url}/{path}", {**_AJAX, **headers}))

    def _one(self, message: Sent) -> Reply:
        return self._door.send([message]).replies[0]

    def _message(self, request: PanelRequest, headers: Mapping[str, str]) -> Sent:
        url = f"{self._access.url}/{request.path}"
        if request.body is None:
            return Sent(url, headers)
        return Sent(url, {**headers, "Content-Type": "application/json"}, json.dumps(request.body).encode())

    def _odd(self, what: str) -> NodeFailed:
        return NodeFailed(f"{self._node}: {what}", f"vpnctl node panel {self._node}")


def _body(reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _mark(reply: Reply) -> dict[str, str]:
    token = _body(reply).get("obj") if reply.status == _OK else None
    if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
        return {}
    return {"X-CSRF-Token": token}


def _jar(cookies: Mapping[str, str]) -> dict[str, str]:
    pairs = (f"{name}={value}" for name, value in cookies.items())
    good = [each for each in pairs if each.isascii() and each.isprintable()]
    return {"Cookie": "; ".join(good)} if good else {}
