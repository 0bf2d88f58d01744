"""The CLI models against recorded devices: what was typed is taken, what is printed has the recorded shape.

The recordings are third-party data outside the repository (CORDON_CORPUS). ntc-templates, a parser library with
templates made from real devices, is asked besides whether it reads back what the plan says.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from ntc_templates.parse import parse_output

from deploy.lab.device import DevicePlan, EmulatedDevice, PortPlan
from deploy.lab.gaia import GaiaDevice
from deploy.lab.ios import IosDevice
from deploy.lab.junos import JunosDevice

NOW = 1_700_000_000.0
CORPUS = Path(os.environ.get("CORDON_CORPUS", "../shared/data"))
GENIE = CORPUS / "CiscoTestAutomation__genieparser/src/genie/libs/parser"
MOCKS = CORPUS / "CiscoTestAutomation__unicon.plugins/src/unicon/plugins/tests/mock_data"
NTC = CORPUS / "networktocode__ntc-templates/tests"
recorded = [
    pytest.mark.corpus,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus (CORDON_CORPUS) is not there"),
]
HOST = "aa:bb:cc:00:00:07"
IOS = DevicePlan(
    "sw1",
    "cisco_ios",
    "sw-a1",
    (
        PortPlan("GigabitEthernet1/0/1", 1, trunk=True, description="uplink to core"),
        PortPlan("GigabitEthernet1/0/7", 7, vlan=100, description="hv7", neighbours=((HOST, "10.0.0.7"),)),
        PortPlan("GigabitEthernet1/0/8", 8, vlan=100),
    ),
    vlans=((100, "WEB"), (666, "QUARANTINE")),
)
JUNOS = DevicePlan(
    "ex1",
    "juniper_junos",
    "ex-a1",
    (
        PortPlan("ge-0/0/0", 501, trunk=True),
        PortPlan("ge-0/0/7", 507, vlan=100, description="hv7", neighbours=((HOST, "10.0.0.7"),)),
    ),
    vlans=((100, "Vlan100"), (666, "QUARANTINE")),
)
GAIA = DevicePlan(
    "fw1",
    "checkpoint_gaia",
    "gw-1",
    (PortPlan("eth1", 3, addresses=("10.0.0.1/24",), neighbours=((HOST, "10.0.0.7"),)),),
    options={"expert_password": "3xpert"},
)
DEVICES: Mapping[str, tuple[Callable[[DevicePlan], EmulatedDevice], DevicePlan]] = {
    "cisco_ios": (IosDevice, IOS),
    "juniper_junos": (JunosDevice, JUNOS),
    "checkpoint_gaia": (GaiaDevice, GAIA),
}
QUIET = {
    "cisco_ios": "terminal length 0",
    "juniper_junos": "set cli screen-length 0",
    "checkpoint_gaia": "set clienv rows 0",
}


def printed(platform: str, *lines: str) -> str:
    """What a device of that platform prints to the last line."""
    build, plan = DEVICES[platform]
    session = build(plan).login("ops")
    text = ""
    for line in (QUIET[platform], *lines):
        reply = session.line(line, now=NOW)
        assert reply.accepted, reply.text
        text = reply.text
    return text


@pytest.mark.parametrize(
    ("platform", "command", "wanted"),
    [
        ("cisco_ios", "show vlan", {"vlan_id": "100", "vlan_name": "WEB", "interfaces": ["Gi1/0/7", "Gi1/0/8"]}),
        ("cisco_ios", "show interfaces status", {"port": "Gi1/0/7", "vlan_id": "100", "status": "connected"}),
        ("cisco_ios", "show interfaces status", {"port": "Gi1/0/1", "vlan_id": "trunk", "name": "uplink to core"}),
        (
            "cisco_ios",
            "show mac address-table",
            {"destination_address": "aabb.cc00.0007", "vlan_id": "100", "destination_port": ["Gi1/0/7"]},
        ),
        (
            "cisco_ios",
            "show interfaces",
            {"interface": "GigabitEthernet1/0/7", "link_status": "up", "description": "hv7"},
        ),
        (
            "cisco_ios",
            "show interfaces switchport",
            {"interface": "Gi1/0/7", "access_vlan": "100", "admin_mode": "static access"},
        ),
        (
            "cisco_ios",
            "show ip arp",
            {"ip_address": "10.0.0.7", "mac_address": "aabb.cc00.0007", "interface": "Vlan100"},
        ),
        ("cisco_ios", "show ip interface brief", {"interface": "GigabitEthernet1/0/8", "status": "up", "proto": "up"}),
        ("cisco_ios", "show version", {"hostname": "sw-a1", "version": "17.3.5"}),
        ("cisco_ios", "show archive", {"state": "not enabled"}),
        ("cisco_ios", "show clock", {"time": "22:13:20.000", "year": "2023"}),
        (
            "juniper_junos",
            "show vlans",
            {"vlan_name": "Vlan100", "tag": "100", "interfaces": ["ge-0/0/0.0*", "ge-0/0/7.0*"]},
        ),
        (
            "juniper_junos",
            "show ethernet-switching table",
            {"vlan_id": "100", "mac_address": HOST, "logical_interface": "ge-0/0/7.0"},
        ),
        ("juniper_junos", "show interfaces", {"interface": "ge-0/0/7", "link_status": "Up", "description": "hv7"}),
        (
            "juniper_junos",
            "show arp no-resolve",
            {"ip_address": "10.0.0.7", "mac_address": HOST, "interface": "irb.100"},
        ),
        ("juniper_junos", "show version", {"hostname": "ex-a1", "model": "ex4300-48t"}),
        ("checkpoint_gaia", "show interfaces all", {"interface": "eth1", "state": "on", "ipv4_address": "10.0.0.1/24"}),
        ("checkpoint_gaia", "show version all", {"version": "R81.10", "architecture": "64"}),
        ("checkpoint_gaia", "show route", {"protocol": "C", "network": "10.0.0.0", "interface": "eth1"}),
        ("checkpoint_gaia", "show arp dynamic all", {"ip_address": "10.0.0.7", "mac_address": HOST.upper()}),
        ("checkpoint_gaia", "fw stat", {"policy": "Standard"}),
    ],
)
def test_templates_made_from_real_devices_read_back_what_the_plan_says(
    platform: str, command: str, wanted: dict[str, object]
) -> None:
    rows = parse_output(platform=platform, command=command, data=printed(platform, command))
    assert any(all(row[key] == value for key, value in wanted.items()) for row in rows), rows


class TestRecordedDevices:
    pytestmark = recorded

    @pytest.mark.parametrize("transport", ["system", "telnet"])
    def test_a_recorded_junos_session_reads_the_same(self, transport: str) -> None:
        folder = CORPUS / "scrapli__scrapli_cfg/tests/integration/platform/scrapli_replay_sessions"
        name = f"test_load_config_replace_diff_and_commit[juniper_junos-{transport}].yaml"
        recording = next(iter(yaml.safe_load((folder / name).read_text()).values()))["interactions"]
        session = JunosDevice(JUNOS).login("boxen")
        ours = {"set", "configure", "commit", "exit"}
        compared = 0
        for sent, answer in zip(recording, recording[2:], strict=False):
            line = sent["expected_channel_input"].strip()
            if line.split(" ")[0] not in ours or "boxen" not in answer["channel_output"]:
                continue
            if line == "exit":
                continue
            body = re.sub(r"\n(\[edit\]\n)?boxen[>#] $", "", answer["channel_output"]).strip()
            assert session.line(line, now=NOW).text.strip() == body
            compared += 1
        assert compared >= 6

    def test_entries_of_recorded_ipv4_lists_are_taken_and_listed_again(self) -> None:
        session = IosDevice(IOS).login("ops")
        session.line("terminal length 0", now=NOW)
        session.line("configure terminal", now=NOW)
        outside = re.compile(
            r"object-group|dscp|time-range|reflect|evaluate|precedence|tos |match-a|ttl|option|\btag\b"
        )
        compared = 0
        for path in sorted((GENIE / "ios/tests/ShowAccessLists/cli/equal").glob("*_output.txt")):
            text = path.read_text()
            for number, found in enumerate(
                re.findall(r"^Extended IP access list (\S+)\n((?:[ \t].*\n?)*)", text, re.M)
            ):
                entries = [re.sub(r"\s*\(.*\)", "", line).strip() for line in found[1].splitlines()]
                entries = [re.sub(r"\s+", " ", line) for line in entries if re.match(r"\d+ (permit|deny)", line)]
                name = f"R{compared}-{number}"
                session.line(f"ip access-list extended {name}", now=NOW)
                kept = []
                for entry in entries:
                    if outside.search(entry) or _unknown_icmp(entry):
                        continue
                    reply = session.line(entry, now=NOW)
                    assert reply.accepted, f"{entry}: {reply.text}"
                    kept.append(entry)
                shown = session.line(f"do show ip access-lists {name}", now=NOW).text.splitlines()[1:]
                assert [line.strip() for line in shown] == kept
                compared += len(kept)
        assert compared > 10

    def test_entries_of_recorded_ipv6_lists_are_taken_and_listed_again(self) -> None:
        session = IosDevice(IOS).login("ops")
        session.line("terminal length 0", now=NOW)
        session.line("configure terminal", now=NOW)
        text = (NTC / "cisco_ios/show_ipv6_access-lists/cisco_ios_show_ipv6_access-lists.raw").read_text()
        compared = 0
        for name, body in re.findall(r"^IPv6 access list (\S+)\n((?: .*\n?)*)", text, re.M):
            session.line(f"ipv6 access-list {name}", now=NOW)
            kept = [line.strip() for line in body.splitlines() if " auth" not in line]
            for entry in kept:
                reply = session.line(entry, now=NOW)
                assert reply.accepted, f"{entry}: {reply.text}"
            shown = session.line(f"do show ipv6 access-list {name}", now=NOW).text.splitlines()[1:]
            assert [line.strip() for line in shown] == kept
            compared += len(kept)
        assert compared > 10

    @pytest.mark.parametrize(
        ("path", "platform", "command", "start"),
        [
            ("iosxe/tests/ShowInterfacesStatusModule", "cisco_ios", "show interfaces status", "Port "),
            ("iosxe/tests/ShowMacAddressTableDynamicVlan", "cisco_ios", "show mac address-table", "Vlan "),
            ("junos/tests/ShowInterfacesDescriptions", "juniper_junos", "show interfaces descriptions", "Interface "),
        ],
    )
    def test_tables_have_the_recorded_heads(self, path: str, platform: str, command: str, start: str) -> None:
        recordings = sorted((GENIE / path).rglob("golden*_output.txt"))
        heads = {
            line.strip()
            for one in recordings
            for line in one.read_text().splitlines()
            if line.strip().startswith(start) and "#" not in line
        }
        ours = [line.strip() for line in printed(platform, command).splitlines() if line.startswith(start)]
        assert ours[0] in heads

    def test_counters_of_a_junos_interface_stand_where_they_were_recorded(self) -> None:
        path = GENIE / "junos/tests/ShowInterfacesInterfaceDetail/cli/equal/golden_output_output.txt"
        labels = re.compile(
            r"^ {2,3}(Physical|Traffic statistics:|Input  bytes  :|Output bytes  :|Input  packets:)", re.MULTILINE
        )
        wanted = labels.findall(path.read_text())
        assert labels.findall(printed("juniper_junos", "show interfaces ge-0/0/7 extensive")) == wanted

    def test_a_gaia_interface_has_the_recorded_fields_in_order(self) -> None:
        path = GENIE / "gaia/tests/ShowInterface/cli/equal/golden_output_output.txt"
        wanted = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
        ours = [
            line.split()[0] for line in printed("checkpoint_gaia", "show interface eth1").splitlines() if line.strip()
        ]
        assert ours == wanted

    def test_the_commands_of_the_recorded_gaia_device_move_between_its_modes(self) -> None:
        states = yaml.safe_load((MOCKS / "gaia/gaia_mock_data_expert.yaml").read_text())
        recorded_lines = states["exp_clish"]["commands"]["show version all"]["response"].splitlines()
        ours = printed("checkpoint_gaia", "show version all").splitlines()
        assert [line.rsplit(" ", 1)[0] for line in ours] == [line.rsplit(" ", 1)[0] for line in recorded_lines]
        session = GaiaDevice(GAIA).login("ops")
        assert session.prompt == states["exp_clish"]["prompt"].replace("gaia-gw", "gw-1")
        session.line("expert", now=NOW)
        session.line("3xpert", now=NOW)
        assert session.prompt == states["exp_expert"]["prompt"].replace("%N", "gw-1")

    def test_the_commands_of_a_recorded_ios_login_are_taken(self) -> None:
        text = (CORPUS / "ktbyers__netmiko/tests/SLOG/cisco881_slog_compare.log").read_text()
        session = IosDevice(IOS).login("ops")
        typed = [line.partition(">")[2] for line in text.splitlines() if line.startswith("cisco1>")]
        for line in filter(None, typed):
            reply = session.line(line, now=NOW)
            assert reply.accepted, f"{line}: {reply.text}"
        heads = [line for line in text.splitlines() if line.startswith("Interface ")]
        assert printed("cisco_ios", "show ip interface brief").splitlines()[0].split() == heads[0].split()


def _unknown_icmp(entry: str) -> bool:
    """ICMP types that an entry may name and the model does not know; protocols likewise."""
    words = entry.split()
    return words[2] == "icmp" and words[-1] not in ("any", "echo", "echo-reply", "unreachable", "log")
