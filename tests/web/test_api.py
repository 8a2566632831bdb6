"""The admin API: lists in pages, changes that were seen on nodes, runs to follow, and each request done once."""

from __future__ import annotations

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.web.api.shapes import packed

NOBODY = "00000000-0000-0000-0000-000000000000"
PLANS = "plans: [{name: month, days: 30, prices: {EUR: 500}}, {name: trial, days: 3, trial: true}]"


def every(api, path, **query):
    """Return all rows of a list, page by page."""
    rows, after = [], ""
    while True:
        body = api.get(path, params={"limit": 3} | ({"after": after} if after else {}) | query).json()
        assert len(body["items"]) <= 3
        rows += body["items"]
        if body["next"] is None:
            return rows
        after = body["next"]


@pytest.fixture
def api(site):
    with site.api() as made:
        yield made


def test_people_come_in_pages(site, api):
    users.add(site.app, [f"user{number:02}" for number in range(10)])
    assert [each["name"] for each in every(api, "/users")] == [f"user{number:02}" for number in range(10)]
    assert [each["name"] for each in every(api, "/users", search="user0")] == [f"user0{number}" for number in range(10)]


def test_devices_come_in_pages_and_by_filter(site, api, serve):
    serve("fi")
    serve("nl")
    users.add(site.app, ["anna", "bob"])
    wanted = [
        Wanted(who, f"d{number}{node}", node) for who in ("anna", "bob") for number in range(4) for node in ("fi", "nl")
    ]
    peers.add(site.app, wanted)
    rows = every(api, "/peers")
    assert len(rows) == len({each["id"] for each in rows}) == 16
    assert {each["user"] for each in every(api, "/peers", user="anna", node="fi")} == {"anna"}
    assert len(every(api, "/peers", user="anna", node="fi")) == 4


def test_events_are_followed_by_their_number(site, api):
    users.add(site.app, ["anna", "bob", "carl", "dora"])
    rows = every(api, "/events", verb="user.")
    assert [each["subject"] for each in rows] == ["anna", "bob", "carl", "dora"]
    last = rows[-1]["seq"]
    users.block(site.app, "anna")
    assert [each["verb"] for each in every(api, "/events", after=str(last))] == ["user.block"]


@pytest.mark.parametrize(
    "path",
    [
        "/status",
        "/nodes",
        "/plans",
        "/subscriptions",
        "/orders",
        "/payments",
        "/jobs",
        "/requests",
        "/notices",
        "/jobs/health/runs",
    ],
)
def test_every_list_can_be_read(api, path):
    assert api.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/nodes/nobody",
        "/users/nobody",
        f"/peers/{NOBODY}",
        "/jobs/nobody/runs",
        f"/runs/{NOBODY}",
        f"/peers/{NOBODY}/config",
        "/nodes/nobody/endpoints",
    ],
)
def test_what_is_not_there_is_said(api, problem, path):
    problem(api.get(path), 422 if path.startswith("/jobs") else 404)


