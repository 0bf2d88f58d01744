"""What the controller is told at its start: site, policy, broker, secrets. Files, environment and names end here."""

import hashlib
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controller.domain import toml
from controller.domain.address import Address, address_of, prefix_of
from controller.domain.errors import BadInput, ConfigError
from controller.domain.estate import Estate, Site
from controller.domain.fence import OF_SEGMENTS, FenceKind
from controller.domain.rulebook import MODES, Rulebook, strictest


@dataclass(frozen=True, slots=True)
class Settings:
    """Site and policy, read and checked, with the policy file's SHA-256."""

    estate: Estate
    rules: Rulebook
    policy_digest: str


def load(site: Path, policy: Path, *, mode: str = "") -> Settings:
    """Read both files. `mode` may make the policy's mode stricter, never looser. Raises ConfigError."""
    estate = Estate(toml.read(_text(site), Site, file=str(site)), file=str(site))
    text = _text(policy)
    rules = toml.read(text, Rulebook, file=str(policy))
    if mode and mode not in MODES:
        raise ConfigError(file="--mode", key="mode", expected=" or ".join(MODES), got=repr(mode))
    _check(rules, estate, file=str(policy))
    rules = replace(rules, mode=strictest(rules.mode, mode))
    return Settings(estate, rules, hashlib.sha256(text.encode()).hexdigest())


def secrets(estate: Estate, environment: Mapping[str, str]) -> dict[str, str]:
    """Values of the variables that devices name for their secrets. Raises ConfigError for one that is not set."""
    found: dict[str, str] = {}
    for device in estate.devices.values():
        for field, name in (("password_env", device.password_env), ("enable_env", device.enable_env)):
            if name and name not in environment:
                raise ConfigError(
                    file="environment", key=name, expected=f"the secret that {field} of device {device.name} names"
                )
            if name:
                found[name] = environment[name]
    return found


def lifelines(estate: Estate, *, broker: Iterable[str], ledger: str) -> frozenset[Address]:
    """Addresses that Cordon itself needs: broker, ledger, devices' management, and its own towards each of them.

    A name in the broker's or ledger's address is looked up once, now; one that cannot be is passed over.
    """
    named = {server.rpartition(":")[0].strip("[]") for server in broker}
    if host := urlsplit(ledger).hostname:
        named.add(host)
    far = {address for name in named for address in _addresses(name)} | {one.host for one in estate.devices.values()}
    near = {own for address in far if (own := _own_towards(address)) is not None}
    return frozenset(address for address in far | near if not address.is_loopback)


class Security(StrEnum):
    """Kafka's own names for how a connection is protected."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class Mechanism(StrEnum):
    """SASL mechanisms, by Kafka's names."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Tempo:
    """Times of a broker's clients. The controller joins no group and uses the first only."""

    fetch_wait_ms: int = 500
    session_s: float = 10.0
    rebalance_s: float = 30.0
    heartbeat_s: float = 3.0


EMBEDDED = Tempo(fetch_wait_ms=20)
"""The broker in the wheel answers a fetch only when its wait is over."""


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach Kafka; the same file as the streams' --broker-file. The password stands in the environment."""

    bootstrap: str  # host:port, several with commas; IPv6 in brackets
    security: Security = Security.PLAINTEXT
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    mechanism: Mechanism = Mechanism.PLAIN
    username: str = ""
    password_env: str = "CORDON_BROKER_PASSWORD"  # noqa: S105 - the name of a variable
    replication: int = 1
    tempo: Tempo = Tempo()

    def __post_init__(self) -> None:
        if not all(one.rpartition(":")[2].isdecimal() and one.rpartition(":")[0] for one in self.servers):
            raise ValueError("bootstrap as host:port, several with commas")

    @property
    def servers(self) -> list[str]:
        """The bootstrap servers, one by one."""
        return [one.strip() for one in self.bootstrap.split(",")]


@dataclass(frozen=True, slots=True)
class Access:
    """A broker together with the secret that the environment held."""

    broker: Broker
    password: str = ""

    def client(self) -> dict[str, Any]:
        """Options of a kafka-python client. Certificates and host names are always checked."""
        broker = self.broker
        options: dict[str, Any] = {
            "bootstrap_servers": broker.servers,
            "security_protocol": broker.security.value,
        }
        if broker.security in (Security.SSL, Security.SASL_SSL):
            context = ssl.create_default_context(cafile=broker.ca_file or None)
            if broker.cert_file:
                context.load_cert_chain(broker.cert_file, broker.key_file or None)
            options["ssl_context"] = context
        if broker.security in (Security.SASL_PLAINTEXT, Security.SASL_SSL):
            options |= {
                "sasl_mechanism": broker.mechanism.value,
                "sasl_plain_username": broker.username,
                "sasl_plain_password": self.password,
            }
        return options


def access(bootstrap: str, *, file: Path | None, environment: Mapping[str, str], tempo: Tempo | None = None) -> Access:
    """How to reach the broker: the file's settings, with `bootstrap` and `tempo` in their places where given.

    Raises ConfigError naming what is wrong or missing.
    """
    document = {"bootstrap": bootstrap} if bootstrap else {}
    if file is None:
        broker = toml.build(document, Broker, file="--broker")
    else:
        broker = toml.read(_text(file), Broker, file=str(file))
        broker = replace(broker, bootstrap=bootstrap or broker.bootstrap)
    if tempo is not None:
        broker = replace(broker, tempo=tempo)
    password = environment.get(broker.password_env, "")
    if broker.security in (Security.SASL_PLAINTEXT, Security.SASL_SSL) and not password:
        raise ConfigError(file="environment", key=broker.password_env, expected="the broker's password")
    return Access(broker, password)


def _check(rules: Rulebook, estate: Estate, *, file: str) -> None:
    """What no single field can tell: names that have to mean something."""
    kinds = [kind.value for kind in FenceKind if kind not in OF_SEGMENTS]
    for index, name in enumerate(rules.fences.preferred):
        if name not in kinds:
            raise ConfigError(file=file, key=f"fences.preferred[{index}]", expected=" or ".join(kinds), got=repr(name))
    for name, mode in [
        *((f"segments.{one.name}.mode", one.mode) for one in estate.segments.values()),
        *((f"devices.{one.name}.mode", one.mode) for one in estate.devices.values()),
    ]:
        if mode and mode not in MODES:
            raise ConfigError(file="site", key=name, expected=" or ".join(MODES), got=repr(mode))
    tenants = {host.tenant for host in estate.hosts.values()}
    for index, name in enumerate(rules.limits.allow):
        if name not in estate.hosts and name not in tenants and not _is_prefix(name):
            raise ConfigError(
                file=file,
                key=f"limits.allow[{index}]",
                expected="an address, a prefix, or the name of a host or tenant of the site",
                got=repr(name),
            )


def _is_prefix(text: str) -> bool:
    try:
        prefix_of(text)
    except BadInput:
        return False
    return True


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            file=str(file), key="(the whole file)", expected="a file that can be read", got=error.strerror or str(error)
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(file=str(file), key="(the whole file)", expected="UTF-8 text", got=str(error)) from None


def _addresses(name: str) -> set[Address]:
    try:
        return {address_of(name)}
    except BadInput:
        pass
    try:
        return {address_of(str(found[4][0])) for found in socket.getaddrinfo(name, None)}
    except (OSError, BadInput):
        return set()


def _own_towards(address: Address) -> Address | None:
    """Our address on the way to another; no packet is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return address_of(str(probe.getsockname()[0]))
    except (OSError, BadInput):
        return None
