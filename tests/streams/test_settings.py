"""Site and policy as files: read whole, or refused by file, key and what is expected."""

from pathlib import Path

import pytest

from controller.domain.errors import ConfigError
from streams.settings import load, scorer_digest

SITE = """
version = 1
name = "small"
prefixes = ["198.18.0.0/15", "2001:db8::/32"]
[[devices]]
name = "sw1"
platform = "cisco_ios"
host = "10.0.0.1"
exporter = "10.0.0.1"
[[sources]]
topic = "flows"
format = "goflow2-json"
"""


def write(folder: Path, *, site: str = SITE, policy: str = "version = 1\n") -> tuple[Path, Path]:
    (folder / "site.toml").write_text(site)
    (folder / "policy.toml").write_text(policy)
    return folder / "site.toml", folder / "policy.toml"


def test_both_files_are_read(tmp_path: Path) -> None:
    settings = load(*write(tmp_path))
    assert list(settings.estate.devices) == ["sw1"]
    assert settings.rules.scoring.tick_ms == 250
    assert len(settings.scorer) == 12


@pytest.mark.parametrize(
    ("site", "policy", "words"),
    [
        (SITE.replace("goflow2-json", "goflow3"), "version = 1\n", r"site\.toml: sources\[0\]\.format"),
        (SITE, "version = 1\n[scoring]\nwach = 3.0\n", r"policy\.toml: scoring\.wach: expected 'watch'"),
        (SITE + "\n[[interfaces]]\ndevice='sw9'\nname='p1'\n", "version = 1\n", r"interfaces\[0\]\.device"),
        ("\x00", "version = 1\n", "valid TOML"),
    ],
)
def test_wrong_file_is_refused_by_name_key_and_expectation(tmp_path: Path, site: str, policy: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(*write(tmp_path, site=site, policy=policy))


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml", write(tmp_path)[1])


def test_digest_changes_with_the_policy() -> None:
    assert scorer_digest("version = 1") != scorer_digest("version = 1\n[scoring]\nwatch = 41.0")


def test_digest_changes_with_the_code_between_a_frame_and_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the listener's, which has no part in it."""
    before, read = scorer_digest(""), Path.read_bytes

    def changed(end: str) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(
                Path, "read_bytes", lambda path: read(path) + (b"#" if path.as_posix().endswith(end) else b"")
            )
            return scorer_digest("")

    for module in (
        "streams/standing.py",
        "streams/gate.py",
        "streams/detect/scan.py",
        "netflow5.py",
        "domain/rulebook.py",
    ):
        assert changed(module) != before, module
    assert changed("streams/listen/ears.py") == before == changed("nothing")
