"""What the values of a record mean: times in ns, addresses as words, fragments, drops, and how it was sampled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.decode.columns import interned as distinct_values
from streams.decode.compiled import borrowing, inlined
from streams.decode.elements import SLOTS, Slot, Unit
from streams.decode.interning import interned
from streams.decode.layouts import Layout, Values
from streams.decode.records import MAPPED, Records, joined, picked
from streams.decode.sections import opened
from streams.decode.templates import Speaker, Templates

HIGHEST = 1 << 48
"""Octets or packets of one record; more cannot be."""

_MORE_FRAGMENTS = 0x20  # IANA, element 197; the bit after "don't fragment"
_DROPPED = 2  # RFC 7270, 4.12: the two highest of eight bits of the forwarding status
_NTP_TO_UNIX_S = 2_208_988_800  # RFC 5905, figure 4
_MS, _US, _S = 1_000_000, 1_000, 1_000_000_000
_LOW, _HALF, _LONGEST = 0xFFFF_FFFF, 32, 1 << 40
_HIGHEST_S, _HIGHEST_MS, _HIGHEST = 1 << 33, 1 << 43, 1 << 52
_UPTIME_MS, _SECONDS, _MILLISECONDS, _NTP, _BEFORE_EXPORT_US, _MICROSECONDS = (int(one) for one in Unit)


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of n sets beside their records."""

    which: NDArray[np.int64]  # layout
    exporter: NDArray[np.int64]  # index into the frame's exporters
    version: NDArray[np.int64]
    domain: NDArray[np.int64]
    receipt_ns: NDArray[np.int64]
    export_ns: NDArray[np.int64]
    uptime_ms: NDArray[np.int64]  # at the time of export; -1: not told


def believable(read: Values) -> NDArray[np.bool_]:
    """Records whose counts can be."""
    counts = (Slot.OCTETS, Slot.PACKETS, Slot.BACK_OCTETS, Slot.BACK_PACKETS)
    answer: NDArray[np.bool_] = np.logical_and.reduce([read.column(slot) < HIGHEST for slot in counts])
    return answer


def meant(
    read: Values,
    origin: Origin,
    layouts: Sequence[Layout],
    exporters: Sequence[bytes],
    known: Templates,
    payload: NDArray[np.uint8],
) -> Records:
    """The records of sets that count traffic. One that tells of both directions comes to two."""
    there = opened(_there(read, origin, layouts, exporters, known), read, origin.which[read.of], layouts, payload)
    octets, packets = read.column(Slot.BACK_OCTETS), read.column(Slot.BACK_PACKETS)
    both = (octets > 0) | (packets > 0)
    return joined((there, _back(there, read, both))) if both.any() else there


def _back(there: Records, read: Values, both: NDArray[np.bool_]) -> Records:
    """The other direction of records (RFC 5103; RFC 7011 calls its sender the responder)."""

    def number(slot: Slot) -> NDArray[np.int64]:
        column: NDArray[np.int64] = read.column(slot).view(np.int64)
        return column

    turned = there._replace(
        src=there.dst,
        dst=there.src,
        src_mac=there.dst_mac,
        dst_mac=there.src_mac,
        bytes=number(Slot.BACK_OCTETS),
        packets=number(Slot.BACK_PACKETS),
        src_port=there.dst_port,
        dst_port=there.src_port,
        tcp_flags=(number(Slot.BACK_FLAGS) & 0xFF).astype(np.int16),
        icmp_type=np.zeros(there.most, np.int16),
        in_if=number(Slot.OUTPUT) & 0xFFFF_FFFF,
    )
    return picked(turned, both)


def _there(
    read: Values, origin: Origin, layouts: Sequence[Layout], exporters: Sequence[bytes], known: Templates
) -> Records:
    of, count, has = read.of, len(read.of), _has(layouts)
    start, end = _times(read, origin, layouts, has)
    told = _room(count)
    _tell(read.rows, read.row, of, origin.which, has, *told)
    return Records(
        exporter=origin.exporter[of],
        receipt_ns=origin.receipt_ns[of],
        start_ns=start,
        end_ns=end,
        src=told.src,
        dst=told.dst,
        ip=told.ip,
        src_mac=read.column(Slot.SRC_MAC),
        dst_mac=read.column(Slot.DST_MAC),
        bytes=read.column(Slot.OCTETS).view(np.int64),
        packets=read.column(Slot.PACKETS).view(np.int64),
        flows=told.flows,
        sampling=_sampling(read, origin, has, exporters, known),
        protocol=told.protocol,
        src_port=told.src_port,
        dst_port=told.dst_port,
        tcp_flags=told.tcp_flags,
        icmp_type=told.icmp_type,
        in_if=told.in_if,
        discarded=told.discarded,
        fragment=told.fragment,
        malformed=np.zeros(count, np.bool_),
        fragments_visible=told.visible,
    )


