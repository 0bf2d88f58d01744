"""What may stand in `[[listeners]]`, and what is refused with the place where it stands."""

import pytest

from controller.domain import toml
from controller.domain.errors import ConfigError
from controller.domain.estate import Estate, Site
from controller.domain.listening import Carrier

SITE = """
version = 1
name = "test"
prefixes = ["198.18.0.0/16"]
[[sources]]
topic = "cordon.flows"
format = "datagrams"
[[sources]]
topic = "cordon.syslog"
format = "syslog"
[[sources]]
topic = "cordon.flows.goflow2"
format = "goflow2-json"
"""
GOOD = """
[[listeners]]
topic = "cordon.flows"
ports = [2055, 4739, 6343]
[[listeners]]
topic = "cordon.syslog"
ports = [514]
[[listeners]]
topic = "cordon.syslog"
carrier = "tls"
address = "192.0.2.1"
ports = [6514]
certificate_file = "c"
key_file = "k"
"""
TLS = 'certificate_file = "c"\nkey_file = "k"'


def estate(text: str) -> Estate:
    return Estate(toml.read(SITE + text, Site, file="site.toml"), file="site.toml")


def test_flows_and_logs_are_listened_for_as_declared() -> None:
    flows, udp, tls = estate(GOOD).site.listeners
    assert (flows.carrier, str(flows.address), flows.ports) == (Carrier.UDP, "::", (2055, 4739, 6343))
    assert (udp.carrier, tls.carrier, str(tls.address)) == (Carrier.UDP, Carrier.TLS, "192.0.2.1")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('topic = "cordon.flow"\nports = [1]', "listeners[0].topic: expected the topic of a source with format"),
        ('topic = "cordon.flows.goflow2"\nports = [1]', "datagrams or syslog, got 'cordon.flows.goflow2'"),
        ('topic = "cordon.flows"\ncarrier = "tcp"\nports = [1]', "format syslog, got 'cordon.flows'"),
        ('topic = "cordon.flows"\nports = []', "ports from 0 to 65535, each once"),
        ('topic = "cordon.flows"\nports = [70000]', "ports from 0 to 65535, each once"),
        ('topic = "cordon.flows"\nports = [1, 1]', "ports from 0 to 65535, each once"),
        ('topic = "cordon.flows"\nports = [1]\nframe_ms = 0', "frame_ms from 1 to 1000"),
        ('topic = "cordon.flows"\nports = [1]\nbudget = 1', "a budget of at least 100"),
        ('topic = "cordon.flows"\nports = [1]\nbuffer_kib = 1', "buffer_kib from 64"),
        ('topic = "cordon.syslog"\ncarrier = "tls"\nports = [1]', "certificate_file and key_file with carrier tls"),
        (f'topic = "cordon.syslog"\ncarrier = "tcp"\nports = [1]\n{TLS}', "and with no other"),
        ('topic = "cordon.syslog"\ncarrier = "quic"\nports = [1]', "one of 'udp', 'tcp', 'tls'"),
    ],
)
def test_what_cannot_be_listened_for_is_refused_with_its_place(table: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        estate(f"[[listeners]]\n{table}\n")
    assert "site.toml: listeners[0]" in str(refused.value)
    assert words in str(refused.value)


def test_a_port_is_listened_on_once_but_by_udp_and_by_tcp() -> None:
    udp = '[[listeners]]\ntopic = "cordon.syslog"\nports = [514]\n'
    estate(udp + '[[listeners]]\ntopic = "cordon.syslog"\ncarrier = "tcp"\nports = [514]\n')
    with pytest.raises(ConfigError, match=r"listeners\[1\].ports: expected each port once, got 514 twice"):
        estate(udp + udp)
