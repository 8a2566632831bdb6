"""Recovery keys and key files that are damaged or gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vpnctl.actions.service import state
from vpnctl.errors import VpnctlError
from vpnctl.rules.secret import Secret


def real(tmp_path, script):
    """Run the real program in a shell with a state of its own."""
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "VPNCTL_STATE_DIR": str(tmp_path / "state"),
        "VPNCTL_KEY_FILE": str(tmp_path / "vault.key"), "V": f"{sys.executable} -m vpnctl",
    }  # fmt: skip
    return subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False)


def test_a_recovery_key_is_not_renewed_with_a_key_file_that_opens_nothing(service, settings):
    import base64

    settings.key_file.write_text(f"kabcdef {base64.b64encode(os.urandom(32)).decode()}\n")
    assert service("vault", "renew-recovery", "--show", "--yes").code == 9
    assert service("init", "--yes").code == 9


def test_a_damaged_key_file_says_how_to_recover(service, settings):
    settings.key_file.write_text("nonsense\n")
    assert ".damaged && vpnctl vault recover" in service("user", "add", "x").err + service("peer", "add", "x").err


@pytest.mark.parametrize("away", [">/dev/full", ">&-", ">/dev/null"])
def test_a_recovery_key_that_nobody_could_see_is_said_to_be_lost(tmp_path, away):
    done = real(tmp_path, f"$V init --yes {away}")
    assert done.returncode == 9
    assert "vpnctl vault renew-recovery --show" in done.stderr


def test_a_missing_key_file_is_no_good_run(service, settings):
    settings.key_file.rename(settings.key_file.with_suffix(".away"))
    assert service("jobs", "run", "sync").code == 9
    assert service("node", "sync").code == 9


@pytest.mark.parametrize(
    ("name", "value"), [("ssh_key", "v1.{id}.AAAA"), ("ssh_key", "v1.{id}.!"), ("recovery_copy", "!!!")]
)
def test_damaged_sealed_values_are_trouble_and_no_bug(app, settings, name, value):
    from vpnctl.errors import StateTrouble

    key = state.new_recovery(app)
    with app.store.write() as tx:
        tx.set_meta(name, value.format(id=app.vault.current))
    app.store.close()
    with pytest.raises(StateTrouble):
        if name == "ssh_key":
            state.rotate(settings, "cli:test", lambda *_: None)
        else:
            settings.key_file.unlink()
            state.recover_vault(settings, key)


def test_a_recovery_key_with_one_wrong_letter_is_none_whichever_it_is(app):
    key = state.new_recovery(app).reveal()
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    for letter in letters.replace(key[-1], ""):
        with pytest.raises(VpnctlError):
            state.confirm_recovery(app, Secret(key[:-1] + letter))
    state.confirm_recovery(app, Secret(key))
