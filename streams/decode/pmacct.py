"""pmacct's JSON (kafka_output: json): aggregates of nfacctd, sfacctd, pmacctd and uacctd, one record a line.

Only the primitives of its `aggregate` directive appear. Key names come from its source (src/plugin_cmn_json.c).
Fragments show only through aggregate_primitives; the names read here are frag_off (IPFIX element 88) and frag_flags
(element 197, where MF is 0x20).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import ARP, FRAGMENT6, IPV4, IPV6, NO_PROTOCOL, OTHER, TCP, Flows, interned, protocol_number
from streams.decode.flows import Draft, Trust, addresses_of, finished, nanoseconds, nothing
from streams.decode.lines import Decoded, decode_lines
from streams.decode.plainlines import texts

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 48)]
Word = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
Half = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
Loose = int | str
Time = int | float | str


class Record(msgspec.Struct, gc=False):
    """The fields that are read."""

    event_type: str = "purge"
    mac_src: str = ""
    mac_dst: str = ""
    etype: str = ""
    peer_ip_src: str = ""
    iface_in: Word = 0
    iface_out: Word = 0
    ip_src: str = ""
    ip_dst: str = ""
    port_src: Half = 0
    port_dst: Half = 0
    tcp_flags: int | str | list[str] = 0
    ip_proto: Loose = ""
    sampling_rate: Word = 0
    timestamp_start: Time = 0
    timestamp_end: Time = 0
    timestamp_arrival: Time = 0
    timestamp_min: Time = 0
    timestamp_max: Time = 0
    frag_off: Loose | None = None
    frag_flags: Loose | None = None
    icmp_type: Loose = 0
    stamp_inserted: Time = 0
    stamp_updated: Time = 0
    packets: Count = -1
    flows: Count = 0
    bytes: Count = -1


_DECODER = msgspec.json.Decoder(Record)
_MARKERS = frozenset({"purge_init", "purge_close"})
_ETYPES: Mapping[str, int] = MappingProxyType({"800": IPV4, "0800": IPV4, "86dd": IPV6, "806": ARP, "0806": ARP})
_FLAGS: Mapping[str, int] = MappingProxyType(
    {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "PUSH": 8, "ACK": 16, "URG": 32, "ECE": 64, "ECN": 64, "CWR": 128}
)
_MORE = 0x20
_OFFSET = 0x1FFF


def decode(frame: bytes, trust: Trust) -> Flows:
    """Decode one Kafka message. Purge markers are skipped. Never raises for what stands in the frame."""
    decoded = decode_lines(frame, _DECODER)
    plain = [index for index, record in enumerate(decoded.records) if record.event_type not in _MARKERS]
    skipped = len(decoded.records) - len(plain)
    if skipped:
        decoded = Decoded(
            decoded.received,
            [decoded.records[index] for index in plain],
            decoded.rejects,
            decoded.frame,
            [decoded.raw(index) for index in plain],
        )
    if not decoded.records:
        return nothing(decoded, skipped)
    (
        _, mac_src, mac_dst, etype, exporter, in_if, out_if, src, dst, src_port, dst_port, tcp_flags, proto, sampling,
        start, end, arrival, first, last, frag_off, frag_flags, icmp_type, inserted, updated, packets, flows, octets,
    ) = zip(*map(msgspec.structs.astuple, decoded.records), strict=True)  # fmt: skip
    protocol, ip = _protocols(etype, proto, src)
    offset = np.fromiter(map(_offset, frag_off), np.int32, len(frag_off))
    more = np.fromiter(map(_more, frag_off, frag_flags), np.bool_, len(frag_off))
    whole = offset <= 0
    flags = np.where(whole & (protocol == TCP), np.fromiter(map(_flags, tcp_flags), np.int16, len(tcp_flags)), 0)
    draft = Draft(
        exporter=texts(exporter),
        addresses=addresses_of(texts(src), texts(dst)),
        src_mac=texts(mac_src),
        dst_mac=texts(mac_dst),
        receipt=nanoseconds(arrival),
        start=nanoseconds([a or b or c for a, b, c in zip(start, first, inserted, strict=True)]),
        end=nanoseconds([a or b or c for a, b, c in zip(end, last, updated, strict=True)]),
        in_if=np.array(in_if, np.int64),
        out_if=np.array(out_if, np.int64),
        sampling=np.array(sampling, np.int64),
        bytes=np.array(octets, np.int64),
        packets=np.array(packets, np.int64),
        flows=np.maximum(np.array(flows, np.int64), 1),
        facts={
            "protocol": protocol,
            "src_port": np.where(whole, np.array(src_port, np.int32), 0).astype(np.int32),
            "dst_port": np.where(whole, np.array(dst_port, np.int32), 0).astype(np.int32),
            "tcp_flags": flags.astype(np.int16),
            "icmp_type": np.fromiter(map(_number, icmp_type), np.int16, len(icmp_type)),
            "ip": ip,
            "fragment": ip & (~whole | more | (protocol == FRAGMENT6)),
            "malformed": np.zeros(len(octets), np.bool_),
            "fragments_visible": (offset >= 0) | more,
        },
    )
    return finished(decoded, draft, trust, skipped=skipped)


def _protocols(
    etype: tuple[str, ...], proto: tuple[int | str, ...], src: tuple[str, ...]
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    kinds, index = interned(list(zip(etype, proto, map(bool, src), strict=True)))
    families = [_ETYPES.get(ether.lower().removeprefix("0x"), OTHER) for ether, _, _ in kinds]
    ip = [
        family in (IPV4, IPV6) or (not ether and addressed)
        for family, (ether, _, addressed) in zip(families, kinds, strict=True)
    ]
    numbers = [protocol_number(name) if one else NO_PROTOCOL for one, (_, name, _) in zip(ip, kinds, strict=True)]
    return np.array(numbers, np.int16)[index], np.array(ip, np.bool_)[index]


def _number(value: int | str | None) -> int:
    """A small number as integer or text (custom primitives are text); 0 for anything else."""
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 10 else 0
    return value if value is not None and 0 <= value <= 0x7FFF else 0


def _offset(value: int | str | None) -> int:
    """The fragment offset, of which a packet's raw field has the three flags on top; -1 where there is none."""
    return -1 if value is None else _word(value) & _OFFSET


def _more(offset: int | str | None, flags: int | str | None) -> bool:
    return bool(_word(offset) & (_OFFSET + 1)) or bool(_word(flags) & _MORE)


def _word(value: int | str | None) -> int:
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 10 else 0
    return value & 0xFFFF if value else 0


def _flags(value: int | str | list[str]) -> int:
    if isinstance(value, list):
        return sum({_FLAGS.get(name.upper(), 0) for name in value})
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 10 else 0
    return value & 0xFF
