"""goflow2's JSON (-format=json): NetFlow v5, v9, IPFIX and sFlow, one record a line.

Facts about its fields come from its source (producer/proto/producer_packet.go and format/json): `bytes` and `packets`
are not multiplied by `sampling_rate`; `ip_flags` bit 0 is MF for every family; ports of non-first fragments are
payload.
"""

from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import (
    ARP,
    FRAGMENT6,
    IPV4,
    IPV6,
    NO_PROTOCOL,
    OTHER,
    TCP,
    Flows,
    interned,
    protocol_number,
)
from streams.decode.flows import Draft, Trust, finished, nothing
from streams.decode.lines import decode_lines

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 48)]
Rate = Annotated[int, msgspec.Meta(ge=0, le=1 << 32)]
Word = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
Half = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
Time = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | str


class Record(msgspec.Struct, gc=False):
    """The fields that are read, in the order in which goflow2 writes them: the decoder finds each at first sight."""

    type: str = ""
    time_received_ns: Time = 0
    sampling_rate: Rate = 0
    sampler_address: str = ""
    time_flow_start_ns: Time = 0
    time_flow_end_ns: Time = 0
    bytes: Count = -1
    packets: Count = -1
    src_addr: str = ""
    dst_addr: str = ""
    etype: str | int = ""
    proto: str | int = ""
    src_port: Half = 0
    dst_port: Half = 0
    in_if: Word = 0
    out_if: Word = 0
    src_mac: str = ""
    dst_mac: str = ""
    ip_flags: Word = 0
    tcp_flags: Half = 0
    icmp_type: Half = 0
    fragment_offset: Half = 0
    layer_stack: msgspec.Raw = msgspec.Raw(b"")


_DECODER = msgspec.json.Decoder(Record)
_ETYPES = {"IPv4": IPV4, "IPv6": IPV6, "ARP": ARP, 0x800: IPV4, 0x86DD: IPV6, 0x806: ARP}
_LAYERS = {6: b'"TCP"', 17: b'"UDP"', 1: b'"ICMP"', 58: b'"ICMPv6"', 47: b'"GRE"'}
"""Protocols that goflow2 has a parser for: where it names the protocol and not the layer, the header was broken."""


def decode(frame: bytes, trust: Trust) -> Flows:
    """Decode one Kafka message. Never raises for what stands in it."""
    decoded = decode_lines(frame, _DECODER)
    if not decoded.records:
        return nothing(decoded)
    (
        kind, receipt, sampling, exporter, start, end, octets, packets, src, dst, etype, proto, src_port, dst_port,
        in_if, out_if, src_mac, dst_mac, ip_flags, tcp_flags, icmp_type, offset, stack,
    ) = zip(*map(msgspec.structs.astuple, decoded.records), strict=True)  # fmt: skip
    offsets = np.array(offset, np.int32)
    flags = np.array(ip_flags, np.int64)
    headers = _headers(etype, proto, src, stack)
    protocol, ip = headers[:, 0].astype(np.int16), headers[:, 1] > 0
    whole = offsets == 0
    sampled = np.array([one == "SFLOW_5" for one in kind], np.bool_)
    tcp = np.where(whole & (protocol == TCP), np.array(tcp_flags, np.int16) & 0xFF, 0).astype(np.int16)
    fragment = ip & (~whole | (flags & 1 > 0) | (protocol == FRAGMENT6))
    syn = (tcp & 0x12) == 0x02
    counted = np.array(packets, np.int64)
    draft = Draft(
        exporter=exporter,
        src=src,
        dst=dst,
        src_mac=src_mac,
        dst_mac=dst_mac,
        receipt=receipt,
        start=start,
        end=end,
        in_if=in_if,
        out_if=out_if,
        sampling=sampling,
        bytes=octets,
        packets=packets,
        # A sample is one packet of a flow: a flow is counted where its first packet was seen.
        flows=np.where(sampled & (protocol == TCP), np.where(syn, counted, 0), 1).astype(np.int64),
        facts={
            "protocol": protocol,
            "src_port": np.where(whole, np.array(src_port, np.int32), 0).astype(np.int32),
            "dst_port": np.where(whole, np.array(dst_port, np.int32), 0).astype(np.int32),
            "tcp_flags": tcp,
            "icmp_type": np.where(whole, np.array(icmp_type, np.int16), 0).astype(np.int16),
            "ip": ip,
            "fragment": fragment,
            "malformed": whole & ((headers[:, 2] > 0) | (sampled & (tcp > 0) & _absurd(tcp))),
            "fragments_visible": sampled | (flags > 0) | ~whole,
        },
    )
    return finished(decoded, draft, trust)


def _absurd(flags: NDArray[np.int16]) -> NDArray[np.bool_]:
    """TCP flags that no stack sends: SYN with FIN or RST, FIN without ACK."""
    answer: NDArray[np.bool_] = (
        ((flags & 0x03) == 0x03) | ((flags & 0x06) == 0x06) | (((flags & 0x01) > 0) & ((flags & 0x10) == 0))
    )
    return answer


def _headers(
    etype: tuple[Any, ...], proto: tuple[Any, ...], src: tuple[str, ...], stack: tuple[msgspec.Raw, ...]
) -> NDArray[np.int32]:
    """Protocol number, 1 for IP, and 1 for a broken header, for each record."""
    kinds, index = interned(list(zip(etype, proto, map(bool, src), map(bytes, stack), strict=True)))
    table = np.zeros((len(kinds), 3), np.int32)
    for row, (ether, protocol, addressed, layers) in enumerate(kinds):
        family = _ETYPES.get(ether, OTHER)
        number = protocol_number(protocol)
        ip = family in (IPV4, IPV6) or (addressed and ether == "")
        broken = (
            family != OTHER and ip and layers not in (b"", b"[]", b"null") and not _complete(family, number, layers)
        )
        table[row] = (number if ip else NO_PROTOCOL, ip, broken)
    return table[index]


def _complete(family: int, protocol: int, layers: bytes) -> bool:
    """True when every header that the record names was parsed; what is wrapped in IPv6 extension headers may be cut."""
    if (b'"IPv4"' if family == IPV4 else b'"IPv6"') not in layers:
        return False
    return protocol not in _LAYERS or _LAYERS[protocol] in layers