def test_a_cursor_of_somebody_else_is_refused(api, problem):
    far = [packed("a", "b", when, "x") for when in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")]
    for cursor in ("x", "eA", "YQpiCmMKZA", packed("a\0", "b", "2027-01-01T00:00:00+00:00", "x"), *far):
        problem(api.get("/peers", params={"after": cursor}), 422, "no cursor")


@pytest.mark.parametrize("path", ["/users?search", "/peers?user", "/events?subject", "/orders?user", "/payments?user"])
def test_a_filter_with_a_nul_is_refused(api, problem, path):
    problem(api.get(f"{path}=%00"), 422)


def test_a_device_is_added_seen_handed_out_and_cut(site, api, serve, at_work):
    node = serve("fi")
    assert api.post("/users", json={"name": "anna"}).json()["settled"] is True
    made = api.post("/users/anna/peers", json={"device": "phone"})
    assert (made.status_code, made.json()["settled"]) == (200, True), made.text
    row = made.json()["result"]
    assert row["state"] == "active", "as it was observed, not as it was saved"
    assert row["public_key"] in node.fake.live_keys()
    config = api.get(f"/peers/{row['id']}/config").json()
    assert config["config"].startswith("[Interface]")
    suspended = api.post(f"/peers/{row['id']}/suspend").json()
    assert suspended["settled"] is True
    assert row["public_key"] not in node.fake.live_keys()
    api.post(f"/peers/{row['id']}/resume")
    assert row["public_key"] in node.fake.live_keys()
    fresh = api.post(f"/peers/{row['id']}/regen", json={}).json()["result"]
    assert node.fake.live_keys() >= {fresh["public_key"]}
    assert row["public_key"] not in node.fake.live_keys()
    gone = api.delete(f"/peers/{fresh['id']}").json()
    assert gone["settled"] is True
    assert gone["result"]["state"] == "revoked"
    assert fresh["public_key"] not in node.fake.live_keys()


def test_who_did_it_stands_in_the_audit(site, api):
    api.post("/users", json={"name": "anna"})
    last = api.get("/events").json()["items"][-1]
    assert (last["actor"], last["verb"]) == ("api:ops", "user.add")


def test_a_node_that_is_down_leaves_a_run_to_follow(site, api, serve, at_work, problem):
    node = serve("fi")
    users.add(site.app, ["anna"])
    node.fake.down = True
    made = api.post("/users/anna/peers", params={"wait": 0}, json={})
    assert made.status_code == 202
    body = made.json()
    assert [each["node"] for each in body["pending"]] == ["fi"]
    follow = made.headers["location"].removeprefix("/api/v1")
    assert api.get(follow).status_code == 202
    node.fake.down = False
    done = api.get(follow, params={"wait": 20})
    assert (done.status_code, done.json()["settled"]) == (200, True)
    other = site.api("read", "people", name="other")
    problem(other.get(follow), 404)


def test_a_request_that_is_sent_again_is_done_once(api):
    once = {"Idempotency-Key": "order-77"}
    first = api.post("/users", json={"name": "anna"}, headers=once)
    again = api.post("/users", json={"name": "anna"}, headers=once)
    assert first.json()["run"] == again.json()["run"]
    assert first.json()["result"] == again.json()["result"]
    assert len(api.get("/users").json()["items"]) == 1


def test_the_same_idempotency_key_for_something_else_is_refused(api, problem):
    once = {"Idempotency-Key": "order-77"}
    api.post("/users", json={"name": "anna"}, headers=once)
    problem(api.post("/users", json={"name": "bob"}, headers=once), 409, "another request")
    problem(api.post("/users", json={"name": "carl"}, headers={"Idempotency-Key": "x" * 81}), 422)


def test_an_erased_person_leaves_nothing_in_what_was_answered(site, api, settings):
    api.post("/users", json={"name": "zerlina", "display_name": "Zerlina Q", "telegram_id": 555111222})
    api.patch("/users/zerlina", json={"note": "owes a cake"})
    api.delete("/users/zerlina", params={"erase": True})
    with sqlite3.connect(settings.sqlite_path) as base:
        dump = "\n".join(base.iterdump())
    assert not [each for each in ("zerlina", "Zerlina", "555111222", "cake") if each in dump]


def test_null_is_no_value(api, problem):
    api.post("/users", json={"name": "anna", "note": "old"})
    problem(api.patch("/users/anna", json={"note": None}), 422)
    assert api.patch("/users/anna", json={"note": ""}).json()["result"]["note"] == ""


def test_who_read_a_secret_stands_in_the_audit(site, api, serve):
    serve("fi")
    users.add(site.app, ["anna"])
    row = api.post("/users/anna/peers", params={"wait": 0}, json={}).json()["result"]
    api.get(f"/peers/{row['id']}/config")
    api.get("/users/anna/link")
    found = [(each["verb"], each["actor"]) for each in api.get("/events").json()["items"]]
    assert {("config.read", "api:ops"), ("link.add", "api:ops"), ("link.read", "api:ops")} <= set(found)


def test_who_waits_too_much_is_told_at_once_how_it_stands(site, serve):
    node = serve("fi")
    users.add(site.app, ["anna"])
    node.fake.down = True
    api = site.api()
    run = api.post("/users/anna/peers", params={"wait": 0}, json={}).headers["location"]

    def follow(_number):
        begun = time.monotonic()
        answer = httpx.get(f"{site.url}{run}", params={"wait": 6}, headers=api.headers, timeout=60)
        return answer.status_code, time.monotonic() - begun < 4

    with ThreadPoolExecutor(24) as pool:
        found = list(pool.map(follow, range(24)))
    assert {status for status, _ in found} == {202}
    assert sum(soon for _, soon in found) >= 24 - 16
    assert sum(not soon for _, soon in found) >= 1


def test_the_query_is_a_part_of_the_request(api, problem):
    api.post("/users", json={"name": "anna"})
    once = {"Idempotency-Key": "gone"}
    assert api.delete("/users/anna", params={"wait": 0}, headers=once).status_code == 200
    assert api.delete("/users/anna", params={"wait": 1}, headers=once).status_code == 200, "how long to wait is not"
    problem(api.delete("/users/anna", params={"erase": True}, headers=once), 409, "another request")


def test_what_failed_may_be_sent_again(api, problem):
    once = {"Idempotency-Key": "order-77"}
    problem(api.post("/users/anna/block", headers=once), 404)
    api.post("/users", json={"name": "anna"})
    assert api.post("/users/anna/block", headers=once).status_code == 200


def test_sent_sixteen_times_at_once_it_is_done_once(site, api):
    headers = dict(api.headers) | {"idempotency-key": "same"}

    def send(_number):
        return httpx.post(f"{site.url}/api/v1/users", json={"name": "anna"}, headers=headers, timeout=60)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16)))
    assert {each.status_code for each in answers} == {200}
    assert len({each.json()["run"] for each in answers}) == 1


