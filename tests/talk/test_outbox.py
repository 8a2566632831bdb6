"""The outbox: reminders, rent, capacity, news; delivery at Telegram's pace to a loopback Bot API."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zoneinfo import ZoneInfo

import pytest

from vpnctl import jobs
from vpnctl.actions.fleet import clock as guard
from vpnctl.actions.fleet import nodes
from vpnctl.actions.people import users
from vpnctl.actions.talk import delivery
from vpnctl.remote import telegram
from vpnctl.remote.telegram import Fate
from vpnctl.rules.secret import Secret
from vpnctl.store import models, outbox
from vpnctl.store.outbox import TECH, Message
from vpnctl.store.rows import Notice, User
from vpnctl.texts import wording

TOKEN = "123456:" + "Abc-_9" * 6


class BotApi:
    """A Bot API on loopback that answers as it is told and remembers what was sent."""

    def __init__(self):
        self.sent, self.answers, self.paths = [], [], []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.paths.append(self.path)
                status, answer = api.answers.pop(0) if api.answers else (200, {"ok": True, "result": {"message_id": 1}})
                if status == 0:
                    self.connection.close()
                    return
                if status == 200:
                    api.sent.append((body["chat_id"], body["text"]))
                data = json.dumps(answer).encode() if isinstance(answer, dict) else answer
                self.send_response(status)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args):
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def api():
    made = BotApi()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def post(app, api):
    """The app with a bot."""
    known = replace(
        app.settings,
        bot_token=Secret(TOKEN),
        telegram_api_url=api.url,
        telegram_rate=1000,
        admin_ids=(11, 12),
        tech_chat_id=-99,
    )
    return replace(app, settings=known)


def waiting(app, **more):
    with app.store.read() as tx:
        rows = tx.all(Notice, order=models.notice.c.created_at)
    return [row for row in rows if all(getattr(row, key) == value for key, value in more.items())]


def enqueue(app, count=1, chat=TECH, to=-99, key="k", valid=None):
    with app.store.write() as tx:
        for number in range(count):
            message = Message(chat, "news", f"s{number}", key, {"text": f"hello {number}"}, to=to, valid_until=valid)
            outbox.enqueue(tx, [message], app.clock())


def test_what_is_enqueued_twice_is_there_once(post):
    enqueue(post)
    enqueue(post)
    assert len(waiting(post)) == 1


def test_the_outbox_is_sent_once(post, api):
    enqueue(post, 3)
    assert jobs.run(post, "notify").what == "3 sent"
    assert jobs.run(post, "notify").what == "nothing to send"
    assert sorted(api.sent) == [(-99, "hello 0"), (-99, "hello 1"), (-99, "hello 2")]
    assert api.paths[0] == f"/bot{TOKEN}/sendMessage"


def test_too_many_requests_stop_the_run_and_the_rest_waits_as_long_as_telegram_says(post, api, clock):
    enqueue(post, 3)
    api.answers = [
        (200, {"ok": True}),
        (429, {"ok": False, "description": "Too Many Requests", "parameters": {"retry_after": 30}}),
    ]
    jobs.run(post, "notify")
    assert len(api.sent) == 1
    clock.forward(seconds=29)
    jobs.run(post, "notify")
    assert len(api.sent) == 1, "nobody sends during the pause"
    clock.forward(seconds=2)
    jobs.run(post, "notify")
    assert sorted(text for _, text in api.sent) == ["hello 0", "hello 1", "hello 2"], "none lost, none twice"


def test_who_blocked_the_bot_is_noted_and_written_to_no_more(post, api):
    users.add(post, ["alice"], telegram_id=77)
    from vpnctl.actions.talk import news

    with post.store.read() as tx:
        people, missed = news.recipients(tx, [], ["alice"])
    assert (len(people), missed) == (1, 0)
    news.send(post, "maintenance", people)
    api.answers = [(403, {"ok": False, "description": "Forbidden: bot was blocked by the user"})]
    jobs.run(post, "notify")
    with post.store.read() as tx:
        assert tx.one(User).bot_blocked_at is not None
        assert news.recipients(tx, [], ["alice"]) == ([], 1)
    assert waiting(post)[0].failed_at is not None


@pytest.mark.parametrize(
    "answer", [(0, {}), (502, b"<html>bad gateway</html>"), (500, {"ok": False, "description": "oops"})]
)
def test_trouble_on_the_way_is_tried_again_later_and_longer_each_time(post, api, clock, answer):
    enqueue(post)
    api.answers = [answer] * 3
    for _ in range(4):
        jobs.run(post, "notify")
        clock.forward(seconds=300)
    assert len(api.sent) == 1
    assert waiting(post)[0].tries == 4


def test_what_telegram_will_never_take_fails_with_its_words(post, api):
    enqueue(post)
    api.answers = [(400, {"ok": False, "description": "Bad Request: chat not found"})]
    jobs.run(post, "notify")
    (row,) = waiting(post)
    assert (row.failed_at is not None, row.error) == (True, "Bad Request: chat not found")


def test_what_is_too_late_is_not_sent(post, api, clock):
    enqueue(post, valid=clock() + timedelta(hours=1))
    clock.forward(hours=2)
    jobs.run(post, "notify")
    assert api.sent == []
    assert waiting(post)[0].error == "too late to be of use"


def test_the_token_is_in_no_text(post, api):
    enqueue(post)
    api.answers = [(400, {"ok": False, "description": f"no such bot {TOKEN}"})]
    jobs.run(post, "notify")
    assert TOKEN not in waiting(post)[0].error
    assert TOKEN not in repr(post.settings)
    outcome = telegram.send(telegram.Account("http://127.0.0.1:9", Secret(TOKEN)), 1, "x")
    assert (outcome.fate, TOKEN in outcome.why) == (Fate.LATER, False)


def test_another_sender_at_work_is_left_alone_and_a_killed_one_is_followed_in_time(post, api, clock):
    enqueue(post)
    assert delivery._lease(post)
    assert "another sender" in jobs.run(post, "notify").what
    clock.forward(seconds=91)
    assert jobs.run(post, "notify").what == "1 sent"


def test_without_a_token_nothing_is_sent_and_that_is_said(app):
    enqueue(app)
    assert "set bot_token" in jobs.run(app, "notify").what


def test_without_a_recipient_a_message_fails_and_says_what_to_set(post, app):
    bare = replace(post, settings=replace(post.settings, admin_ids=(), tech_chat_id=0))
    jobs.failed(bare, "sync")
    jobs.run(bare, "notify")
    assert waiting(bare)[0].error == "nobody is named: set admin_ids"


def test_a_failed_timer_is_told_once_an_hour_to_the_technical_chat(post, api, clock):
    for _ in range(3):
        jobs.failed(post, "expire")
    assert len(waiting(post)) == 1
    clock.forward(hours=1)
    jobs.failed(post, "expire")
    jobs.run(post, "notify")
    assert [chat for chat, _ in api.sent] == [-99, -99]
    assert "vpnctl jobs history expire" in api.sent[0][1]


def test_rent_and_capacity_are_told_to_every_admin_once(post, serve, clock, api):
    serve()
    due = (clock() + timedelta(days=6)).date()
    nodes.change(post, "fi", {"rent_due": due.isoformat(), "capacity": 4})
    users.add(post, [f"u{number}" for number in range(4)])
    from vpnctl.actions.people import peers
    from vpnctl.actions.people.issue import Wanted

    peers.add(post, [Wanted(f"u{number}") for number in range(4)])
    for _ in range(2):
        jobs.run(post, "remind")
    jobs.run(post, "notify")
    assert sorted(api.sent) == sorted(
        (admin, text)
        for admin in (11, 12)
        for text in (f"Rent of fi is due on {due} (6 days).", "fi has 4 peers; its capacity is 4.")
    )
    clock.forward(days=4)
    jobs.run(post, "remind")
    assert [row.key.split("#")[0] for row in waiting(post, kind="rent")] == [f"{due}:7"] * 2 + [f"{due}:3"] * 2


def test_news_go_to_the_users_of_a_node_once_a_day(service, app, clock):
    service("user", "add", "alice", "--telegram-id", "5")
    service("user", "add", "bob")
    service("user", "add", "cyd", "--telegram-id", "6")
    service("peer", "add", "alice", "bob", "--node", "fi")
    run = service("notice", "send", "Maintenance at 10", "--node", "fi", "--dry-run", "--json")
    assert (run.json["people"], run.json["missed"]) == (1, 1)
    assert service("notice", "send", "Maintenance at 10", "--node", "fi", "--yes", "--json").json["people"] == 1
    assert service("notice", "send", "Maintenance at 10", "--node", "fi", "--yes", "--json").json["people"] == 0
    assert service("notice", "send", "Hi", "--all", "--yes", "--json").json["people"] == 2
    assert service("notice", "send", "Hi").code == 2
    assert service("notice", "send", "a\x1bb", "--all", "--yes").code == 2
    texts = sorted(row["text"] for row in service("notice", "list", "--json").json)
    assert texts == ["Hi", "Hi", "Maintenance at 10"]
    assert service("notice", "list", "--state", "gone").code == 2


def test_the_dead_mans_switch_is_told_of_good_runs_only(app, api, monkeypatch):
    beats = []
    monkeypatch.setattr("vpnctl.remote.http.beat", beats.append)
    watched = replace(app, settings=replace(app.settings, heartbeat_url="http://127.0.0.1:1/x"))
    guard.note(watched)
    jobs.run(watched, "prune")
    assert beats == ["http://127.0.0.1:1/x"]
    monkeypatch.setattr("vpnctl.jobs.prune.run", lambda *_: jobs.Report("prune", 9, "bad"))
    jobs.run(watched, "prune")
    assert len(beats) == 1


def test_a_switch_that_cannot_be_reached_breaks_no_job():
    from vpnctl.remote import http

    http.beat("http://127.0.0.1:9/x")


def test_texts_name_the_zone_and_merge_lines():
    zone = ZoneInfo("Europe/Moscow")
    details = {"plan": "month", "source": "grant", "ends_at": "2027-02-14T21:00:00+00:00"}
    assert wording.text("ending", details, zone) == "Your subscription (month) ends at 15 Feb 2027, 00:00 MSK."
    assert "trial" in wording.text("ending", details | {"source": "trial"}, zone)
    lines = {"lines": [f"n{number} is down" for number in range(100)]}
    assert wording.text("health", lines, zone).splitlines()[-1] == "and 60 more"
    assert len(wording.text("health", lines, zone).splitlines()) == 41


def test_old_messages_runs_days_and_measurements_are_forgotten_and_the_rest_stays(app, clock):
    import sqlalchemy as sa

    enqueue(app)
    with app.store.write() as tx:
        tx.update(Notice, sent_at=clock())
    enqueue(app, key="waits")
    jobs.run(app, "sync")
    clock.forward(days=5)
    jobs.run(app, "sync")
    clock.forward(days=100)
    found = jobs.run(app, "prune", jobs.Mode(dry_run=True)).detail
    assert {key: count for key, count in found.items() if count} == {"job_run": 1, "notice": 1}
    assert set(found) >= {"usage", "measurement", "inbox", "button", "applicant", "invite", "request"}
    jobs.run(app, "prune")
    assert [row.key.split("#")[0] for row in waiting(app)] == ["waits"]
    with app.store.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).where(models.job_run.c.job == "sync")).scalar() == 1
