"""Settings that are written, read back, or no settings."""

from __future__ import annotations

import pytest


def test_showing_units_writes_nothing(service, tmp_path):
    config = tmp_path / "none.yaml"
    assert service("jobs", "install", "--cron").code == 0
    assert service("jobs", "install", "--print").code == 0
    assert not config.exists()


def test_written_settings_are_read_back_as_they_were(tmp_path):
    from vpnctl import settings

    env = {
        "HOME": str(tmp_path), "VPNCTL_TIMEZONE": "Europe/Berlin", "VPNCTL_EXTEND_ONCE": "yes",
        "VPNCTL_BOT_TOKEN": "123456:" + "A" * 35, "VPNCTL_ADMIN_IDS": "5,-100", "VPNCTL_TECH_CHAT_ID": "-77",
        "VPNCTL_CLIENT_SECRETS": "discard", "VPNCTL_PARALLEL": "7",
    }  # fmt: skip
    found = settings.load(None, env)
    path = tmp_path / "written.yaml"
    path.write_text(settings.written(found))
    assert settings.load(path, {"HOME": str(tmp_path)}) == found


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [("VPNCTL_DATABASE_URL", "postgresql+psycopg://a:PW@:bad:/x", 9), ("VPNCTL_STATE_DIR", "~nouser/x", 2)],
)
def test_an_address_of_the_state_that_is_none_is_said(service, monkeypatch, variable, value, code):
    monkeypatch.setenv(variable, value)
    run = service("user", "list")
    assert run.code == code
    assert "PW" not in run.err
