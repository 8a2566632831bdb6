"""A state machine: verbs, crashes, reboots, snapshots and clocks in any order, against the invariants.

Invariants (facts 4.6): addresses are unique and never special; after one good sync database, file and live state
agree and a second sync changes nothing; a revoked peer is never live after it; every live key is known; aliens stay.
The ledger only grows and its sums agree; periods of a person never overlap; a clock that jumps cuts nobody.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.conftest import HOST_KEY, Clock
from tests.fakenode import Fleet
from vpnctl import jobs
from vpnctl import settings as settings_module
from vpnctl.actions.fleet import endpoints
from vpnctl.actions.fleet.nodes import save
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import migration, peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.sales import subscriptions, trials
from vpnctl.actions.service import inventory, state
from vpnctl.actions.service.inventory_form import parse
from vpnctl.app import open_app
from vpnctl.errors import Conflict, NotFound, Stopped
from vpnctl.remote.shell import Login
from vpnctl.rules.access import why_not
from vpnctl.rules.changes import SYSTEM
from vpnctl.store import models
from vpnctl.store.people import persons, standing
from vpnctl.store.queue import pending_nodes
from vpnctl.store.rows import Alien, Endpoint, Peer, Subscription, User

NAMES = ("ann", "bob", "cyd")
NODES = ("fi", "de")
ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="
people, places = st.sampled_from(NAMES), st.sampled_from(NODES)
PLANS = """
plans:
  - {name: day, days: 1, traffic: 5000}
  - {name: week, days: 7}
  - {name: trial, days: 1, trial: true}
