"""compose.yaml, the Dockerfile and what they mount mean what the programs mean: commands, names, ports, principals."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]

import controller.settings
from controller.domain import toml
from controller.domain.estate import Site
from controller.domain.listening import Carrier
from deploy.cli import COMMANDS, load
from streams import broker
from streams.grants import PREFIX, Role, collector, grants

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, one in SERVICES.items() if one["image"] == "cordon")
SITE = toml.read((DEPLOY / "examples" / "site.toml").read_text(), Site, file="site.toml")
SOURCES = [source.topic for source in SITE.sources]
HEARD = [listener.topic for listener in SITE.listeners]
VARIABLE = re.compile(r"\$\{(\w+):\?\}")
PROPERTIES = (DEPLOY / "kafka" / "server.properties").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def parsed(words: list[str]) -> dict[str, Any]:
    """The options of a `cordon` command line as the program takes them; SystemExit or UsageError if it does not."""
    command, rest = load(COMMANDS[words[0]].where, words[0]), words[1:]
    while isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    return dict(command.make_context(words[0], list(rest)).params)


@pytest.mark.parametrize("name", OURS)
def test_each_command_line_is_one_that_cordon_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        monkeypatch.setenv(key, value)
    options = parsed([str(word) for word in SERVICES[name]["command"]])
    assert all("/etc/cordon" in str(options[key]) for key in ("site", "policy", "known_hosts") if options.get(key))
    assert "ledger" not in options or options["ledger"] == SERVICES[name]["environment"]["CORDON_LEDGER"]


def test_staging_is_the_same_controller_in_dry_run_and_none_runs_unasked() -> None:
    live, staging = SERVICES["controller"], SERVICES["controller-staging"]
    assert staging["command"] == [*live["command"], "--mode", "dry-run"]
    assert (live["profiles"], staging["profiles"]) == (["live"], ["staging"])
    assert {**live, "command": 0, "profiles": 0} == {**staging, "command": 0, "profiles": 0}


@pytest.mark.parametrize("name", sorted(COMPOSE["configs"]))
def test_both_rooms_read_each_clients_file_and_come_as_its_principal(name: str) -> None:
    file = DEPLOY / COMPOSE["configs"][name]["file"]
    password = {"CORDON_BROKER_PASSWORD": "p"}
    ours = broker.access("", file=file, environment=password)
    theirs = controller.settings.access("", file=file, environment=password)
    assert ours.client() == theirs.client()
    assert ours.client()["bootstrap_servers"] == ["kafka:9092"]
    assert ours.settings.username in ("admin", f"cordon-{name}")


def test_the_broker_knows_exactly_those_whom_the_table_of_grants_names() -> None:
    known = set(re.findall(r"user_(\S+)=", PROPERTIES)) - {"admin"}
    named = {one.principal.removeprefix("User:") for one in grants(SOURCES, HEARD)}
    assert known == named
    assert {PREFIX.removeprefix("User:") + role for role in Role} <= known


@pytest.mark.parametrize(("name", "topic"), [("goflow2", "cordon.flows.goflow2"), ("rsyslog", "cordon.syslog.rsyslog")])
def test_a_collector_writes_a_topic_of_its_own_as_its_own_principal(name: str, topic: str) -> None:
    said = f"{SERVICES[name]} {(DEPLOY / 'rsyslog.conf').read_text() if name == 'rsyslog' else ''}"
    assert topic in SOURCES
    assert topic not in HEARD
    assert set(re.findall(r"cordon-collector-[\w.]+", said)) == {collector(topic).removeprefix("User:")}
    assert set(re.findall(r"""(?<!collector-)\bcordon\.[\w.]+\w""", said)) == {topic}


def test_the_listener_publishes_the_ports_on_which_it_listens() -> None:
    carried = {Carrier.UDP: "udp", Carrier.TCP: "tcp", Carrier.TLS: "tcp"}
    wanted = {f"{port}:{port}/{carried[one.carrier]}" for one in SITE.listeners for port in one.ports}
    assert set(SERVICES["listen"]["ports"]) == wanted


def test_every_password_is_asked_for_and_reaches_who_needs_it() -> None:
    asked = set(VARIABLE.findall((DEPLOY / "compose.yaml").read_text()))
    offered = re.findall(r"^(\w+)=$", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE)
    assert asked == set(offered)
    assert set(re.findall(r"\$\{env:(\w+)\}", PROPERTIES)) <= SERVICES["kafka"]["environment"].keys()
    roles = (DEPLOY / "migrations" / "roles.sql").read_text()
    assert set(re.findall(r"\\getenv \w+ (\w+)", roles)) <= SERVICES["postgres"]["environment"].keys()


def test_the_api_does_not_reach_kafka_and_only_the_controller_has_the_devices_secrets() -> None:
    api = SERVICES["api"]
    assert not set(api["networks"]) & set(SERVICES["kafka"]["networks"])
    assert "configs" not in api
    assert [name for name, one in SERVICES.items() if "env_file" in one] == ["controller", "controller-staging"]
    assert all(COMPOSE["networks"][name]["internal"] for name in ("bus", "books"))
    assert "ports" not in SERVICES["kafka"]
    assert "ports" not in SERVICES["postgres"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_privilege_and_a_file_system_that_is_not_theirs_to_write(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]


def test_every_image_that_is_built_is_a_stage_that_ends_as_nobody_in_particular() -> None:
    stages = {part.split(" AS ")[1].split()[0]: part for part in DOCKERFILE.split("\nFROM ")[1:]}
    built = {one["build"]["target"] for one in SERVICES.values() if "build" in one}
    for target in built:
        users = re.findall(r"^USER (\S+)$", stages[target], re.MULTILINE)
        assert users, target
        assert int(users[-1].partition(":")[0]) >= 10_000


def test_what_the_images_are_made_of_is_in_the_repository() -> None:
    copied = [
        path for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for path in line.split()[:-1]
    ]
    root = DEPLOY.parent
    assert all((root / path).exists() for path in copied)
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert all(f"!{path.split('/')[0]}" in ignored for path in copied)
    rooms = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {room.rstrip("*") for room in rooms} <= set(copied)


def test_a_container_takes_along_what_was_compiled_for_its_image_and_becomes_cordon(tmp_path: Path) -> None:
    assert "NUMBA_CACHE_DIR=/opt/cordon/compiled /opt/cordon/bin/python -m streams compile" in DOCKERFILE
    assert "COPY deploy/entry.sh /opt/cordon/bin/entry" in DOCKERFILE
    assert 'ENTRYPOINT ["entry"]' in DOCKERFILE
    made, cache, programs = tmp_path / "made", tmp_path / "cache", tmp_path / "bin"
    made.mkdir()
    (made / "one.nbi").write_text("compiled")
    programs.mkdir()
    cordon = programs / "cordon"
    cordon.write_text('#!/bin/sh\necho "$@"\n')
    cordon.chmod(0o755)
    told = {"PATH": f"{programs}:/usr/bin:/bin", "NUMBA_CACHE_DIR": str(cache), "CORDON_COMPILED": str(made)}
    for _ in range(2):
        done = subprocess.run(
            [DEPLOY / "entry.sh", "streams", "worker"], env=told, capture_output=True, text=True, check=True
        )
        assert done.stdout == "streams worker\n"
    assert (cache / "one.nbi").read_text() == "compiled"


def test_everything_that_is_mounted_from_here_is_here() -> None:
    volumes = [volume for one in SERVICES.values() for volume in one.get("volumes", ())]
    mounted = {volume.split(":")[0] for volume in volumes if volume.startswith("./")}
    brought = {one for one in mounted if one.startswith("./site")}  # the owner's own
    assert all((DEPLOY / one).exists() for one in mounted - brought)
    named = {volume.split(":")[0] for volume in volumes} - mounted
    assert named == COMPOSE["volumes"].keys()


def test_the_apis_grants_are_those_that_are_documented_and_tested() -> None:
    documented = re.findall(r"^    (GRANT .+;)$", (DEPLOY / "migrations" / "README.md").read_text(), re.MULTILINE)
    assert re.findall(r"^(GRANT .+;)$", (DEPLOY / "migrations" / "api.sql").read_text(), re.MULTILINE) == documented
