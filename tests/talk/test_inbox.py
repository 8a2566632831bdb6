"""Updates and chats: who is served first, and chats that move."""

from __future__ import annotations

from vpnctl.actions.people import users
from vpnctl.actions.service import selfcheck


def found(app):
    return {each.subject: each.what for each in selfcheck.findings(app)}


def test_known_people_are_served_before_strangers(app):
    from vpnctl.actions.talk import updates

    users.add(app, ["ivan"], telegram_id=7)
    updates.receive(app, [(number, 1000 + number, {}) for number in range(50)])
    updates.receive(app, [(100, 7, {})])
    assert updates.take(app, ()).chat_id == 7


def test_a_group_that_became_a_supergroup_is_followed():
    from vpnctl.remote.telegram import Fate, judge
    from vpnctl.rules.secret import Secret

    answer = {"ok": False, "error_code": 400, "description": "Bad Request: group chat was upgraded", "parameters": {"migrate_to_chat_id": -1001234567890}}  # fmt: skip
    found = judge(400, answer, Secret("1:x"))
    assert (found.fate, found.chat) == (Fate.MOVED, -1001234567890)
