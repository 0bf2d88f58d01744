import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.settings import Connection, read_connection, read_estate, write_connection
from controller.domain.errors import ConfigError


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_connection_reads_as_it_was_written(tmp_path: Path, url: str, token: str) -> None:
    file = tmp_path / "connection.toml"
    write_connection(file, url + "u", token + "t", ledger="sqlite:////somewhere")
    assert read_connection(file) == Connection(url + "u", token + "t", "sqlite:////somewhere")


def test_a_connection_file_is_its_owners_alone_even_where_another_stood(tmp_path: Path) -> None:
    file = tmp_path / ".cordon" / "connection.toml"
    file.parent.mkdir()
    file.write_text("old")
    file.chmod(0o644)
    write_connection(file, "http://127.0.0.1:1", "secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("text", ["", 'url = "http://x"', "url = 1\ntoken", "\xff"])
def test_a_connection_file_that_is_none_says_what_is_expected(tmp_path: Path, text: str) -> None:
    file = tmp_path / "connection.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="url, token"):
        read_connection(file)


def test_a_missing_connection_file_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cordon up or demo"):
        read_connection(tmp_path / "nothing.toml")


def test_a_site_that_cannot_be_read_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        read_estate(tmp_path / "nothing.toml")
