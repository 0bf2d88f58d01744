"""pmacct's JSON (kafka_output: json): aggregates of nfacctd, sfacctd, pmacctd and uacctd, one record a line.

Only the primitives of its `aggregate` directive appear. Key names come from its source (src/plugin_cmn_json.c).
Fragments show only through aggregate_primitives; the names read here are frag_off (IPFIX element 88) and frag_flags
(element 197, where MF is 0x20).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

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
    looked_up,
    protocol_number,
)
from streams.decode.fields import Fields, Layout, Texts, Wanted, texts
from streams.decode.flows import (
    Addresses,
    Draft,
    Macs,
    Trust,
    addresses_of,
    finished,
    macs_of,
    nanoseconds,
    nothing,
    stamped,
    written_addresses,
    written_macs,
)
from streams.decode.interning import interned
from streams.decode.lines import Decoded, decode_lines
from streams.decode.spelling import ADDRESS, MAC
from streams.decode.stamps import HIGHEST_NS
from streams.decode.values import NUMBER, STAMP, TOKEN

Integers: TypeAlias = NDArray[np.int64]
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
_FIELDS = Record.__struct_fields__
_ADDRESSES = ("ip_src", "ip_dst")
_MACS = ("mac_src", "mac_dst")
_GROUPS = dict.fromkeys(_ADDRESSES, ADDRESS) | dict.fromkeys(_MACS, MAC)
_TIMES = frozenset({
    "timestamp_start", "timestamp_end", "timestamp_arrival", "timestamp_min", "timestamp_max", "stamp_inserted",
    "stamp_updated",
})  # fmt: skip
_HIGHEST = {
    "iface_in": 0xFFFFFFFF, "iface_out": 0xFFFFFFFF, "port_src": 0xFFFF, "port_dst": 0xFFFF,
    "sampling_rate": 0xFFFFFFFF, "packets": 1 << 48, "flows": 1 << 48, "bytes": 1 << 48,
}  # fmt: skip
_LOOSE: Mapping[str, tuple["msgspec.json.Decoder[Any]", Any]] = {
    "tcp_flags": (msgspec.json.Decoder(int | str | tuple[str, ...]), 0),
    "ip_proto": (msgspec.json.Decoder(Loose), ""),
    "frag_off": (msgspec.json.Decoder(Loose), None),
    "frag_flags": (msgspec.json.Decoder(Loose), None),
    "icmp_type": (msgspec.json.Decoder(Loose), 0),
}
"""Fields of more than one kind: what reads them, and what they are where they are absent."""

_MORE = 0x20
_OFFSET = 0x1FFF


def _wanted(name: str) -> Wanted:
    if name in _TIMES:
        return Wanted(name, STAMP, HIGHEST_NS - 1)
    if name in _HIGHEST:
        return Wanted(name, NUMBER, _HIGHEST[name], -1 if name in ("bytes", "packets") else 0)
    return Wanted(name, TOKEN) if name in _LOOSE else Wanted(name, group=_GROUPS.get(name, 0))


LAYOUT = Layout([_wanted(name) for name in _FIELDS])


@dataclass(slots=True)
class _Told:
    """The fields of n records, from the parser or read without it. Times are ns; 0 is none, -1 what cannot be read."""

    event_type: Texts
    macs: Macs
    etype: Texts
    peer_ip_src: Texts
    iface_in: Integers
    iface_out: Integers
    addresses: Addresses
    port_src: Integers
    port_dst: Integers
    tcp_flags: Texts
    ip_proto: Texts
    sampling_rate: Integers
    timestamp_start: Integers
    timestamp_end: Integers
    timestamp_arrival: Integers
    timestamp_min: Integers
    timestamp_max: Integers
    frag_off: Texts
    frag_flags: Texts
    icmp_type: Texts
    stamp_inserted: Integers
    stamp_updated: Integers
    packets: Integers
    flows: Integers
    bytes: Integers


def decode(frame: bytes, trust: Trust) -> Flows:
    """Decode one Kafka message. Purge markers are skipped. Never raises for what stands in the frame."""
    fields = LAYOUT.read(frame)
    if fields is not None:
        decoded: Decoded[Any] = Decoded(len(fields), [None] * len(fields), [], frame, None)
        events = fields.texts("event_type")
        marker = np.array([one in _MARKERS for one in events.values], np.bool_)
        if marker.any():
            chosen = np.flatnonzero(~marker[events.index])
            decoded, fields = replace(decoded, chosen=chosen.tolist()), fields.only(chosen)
        told = _plain(fields)
        if told is not None:
            return _flows(decoded, told, trust) if len(fields) else nothing(decoded)
    return _by_parser(frame, trust)


def _by_parser(frame: bytes, trust: Trust) -> Flows:
    decoded = decode_lines(frame, _DECODER)
    chosen = [index for index, record in enumerate(decoded.records) if record.event_type not in _MARKERS]
    if len(chosen) < len(decoded.records):
        decoded = replace(decoded, chosen=chosen)
    return _flows(decoded, _parsed([decoded.records[at] for at in chosen]), trust) if chosen else nothing(decoded)


def _plain(fields: Fields) -> _Told | None:
    """What was read without the parser; None where something is not of the kinds that the parser would accept."""
    columns: dict[str, Any] = {}
    try:
        for name in _FIELDS:
            if name in _LOOSE:
                columns[name] = _loose(fields.texts(name), _LOOSE[name])
            elif name in _TIMES:
                columns[name] = stamped(fields, name)
            elif name in _HIGHEST:
                columns[name] = fields.numbers(name)
            elif name not in _GROUPS:
                columns[name] = fields.texts(name)
    except msgspec.ValidationError:
        return None
    return _Told(addresses=written_addresses(fields, *_ADDRESSES), macs=written_macs(fields, *_MACS), **columns)


def _loose(written: Texts, known: tuple["msgspec.json.Decoder[Any]", Any]) -> Texts:
    """What is of more than one kind. Raises ValidationError for one that the parser would not take."""
    decoder, absent = known
    return Texts([decoder.decode(text) if text else absent for text in written.values], written.index)


def _parsed(records: Sequence[Record]) -> _Told:
    columns: dict[str, Any] = {}
    for name, column in zip(_FIELDS, zip(*map(msgspec.structs.astuple, records), strict=True), strict=True):
        if name in _TIMES:
            read = nanoseconds(column)
            columns[name] = np.where((read == 0) & np.fromiter(map(bool, column), np.bool_, len(column)), -1, read)
        elif name in _HIGHEST:
            columns[name] = np.array(column, np.int64)
        else:
            columns[name] = texts([tuple(one) if isinstance(one, list) else one for one in column])
    src, dst = (columns.pop(name) for name in _ADDRESSES)
    here, there = (columns.pop(name) for name in _MACS)
    return _Told(addresses=addresses_of(src, dst), macs=macs_of(here, there), **columns)


def _flows(decoded: Decoded[Any], told: _Told, trust: Trust) -> Flows:
    protocol, ip = _protocols(told)
    offset, flags = _each(told.frag_off, _offset, np.int32), _each(told.tcp_flags, _flags, np.int16)
    more = _each(told.frag_off, _more_here, np.bool_) | _each(told.frag_flags, _more_there, np.bool_)
    whole = offset <= 0
    draft = Draft(
        exporter=told.peer_ip_src,
        addresses=told.addresses,
        macs=told.macs,
        receipt=np.maximum(told.timestamp_arrival, 0),
        start=_first(told.timestamp_start, told.timestamp_min, told.stamp_inserted),
        end=_first(told.timestamp_end, told.timestamp_max, told.stamp_updated),
        in_if=told.iface_in,
        out_if=told.iface_out,
        sampling=told.sampling_rate,
        bytes=told.bytes,
        packets=told.packets,
        flows=np.maximum(told.flows, 1),
        facts={
            "protocol": protocol,
            "src_port": np.where(whole, told.port_src, 0).astype(np.int32),
            "dst_port": np.where(whole, told.port_dst, 0).astype(np.int32),
            "tcp_flags": np.where(whole & (protocol == TCP), flags, 0).astype(np.int16),
            "icmp_type": _each(told.icmp_type, _number, np.int16),
            "ip": ip,
            "fragment": ip & (~whole | more | (protocol == FRAGMENT6)),
            "malformed": np.zeros(len(whole), np.bool_),
            "fragments_visible": (offset >= 0) | more,
        },
    )
    return finished(decoded, draft, trust)


def _first(*stamps: Integers) -> Integers:
    """The first stamp that is told; 0 where none is, or where it is no time."""
    told = stamps[-1]
    for one in stamps[-2::-1]:
        told = np.where(one != 0, one, told)
    return np.maximum(told, 0)


def _each(column: Texts, read: Callable[[Any], int], kind: Any) -> NDArray[Any]:
    return looked_up([read(value) for value in column.values], column.index, kind)


def _protocols(told: _Told) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    addressed = told.addresses.src != -1
    kinds, index = interned(
        (told.etype.index.astype(np.uint64) << np.uint64(1)) | addressed, told.ip_proto.index.astype(np.uint64)
    )
    numbers, ip = [], []
    for high, low in kinds.tolist():
        ether, proto = told.etype.values[high >> 1], told.ip_proto.values[low]
        family = _ETYPES.get(ether.lower().removeprefix("0x"), OTHER)
        ip.append(family in (IPV4, IPV6) or (not ether and high & 1 > 0))
        numbers.append(protocol_number(proto) if ip[-1] else NO_PROTOCOL)
    return np.array(numbers, np.int16)[index], np.array(ip, np.bool_)[index]


def _number(value: int | str | None) -> int:
    """A small number as integer or text (custom primitives are text); 0 for anything else."""
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 10 else 0
    return value if value is not None and 0 <= value <= 0x7FFF else 0


def _offset(value: int | str | None) -> int:
    """The fragment offset, of which a packet's raw field has the three flags on top; -1 where there is none."""
    return -1 if value is None else _word(value) & _OFFSET


def _more_here(offset: int | str | None) -> bool:
    return bool(_word(offset) & (_OFFSET + 1))


def _more_there(flags: int | str | None) -> bool:
    return bool(_word(flags) & _MORE)


def _word(value: int | str | None) -> int:
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 10 else 0
    return value & 0xFFFF if value else 0


def _flags(value: int | str | Sequence[str]) -> int:
    if not isinstance(value, int | str):
        return sum({_FLAGS.get(name.upper(), 0) for name in value})
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 10 else 0
    return value & 0xFF
