"""Settings and amounts as people write them."""

from __future__ import annotations

import pytest

from vpnctl.rules import sizes
from vpnctl.settings import load


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("admin_ids: [1, 2]", "admin_ids", (1, 2)),
        ("admin_ids: 7", "admin_ids", (7,)),
        ("approve_configs: true", "approve_configs", True),
        ("approve_configs: No", "approve_configs", False),
        ("extend_once: on", "extend_once", True),
    ],
)
def test_settings_are_read_as_people_write_yaml(tmp_path, line, name, value):
    path = tmp_path / "vpnctl.yaml"
    path.write_text(line + "\n")
    assert getattr(load(path, {"HOME": str(tmp_path)}), name) == value


def test_sizes_are_read_as_they_are_exported():
    assert sizes.size("107374182400") == 107374182400
