"""How to reach Kafka, written once for the clients in this room (Faust, aiokafka, kafka-python, librdkafka)."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from controller.domain import toml
from controller.domain.errors import ConfigError

TOGETHER = 950_000
"""Octets of messages that librdkafka may join: less than a topic's max.message.bytes."""

BESIDE = 512
"""Octets that a message takes beside its value while it is on its way, at most: many small ones are bounded too."""


class Security(StrEnum):
    """Kafka's own names for how a connection is protected."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class Mechanism(StrEnum):
    """SASL mechanisms that all three clients speak."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Tempo:
    """Times of the consumer group and of waiting fetches.

    `session_s` is the larger part of a take-over from a worker that was killed; Apache Kafka grants no less
    than 6 s where nobody told it to (group.min.session.timeout.ms). Heartbeats come from a thread that decodes and
    scores nothing, six in a session: a busy worker stays in its group. The others hear of a death by their next one.
    """

    fetch_wait_ms: int = 100
    session_s: float = 6.0
    rebalance_s: float = 30.0
    heartbeat_s: float = 1.0


CLUSTER = Tempo()
EMBEDDED = Tempo(fetch_wait_ms=20, rebalance_s=3.0)
"""Tansu answers a fetch only when its wait is over, and holds a joining group for the whole rebalance time."""


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is, and as whom to come. The password itself is read from the environment, never from a file."""

    bootstrap: str  # host:port, several with commas; IPv6 in brackets
    security: Security = Security.PLAINTEXT
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    mechanism: Mechanism = Mechanism.PLAIN
    username: str = ""
    password_env: str = "CORDON_BROKER_PASSWORD"  # noqa: S105 - the name of a variable
    replication: int = 1
    tempo: Tempo = CLUSTER

    def __post_init__(self) -> None:
        if not all(one.rpartition(":")[2].isdecimal() and one.rpartition(":")[0] for one in self.servers):
            raise ValueError("bootstrap as host:port, several with commas")

    @property
    def servers(self) -> list[str]:
        """The bootstrap servers, one by one."""
        return [one.strip() for one in self.bootstrap.split(",")]

    @property
    def encrypted(self) -> bool:
        """True where TLS is spoken."""
        return self.security in (Security.SSL, Security.SASL_SSL)

    @property
    def authenticated(self) -> bool:
        """True where SASL is spoken."""
        return self.security in (Security.SASL_PLAINTEXT, Security.SASL_SSL)

    def context(self) -> ssl.SSLContext | None:
        """The TLS context, or None. Certificate and host name are always checked."""
        if not self.encrypted:
            return None
        made = ssl.create_default_context(cafile=self.ca_file or None)
        if self.cert_file:
            made.load_cert_chain(self.cert_file, self.key_file or None)
        return made


@dataclass(frozen=True, slots=True)
class Access:
    """Settings together with the secret that the environment held."""

    settings: BrokerSettings
    password: str = ""

    def client(self) -> dict[str, Any]:
        """Options that aiokafka and kafka-python share."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.settings.servers,
            "security_protocol": self.settings.security.value,
        }
        if (context := self.settings.context()) is not None:
            options["ssl_context"] = context
        if self.settings.authenticated:
            options |= {
                "sasl_mechanism": self.settings.mechanism.value,
                "sasl_plain_username": self.settings.username,
                "sasl_plain_password": self.password,
            }
        return options

    def librdkafka(self) -> dict[str, str | int | float | bool]:
        """The same options in librdkafka's names (CONFIGURATION.md of librdkafka)."""
        settings = self.settings
        options: dict[str, str | int | float | bool] = {
            "bootstrap.servers": ",".join(settings.servers),
            "security.protocol": settings.security.value,
        }
        if settings.encrypted:
            options["ssl.ca.location"] = settings.ca_file or "probe"
            if settings.cert_file:
                options["ssl.certificate.location"] = settings.cert_file
                options["ssl.key.location"] = settings.key_file or settings.cert_file
        if settings.authenticated:
            options |= {
                "sasl.mechanism": settings.mechanism.value,
                "sasl.username": settings.username,
                "sasl.password": self.password,
            }
        return options


def access(bootstrap: str, *, file: Path | None, environment: Mapping[str, str], tempo: Tempo = CLUSTER) -> Access:
    """Settings from a TOML file, whose bootstrap `bootstrap` replaces, or from `bootstrap` and `tempo` alone.

    Raises ConfigError naming what is wrong or missing.
    """
    if file is None:
        settings = toml.build({"bootstrap": bootstrap}, BrokerSettings, file="--broker")
        return Access(replace(settings, tempo=tempo))
    settings = toml.read(file.read_text(), BrokerSettings, file=str(file))
    if bootstrap:
        settings = replace(settings, bootstrap=bootstrap)
    password = environment.get(settings.password_env, "")
    if settings.authenticated and not password:
        raise ConfigError(file=str(file), key=settings.password_env, expected="this environment variable to be set")
    return Access(settings, password)
