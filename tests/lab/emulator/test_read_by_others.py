"""What others make of the emulator's outputs, and what it makes of the worst input of others."""

import os
from pathlib import Path

import pytest
from ntc_templates.parse import parse_output

from deploy.lab.device import DevicePlan, PortPlan
from deploy.lab.nft import NftDevice
from deploy.lab.nft_commands import Batch
from deploy.lab.nft_ruleset import Ruleset
from deploy.lab.nft_words import NftError, scan
from deploy.lab.ovs_flows import parse, parse_meter
from deploy.lab.ovs_match import FlowError
from deploy.lab.shell import Shell

CORPUS = Path(os.environ.get("CORDON_CORPUS", Path(__file__).parents[4] / "shared" / "data")) / "openvswitch__ovs"
NEIGHBOUR = ("02:00:00:00:00:07", "10.0.0.7")


@pytest.fixture
def say():
    ports = (PortPlan("eth1", 2, addresses=("10.0.0.1/24",), neighbours=(NEIGHBOUR,)), PortPlan("eth2", 3))
    shell = Shell(NftDevice(DevicePlan("fw1", "linux_nftables", "fw1", ports))._machine, "root")
    return lambda line: shell.line(line, now=0.0).text


def test_ntc_templates_read_the_links(say):
    say("ip link set eth2 down")
    links = parse_output(platform="linux", command="ip link show", data=say("ip link show"))
    assert [(link["interface"], link["state"]) for link in links] == [
        ("lo", "UNKNOWN"),
        ("eth1", "UP"),
        ("eth2", "DOWN"),
    ]
    assert all(len(link["mac_address"]) == 17 for link in links)


def test_ntc_templates_read_the_addresses(say):
    (eth1,) = parse_output(platform="linux", command="ip address show", data=say("ip address show dev eth1"))
    assert (eth1["interface"], eth1["ip_addresses"], eth1["ip_masks"]) == ("eth1", ["10.0.0.1"], ["24"])


def fuzz():
    return sorted((CORPUS / "tests" / "fuzz-regression").glob("*")) if CORPUS.exists() else []


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="openvswitch__ovs of the corpus is not here (CORDON_CORPUS)")
def test_input_that_once_broke_open_vswitch_is_refused_and_breaks_nothing():
    texts = [path.read_bytes().decode("latin-1") for path in fuzz()]
    assert texts
    for text in texts:
        for reader in (lambda t: parse(t, {}), parse_meter, lambda t: Batch(scan(t), Ruleset(), 0.0).run()):
            with pytest.raises((FlowError, NftError)):
                reader(text)