class _Told(NamedTuple):
    """What records say, in the order in which `_tell` takes it."""

    protocol: NDArray[np.int16]
    src_port: NDArray[np.int32]
    dst_port: NDArray[np.int32]
    tcp_flags: NDArray[np.int16]
    icmp_type: NDArray[np.int16]
    flows: NDArray[np.int64]
    in_if: NDArray[np.int64]
    ip: NDArray[np.bool_]
    discarded: NDArray[np.bool_]
    fragment: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    src: NDArray[np.uint64]
    dst: NDArray[np.uint64]


def _room(count: int) -> _Told:
    small, middle, large, yes = np.int16, np.int32, np.int64, np.bool_
    kinds: tuple[Any, ...] = (small, middle, middle, small, small, large, large, yes, yes, yes, yes)
    columns: list[Any] = [np.empty(count, kind) for kind in kinds]
    columns += [np.empty((2, count), np.uint64), np.empty((2, count), np.uint64)]
    return _Told(*columns)


def _has(layouts: Sequence[Layout]) -> NDArray[np.bool_]:
    """Of each layout: whether it has each slot."""
    table = np.zeros((len(layouts), SLOTS), np.bool_)
    for place, layout in enumerate(layouts):
        table[place, list(layout.held)] = True
    return table


_PROTOCOL, _FLAGS, _SRC_PORT, _DST_PORT = (
    int(one) for one in (Slot.PROTOCOL, Slot.FLAGS, Slot.SRC_PORT, Slot.DST_PORT)
)
_SRC4, _DST4, _SRC6, _DST6 = (int(one) for one in (Slot.SRC4, Slot.DST4, Slot.SRC6, Slot.DST6))
_INPUT, _ICMP, _ICMP_TYPE, _FORWARDING = (int(one) for one in (Slot.INPUT, Slot.ICMP, Slot.ICMP_TYPE, Slot.FORWARDING))
_START, _END, _DURATION, _BOOT = (int(one) for one in (Slot.START, Slot.END, Slot.DURATION, Slot.BOOT))
_INTERVAL, _POPULATION = int(Slot.INTERVAL), int(Slot.POPULATION)
_OFFSET, _FRAGMENT_FLAGS, _FLOWS = (int(one) for one in (Slot.FRAGMENT_OFFSET, Slot.FRAGMENT_FLAGS, Slot.FLOWS))


