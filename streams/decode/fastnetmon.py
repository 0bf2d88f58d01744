"""FastNetMon's JSON (kafka_traffic_export_format = json): one packet or flow a line.

Facts about its fields come from its source (src/fast_library.cpp, src/simple_packet_parser_ng.cpp). `length` is what
the exporter counted: octets of the frame for sFlow, of the flow for NetFlow and IPFIX. `ip_length` is the IP header's
own field, without the header for IPv6, and is not read. Neither `length` nor `packets` is multiplied by
`sample_ratio`. `fragmentation` is always written; FastNetMon says false also where NetFlow could not tell. Fragments
without a transport header have no ports.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import FRAGMENT6, NO_PROTOCOL, TCP, Flows, interned, protocol_number
from streams.decode.fields import texts
from streams.decode.flows import Draft, Trust, addresses_of, finished, macs_of, nothing
from streams.decode.lines import decode_lines
from streams.decode.stamps import stamp_ns

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 48)]
Word = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
Half = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
Time = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | float | str


class Record(msgspec.Struct, gc=False):
    """The fields that are read."""

    timestamp: Time = 0  # seconds
    ip_version: str = ""
    source_ip: str = ""
    destination_ip: str = ""
    input_interface: Word = 0
    output_interface: Word = 0
    source_port: Half = 0
    destination_port: Half = 0
    agent_address: str = ""
    tcp_flags: str = ""
    forwarding_status: str = ""
    fragmentation: bool | None = None
    packets: Count = -1
    length: Count = -1
    sample_ratio: Word = 0
    protocol: str | int = ""


_DECODER = msgspec.json.Decoder(Record)
_FLAGS: Mapping[str, int] = MappingProxyType({"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32})
_NO_AGENT = "0.0.0.0"  # noqa: S104 - what FastNetMon writes for mirrored traffic, which no exporter sent
_DISCARDED = 1 << 30  # sFlow v5, section 5: the two highest bits of an output interface; FastNetMon cuts them off
_SECOND = 1_000_000_000


def decode(frame: bytes, trust: Trust) -> Flows:
    """Decode one Kafka message. Never raises for what stands in the frame.

    Stamps are whole seconds, and records have no times of their own: a record counts over the second of its stamp, else
    four seconds' worth would stand in each first quarter of a second.
    """
    decoded = decode_lines(frame, _DECODER)
    if not decoded.records:
        return nothing(decoded)
    (
        stamp, version, src, dst, in_if, out_if, src_port, dst_port, agent, tcp_flags, forwarding, fragmented, packets,
        octets, sampling, proto,
    ) = zip(*map(msgspec.structs.astuple, decoded.records), strict=True)  # fmt: skip
    protocol, ip = _protocols(version, proto, src)
    receipt = np.fromiter((stamp_ns(str(one)) for one in stamp), np.int64, len(stamp))
    count = np.array(packets, np.int64)
    tcp = protocol == TCP
    flags = np.where(tcp, _flags(tcp_flags), 0).astype(np.int16)
    known = np.array([one is not None for one in fragmented], np.bool_)
    # One packet of a connection is a sample of it: the connection is counted where its first packet was seen.
    later = tcp & (count == 1) & ((flags & 0x12) != 0x02)
    dropped = np.array([one == "dropped" for one in forwarding], np.bool_)
    nobody = texts([""] * len(octets))
    draft = Draft(
        exporter=texts(["" if one == _NO_AGENT else one for one in agent]),
        addresses=addresses_of(texts(src), texts(dst)),
        macs=macs_of(nobody, nobody),
        receipt=receipt,
        start=np.maximum(receipt - _SECOND, 0),
        end=receipt,
        in_if=np.array(in_if, np.int64),
        out_if=np.where(dropped, _DISCARDED, np.array(out_if, np.int64) % _DISCARDED),
        sampling=np.array(sampling, np.int64),
        bytes=np.array(octets, np.int64),
        packets=count,
        flows=np.where(later, 0, 1).astype(np.int64),
        facts={
            "protocol": protocol,
            "src_port": np.array(src_port, np.int32),
            "dst_port": np.array(dst_port, np.int32),
            "tcp_flags": flags,
            "icmp_type": np.zeros(len(octets), np.int16),
            "ip": ip,
            "fragment": ip & (np.array([one is True for one in fragmented], np.bool_) | (protocol == FRAGMENT6)),
            "malformed": np.zeros(len(octets), np.bool_),
            "fragments_visible": known,
        },
    )
    return finished(decoded, draft, trust)


def _protocols(
    version: tuple[str, ...], proto: tuple[int | str, ...], src: tuple[str, ...]
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    kinds, index = interned(list(zip(version, proto, map(bool, src), strict=True)))
    ip = [one in ("ipv4", "ipv6") or (not one and addressed) for one, _, addressed in kinds]
    numbers = [_number(name) if one else NO_PROTOCOL for one, (_, name, _) in zip(ip, kinds, strict=True)]
    return np.array(numbers, np.int16)[index], np.array(ip, np.bool_)[index]


def _number(name: int | str) -> int:
    """A protocol's number: IANA's names with underscores, or `unknown_61` and `unassigned_144` where it has none."""
    if isinstance(name, int):
        return protocol_number(name)
    words = name.lower().replace("_", "-")
    kind, _, number = words.partition("-")
    if kind in ("unknown", "unassigned") and number.isdecimal() and len(number) < 4:
        return protocol_number(int(number))
    # IANA's own name for 94; the others call IP in IP (4) so.
    return 94 if words == "ipip" else protocol_number(words)


def _flags(column: tuple[str, ...]) -> NDArray[np.int16]:
    """Flags from their names between commas; "-" is none."""
    values, index = interned(column)
    sums = [sum(_FLAGS.get(name, 0) for name in set(one.lower().split(","))) for one in values]
    return np.array(sums, np.int16)[index]