def test_no_secret_stands_in_a_kept_answer(site, api, serve, settings):
    serve("fi")
    users.add(site.app, ["anna"])
    row = api.post("/users/anna/peers", params={"wait": 0}, json={}).json()["result"]
    text = api.get(f"/peers/{row['id']}/config").json()["config"]
    private = next(line.partition("= ")[2] for line in text.splitlines() if line.startswith("PrivateKey"))
    with sqlite3.connect(settings.sqlite_path) as base:
        assert private not in "\n".join(base.iterdump())


def test_access_is_granted_extended_and_ended(site, api):
    inventory.apply(site.app, *parse(PLANS, "plans"))
    api.post("/users", json={"name": "anna"})
    assert api.post("/users/anna/trial").status_code == 200
    granted = api.post("/users/anna/subscriptions", json={"plan": "month"}).json()["result"]
    assert {each["plan"] for each in granted} == {"trial", "month"}
    longer = api.post("/users/anna/subscriptions/extend", json={"days": 7}).json()["result"]
    assert len(longer) == len(granted) + 1
    ended = api.delete("/users/anna/subscriptions").json()["result"]
    assert {each["state"] for each in ended} <= {"cancelled", "converted", "expired"}
    assert api.get("/subscriptions", params={"state": ["cancelled"], "user": "anna"}).json()


def test_a_node_is_drained_changed_and_looked_at_again(site, api, serve, at_work):
    serve("fi")
    assert api.post("/nodes/fi/drain").json()["result"]["state"] == "draining"
    assert api.post("/nodes/fi/undrain").json()["result"]["state"] == "settled"
    assert api.patch("/nodes/fi", json={"region": "Helsinki"}).json()["result"]["region"] == "Helsinki"
    done = api.post("/nodes/fi/sync")
    assert (done.status_code, done.json()["settled"]) == (200, True)


def test_people_are_moved(site, api, serve, at_work):
    serve("fi")
    target = serve("nl")
    api.post("/users", json={"name": "anna"})
    api.post("/users/anna/peers", json={"node": "fi"})
    moved = api.post("/users/anna/migrate", json={"to": "nl"}).json()
    assert (moved["settled"], [each["node"] for each in moved["result"]]) == (True, ["nl"])
    assert moved["result"][0]["public_key"] in target.fake.live_keys()


def test_a_person_is_removed(site, api, serve, at_work):
    node = serve("fi")
    api.post("/users", json={"name": "anna"})
    api.post("/users/anna/peers", json={})
    assert api.delete("/users/anna", params={"erase": True}).json()["settled"] is True
    assert node.fake.live_keys() == set()
    assert api.get("/users").json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        json.dumps({"name": "a" * 40}),
        json.dumps({"name": "x\n"}),
        json.dumps({"name": "ok", "telegram_id": 1e30}),
    ],
)
def test_a_body_that_is_none_is_refused_without_repeating_it(api, problem, body):
    answer = api.post("/users", content=body, headers={"Content-Type": "application/json"})
    assert problem(answer, 422)["exit_code"] == 2
    assert "a" * 40 not in answer.text