@borrowing
def _tell(
    rows: NDArray[np.uint64],
    row: NDArray[np.int64],
    of: NDArray[np.int64],
    which: NDArray[np.int64],
    has: NDArray[np.bool_],
    protocol: NDArray[np.int16],
    src_port: NDArray[np.int32],
    dst_port: NDArray[np.int32],
    tcp_flags: NDArray[np.int16],
    icmp_type: NDArray[np.int16],
    flows: NDArray[np.int64],
    in_if: NDArray[np.int64],
    ip: NDArray[np.bool_],
    discarded: NDArray[np.bool_],
    fragment: NDArray[np.bool_],
    visible: NDArray[np.bool_],
    src: NDArray[np.uint64],
    dst: NDArray[np.uint64],
) -> None:
    """Fill what is told of each record."""
    protocols, flags, forwarding = rows[row[_PROTOCOL]], rows[row[_FLAGS]], rows[row[_FORWARDING]]
    srcs, dsts, inputs, sessions = rows[row[_SRC_PORT]], rows[row[_DST_PORT]], rows[row[_INPUT]], rows[row[_FLOWS]]
    offsets, more, icmps, kinds = (
        rows[row[_OFFSET]],
        rows[row[_FRAGMENT_FLAGS]],
        rows[row[_ICMP]],
        rows[row[_ICMP_TYPE]],
    )
    src4, dst4 = rows[row[_SRC4]], rows[row[_DST4]]
    src6, src6_low, dst6, dst6_low = (
        rows[row[_SRC6]], rows[row[_SRC6 + 1]], rows[row[_DST6]], rows[row[_DST6 + 1]]
    )  # fmt: skip
    for at in range(len(of)):
        layout = which[of[at]]
        number = np.int64(protocols[at]) & 0xFF if has[layout, _PROTOCOL] else -1
        later = offsets[at] > 0
        echo = number == 1 or number == 58
        told = np.int64(icmps[at]) if has[layout, _ICMP] else np.int64(dsts[at]) & 0xFFFF
        kind = (np.int64(kinds[at]) if has[layout, _ICMP_TYPE] else told >> 8) & 0xFF
        four = has[layout, _SRC4] or has[layout, _DST4]
        six = has[layout, _SRC6] or has[layout, _DST6]
        if six and ((src6[at] | src6_low[at] | dst6[at] | dst6_low[at]) > 0 or not four):
            src[0, at], src[1, at], dst[0, at], dst[1, at] = src6[at], src6_low[at], dst6[at], dst6_low[at]
        else:
            src[0, at], src[1, at] = 0, src4[at] | np.uint64(MAPPED)
            dst[0, at], dst[1, at] = 0, dst4[at] | np.uint64(MAPPED)
        ip[at] = four or six
        protocol[at] = number
        src_port[at] = 0 if later or echo else np.int64(srcs[at]) & 0xFFFF
        dst_port[at] = 0 if later or echo else np.int64(dsts[at]) & 0xFFFF
        tcp_flags[at] = 0 if later else np.int64(flags[at]) & 0xFF
        icmp_type[at] = kind if echo and not later else 0
        counted = np.int64(sessions[at]) & 0xFFFF_FFFF
        flows[at] = counted if counted > 0 else 1
        in_if[at] = np.int64(inputs[at]) & 0xFFFF_FFFF
        discarded[at] = (np.int64(forwarding[at]) & 0xC0) >> 6 == _DROPPED
        fragment[at] = ip[at] and (later or np.int64(more[at]) & _MORE_FRAGMENTS > 0 or number == 44)
        visible[at] = has[layout, _OFFSET] or has[layout, _FRAGMENT_FLAGS]


