"""A state machine: verbs, crashes, reboots, snapshots and clocks in any order, against the invariants.

Invariants (facts 4.6): addresses are unique and never special; after one good sync database, file and live state
agree and a second sync changes nothing; a revoked peer is never live after it; every live key is known; aliens stay.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.conftest import HOST_KEY, Clock
from tests.fakenode import Fleet
from vpnctl import settings as settings_module
from vpnctl.actions import endpoints, migration, peers, state, users
from vpnctl.actions.issue import Wanted
from vpnctl.actions.nodes import save
from vpnctl.actions.settle import Wish, settle
from vpnctl.app import open_app
from vpnctl.errors import Conflict, NotFound
from vpnctl.jobs import sync
from vpnctl.remote.shell import Login
from vpnctl.rules.access import why_not
from vpnctl.rules.changes import SYSTEM
from vpnctl.store import models
from vpnctl.store.people import persons
from vpnctl.store.queue import pending_nodes
from vpnctl.store.rows import Alien, Peer, User, standing

NAMES = ("ann", "bob", "cyd")
NODES = ("fi", "de")
ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="
people, places = st.sampled_from(NAMES), st.sampled_from(NODES)


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
        self.app = replace(open_app(made, "cli:test"), clock=self.clock, connect=self.fleet.connect)
        self.ids = {}
        for name in NODES:
            with self.app.store.write() as tx:
                self.ids[name] = save(tx, self.app, Login(name, "ssh", name, 22, "root", HOST_KEY), None, {}).id
            endpoints.add(self.app, name, "wireguard", {"pool_v4": "10.9.0.0/27"})
        settle(self.app, self.ids.values(), Wish(scope=SYSTEM, always=True))
        users.add(self.app, NAMES)
        self.snapshots = {}

    def teardown(self):
        if hasattr(self, "home"):
            self.app.store.close()
            shutil.rmtree(self.home)

    def attempt(self, verb, *args, **more):
        """A verb may be refused for good reasons; then nothing has changed."""
        try:
            verb(self.app, *args, **more)
        except (Conflict, NotFound):
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
        self.attempt(migration.start, name, node)

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

    @rule(hours=st.sampled_from((1, 13, 25, -2)))
    def time_passes(self, hours):
        self.clock.now += timedelta(hours=hours)

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
        sync.run(self.app)
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
            aliens = {alien.public_key for alien in tx.all(Alien)}
            wanted = {node: set() for node in NODES}
            for peer in tx.all(Peer):
                node = peers.place(tx, peer)[1].name
                if why_not(standing(owners[peer.user_id], peer), now) is None:
                    wanted[node].add(peer.public_key)
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
    def every_live_key_is_known(self):
        if not hasattr(self, "app"):
            return
        with self.app.store.read() as tx:
            known = {peer.public_key for peer in tx.all(Peer)} | {ALIEN}
        for fake in self.fleet.nodes.values():
            assert fake.live_keys() <= known

    @invariant()
    def nobody_is_between_two_nodes_without_either(self):
        """While a replacement is under way, the old peer is only let go by time, handshake or a person."""
        if not hasattr(self, "app"):
            return
        with self.app.store.read() as tx:
            for peer in tx.all(Peer, models.peer.c.retiring_at.is_not(None), models.peer.c.revoked_at.is_(None)):
                successor = tx.one(Peer, models.peer.c.replaces_id == peer.id)
                assert successor is not None
                if peer.expires_at is not None:
                    assert successor.delivered_at is not None or successor.handshake_at is not None


TestService = Service.TestCase
TestService.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
