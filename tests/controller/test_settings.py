import dataclasses
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from controller.domain.errors import ConfigError
from controller.domain.estate import Estate
from controller.domain.rulebook import Rulebook
from controller.settings import EMBEDDED, access, lifelines, load, secrets

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
SITE = EXAMPLES / "site.toml"


def policy(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text("version = 1\n" + text)
    return file


def keys(value: Any) -> Any:
    if not dataclasses.is_dataclass(value):
        return 0
    return {field.name: keys(getattr(value, field.name)) for field in dataclasses.fields(value)}


def shape(document: Any) -> Any:
    return {name: shape(one) for name, one in document.items()} if isinstance(document, dict) else 0


def test_the_example_policy_names_every_key_and_its_true_default() -> None:
    settings = load(SITE, EXAMPLES / "policy.toml")
    assert settings.rules == Rulebook(version=1)
    assert shape(tomllib.loads((EXAMPLES / "policy.toml").read_text())) == keys(Rulebook(version=1))


def test_the_example_site_loads_and_its_platforms_have_dialects() -> None:
    estate = load(SITE, EXAMPLES / "policy.toml").estate
    assert estate.hosts["vps001"].guest is not None
    known = {file.stem for file in (EXAMPLES.parents[1] / "drivers" / "dialects").glob("*.toml")}
    assert {device.platform for device in estate.devices.values()} <= known


def test_the_digest_is_of_the_file_as_it_is(tmp_path: Path) -> None:
    one = load(SITE, policy(tmp_path, "")).policy_digest
    assert load(SITE, policy(tmp_path, "# a remark\n")).policy_digest != one


@pytest.mark.parametrize(
    ("text", "mode", "holds"),
    [
        ('mode = "enforce"', "", "enforce"),
        ('mode = "enforce"', "dry-run", "dry-run"),
        ('mode = "dry-run"', "enforce", "dry-run"),
    ],
)
def test_a_mode_on_the_command_line_is_never_looser(tmp_path: Path, text: str, mode: str, holds: str) -> None:
    assert load(SITE, policy(tmp_path, text), mode=mode).rules.mode == holds


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[fences]\nprefered = []", "fences.prefered"),
        ('[fences]\npreferred = ["cut_cable"]', "fences.preferred[0]"),
        ('[fences]\npreferred = ["isolate_segment"]', "fences.preferred[0]"),
        ('[limits]\nallow = ["nobody"]', "limits.allow[0]"),
        ("[limits.blast]\nper_segment_share = 0.0", "limits.blast"),
        ('mode = "yolo"', "(the whole file)"),
        ("[scoring]\nwatch = 90.0", "scoring"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(SITE, policy(tmp_path, text))
    assert (caught.value.key, caught.value.file) == (key, str(tmp_path / "policy.toml"))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load(Path("nowhere.toml"), EXAMPLES / "policy.toml")


def test_an_unknown_mode_on_the_command_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="--mode"):
        load(SITE, EXAMPLES / "policy.toml", mode="yolo")


def example() -> Estate:
    return load(SITE, EXAMPLES / "policy.toml").estate


def test_secrets_come_from_the_environment_and_a_missing_one_is_named() -> None:
    full = {"CORDON_SW01": "a", "CORDON_SW01_ENABLE": "b", "OTHER": "c"}
    assert secrets(example(), full) == {"CORDON_SW01": "a", "CORDON_SW01_ENABLE": "b"}
    with pytest.raises(ConfigError, match="CORDON_SW01_ENABLE"):
        secrets(example(), {"CORDON_SW01": "a"})


def test_lifelines_are_broker_ledger_and_management_but_not_loopback() -> None:
    found = lifelines(
        example(),
        broker=["198.18.9.1:9092", "[2001:db8::9]:9092", "127.0.0.1:9092"],
        ledger="postgresql://me@198.18.9.2/x",
    )
    expected = {"198.18.9.1", "2001:db8::9", "198.18.9.2", "198.18.255.11", "198.18.255.21", "198.18.255.31"}
    assert {ip_address(one) for one in expected} <= found
    assert not [one for one in found if one.is_loopback]


def test_the_broker_is_where_the_option_says_with_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text('bootstrap = "k1:9092"\nsecurity = "SASL_PLAINTEXT"\nusername = "cordon"\n')
    way = access("k2:9093, k3:9093", file=file, environment={"CORDON_BROKER_PASSWORD": "secret"}, tempo=EMBEDDED)
    options = way.client()
    assert options["bootstrap_servers"] == ["k2:9093", "k3:9093"]
    assert options["sasl_plain_password"] == "secret"
    assert way.broker.tempo.fetch_wait_ms == 20
    with pytest.raises(ConfigError, match="CORDON_BROKER_PASSWORD"):
        access("", file=file, environment={})


def test_a_broker_without_a_port_is_refused() -> None:
    with pytest.raises(ConfigError, match="host:port"):
        access("kafka", file=None, environment={})
