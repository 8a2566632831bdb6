"""Pure decisions: access, brake, addresses, secrets."""

from __future__ import annotations

import copy
import ipaddress
import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from vpnctl.errors import Conflict, worst
from vpnctl.rules import addresses
from vpnctl.rules.access import Reason, Standing, online, shown_state, why_not
from vpnctl.rules.brake import held_back
from vpnctl.rules.secret import Secret

NOW = datetime(2027, 1, 15, tzinfo=UTC)
PAST, FUTURE = NOW - timedelta(days=1), NOW + timedelta(days=1)
GOOD = {
    "approved_at": PAST,
    "blocked_at": None,
    "removed_at": None,
    "unlimited": True,
    "suspended_at": None,
    "revoked_at": None,
    "expires_at": None,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"expires_at": FUTURE}, None),
        ({"expires_at": NOW}, Reason.EXPIRED),
        ({"approved_at": None}, Reason.NOT_APPROVED),
        ({"blocked_at": PAST}, Reason.BLOCKED),
        ({"removed_at": PAST}, Reason.REMOVED),
        ({"suspended_at": PAST}, Reason.SUSPENDED),
        ({"revoked_at": PAST, "blocked_at": PAST}, Reason.REVOKED),
        ({"unlimited": False}, Reason.NO_ACCESS),
    ],
)
def test_the_predicate_names_the_reason(change, reason):
    assert why_not(Standing(**(GOOD | change)), NOW) == reason


times = st.sampled_from([None, PAST, NOW, FUTURE])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(times, times, times, st.booleans(), times, times, times), min_size=1, max_size=20))
def test_the_predicate_in_sql_says_the_same(rows):
    from vpnctl.store import models
    from vpnctl.store.queue import wanted

    engine = sa.create_engine("sqlite://")
    models.metadata.create_all(engine)
    names = ("approved_at", "blocked_at", "removed_at", "unlimited", "suspended_at", "revoked_at", "expires_at")
    with engine.begin() as connection:
        for number, values in enumerate(rows):
            row = dict(zip(names, values, strict=True))
            user = {"approved_at", "blocked_at", "removed_at", "unlimited"}
            connection.execute(
                sa.insert(models.user).values(
                    id=str(number),
                    name=str(number),
                    display_name="",
                    locale="en",
                    note="",
                    created_at=NOW,
                    **{k: row[k] for k in user},
                )
            )
            connection.execute(
                sa.insert(models.peer).values(
                    id=str(number),
                    endpoint_id="e",
                    user_id=str(number),
                    device="d",
                    public_key=str(number),
                    own_key=False,
                    created_at=NOW,
                    rx=0,
                    tx=0,
                    **{k: row[k] for k in names if k not in user},
                )
            )
        query = (
            sa.select(models.peer.c.id).join(models.user, models.user.c.id == models.peer.c.user_id).where(wanted(NOW))
        )
        found = set(connection.execute(query).scalars())
    expected = {
        str(n)
        for n, values in enumerate(rows)
        if why_not(Standing(**dict(zip(names, values, strict=True))), NOW) is None
    }
    assert found == expected


@pytest.mark.parametrize(
    ("reason", "present", "absent", "shown"),
    [
        (None, NOW, None, "active"),
        (None, None, None, "pending"),
        (Reason.REVOKED, None, None, "revoked, cut pending"),
        (Reason.REVOKED, None, NOW, "revoked"),
        (Reason.SUSPENDED, NOW, None, "suspended, cut pending"),
        (Reason.EXPIRED, None, NOW, "expired"),
        (Reason.BLOCKED, None, NOW, "blocked"),
    ],
)
def test_a_state_is_only_said_when_it_was_seen(reason, present, absent, shown):
    assert shown_state(reason, present, absent) == shown


def test_online_means_a_handshake_of_the_last_180_seconds():
    assert online(NOW - timedelta(seconds=180), NOW)
    assert not online(NOW - timedelta(seconds=181), NOW)
    assert not online(None, NOW)


@pytest.mark.parametrize(
    ("present", "due", "held"), [(5, 5, 0), (10, 10, 0), (11, 11, 11), (200, 40, 0), (200, 41, 41), (0, 0, 0)]
)
def test_the_brake_grabs_beyond_ten_or_a_fifth(present, due, held):
    ids = [str(number) for number in range(present)]
    reasons = {each: Reason.EXPIRED if int(each) < due else None for each in ids}
    assert len(held_back(ids, reasons)) == held


@given(st.sampled_from(["10.0.0.0/30", "10.0.0.0/29", "10.0.0.0/24", "fd00::/120"]), st.integers(0, 20))
def test_free_addresses_are_in_the_pool_and_never_special_or_taken(pool, used):
    network = ipaddress.ip_network(pool)
    every = []
    with pytest.raises(Conflict):
        every.extend(addresses.free(network, set()))
        pytest.fail("a pool has an end")
    every = _drain(network, set())
    assert len(every) == addresses.capacity(network) == len(set(every))
    forbidden = {str(network.network_address), addresses.server_address(network)}
    forbidden |= {str(network.broadcast_address)} if network.version == 4 else set()
    assert not forbidden & set(every)
    taken = set(every[:used])
    assert set(_drain(network, taken)) == set(every) - taken


def _drain(network, taken):
    found = []
    try:
        for each in addresses.free(network, taken):
            found.append(each)
    except Conflict:
        return found
    raise AssertionError("no end")


def test_a_secret_is_not_shown_dumped_or_pickled():
    secret = Secret("hunter2")
    for text in (str(secret), repr(secret), f"{secret}", f"{secret:>20}", repr([secret]), repr({"k": secret})):
        assert "hunter2" not in text
    for attempt in (lambda: json.dumps(secret), lambda: pickle.dumps(secret), lambda: copy.deepcopy(secret)):
        with pytest.raises(TypeError):
            attempt()
    assert secret == Secret("hunter2")


@pytest.mark.parametrize(
    ("codes", "result"),
    [([], 0), ([0, 0], 0), ([3, 0], 3), ([3, 7, 10], 7), ([9, 7], 9), ([4, 3], 3), ([6, 10, 8], 6), ([99], 1)],
)
def test_the_worst_code_speaks_for_all(codes, result):
    assert worst(codes) == result
