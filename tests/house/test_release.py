"""A release: what is unreleased gets a version and a day, and building twice gives the same bytes."""

from __future__ import annotations

from datetime import date

import pytest

from docs import release

LOG = "# Changelog\n\n## [Unreleased]\n\n- news\n\n## [0.1.0] - 2026-01-01\n\n- old\n"


def test_what_is_unreleased_gets_its_version_and_day():
    text = release.changelog(LOG, "0.2.0", date(2026, 11, 27))
    assert text == LOG.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.0] - 2026-11-27\n")


@pytest.mark.parametrize(("text", "version"), [(LOG, "0.1.0"), (LOG.replace("- news\n", ""), "0.2.0"), ("", "0.2.0")])
def test_a_release_of_nothing_or_of_something_twice_is_refused(text, version):
    with pytest.raises(release.Refused):
        release.changelog(text, version, date(2026, 11, 27))


def test_the_version_stands_once_in_each_of_its_places():
    from vpnctl import __version__

    for name, form in release.PLACES:
        text = (release.ROOT / name).read_text()
        assert form.format("9.9.9") in release.bump(text, form, __version__, "9.9.9")


def test_building_twice_in_different_folders_gives_the_same_bytes(tmp_path):
    (tmp_path / "dist").mkdir()
    made = release.reproducible(release.ROOT, tmp_path / "dist", "1800000000")
    assert sorted(name.rpartition(".")[2] for name in made) == ["gz", "whl"]
