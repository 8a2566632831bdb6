"""Keys to the API: shown once, kept as a hash, with scopes, an end, and a limit of their own."""

from __future__ import annotations

import hashlib
import sqlite3

import pytest

from tests.support.website import serving
from vpnctl.actions.service import apikeys
from vpnctl.errors import Conflict, InvalidInput, NotFound
from vpnctl.web import access

WRITES = [("POST", "/users", {"name": "x"}), ("DELETE", "/users/anna", None), ("POST", "/nodes/fi/drain", None),
          ("POST", "/users/anna/trial", None), ("POST", "/orders/1/accept", None), ("POST", "/users/anna/link/rotate", None)]  # fmt: skip


def test_a_key_opens_what_its_scopes_name(site, problem):
    api = site.api("read")
    assert api.get("/users").status_code == 200
    for method, path, body in WRITES:
        problem(api.request(method, path, json=body), 403, "no scope")
    problem(api.get("/users/anna/link"), 403)
    problem(site.client.get("/metrics", headers=api.headers), 403)


def test_a_key_to_figures_reads_nothing_else(site, problem):
    api = site.api("metrics")
    assert site.client.get("/metrics", headers=api.headers).status_code == 200
    problem(api.get("/users"), 403)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic dXNlcjpwYXNz", "Bearer vpnctl_" + "A" * 43, "Bearer vpnctl_" + "ä" * 43]
)
def test_what_is_no_key_opens_nothing(site, problem, header):
    answer = site.client.get("/api/v1/users", headers={"Authorization": header.encode()})
    problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_revoked_key_ends_at_once(site, problem):
    api = site.api("read")
    assert api.get("/users").status_code == 200
    apikeys.revoke(site.app, "ops")
    problem(api.get("/users"), 401)


def test_a_key_ends_on_its_day(site, clock, problem):
    key = site.key("read", days=30)
    headers = {"Authorization": f"Bearer {key}"}
    clock.forward(days=29)
    assert site.client.get("/api/v1/users", headers=headers).status_code == 200
    clock.forward(days=1)
    problem(site.client.get("/api/v1/users", headers=headers), 401)


def test_only_a_hash_of_it_is_kept(site, settings):
    key = site.key("read")
    site.client.get("/api/v1/users", headers={"Authorization": f"Bearer {key}"})
    with sqlite3.connect(settings.sqlite_path) as base:
        dump = "\n".join(base.iterdump())
    assert key not in dump
    assert hashlib.sha256(key.encode()).hexdigest() in dump
    assert key not in "".join(site.log)


def test_a_key_that_asks_without_end_has_to_wait(app, problem, monkeypatch):
    monkeypatch.setattr(access, "BURST", 5)
    monkeypatch.setattr(access, "PER_SECOND", 0.01)
    with serving(app) as site:
        api = site.api("read")
        assert [api.get("/plans").status_code for _ in range(7)] == [200] * 5 + [429] * 2
        assert site.api("read", name="other").get("/plans").status_code == 200, "others do not wait with it"


def test_two_keys_of_one_name_cannot_live_together(app):
    apikeys.add(app, "ops", ["read"], None)
    with pytest.raises(Conflict, match="there is a key ops already"):
        apikeys.add(app, "ops", ["read"], None)
    apikeys.revoke(app, "ops")
    apikeys.add(app, "ops", ["people"], None)
    with pytest.raises(NotFound):
        apikeys.revoke(app, "nobody")


@pytest.mark.parametrize("words", [[], ["root"], ["read", "READ "], [""]])
def test_scopes_are_words_that_exist(app, words):
    with pytest.raises(InvalidInput):
        apikeys.add(app, "ops", words, None)


def test_the_commands(service):
    made = service("apikey", "add", "ops", "--scope", "read,people", "--days", "3", "--json").json
    assert made["scopes"] == ["read", "people"]
    assert made["key"].startswith("vpnctl_")
    assert [each["state"] for each in service("apikey", "list", "--json").json] == ["active"]
    assert service("apikey", "revoke", "ops").code == 0
    assert service("apikey", "list", "--json").json == []
    assert [each["state"] for each in service("apikey", "list", "--ended", "--json").json] == ["revoked"]
    assert service("apikey", "add", "x", "--scope", "root").code == 2
