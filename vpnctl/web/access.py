"""Who may use the API: a key in the `Authorization` header, and what it may do."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from vpnctl.actions.service import apikeys
from vpnctl.app import App
from vpnctl.rules.scopes import Scope
from vpnctl.store.serving_rows import ApiKey
from vpnctl.web import problems
from vpnctl.web.rate_limit import TokenBuckets, Waiters

PER_SECOND, BURST = 100, 200
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class KeyCheck:
    """Lets keys in."""

    def __init__(self, app: App, stop: threading.Event) -> None:
        self.app = app
        self._pace = TokenBuckets(PER_SECOND, BURST)
        self.waiters = Waiters(stop)

    def enter(self, request: Request, *scopes: Scope) -> ApiKey:
        """Return the key of a request that has all these scopes. Raises Refusal: 401, 403 or 429."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        key = apikeys.valid(self.app, text.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise problems.Refusal(
                problems.UNAUTHORIZED, "no key, or one that is not valid (any more)", "vpnctl apikey add", _CHALLENGE
            )
        self._pace.take(key.id)
        request.state.key_name = key.name
        missing = [each for each in scopes if each not in key.scopes]
        if missing:
            what = f"the key {key.name} has no scope {', '.join(missing)}"
            raise problems.Refusal(problems.FORBIDDEN, what, "vpnctl apikey add NAME --scope …")
        return key


def key_check(request: Request) -> KeyCheck:
    """Return what lets keys in to the site that serves a request."""
    found = request.app.state.key_check
    assert isinstance(found, KeyCheck)  # noqa: S101 - `site` puts it there
    return found


def _app(request: Request) -> App:
    """The app in the name of the key that asks, as the audit is to have it."""
    name = getattr(request.state, "key_name", "")
    app = key_check(request).app
    return replace(app, actor=f"api:{name}", run_id=str(uuid.uuid4())) if name else app


Served = Annotated[App, Depends(_app)]
"""The app, as a route's parameter."""


def needs(*scopes: Scope) -> Callable[[Request], ApiKey]:
    """Return the dependency that lets in keys with all these scopes."""

    def entered(request: Request) -> ApiKey:
        return key_check(request).enter(request, *scopes)

    return entered
