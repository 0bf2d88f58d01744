"""The broker as compose.yaml runs it: its settings start, and each shipped client finds there what is its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from controller.domain import wire
from deploy.apache import Node
from streams.broker import access
from tests.integration.apache import apache_kafka

DEPLOY = Path(__file__).parents[2] / "deploy"
CLIENTS = DEPLOY / "kafka" / "clients"
SECRETS = ("ADMIN", "STREAMS", "CLOCK", "LISTEN", "CONTROLLER", "GOFLOW2", "RSYSLOG")


def shipped(node: Node) -> dict[str, str]:
    """The settings in the repository, with this node's folder and ports in place of the container's."""
    text = (DEPLOY / "kafka" / "server.properties").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    values = dict(line.split("=", 1) for line in lines)
    places = {
        "0.0.0.0:9092": f"127.0.0.1:{node.port}",
        "kafka:9092": f"127.0.0.1:{node.port}",
        "127.0.0.1:9093": f"127.0.0.1:{node.internal}",
        "127.0.0.1:9094": f"127.0.0.1:{node.quorum}",
    }
    for theirs, ours in places.items():
        values = {key: value.replace(theirs, ours) for key, value in values.items()}
    return {**values, "log.dirs": str(node.directory / "data")}


@pytest.mark.timeout(240)
def test_the_shipped_broker_starts_and_shows_each_shipped_client_its_own_topics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(f"KAFKA_{name}", f"secret of {name}")
    kafka = apache_kafka(tmp_path)
    kafka.more = shipped(kafka.nodes[0])
    with kafka:
        granted = subprocess.run(
            [
                *(sys.executable, "-m", "streams", "access", "--grant", "--broker", kafka.bootstrap),
                *("--site", DEPLOY / "examples" / "site.toml", "--policy", DEPLOY / "examples" / "policy.toml"),
                *("--broker-file", CLIENTS / "admin.toml"),
            ],
            cwd=DEPLOY.parent,
            env={**os.environ, "CORDON_BROKER_PASSWORD": "secret of ADMIN"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert granted.returncode == 0, granted.stdout + granted.stderr
        assert "nobody may do more or less" in granted.stdout
        seen = {file.stem: topics(kafka.bootstrap, file) for file in CLIENTS.glob("*.toml")}
    sources = {"cordon.flows", "cordon.flows.goflow2", "cordon.syslog", "cordon.syslog.rsyslog"}
    heard = {"cordon.flows", "cordon.syslog"}
    own = {wire.ACTIVITY, wire.STATE, wire.LESSONS, wire.VERDICTS, wire.DECISIONS, wire.HEALTH, wire.DEAD}
    assert seen == {
        "admin": sources | own,
        "streams": sources | own,
        "clock": sources - heard | {wire.HEALTH},
        "listen": heard | {wire.HEALTH},
        "controller": {wire.VERDICTS, wire.HEALTH, wire.DEAD, wire.DECISIONS},
    }


def topics(bootstrap: str, file: Path) -> set[str]:
    """The topics that a client is shown."""
    secret = {"CORDON_BROKER_PASSWORD": f"secret of {file.stem.upper()}"}
    with KafkaAdminClient(**access(bootstrap, file=file, environment=secret).client()) as client:
        return {one["name"] for one in client.describe_topics() if not one["is_internal"]}
