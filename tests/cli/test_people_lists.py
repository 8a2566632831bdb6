"""Lists of people show their access."""

from __future__ import annotations

from datetime import timedelta

PLANS = """
plans:
  - {name: trial, days: 3, trial: true}
  - {name: month, days: 30, prices: {EUR: 499}}
"""


def test_lists_of_people_show_their_access(service, app, clock, tmp_path):
    path = tmp_path / "plans.yaml"
    path.write_text(PLANS)
    service("inventory", "apply", str(path), "--yes")
    service("user", "add", "ann", "bob", "cyd", "--unlimited")
    service("user", "set", "bob", "--limited")
    service("subscription", "grant", "ann", "--plan", "month")
    rows = {row["name"]: row for row in service("user", "list", "--json").json}
    assert rows["ann"]["access"] == "month"
    assert rows["ann"]["until"] == (clock() + timedelta(days=30)).isoformat().replace("+00:00", "Z")
    assert rows["bob"]["access"] == "no access granted"
    assert rows["cyd"]["access"] == "unlimited"
    service("peer", "add", "bob")
    assert [row["user"] for row in service("peer", "list", "--orphaned", "--json").json] == ["bob"]
    assert service("peer", "list", "--pending", "--json").json == []
    assert service("plan", "list", "--json").json[1]["active"] == 1
    assert service("plan", "show", "month", "--json").json["prices"] == {"EUR": 499}
    assert service("plan", "show", "week").code == 5
    assert service("subscription", "list", "--state", "gone").code == 2
    assert service("subscription", "cancel", "ann", "--yes").code == 0
    assert service("subscription", "list", "--user", "ann", "--json").json[0]["state"] == "cancelled"
    assert service("trial", "start", "cyd").code == 5
    exported = service("inventory", "export", "--users").out
    again = tmp_path / "again.yaml"
    again.write_text(exported)
    assert "nothing to change" in service("inventory", "apply", str(again)).err
