"""Plans, trials and subscriptions under a frozen clock: every edge of the first seed's trial and subscription lists."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from freezegun import freeze_time

from vpnctl import jobs
from vpnctl.actions.fleet import clock as guard
from vpnctl.actions.fleet.settle import settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.sales import plans, subscriptions, trials
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.app import open_app
from vpnctl.errors import Conflict, InvalidInput, NotFound
from vpnctl.reports import people, tariffs
from vpnctl.rules.lifecycle import Span, State, next_start, reminder, state
from vpnctl.store import models
from vpnctl.store.rows import Notice, Peer, Subscription, User

START = datetime(2027, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PLANS = """
plans:
  - {name: trial, days: 3, devices: 1, traffic: 5 GiB, trial: true}
  - {name: month, title: One month, days: 30, devices: 2, traffic: 300 GiB, prices: {EUR: 499}}
  - {name: year, days: 365}
"""


@pytest.fixture
def frozen():
    with freeze_time(START) as clock:
        yield clock


@pytest.fixture
def shop(frozen, app, settings, fleet):
    """The app on the real, frozen clock, with plans and one user `alice`."""
    opened = replace(
        open_app(settings, "cli:test"), connect=fleet.connect, shake=fleet.shake, uptime=lambda: ("boot", time.time())
    )
    seed(opened, PLANS)
    users.add(opened, ["alice"], telegram_id=77)
    guard.note(opened)  # a first job has run
    yield opened
    opened.store.close()


def seed(app, text):
    return inventory.apply(app, *parse(text, "plans.yaml"))


def one(app, name="alice"):
    with app.store.read() as tx:
        return people.users(tx, app.clock(), people.UserFilter(name=name))[0]


def rows(app):
    with app.store.read() as tx:
        return tx.all(Subscription, order=models.subscription.c.starts_at)


def states(app):
    with app.store.read() as tx:
        return [row.state for row in tariffs.subscriptions(tx, app.clock(), DAY)]


def told(app, prefix="subscription."):
    with app.store.read() as tx:
        table = models.event.c
        query = sa.select(table.verb, table.at).where(table.verb.startswith(prefix)).order_by(table.seq)
        return [(verb.removeprefix(prefix), at) for verb, at in tx.execute(query)]


# Plans


def test_plans_are_seeded_previewed_and_upserted(shop):
    again = seed(shop, PLANS)
    assert again.lines == ()
    changed = PLANS.replace("days: 30", "days: 31")
    assert inventory.preview(shop, *parse(changed, "x")).lines == ("change plan month: days",)
    assert seed(shop, changed).lines == ("change plan month: days",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{name: Month, days: 3}", "not a valid plan name"),
        ("{name: m, days: 0}", "out of range"),
        ("{name: m, days: 3, traffic: much}", "not an amount of traffic"),
        ("{name: m, days: 3, prices: {euro: 5}}", "not a currency"),
        ("{name: m, days: 3, prices: {EUR: 4.99}}", "expected a valid integer"),
        ("{name: m, days: 3, prize: 1}", "unknown key"),
        ("{name: m, days: 3, trial: true}\n  - {name: n, days: 3, trial: true}", "two plans are marked"),
    ],
)
def test_a_wrong_plan_is_refused_with_file_and_line(shop, line, message):
    with pytest.raises(InvalidInput, match=message) as error:
        seed(shop, f"plans:\n  - {line}\n")
    assert "plans.yaml:" in error.value.what


def test_a_changed_tariff_never_changes_what_was_bought(shop):
    subscriptions.grant(shop, "alice", "month")
    seed(shop, PLANS.replace("300 GiB", "1 GiB").replace("days: 30", "days: 1"))
    (row,) = rows(shop)
    assert (row.days, row.traffic, row.ends_at) == (30, 300 * 2**30, START + 30 * DAY)


def test_a_plan_off_sale_is_not_granted_and_an_unknown_one_is_named(shop):
    seed(shop, "plans:\n  - {name: month, days: 30, on_sale: false}\n")
    with pytest.raises(Conflict, match="not on sale"):
        subscriptions.grant(shop, "alice", "month")
    with pytest.raises(NotFound) as error:
        subscriptions.grant(shop, "alice", "week")
    assert "there are:" in error.value.hint


def test_with_plans_a_new_user_has_no_access_until_one_is_granted(shop):
    assert one(shop).access == "no access granted"
    subscriptions.grant(shop, "alice", "month")
    assert (one(shop).access, one(shop).until) == ("month", START + 30 * DAY)


# Trials


def test_a_trial_cannot_be_started_twice(shop):
    trials.start(shop, "alice")
    with pytest.raises(Conflict, match="had a trial already"):
        trials.start(shop, "alice")


def test_a_trial_expires_by_itself_and_its_devices_are_cut_cleanly(shop, serve, frozen):
    node = serve()
    trials.start(shop, "alice")
    peer = peers.add(shop, [Wanted("alice")])[0].peer
    settle(shop, [node.id])
    assert peer.identity in node.fake.live_keys()
    frozen.tick(3 * DAY - timedelta(seconds=1))
    jobs.run(shop, "expire")
    assert peer.identity in node.fake.live_keys()
    frozen.tick(timedelta(seconds=1))
    jobs.run(shop, "expire")
    assert node.fake.live_keys() == set()
    with shop.store.read() as tx:
        row = tx.one(Peer)
    assert row.absent_at is not None
    assert row.secret_sealed is not None, "key and address are kept for the day of the purchase"
    assert one(shop).access == "subscription ended"


def test_a_trial_survives_the_deletion_of_the_account(shop):
    trials.start(shop, "alice")
    users.remove(shop, "alice", erase=True)
    users.add(shop, ["alice"], telegram_id=77)
    with pytest.raises(Conflict, match="had a trial already"):
        trials.start(shop, "alice")
    with shop.store.read() as tx:
        people = tx.execute(sa.select(models.trial.c.person)).scalars().all()
    assert not any(each == "77" or "telegram" in each for each in people), "only keyed hashes are kept"


def test_a_trial_of_a_user_without_telegram_counts_for_the_account_that_is_linked_later(shop):
    users.add(shop, ["bob"])
    trials.start(shop, "bob")
    users.change(shop, "bob", {"telegram_id": 88})
    users.remove(shop, "bob", erase=True)
    users.add(shop, ["robert"], telegram_id=88)
    with pytest.raises(Conflict, match="had a trial already"):
        trials.start(shop, "robert")


def test_trials_are_for_new_people_only(shop):
    subscriptions.grant(shop, "alice", "month")
    with pytest.raises(Conflict, match="trials are for new people"):
        trials.start(shop, "alice")


def test_an_unlimited_user_needs_no_trial(shop):
    users.change(shop, "alice", {"unlimited": True})
    with pytest.raises(Conflict, match="needs no trial"):
        trials.start(shop, "alice")


def test_a_purchase_converts_a_running_trial_at_once(shop, frozen):
    trials.start(shop, "alice")
    frozen.tick(DAY)
    subscriptions.grant(shop, "alice", "month", paid="pay-1")
    trial, month = rows(shop)
    assert (trial.ends_at, trial.converted_at) == (START + DAY, START + DAY)
    assert (month.starts_at, month.ends_at, month.source) == (START + DAY, START + 31 * DAY, "payment")
    assert states(shop) == ["converted", "active"]
    assert [verb for verb, _ in told(shop, "trial.")] == ["start", "convert"]
    frozen.tick(5 * DAY)
    jobs.run(shop, "expire")
    assert ("expired", START + 3 * DAY) not in told(shop), "a converted trial does not expire"


def test_a_grant_during_a_trial_begins_behind_it(shop):
    trials.start(shop, "alice")
    subscriptions.grant(shop, "alice", "month")
    assert rows(shop)[1].starts_at == START + 3 * DAY


def test_a_failed_conversion_leaves_the_trial_running(shop, monkeypatch):
    trials.start(shop, "alice")
    with pytest.raises(Conflict):
        subscriptions.grant(shop, "alice", "month", paid="pay-1")
        subscriptions.grant(shop, "alice", "month", paid="pay-1")
    users.add(shop, ["bob"])
    trials.start(shop, "bob")
    with pytest.raises(Conflict, match="was used already"):
        subscriptions.grant(shop, "bob", "month", paid="pay-1")
    assert one(shop, "bob").access == "trial"
    assert one(shop, "bob").until == START + 3 * DAY


# Subscriptions


def test_extending_counts_from_the_end_of_what_runs(shop, frozen):
    subscriptions.grant(shop, "alice", "month")
    frozen.tick(10 * DAY)
    granted = subscriptions.extend(shop, "alice")
    assert (granted.subscription.starts_at, granted.subscription.ends_at) == (START + 30 * DAY, START + 60 * DAY)
    assert states(shop) == ["extended", "scheduled"]


def test_extending_after_the_end_counts_from_now(shop, frozen):
    subscriptions.grant(shop, "alice", "month")
    frozen.tick(40 * DAY)
    granted = subscriptions.extend(shop, "alice")
    assert (granted.subscription.starts_at, granted.subscription.ends_at) == (START + 40 * DAY, START + 70 * DAY)


def test_the_log_of_an_extension_has_the_old_and_the_new_end(shop):
    subscriptions.grant(shop, "alice", "month")
    subscriptions.extend(shop, "alice", days=5)
    with shop.store.read() as tx:
        table = models.event.c
        before, after = tx.execute(
            sa.select(table.before, table.after).where(table.verb == "subscription.extend")
        ).one()
    assert before["ends_at"].startswith("2027-02-14T12:00")
    assert after["ends_at"].startswith("2027-02-19T12:00")


def test_extending_once_only_is_a_setting(shop):
    strict = replace(shop, settings=replace(shop.settings, extend_once=True))
    subscriptions.grant(strict, "alice", "month")
    subscriptions.extend(strict, "alice")
    with pytest.raises(Conflict, match="extended already"):
        subscriptions.extend(strict, "alice")
    subscriptions.extend(shop, "alice")
    assert len(rows(shop)) == 3


def test_nothing_to_extend_and_nothing_to_cancel_are_said(shop):
    with pytest.raises(Conflict, match="no subscription"):
        subscriptions.extend(shop, "alice")
    with pytest.raises(NotFound, match="no subscription that could be cancelled"):
        subscriptions.cancel(shop, "alice")


def test_thirty_days_are_thirty_days_whatever_the_month(shop, frozen):
    for _ in range(3):
        subscriptions.grant(shop, "alice", "month")
    assert rows(shop)[-1].ends_at == START + 90 * DAY


def test_the_states_follow_each_other_at_their_moments(shop, frozen):
    subscriptions.grant(shop, "alice", "month")
    assert states(shop) == ["active"]
    frozen.move_to(START + 29 * DAY - timedelta(seconds=1))
    assert states(shop) == ["active"]
    frozen.move_to(START + 29 * DAY)
    assert states(shop) == ["expiring_soon"]
    frozen.move_to(START + 30 * DAY - timedelta(seconds=1))
    assert states(shop) == ["expiring_soon"]
    frozen.move_to(START + 30 * DAY)
    assert states(shop) == ["expired"]


def test_every_state_can_be_asked_for(shop, frozen):
    users.add(shop, ["bob", "cyd", "dan"])
    subscriptions.grant(shop, "alice", "month")
    subscriptions.grant(shop, "bob", "year")
    subscriptions.grant(shop, "cyd", "month")
    subscriptions.extend(shop, "cyd")
    subscriptions.grant(shop, "dan", "month")
    subscriptions.cancel(shop, "dan")
    frozen.tick(29 * DAY + timedelta(hours=1))
    found = {}
    with shop.store.read() as tx:
        for each in State:
            listed = tariffs.subscriptions(tx, shop.clock(), DAY, tariffs.SubscriptionFilter(states=[str(each)]))
            found[str(each)] = [row.user for row in listed]
        ending = [
            row.user
            for row in tariffs.subscriptions(
                tx, shop.clock(), DAY, tariffs.SubscriptionFilter(ending=timedelta(hours=24))
            )
        ]
    assert found == {
        "scheduled": ["cyd"], "active": ["alice", "cyd", "bob"], "expiring_soon": ["alice"], "extended": ["cyd"],
        "expired": [], "cancelled": ["dan"], "converted": [],
    }  # fmt: skip
    assert ending == ["alice", "cyd"]


def test_transitions_by_time_are_events_with_the_moment_at_which_they_happened(shop, frozen):
    subscriptions.grant(shop, "alice", "month")
    frozen.tick(33 * DAY)
    jobs.run(shop, "expire")
    soon, over = START + 29 * DAY, START + 30 * DAY
    assert told(shop)[1:] == [("expiring_soon", soon), ("expired", over)]
    jobs.run(shop, "expire")
    assert len(told(shop)) == 3, "twice is once"


def test_an_extended_subscription_is_renewed_and_not_expired(shop, frozen):
    subscriptions.grant(shop, "alice", "month")
    subscriptions.extend(shop, "alice")
    frozen.tick(31 * DAY)
    jobs.run(shop, "expire")
    assert told(shop)[2:] == [("renewed", START + 30 * DAY)]
    assert one(shop).access == "month"


def test_three_days_of_sleep_end_as_three_days_of_runs(shop, frozen):
    """One state machine runs every hour, the other once at the end: the same events and the same access."""
    users.add(shop, [f"u{number}" for number in range(8)])
    for number in range(8):
        subscriptions.grant(shop, f"u{number}", "month")
        subscriptions.extend(shop, f"u{number}", days=1 + number % 3)
        frozen.tick(timedelta(hours=7))
    frozen.move_to(START + 33 * DAY)
    jobs.run(shop, "expire")
    late = sorted(told(shop))
    with shop.store.write() as tx:
        tx.execute(sa.delete(models.event).where(models.event.c.once.is_not(None)))
        tx.execute(sa.update(models.subscription).values(noted=0))
        tx.execute(sa.delete(models.job_run))
    frozen.move_to(START + 28 * DAY)
    guard.note(shop)
    while shop.clock() < START + 33 * DAY:
        jobs.run(shop, "expire")
        frozen.tick(timedelta(hours=1))
    jobs.run(shop, "expire")
    assert sorted(told(shop)) == late


def test_a_run_killed_between_two_batches_is_completed_by_the_next(shop, frozen, monkeypatch):
    from vpnctl.actions.sales import transitions
    from vpnctl.store import events

    monkeypatch.setattr(transitions, "BATCH", 2)
    users.add(shop, [f"u{number}" for number in range(7)])
    for number in range(7):
        subscriptions.grant(shop, f"u{number}", "month")
    frozen.tick(31 * DAY)
    real, calls = events.record_due, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(events, "record_due", dies)
    with pytest.raises(KeyboardInterrupt):
        jobs.run(shop, "expire")
    monkeypatch.setattr(events, "record_due", real)
    jobs.run(shop, "expire")
    assert [verb for verb, _ in told(shop)].count("expired") == 7


def test_cancelling_cuts_now_and_is_no_business_of_the_brake(shop, serve, frozen):
    node = serve()
    users.add(shop, [f"u{number}" for number in range(20)])
    for number in range(20):
        subscriptions.grant(shop, f"u{number}", "month")
    subscriptions.grant(shop, "alice", "year")
    issued = peers.add(shop, [Wanted(f"u{number}") for number in range(20)] + [Wanted("alice")])
    settle(shop, [node.id])
    frozen.tick(31 * DAY)
    done = subscriptions.cancel(shop, "alice")
    assert done.made.periods == 1
    outcome = settle(shop, done.node_ids)[0]
    assert outcome.code == 6, "twenty at once by time alone need a word"
    assert issued[-1].peer.identity not in node.fake.live_keys(), "what was asked for is done"
    assert len(node.fake.live_keys()) == 20


def test_suspended_access_comes_back_with_key_and_address(shop, serve, frozen):
    node = serve()
    subscriptions.grant(shop, "alice", "month")
    peer = peers.add(shop, [Wanted("alice")])[0].peer
    settle(shop, [node.id])
    frozen.tick(31 * DAY)
    jobs.run(shop, "expire")
    assert node.fake.live_keys() == set()
    granted = subscriptions.extend(shop, "alice")
    settle(shop, granted.node_ids)
    assert node.fake.links["wg0"].peers[peer.identity][1].startswith(f"{peer.ipv4}/32")


def test_the_plans_device_limit_holds_and_the_users_own_wins(shop, serve):
    serve()
    subscriptions.grant(shop, "alice", "month")
    peers.add(shop, [Wanted("alice", "a"), Wanted("alice", "b")])
    with pytest.raises(Conflict, match="has 2 of 2 devices"):
        peers.add(shop, [Wanted("alice", "c")])
    users.change(shop, "alice", {"device_limit": 3})
    peers.add(shop, [Wanted("alice", "c")])


def test_a_plan_for_some_locations_gives_no_device_elsewhere(shop, serve):
    serve("fi")
    serve("de")
    seed(shop, "plans:\n  - {name: nordic, days: 30, locations: [fi]}\n")
    subscriptions.grant(shop, "alice", "nordic")
    assert peers.add(shop, [Wanted("alice")])[0].node.name == "fi"
    with pytest.raises(Conflict, match="for fi only"):
        peers.add(shop, [Wanted("alice", "b", node="de")])


def test_granting_to_an_unlimited_user_means_access_by_subscription(shop):
    users.change(shop, "alice", {"unlimited": True})
    granted = subscriptions.grant(shop, "alice", "month")
    assert granted.was_unlimited
    assert one(shop).access == "month"


# Quota


def test_a_used_up_quota_cuts_until_midnight_on_the_first(shop, serve, frozen):
    node = serve()
    subscriptions.grant(shop, "alice", "year")
    with shop.store.write() as tx:
        tx.update(Subscription, traffic=1000)
    peers.add(shop, [Wanted("alice", "a"), Wanted("alice", "b")])
    settle(shop, [node.id])
    frozen.tick(timedelta(hours=1))
    for row in node.fake.people():
        row[2:] = ["1000", "300", "200"]
    jobs.run(shop, "usage")
    assert node.fake.live_keys() == set(), "all devices of the month count together"
    assert one(shop).access == "traffic of this month used up"
    assert [verb for verb, _ in told(shop, "quota.")] == ["reached"]
    frozen.move_to(datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC))
    jobs.run(shop, "sync")
    assert node.fake.live_keys() == set()
    frozen.move_to(datetime(2027, 2, 1, tzinfo=UTC))
    jobs.run(shop, "expire")
    assert len(node.fake.live_keys()) == 2
    assert told(shop, "quota.")[-1] == ("renewed", datetime(2027, 2, 1, tzinfo=UTC))
    jobs.run(shop, "expire")
    assert len(told(shop, "quota.")) == 2


def test_a_month_that_passed_while_nothing_ran_is_over_all_the_same(shop, serve, frozen):
    node = serve()
    subscriptions.grant(shop, "alice", "year")
    with shop.store.write() as tx:
        tx.update(Subscription, traffic=1000)
    peers.add(shop, [Wanted("alice")])
    settle(shop, [node.id])
    frozen.tick(timedelta(hours=1))
    node.fake.people()[0][2:] = ["1000", "3000", "0"]
    jobs.run(shop, "usage")
    frozen.move_to(datetime(2027, 3, 20, tzinfo=UTC))
    jobs.run(shop, "expire", jobs.Mode(force=True))
    assert len(node.fake.live_keys()) == 1
    assert told(shop, "quota.")[-1] == ("renewed", datetime(2027, 2, 1, tzinfo=UTC)), "stamped with the boundary"


def test_traffic_of_revoked_devices_counts_too(shop, serve, frozen):
    node = serve()
    subscriptions.grant(shop, "alice", "year")
    peers.add(shop, [Wanted("alice")])
    settle(shop, [node.id])
    frozen.tick(timedelta(hours=1))
    node.fake.people()[0][2:] = ["1000", "700", "0"]
    peers.revoke(shop, "alice")
    settle(shop, [node.id])
    assert one(shop).used == 700


# Reminders


def waiting(app):
    with app.store.read() as tx:
        return [row.key for row in tx.all(Notice, models.notice.c.kind == "ending", order=models.notice.c.created_at)]


def test_reminders_come_three_days_one_day_and_at_the_end_once_each(shop, frozen):
    subscriptions.grant(shop, "alice", "month")
    seen = []
    for hours in (26 * 24, 27 * 24, 28 * 24, 29 * 24, 30 * 24, 30 * 24 + 5):
        frozen.move_to(START + timedelta(hours=hours))
        jobs.run(shop, "remind", jobs.Mode(force=True))
        jobs.run(shop, "remind", jobs.Mode(force=True))
        seen.append(waiting(shop))
    assert seen == [[], ["3d"], ["3d"], ["3d", "1d"], ["3d", "1d", "0d"], ["3d", "1d", "0d"]]


def test_after_downtime_only_the_nearest_reminder_is_sent(shop, frozen):
    subscriptions.grant(shop, "alice", "month")
    frozen.move_to(START + 29 * DAY + timedelta(hours=3))
    jobs.run(shop, "remind")
    assert waiting(shop) == ["1d"]


def test_a_reminder_that_is_more_than_a_day_late_is_left_out(shop, frozen):
    subscriptions.grant(shop, "alice", "month")
    frozen.move_to(START + 32 * DAY)
    jobs.run(shop, "remind")
    assert waiting(shop) == []


def test_a_trial_is_reminded_of_a_day_before(shop, frozen):
    trials.start(shop, "alice")
    jobs.run(shop, "remind")
    assert waiting(shop) == []
    frozen.tick(2 * DAY)
    jobs.run(shop, "remind")
    assert waiting(shop) == ["1d"]


def test_who_extended_is_not_reminded_and_the_new_end_is_armed_again(shop, frozen):
    subscriptions.grant(shop, "alice", "month")
    frozen.tick(28 * DAY)
    jobs.run(shop, "remind")
    subscriptions.extend(shop, "alice")
    frozen.tick(DAY + timedelta(hours=12))
    jobs.run(shop, "remind")
    assert waiting(shop) == ["3d"]
    frozen.move_to(START + 57 * DAY + timedelta(hours=1))
    jobs.run(shop, "remind", jobs.Mode(force=True))
    assert waiting(shop) == ["3d", "3d"]


@pytest.mark.parametrize("spoil", ["block", "cancel", "unlimited", "telegram"])
def test_who_has_no_use_of_a_reminder_gets_none(shop, frozen, spoil):
    subscriptions.grant(shop, "alice", "month")
    if spoil == "block":
        users.block(shop, "alice")
    elif spoil == "cancel":
        subscriptions.cancel(shop, "alice")
    else:
        with shop.store.write() as tx:
            tx.update(User, **({"unlimited": True} if spoil == "unlimited" else {"telegram_id": None}))
    frozen.tick(29 * DAY)
    jobs.run(shop, "remind")
    assert waiting(shop) == []


# The pure parts


def test_the_state_of_a_period_is_derived():
    span = Span(START, START + 30 * DAY)
    later = Span(START + 30 * DAY, START + 60 * DAY)
    assert state(span, [], START - DAY, DAY) is State.SCHEDULED
    assert state(span, [later], START, DAY) is State.EXTENDED
    assert state(span, [replace(later, cancelled_at=START)], START, DAY) is State.ACTIVE
    assert state(replace(span, cancelled_at=START), [later], START, DAY) is State.CANCELLED


def test_a_further_period_begins_now_or_at_the_last_end():
    assert next_start([], START) == START
    assert next_start([Span(START - 9 * DAY, START - DAY)], START) == START
    assert next_start([Span(START, START + DAY), Span(START + DAY, START + 2 * DAY)], START) == START + 2 * DAY
    assert next_start([Span(START, START + DAY, cancelled_at=START)], START) == START


@pytest.mark.parametrize(
    ("left", "trial", "key"),
    [(4, False, None), (3, False, "3d"), (2, False, "3d"), (1, False, "1d"), (0, False, "0d"), (-1, False, "0d"),
     (-1.1, False, None), (3, True, None), (1, True, "1d"), (0, True, "0d")],
)  # fmt: skip
def test_the_nearest_reminder_is_due(left, trial, key):
    assert reminder(START + left * DAY, START, trial=trial) == key


def test_the_plan_summary_reads_well(shop):
    with shop.store.read() as tx:
        assert plans.summary(plans.named(tx, "month")) == "30 days, 2 devices, 300 GiB a month"
        assert plans.summary(plans.named(tx, "year")) == "365 days, any number of devices, no traffic limit"
