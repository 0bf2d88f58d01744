"""goflow2's JSON (-format=json): NetFlow v5, v9, IPFIX and sFlow, one record a line.

Facts about its fields come from its source (producer/proto/producer_packet.go and format/json): `bytes` and `packets`
are not multiplied by `sampling_rate`; `ip_flags` bit 0 is MF for every family; ports of non-first fragments are
payload.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
    protocol_number,
)
from streams.decode.compiled import borrowing
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
from streams.decode.values import LIST, NUMBER, STAMP

Integers: TypeAlias = NDArray[np.int64]
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
_LAYERS = {6: '"TCP"', 17: '"UDP"', 1: '"ICMP"', 58: '"ICMPv6"', 47: '"GRE"'}
"""Protocols that goflow2 has a parser for: where it names the protocol and not the layer, the header was broken."""


@dataclass(slots=True)
class _Told:
    """The fields of n records, from the parser or read without it."""

    type: Texts
    time_received_ns: Integers
    sampling_rate: Integers
    sampler_address: Texts
    time_flow_start_ns: Integers
    time_flow_end_ns: Integers
    bytes: Integers
    packets: Integers
    addresses: Addresses
    etype: Texts
    proto: Texts
    src_port: Integers
    dst_port: Integers
    in_if: Integers
    out_if: Integers
    macs: Macs
    ip_flags: Integers
    tcp_flags: Integers
    icmp_type: Integers
    fragment_offset: Integers
    layer_stack: Texts


_FIELDS = Record.__struct_fields__
_HIGHEST = {
    "sampling_rate": 1 << 32, "bytes": 1 << 48, "packets": 1 << 48, "src_port": 0xFFFF, "dst_port": 0xFFFF,
    "in_if": 0xFFFFFFFF, "out_if": 0xFFFFFFFF, "ip_flags": 0xFFFFFFFF, "tcp_flags": 0xFFFF, "icmp_type": 0xFFFF,
    "fragment_offset": 0xFFFF,
}  # fmt: skip
_ADDRESSES = ("src_addr", "dst_addr")
_MACS = ("src_mac", "dst_mac")
_GROUPS = dict.fromkeys(_ADDRESSES, ADDRESS) | dict.fromkeys(_MACS, MAC)
_TIMES = ("time_received_ns", "time_flow_start_ns", "time_flow_end_ns")


def _wanted(name: str) -> Wanted:
    if name in _TIMES:
        return Wanted(name, STAMP, HIGHEST_NS - 1)
    if name in _HIGHEST:
        return Wanted(name, NUMBER, _HIGHEST[name], -1 if name in ("bytes", "packets") else 0)
    return Wanted(name, LIST) if name == "layer_stack" else Wanted(name, group=_GROUPS.get(name, 0))


LAYOUT = Layout([_wanted(name) for name in _FIELDS])


def decode(frame: bytes, trust: Trust) -> Flows:
    """Decode one Kafka message. Never raises for what stands in it."""
    fields = LAYOUT.read(frame)
    if fields is not None:
        return _flows(Decoded(len(fields), [None] * len(fields), [], frame, None), _plain(fields), trust)
    decoded = decode_lines(frame, _DECODER)
    return _flows(decoded, _parsed(decoded.records), trust) if decoded.records else nothing(decoded)


def _plain(fields: Fields) -> _Told:
    """What was read without the parser."""
    columns: dict[str, Any] = {}
    for name in _FIELDS:
        if name in _TIMES:
            columns[name] = np.maximum(stamped(fields, name), 0)
        elif name in _HIGHEST:
            columns[name] = fields.numbers(name)
        elif name not in _GROUPS:
            columns[name] = fields.texts(name)
    return _Told(addresses=written_addresses(fields, *_ADDRESSES), macs=written_macs(fields, *_MACS), **columns)


def _parsed(records: Sequence[Record]) -> _Told:
    columns: dict[str, Any] = {}
    for name, column in zip(_FIELDS, zip(*map(msgspec.structs.astuple, records), strict=True), strict=True):
        if name in _TIMES:
            columns[name] = nanoseconds(column)
        elif name in _HIGHEST:
            columns[name] = np.array(column, np.int64)
        elif name == "layer_stack":
            columns[name] = texts([bytes(one).decode("latin-1") for one in column])
        else:
            columns[name] = texts(column)
    src, dst = (columns.pop(name) for name in _ADDRESSES)
    here, there = (columns.pop(name) for name in _MACS)
    return _Told(addresses=addresses_of(src, dst), macs=macs_of(here, there), **columns)


def _flows(decoded: Decoded[Any], told: _Told, trust: Trust) -> Flows:
    count = len(told.bytes)
    kinds, kind = _headers(told)
    sampled = np.array([one == "SFLOW_5" for one in told.type.values], np.bool_)
    facts: dict[str, NDArray[Any]] = {name: np.empty(count, of) for name, of in _FACTS.items()}
    flows = np.empty(count, np.int64)
    _mean(
        kinds, kind, sampled, told.type.index, told.packets, told.src_port, told.dst_port, told.ip_flags,
        told.tcp_flags, told.icmp_type, told.fragment_offset, flows, *facts.values(),
    )  # fmt: skip
    draft = Draft(
        exporter=told.sampler_address,
        addresses=told.addresses,
        macs=told.macs,
        receipt=told.time_received_ns,
        start=told.time_flow_start_ns,
        end=told.time_flow_end_ns,
        in_if=told.in_if,
        out_if=told.out_if,
        sampling=told.sampling_rate,
        bytes=told.bytes,
        packets=told.packets,
        flows=flows,
        facts=facts,
    )
    return finished(decoded, draft, trust)


_FACTS = {
    "protocol": np.int16, "src_port": np.int32, "dst_port": np.int32, "tcp_flags": np.int16, "icmp_type": np.int16,
    "ip": np.bool_, "fragment": np.bool_, "malformed": np.bool_, "fragments_visible": np.bool_,
}  # fmt: skip


@borrowing
def _mean(
    kinds: NDArray[np.int32],
    kind: NDArray[np.int32],
    sampling: NDArray[np.bool_],
    type_: NDArray[np.int32],
    packets: Integers,
    source: Integers,
    target: Integers,
    ip_flags: Integers,
    flags: Integers,
    icmp: Integers,
    offset: Integers,
    flows: Integers,
    protocol: NDArray[np.int16],
    src_port: NDArray[np.int32],
    dst_port: NDArray[np.int32],
    tcp_flags: NDArray[np.int16],
    icmp_type: NDArray[np.int16],
    ip: NDArray[np.bool_],
    fragment: NDArray[np.bool_],
    malformed: NDArray[np.bool_],
    visible: NDArray[np.bool_],
) -> None:
    """Fill what follows `offset`, by what kind of header a record has (see `_headers`) and what its fields say."""
    for at in range(len(kind)):
        number, is_ip, broken = kinds[kind[at], 0], kinds[kind[at], 1] > 0, kinds[kind[at], 2] > 0
        whole, sampled = offset[at] == 0, sampling[type_[at]]
        tcp = flags[at] & 0xFF if whole and number == TCP else np.int64(0)
        # A sample is one packet of a flow: a flow is counted where its first packet was seen.
        later = sampled and number == TCP
        flows[at] = (packets[at] if (tcp & 0x12) == 0x02 else 0) if later else 1
        protocol[at], tcp_flags[at], ip[at] = number, tcp, is_ip
        src_port[at], dst_port[at] = (source[at], target[at]) if whole else (0, 0)
        icmp_type[at] = icmp[at] if whole else 0
        fragment[at] = is_ip and (not whole or (ip_flags[at] & 1) > 0 or number == FRAGMENT6)
        # Flags that no stack sends: SYN with FIN or RST, FIN without ACK.
        absurd = (tcp & 0x03) == 0x03 or (tcp & 0x06) == 0x06 or (tcp & 0x11) == 0x01
        malformed[at] = whole and (broken or (sampled and absurd))
        visible[at] = sampled or ip_flags[at] > 0 or not whole


def _headers(told: _Told) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Kinds of headers: protocol number, 1 for IP, and 1 for a broken header; and which of them each record has."""
    addressed = told.addresses.src != -1
    kinds, index = interned(
        (told.etype.index.astype(np.uint64) << np.uint64(32)) | told.proto.index.astype(np.uint64),
        (told.layer_stack.index.astype(np.uint64) << np.uint64(1)) | addressed,
    )
    table = np.zeros((len(kinds), 3), np.int32)
    for row, (high, low) in enumerate(kinds.tolist()):
        ether, layers = told.etype.values[high >> 32], told.layer_stack.values[low >> 1]
        family = _ETYPES.get(ether, OTHER)
        number = protocol_number(told.proto.values[high & 0xFFFFFFFF])
        ip = family in (IPV4, IPV6) or (low & 1 > 0 and ether == "")
        broken = family != OTHER and ip and layers not in ("", "[]", "null") and not _complete(family, number, layers)
        table[row] = (number if ip else NO_PROTOCOL, ip, broken)
    return table, index


def _complete(family: int, protocol: int, layers: str) -> bool:
    """True when every header that the record names was parsed; what is wrapped in IPv6 extension headers may be cut."""
    if ('"IPv4"' if family == IPV4 else '"IPv6"') not in layers:
        return False
    return protocol not in _LAYERS or _LAYERS[protocol] in layers