def _times(read: Values, origin: Origin, layouts: Sequence[Layout], has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Start and end of each record in ns since 1970, 0 where they are not told; 2 × n."""
    told = np.empty((2, len(read.of)), np.int64)
    units = np.array([layout.units for layout in layouts], np.int64)
    of_sets = origin.which, origin.export_ns, origin.uptime_ms, origin.receipt_ns
    _tell_times(read.rows.view(np.int64), read.row, read.of, *of_sets, has, units, told)
    return told


@borrowing
def _tell_times(
    rows: NDArray[np.int64],
    row: NDArray[np.int64],
    of: NDArray[np.int64],
    which: NDArray[np.int64],
    export_ns: NDArray[np.int64],
    uptime_ms: NDArray[np.int64],
    receipt_ns: NDArray[np.int64],
    has: NDArray[np.bool_],
    units: NDArray[np.int64],
    told: NDArray[np.int64],
) -> None:
    """Fill in start and end. Who tells one of them and how long it lasted has told both."""
    starts, ends, durations, boots = rows[row[_START]], rows[row[_END]], rows[row[_DURATION]], rows[row[_BOOT]]
    for at in range(len(of)):
        one = of[at]
        layout, export, uptime, boot = which[one], export_ns[one], uptime_ms[one], boots[at]
        start = end = 0
        if has[layout, _START]:
            start = _moment(units[layout, 0], starts[at], export, uptime, boot)
        if has[layout, _END]:
            end = _moment(units[layout, 1], ends[at], export, uptime, boot)
        if has[layout, _DURATION] and durations[at] > 0:
            lasted = min(durations[at], _LONGEST) * (_US if units[layout, 2] == _MICROSECONDS else _MS)
            if end == 0:
                end = start + lasted if start > 0 else receipt_ns[one]
            if start == 0:
                start = end - lasted
        told[0, at], told[1, at] = start, end


@inlined
def _moment(unit: int, value: int, export: int, uptime: int, boot: int) -> int:
    """A time in ns since 1970; 0 for what is not told. `value` is a word that has no sign, whatever its first bit."""
    number = min(value, _HIGHEST) if value >= 0 else _HIGHEST  # no product of these leaves 63 bits
    if unit == _UPTIME_MS:
        if uptime >= 0:
            # They count 32 bits and begin anew after 49.7 days: what matters is how far both are apart.
            return export + int(np.int32(np.uint32(value - uptime))) * _MS
        return (min(boot, _HIGHEST_MS) + (value & _LOW)) * _MS if boot > 0 and value != 0 else 0
    if value == 0:
        return 0
    if unit == _NTP:
        return max((value >> _HALF & _LOW) - _NTP_TO_UNIX_S, 0) * _S + ((value & _LOW) * _S >> _HALF)
    if unit == _SECONDS:
        return min(number, _HIGHEST_S) * _S
    if unit == _MILLISECONDS:
        return min(number, _HIGHEST_MS) * _MS
    return export - min(number, _LOW) * _US if unit == _BEFORE_EXPORT_US else number * _US


def rate_of(interval: int, space: int, size: int, population: int) -> int:
    """Packets of which one is taken (RFC 5477, 8.2; RFC 3954, 8): rounded, 0 when nothing is said."""
    if population > 0:
        return max(1, round(population / max(size, 1)))
    if interval > 0 and space > 0:
        return max(1, round((interval + space) / interval))
    return interval


def hear_sampling(read: Values, origin: Origin, exporters: Sequence[bytes], known: Templates) -> None:
    """Learn from options how traffic is sampled."""
    for at, place in enumerate(read.of.tolist()):
        rate = rate_of(
            *(int(read.column(slot)[at]) for slot in (Slot.INTERVAL, Slot.SPACE, Slot.SIZE, Slot.POPULATION))
        )
        if not 0 < rate < 1 << 32:
            continue
        speaker = Speaker(exporters[origin.exporter[place]], int(origin.version[place]), int(origin.domain[place]))
        sampler, interface = int(read.column(Slot.SAMPLER)[at]), int(read.column(Slot.INTERFACE)[at])
        kind, identity = ("sampler", sampler) if sampler else ("interface", interface) if interface else ("", 0)
        known.sampled(speaker, kind, identity, rate)


def _sampling(
    read: Values, origin: Origin, has: NDArray[np.bool_], exporters: Sequence[bytes], known: Templates
) -> NDArray[np.int64]:
    """As the record has it, else the exporter's options; 0 when nobody tells."""
    of = read.of
    rate = np.zeros(len(of), np.int64)
    if (has[origin.which, _INTERVAL] | has[origin.which, _POPULATION]).any():
        own = [read.column(slot) for slot in (Slot.INTERVAL, Slot.SPACE, Slot.SIZE, Slot.POPULATION)]
        distinct, index = interned(_pair(own[0], own[1]), _pair(own[2], own[3]))
        rates = np.array([rate_of(*_apart(high), *_apart(low)) for high, low in distinct.tolist()], np.int64)[index]
        rate = np.where(rates > 0, rates, rate)
    if not any(known.samples(one) for one in exporters):
        return rate
    keys, place = distinct_values(
        list(zip(origin.exporter.tolist(), origin.version.tolist(), origin.domain.tolist(), strict=True))
    )
    speakers = [Speaker(exporters[exporter], version, domain) for exporter, version, domain in keys]
    speaker = place.astype(np.uint64)[of]
    distinct, index = interned(speaker, _pair(read.column(Slot.SAMPLER), read.column(Slot.INPUT)))
    told = [
        known.rate(speakers[place], sampler=sampler, interface=interface)
        for place, (sampler, interface) in ((high, _apart(low)) for high, low in distinct.tolist())
    ]
    return np.where(rate > 0, rate, np.array(told, np.int64)[index])


def _pair(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Two numbers of 32 bits in one word."""
    return (high << np.uint64(32)) | (low & np.uint64(0xFFFF_FFFF))


def _apart(word: int) -> tuple[int, int]:
    return word >> 32, word & 0xFFFF_FFFF
