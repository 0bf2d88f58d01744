"""Who is listed is found for many at once as it would be found for one; strangers are counted in bounded memory."""

from ipaddress import IPv6Address, ip_address

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain import toml
from controller.domain.address import packed
from controller.domain.estate import Estate, Site, Source, SourceFormat
from streams.decode.datagrams import frame
from streams.decode.logs import LogReader
from streams.listen.opening import listed
from streams.listen.senders import Listed, Strangers

ADDRESSES = st.ip_addresses().map(packed)


def rows(addresses: list[bytes]) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    return np.frombuffer(b"".join(addresses), np.uint8).reshape(-1, 16)


@given(st.lists(ADDRESSES, unique=True, max_size=40), st.lists(ADDRESSES, max_size=40))
@settings(deadline=None, derandomize=True)
def test_numbers_are_places_in_the_list_and_strangers_have_none(known: list[bytes], others: list[bytes]) -> None:
    found = Listed(known).numbers(rows([*known, *others])).tolist()
    assert found == [known.index(one) if one in known else -1 for one in (*known, *others)]


def test_strangers_without_end_cost_no_memory_without_end() -> None:
    strangers = Strangers(most=10)
    many = [packed(IPv6Address(number)) for number in range(1_000)]
    strangers.refuse(rows(many))
    strangers.refuse(rows(many[:1] * 5))
    assert (len(strangers.counts), strangers.total) == (11, 1_005)
    assert list(strangers.worst(2)) == [("others", 990), ("::", 6)]


def test_to_logs_every_host_may_speak_and_to_flows_devices_alone() -> None:
    text = (
        '[[devices]]\nname="d"\nplatform="x"\nhost="10.0.0.1"\nexporter="10.0.0.2"\n'
        '[[hosts]]\nname="h"\naddresses=["198.18.0.1"]\nlog_addresses=["198.18.0.2"]\ntenant="t"\nrole="vps"\n'
    )
    estate = Estate(toml.read('version=1\nname="t"\nprefixes=["198.18.0.0/16"]\n' + text, Site, file="site.toml"))
    flows, logs = Source("f", SourceFormat.DATAGRAMS), Source("l", SourceFormat.SYSLOG)
    assert [str(one) for one in listed(estate, flows)] == ["10.0.0.2"]
    assert {str(one) for one in listed(estate, logs)} == {"10.0.0.1", "10.0.0.2", "198.18.0.1", "198.18.0.2"}
    only = Source("l", SourceFormat.SYSLOG, exporters=(ip_address("10.9.9.9"),))
    assert [str(one) for one in listed(estate, only)] == ["10.9.9.9"]


def test_a_line_of_our_own_listener_is_that_of_its_peer_whatever_it_says_of_itself() -> None:
    peer, received = packed(ip_address("192.0.2.7")), 1_700_000_000 * 10**9
    said = (
        b"<38>1 2001-01-01T00:00:00Z 198.18.0.1 sshd - - - Failed password for root from 198.18.0.9 port 1 ssh2",
        b'{"fromhost-ip":"198.18.0.1","timegenerated":"2023-11-14T22:00:00Z","msg":"lines may lie"}',
        b'{"event_type":"alert","timestamp":"2001-01-01T00:00:00Z","host":"198.18.0.1","src_ip":"198.18.0.9"}',
        b"\0\0\xff\xfe binary \0 text",
        b"  ",
    )
    logs = LogReader().frame(frame([peer], [0] * 5, [received] * 5, said), kafka_ns=5)
    assert (logs.received, dict(logs.senders)) == (4, {"192.0.2.7": (3, received)})
    assert {claim.sender for claim in logs.claims} <= {"192.0.2.7"}
    assert {claim.at_ns for claim in logs.claims} <= {received}
    assert [one.reason for one in logs.rejects] == ["binary"]


def test_a_frame_that_contradicts_itself_is_one_reject() -> None:
    [reject] = LogReader().frame(frame([bytes(16)], [0], [1], [b"<13>a"])[:-1], kafka_ns=5).rejects
    assert reject.reason == "frame of datagrams contradicts itself"