"""


class Service(RuleBasedStateMachine):
    """One operator, two nodes, three people, and bad luck."""

    @initialize()
    def begin(self):
        self.home = Path(tempfile.mkdtemp(prefix="vpnctl-machine-"))
        env = {
            "HOME": str(self.home),
            "VPNCTL_STATE_DIR": str(self.home / "state"),
            "VPNCTL_KEY_FILE": str(self.home / "vault.key"),
        }
        made = settings_module.load(None, env)
        state.init(made, "cli:test")
        self.clock, self.fleet = Clock(), Fleet()
        self.app = replace(
            open_app(made, "cli:test"),
            clock=self.clock,
            uptime=self.clock.uptime,
            connect=self.fleet.connect,
            shake=self.fleet.shake,
        )
        self.ids = {}
        for name in NODES:
            with self.app.store.write() as tx:
                self.ids[name] = save(tx, self.app, Login(name, "ssh", name, 22, "root", HOST_KEY), None, {}).id
            endpoints.add(self.app, name, "wireguard", {"pool_v4": "10.9.0.0/27"})
        settle(self.app, self.ids.values(), Wish(scope=SYSTEM, always=True))
        users.add(self.app, NAMES)
        inventory.apply(self.app, *parse(PLANS, "plans"))
        users.change(self.app, "cyd", {"unlimited": False})
        subscriptions.grant(self.app, "ann", "week")
        peers.add(self.app, [Wanted("ann", "a", "fi"), Wanted("bob", "a", "de")])
        self.snapshots = {}
        self.payments = 0
        self.totals = {}

    def teardown(self):
        if hasattr(self, "home"):
            self.app.store.close()
            shutil.rmtree(self.home)

    def attempt(self, verb, *args, **more):
        """A verb may be refused for good reasons; then nothing has changed."""
        try:
            verb(self.app, *args, **more)
        except (Conflict, NotFound, Stopped):
            return

    @rule(name=people, node=places, device=st.sampled_from(("a", "b")))
    def add(self, name, node, device):
        self.attempt(peers.add, [Wanted(name, device, node)])

    @rule(
        name=people,
        device=st.sampled_from(("a", "b")),
        verb=st.sampled_from((peers.suspend, peers.resume, peers.revoke, peers.regen)),
    )
    def change(self, name, device, verb):
        self.attempt(verb, f"{name}/{device}")

    @rule(name=people, device=st.sampled_from(("a", "b")))
    def overlap(self, name, device):
        self.attempt(peers.regen, f"{name}/{device}", overlap=True)

    @rule(name=people, verb=st.sampled_from((users.block, users.unblock)))
    def user(self, name, verb):
        self.attempt(verb, name)

    @rule(name=people, node=places)
    def migrate(self, name, node):
        self.attempt(migration.start, name, migration.Destination(node))

    @rule()
    def deliver(self):
        with self.app.store.read() as tx:
            waiting = [peer.id for peer in tx.all(Peer, models.peer.c.replaces_id.is_not(None))]
        peers.delivered(self.app, waiting, "printed")

    @rule(node=places)
    def connect(self, node):
        for link in self.fleet[node].links.values():
            for peer in link.peers.values():
                peer[2] = str(int(self.clock().timestamp()))

    @rule(hours=st.sampled_from((1, 13, 25, 24 * 17)))
    def time_passes(self, hours):
        self.clock.forward(hours=hours)

    @rule(hours=st.sampled_from((-26, -2, 25, 24 * 400)))
    def clock_jumps(self, hours):
        """Nobody is cut by it: what a settle finds due by time alone stays where a job has noted the clock before."""
        jobs.run(self.app, "prune", jobs.Mode(force=True))
        settle(self.app, self.ids.values())
        self.clock.jump(hours=hours)
        before = {node: self.fleet[node].live_keys() for node in NODES}
        asked = self.asked_to_go()
        settle(self.app, self.ids.values())
        for node in NODES:
            if not self.fleet[node].down:
                assert before[node] - asked <= self.fleet[node].live_keys() | self.unknown(before[node])
        self.clock.jump(hours=-hours)

    def asked_to_go(self):
        with self.app.store.read() as tx:
            who = persons(tx, tx.all(User), self.clock())
            rows = tx.all(Peer)
            reasons = {row.identity: why_not(standing(who[row.user_id], row), self.clock()) for row in rows}
        return {key for key, reason in reasons.items() if reason is not None and reason.asked}

    def unknown(self, keys):
        with self.app.store.read() as tx:
            return keys - {row.identity for row in tx.all(Peer)}

    @rule(name=people, plan=st.sampled_from(("day", "week")), paid=st.booleans())
    def grant(self, name, plan, paid):
        self.payments += 1
        self.attempt(subscriptions.grant, name, plan, paid=f"p{self.payments}" if paid else None)

    @rule(name=people, days=st.sampled_from((None, 2)))
    def extend(self, name, days):
        self.attempt(subscriptions.extend, name, days=days)

    @rule(name=people, verb=st.sampled_from((subscriptions.cancel, trials.start)))
    def cancel_or_try(self, name, verb):
        self.attempt(verb, name)

    @rule(node=places, amount=st.sampled_from((0, 700, 3000)))
    def traffic_flows(self, node, amount):
        for row in self.fleet[node].people() if "wg0" in self.fleet[node].links else []:
            row[2:] = [row[2] if row[2] != "0" else "1", str(int(row[3]) + amount), str(int(row[4]) + 1)]

    @rule(name=st.sampled_from(jobs.NAMES))
    def a_job_runs(self, name):
        self.attempt(jobs.run, name)

    @rule(name=st.sampled_from(("expire", "usage", "sync", "remind", "health")), point=st.integers(1, 12))
    def a_job_is_killed(self, name, point):
        """At the n-th writing transaction, before it commits."""
        real, count = type(self.app.store).write, [0]

        @contextmanager
        def write(store):
            with real(store) as tx:
                yield tx
                count[0] += 1
                if count[0] == point:
                    raise KeyboardInterrupt

        type(self.app.store).write = write
        try:
            with suppress(KeyboardInterrupt, Stopped):
                jobs.run(self.app, name)
        finally:
            type(self.app.store).write = real

    @rule(node=places)
    def power_switch(self, node):
        self.fleet[node].down = not self.fleet[node].down

    @rule(node=places)
    def reboot(self, node):
        self.fleet[node].reboot()

    @rule(node=places)
    def snapshot(self, node):
        fake = self.fleet[node]
        self.snapshots[node] = copy.deepcopy((fake.files, fake.links))

    @precondition(lambda self: self.snapshots)
    @rule(node=places)
    def restore(self, node):
        if node in self.snapshots:
            self.fleet[node].files, self.fleet[node].links = copy.deepcopy(self.snapshots[node])

    @rule(node=places)
    def alien(self, node):
        for link in self.fleet[node].links.values():
            link.peers[ALIEN] = ["(none)", "10.9.0.30/32", "0", "0", "0"]

    @rule(
        node=places,
        fault=st.sampled_from(("die_before_call", "die_after_call", "die_at_step")),
        point=st.integers(1, 8),
    )
    def crash_while_settling(self, node, fault, point):
        fake = self.fleet[node]
        setattr(fake, fault, (fake.steps if fault == "die_at_step" else fake.calls) + point)
        settle(self.app, self.ids.values())
        setattr(fake, fault, 0)

    @rule()
    def settle_now(self):
        settle(self.app, self.ids.values())

    @rule()
    def sync_heals(self):
        for fake in self.fleet.nodes.values():
            fake.down = False
        jobs.run(self.app, "expire", jobs.Mode(force=True))
        assert jobs.run(self.app, "sync", jobs.Mode(force=True)).code in (0, 6)
        settle(self.app, self.ids.values(), Wish(scope=SYSTEM, always=True, cut_all=True))
        assert all(each.code == 0 for each in settle(self.app, self.ids.values(), Wish(scope=SYSTEM, always=True)))
        writes = [fake.writes for fake in self.fleet.nodes.values()]
        assert all(each.changes == () for each in settle(self.app, self.ids.values(), Wish(scope=SYSTEM, always=True)))
        assert writes == [fake.writes for fake in self.fleet.nodes.values()]
        with self.app.store.read() as tx:
            assert pending_nodes(tx, self.clock()) == []
        self.nodes_agree()

    def nodes_agree(self):
        now = self.clock()
        with self.app.store.read() as tx:
            owners = persons(tx, tx.all(User), now)
            aliens = {alien.identity for alien in tx.all(Alien)}
            wanted = {node: set() for node in NODES}
            for peer in tx.all(Peer):
                node = peers.place(tx, peer)[1].name
                if why_not(standing(owners[peer.user_id], peer), now) is None:
                    wanted[node].add(peer.identity)
                    assert peer.present_at is not None
                else:
                    assert peer.absent_at is not None
        for node in NODES:
            assert self.fleet[node].live_keys() - aliens == wanted[node]
            text = self.fleet[node].files["/etc/wireguard/wg0.conf"][1].decode()
            assert all(key in text for key in wanted[node])

    @invariant()
    def addresses_are_unique_and_never_special(self):
        if not hasattr(self, "app"):
            return
        with self.app.store.read() as tx:
            rows = tx.all(Peer, models.peer.c.ipv4.is_not(None))
        pairs = [(peer.endpoint_id, peer.ipv4) for peer in rows]
        assert len(pairs) == len(set(pairs))
        assert not {"10.9.0.0", "10.9.0.1", "10.9.0.31"} & {address for _, address in pairs}

    @invariant()
    def the_ledger_never_goes_back_and_its_sums_agree(self):
        if not hasattr(self, "app"):
            return
        with self.app.store.read() as tx:
            totals = {row.id: (row.rx, row.tx) for row in tx.all(Peer)}
            sums = [
                tx.execute(sa.select(sa.func.sum(table.c.rx), sa.func.sum(table.c.tx))).one()
                for table in (models.peer, models.usage, models.usage_month)
            ]
        assert all(totals[key] >= before for key, before in self.totals.items())
        assert len({(int(rx or 0), int(tx or 0)) for rx, tx in sums}) == 1
        self.totals = totals

    @invariant()
    def at_most_one_period_runs_and_one_trial_was_had(self):
        if not hasattr(self, "app"):
            return
        with self.app.store.read() as tx:
            rows = tx.all(Subscription, models.subscription.c.cancelled_at.is_(None))
        for one in rows:
            for two in rows:
                if one.user_id == two.user_id and one.id < two.id:
                    assert one.ends_at <= two.starts_at or two.ends_at <= one.starts_at, "periods overlap"
        trials_ = [row.user_id for row in rows if row.source == "trial"]
        assert len(trials_) == len(set(trials_))

    @invariant()
    def every_live_key_is_known(self):
        if not hasattr(self, "app"):
            return
        with self.app.store.read() as tx:
            known = {peer.identity for peer in tx.all(Peer)} | {ALIEN}
            known |= {endpoint.probe_identity for endpoint in tx.all(Endpoint)}
        for fake in self.fleet.nodes.values():
            assert fake.live_keys() <= known

    @invariant()
    def nobody_is_between_two_nodes_without_either(self):
        """While a replacement is under way, the old peer is only let go by time, handshake or a person."""
        if not hasattr(self, "app"):
            return
        with self.app.store.read() as tx:
            for peer in tx.all(Peer, models.peer.c.retiring_at.is_not(None), models.peer.c.revoked_at.is_(None)):
                successors = tx.all(Peer, models.peer.c.replaces_id == peer.id, models.peer.c.revoked_at.is_(None))
                assert len(successors) == 1, "a device has at most two generations"
                if peer.expires_at is not None:
                    assert successors[0].delivered_at is not None or successors[0].handshake_at is not None


TestService = Service.TestCase
TestService.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
