"""People's links over HTTP: the form that fits the app, its headers, rotation, ends, and nothing kept of who asks."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from tests.support.website import serving
from vpnctl.actions.fleet.settle import settle
from vpnctl.actions.people import link_address, peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.errors import Busy, Conflict
from vpnctl.rules.agents import kind
from vpnctl.store import models
from vpnctl.web import links

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/web/agents.yaml").read_text())


@pytest.fixture
def anna(site, serve):
    """Somebody with a device, and the path of her link."""
    node = serve()
    users.add(site.app, ["anna"])
    peers.add(site.app, [Wanted("anna", "phone")])
    settle(site.app, [node.id])
    return path(site)


def path(site, name="anna", **how):
    return link_address.address(site.app, name, **how).url.reveal().removeprefix(site.app.settings.web_url)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["agent"][:20])
def test_each_app_gets_the_form_that_it_reads(case):
    assert kind(case["agent"]) == case["form"]


def test_an_app_gets_the_devices(site, anna):
    answer = site.client.get(anna, headers={"User-Agent": "sing-box 1.13.2"})
    assert answer.headers["content-type"] == "application/json"
    assert [each["type"] for each in json.loads(answer.text)["endpoints"]] == ["wireguard"]
    whole = yaml.safe_load(site.client.get(anna, headers={"User-Agent": "mihomo/1.19"}).text)
    assert [each["type"] for each in whole["proxies"]] == ["wireguard"]


def test_the_form_can_be_named(site, anna, problem):
    answer = site.client.get(anna, params={"format": "mihomo"}, headers={"User-Agent": "v2rayNG/1.10"})
    assert "proxies" in yaml.safe_load(answer.text)
    problem(site.client.get(anna, params={"format": "../../etc"}), 422)


def test_its_headers_are_those_that_apps_look_for(site, anna):
    headers = site.client.get(anna).headers
    assert headers["profile-title"] == "anna"
    assert headers["profile-update-interval"] == "12"
    assert headers["subscription-userinfo"] == "upload=0; download=0; total=0"
    assert headers["cache-control"] == "no-store"


def test_a_contact_in_other_letters_is_written_as_addresses_are(app, serve):
    users.add(app, ["anna"])
    with serving(app, support_contact="https://t.me/help?text=Привет") as site:
        assert site.client.get(path(site)).headers["support-url"].startswith("https://t.me/help?text=%D0%9F")


def test_who_has_no_access_reads_why_and_may_ask_again_soon(site, anna):
    users.block(site.app, "anna")
    answer = site.client.get(anna)
    assert answer.status_code == 200
    assert b"#You%20have%20no%20access%20now." in base64.b64decode(answer.text)
    assert answer.headers["profile-update-interval"] == "1"
    assert answer.headers["announce"] == "You have no access now."


def test_a_reason_in_other_letters_is_packed(site, anna):
    users.change(site.app, "anna", {"locale": "ru"})
    users.block(site.app, "anna")
    said = site.client.get(anna).headers["announce"]
    assert base64.b64decode(said.removeprefix("base64:")).decode() == "Сейчас у вас нет доступа."


def test_a_rotated_link_leads_nowhere(site, anna, problem):
    fresh = path(site, rotate=True)
    assert fresh != anna
    problem(site.client.get(anna), 404)
    assert site.client.get(fresh).status_code == 200
    assert path(site) == fresh, "it stays the same until it is rotated again"


def test_a_removed_persons_link_leads_nowhere(site, anna, problem):
    users.remove(site.app, "anna")
    problem(site.client.get(anna), 404)


def test_who_asks_all_the_time_has_to_wait(site, anna, problem, monkeypatch):
    for _ in range(links.BURST):
        assert site.client.get(anna).status_code == 200
    answer = site.client.get(anna)
    problem(answer, 429)
    assert int(answer.headers["retry-after"]) > 1


def test_a_fetched_device_counts_as_delivered(site, anna):
    site.client.get(anna, headers={"User-Agent": "sing-box 1.13"})
    with site.app.store.read() as tx:
        assert tx.execute(sa.select(models.peer.c.delivered_how)).scalar() == "link"


def test_a_new_port_is_noted_with_the_first_fetch_after_it(site, anna, serve, clock):
    site.client.get(anna, params={"format": "sing-box"})
    clock.forward(hours=1)
    with site.app.store.write() as tx:
        tx.execute(sa.update(models.endpoint).values(clients_changed_at=clock()))
    clock.forward(hours=1)
    site.client.get(anna, params={"format": "sing-box"})
    with site.app.store.read() as tx:
        assert tx.execute(sa.select(models.peer.c.delivered_at)).scalar() == clock()


@pytest.mark.parametrize("agent", ["TelegramBot (like TwitterBot)", "WhatsApp/2.23", "facebookexternalhit/1.1"])
def test_who_previews_links_in_chats_gets_no_device(site, anna, problem, agent):
    problem(site.client.get(anna, headers={"User-Agent": agent}), 404)
    with site.app.store.read() as tx:
        assert tx.execute(sa.select(models.peer.c.delivered_at)).scalar() is None


def test_an_app_gets_its_devices_while_nothing_can_be_written(site, anna, monkeypatch):
    def busy(_self):
        raise Busy("the database is locked")

    monkeypatch.setattr(type(site.app.store), "write", busy)
    assert site.client.get(anna).status_code == 200


def test_neither_the_secret_nor_who_asks_is_kept(site, anna, settings):
    site.client.get(anna, headers={"User-Agent": "SpecialAgent/7", "X-Forwarded-For": "198.51.100.77"})
    with sqlite3.connect(settings.sqlite_path) as base:
        dump = "\n".join(base.iterdump())
    secret = anna.removeprefix("/s/")
    assert secret not in dump
    assert "SpecialAgent" not in dump and "198.51.100.77" not in dump
    assert secret not in "".join(site.log)


def test_without_an_address_on_the_web_there_is_no_link(app):
    users.add(app, ["anna"])
    with pytest.raises(Conflict, match="no address on the web"):
        link_address.address(app, "anna")


def test_the_command_prints_and_rotates_it(service, monkeypatch):
    monkeypatch.setenv("VPNCTL_WEB_URL", "https://vpn.example.org")
    service("user", "add", "anna")
    first = service("user", "link", "anna", "--url")
    assert first.out.startswith("https://vpn.example.org/s/")
    assert service("user", "link", "anna", "--url").out == first.out
    refused = service("user", "link", "anna", "--rotate")
    assert refused.code == 6
    turned = service("user", "link", "anna", "--rotate", "--yes", "--json")
    assert turned.json["rotated"] is True
    assert turned.json["url"] != first.out.strip()
