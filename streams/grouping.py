"""Flow columns into rows: who is charged for each record, and the sums for each subject, exporter, tick and span."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import Prefix, packed
from controller.domain.estate import Expected
from streams.decode.columns import ICMP, ICMP6, TAME, TCP, UDP, Columns
from streams.keys import ATTACHMENT, hash_words, key_array
from streams.places import Charge, Charged, Owner, Places
from streams.rows import MAX_COUNT, NCOL, SKETCH_BITS, Col, Rows, Vantage

MAIL_PORTS = (25, 465, 587)
LOGIN_PORTS = (21, 22, 23, 2222, 2323, 3389, 5900, 5901, 5902, 5903)
"""FTP, SSH, telnet, RDP and VNC: where passwords are guessed."""
REFLECTORS = (
    17, 19, 53, 69, 111, 123, 137, 161, 389, 427, 500, 520, 1194, 1434, 1900, 3283, 3478, 3702, 4500, 5060, 5353, 5683,
    10001, 11211, 27015, 32414, 37020, 37810, 47808,
)  # fmt: skip
"""UDP services known to be abused for reflection (US-CERT TA14-017A and later advisories)."""

_SMALL = 100
_BARE = 64  # octets of a TCP packet without data
_ODD = np.array([protocol not in TAME for protocol in range(256)] + [True], np.bool_)  # the last is not IP: -1
_QUIET = (53, 123, 137, 138, 443)  # services asked in small datagrams all day, NetBIOS by broadcast
_BY_BROADCAST = (67, 68, 546, 547)  # DHCP is asked by broadcast: the question is not addressed to who answers
_ANSWER_FLAGS = (0x12, 0x04, 0x14, 0x16)  # SYN-ACK, RST, RST-ACK, and SYN-ACK taken back
_TURNED = np.isin(np.arange(64), _ANSWER_FLAGS)
_ICMP_ANSWERS = (0, 3, 11)  # echo reply, unreachable, time exceeded (RFC 792)
_ICMP6_ANSWERS = (1, 3, 129)  # unreachable, time exceeded, echo reply (RFC 4443)
_TOP_PEERS = 3
_REMEMBERED = 100_000
_STEPS = 16  # spans above are rounded to so many steps an octave, so that rows can be added up


@dataclass(slots=True)
class Memory:
    """Answers of Places that were given before; forgotten whole when they grow too many. It changes no result."""

    owners: dict[tuple[bytes, bytes], Owner] = field(default_factory=dict)
    charges: dict[tuple[str, int, bytes | None, bytes, int], Charge] = field(default_factory=dict)

    def owner(self, places: Places, raw: bytes, scope: bytes) -> Owner:
        """`Places.owner`, remembered."""
        found = self.owners.get((raw, scope))
        if found is None:
            if len(self.owners) >= _REMEMBERED:
                self.owners.clear()
            found = self.owners[raw, scope] = places.owner(raw, scope)
        return found

    def charge(self, places: Places, exporter: str, in_if: int, raw: bytes | None, scope: bytes, mac: int) -> Charge:
        """`Places.charge`, remembered."""
        asked = (exporter, in_if, raw, scope, mac)
        found = self.charges.get(asked)
        if found is None:
            if len(self.charges) >= _REMEMBERED:
                self.charges.clear()
            source = None if raw is None else self.owner(places, raw, scope)
            found = places.charge(exporter=exporter, in_if=in_if, source=source, mac=mac)
            self.charges[asked] = found
        return found


@dataclass(slots=True)
class Entries:
    """One entry for each record and side that concerns a subject, to be summed into rows.

    First those of senders, then those of receivers, then those of sources whose frames came back by other ports.
    """

    record: NDArray[np.int64]
    key: NDArray[np.int64]  # index into `keys`
    keys: list[bytes]
    vantage: NDArray[np.int64]
    flags: NDArray[np.int64]
    interface: NDArray[np.int64]
    mac: NDArray[np.int64]
    senders: slice
    receivers: slice
    echoes: slice

    def side(self, column: Col) -> slice:
        """Entries that count in a column."""
        return self.receivers if column >= Col.BYTES_IN else self.senders


class Grouping:
    """Groups the records of one frame. Holds the estate's look-ups."""

    def __init__(self, places: Places, expected: tuple[Expected, ...], *, tick_ns: int) -> None:
        self._places, self._expected, self._tick_ns = places, expected, tick_ns
        self._memory = Memory()

    def rows(self, flows: Columns, scope: bytes) -> tuple[Rows | None, NDArray[np.int64]]:
        """Rows of a frame, and for each record the row that counts it first (-1: it concerns nobody of ours)."""
        owners = [self._memory.owner(self._places, raw, scope) for raw in flows.addresses]
        charges, charge = self._charges(flows, scope)
        group = _group(flows, owners)
        looped = group & np.array([one.stray for one in charges], np.bool_)[charge]
        entries = _entries(flows, owners, charges, charge, looped)
        counted = np.full(len(flows), -1, np.int64)
        if not len(entries.record):
            return None, counted
        columns = _counts(flows, self._wanted(flows, owners))
        columns[Col.LOOPED] = np.where(looped, columns[Col.PACKETS], 0)
        columns[Col.GROUP] = np.where(group, columns[Col.PACKETS], 0)
        rows, row = self._grouped(flows, entries, columns)
        counted[entries.record[::-1]] = row[::-1]
        return rows, counted

    def _charges(self, flows: Columns, scope: bytes) -> tuple[list[Charge], NDArray[np.int64]]:
        """Distinct charges, and each record's."""
        order = np.stack([flows.exporter.astype(np.int64), flows.in_if, flows.src, flows.src_mac])
        unique, index = _unique_columns(order)
        charges = [
            self._memory.charge(
                self._places,
                flows.exporters[exporter],
                in_if,
                flows.addresses[src] if src >= 0 else None,
                scope,
                flows.macs[mac],
            )
            for exporter, in_if, src, mac in unique.T.tolist()
        ]
        return charges, index

    def _wanted(self, flows: Columns, owners: list[Owner]) -> NDArray[np.bool_]:
        """Records that lie in a window of expected bulk traffic."""
        wanted = np.zeros(len(flows), np.bool_)
        if not self._expected:
            return wanted
        minutes, of_minute = np.unique(flows.receipt_ns // 60_000_000_000 % 1440, return_inverse=True)
        words = np.frombuffer(b"".join(flows.addresses), ">u8").reshape(-1, 2).astype(np.uint64)
        for window in self._expected:
            source = np.append(_within(words, window.sources), False)
            target = np.append(_within(words, window.destinations) | (not window.destinations), False)
            if source.any():
                open_now = np.array([window.covers(one) for one in minutes.tolist()], np.bool_)[of_minute]
                wanted |= source[flows.src] & target[flows.dst] & open_now
        return wanted

    def _grouped(
        self, flows: Columns, entries: Entries, columns: dict[Col, NDArray[np.int64]]
    ) -> tuple[Rows, NDArray[np.int64]]:
        tick = flows.receipt_ns // self._tick_ns
        span = _spans(flows.duration_ns, self._tick_ns)
        of = entries.record
        order = np.stack([entries.key, flows.exporter[of], entries.vantage, tick[of], span[of]])
        unique, row = _unique_columns(order)
        count = unique.shape[1]
        key, exporter, vantage, ticks, spans = unique
        counts = np.zeros((count, NCOL), np.int64)
        senders = entries.senders
        for column, values in columns.items():
            side = entries.side(column)
            chosen = values[of[side]]
            if chosen.any():
                counts[:, column] = _summed(row[side], chosen, count)
        if entries.echoes.start < len(of):
            counts[:, Col.LOOPED] += _summed(row[entries.echoes], columns[Col.LOOPED][of[entries.echoes]], count)
        first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first, row, flows.receipt_ns[of])
        flags = np.zeros(count, np.int64)
        np.bitwise_or.at(flags, row, entries.flags)
        interface, mac = np.zeros(count, np.int64), np.zeros(count, np.int64)
        np.maximum.at(interface, row[senders], entries.interface[senders])
        np.maximum.at(mac, row[senders], entries.mac[senders])
        rows = Rows(
            key=key_array(entries.keys)[key],
            exporter=exporter.astype(np.int32),
            tick=ticks,
            span=spans.astype(np.int32),
            vantage=vantage.astype(np.int8),
            flags=flags.astype(np.int8),
            interface=interface,
            mac=mac,
            first_ns=first,
            counts=counts,
        )
        _contacts(rows, flows, columns[Col.BYTES], of[senders], row[senders])
        return rows, row


def _unique_columns(order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct columns of a small-valued matrix, sorted, and the index of each column among them."""
    low = order.min(axis=1)
    width = order.max(axis=1) - low + 1
    if np.prod(width.astype(np.float64)) < 2**62:
        code = np.zeros(order.shape[1], np.int64)
        for line, base, size in zip(order, low, width, strict=True):
            code = code * size + (line - base)
        unique, index = np.unique(code, return_inverse=True)
        lines = []
        for base, size in zip(low[::-1], width[::-1], strict=True):
            lines.append(unique % size + base)
            unique = unique // size
        return np.stack(lines[::-1]), index
    found, index = np.unique(order, axis=1, return_inverse=True)
    return found, index.reshape(-1)


def _entries(
    flows: Columns,
    owners: list[Owner],
    charges: list[Charge],
    charge: NDArray[np.int64],
    looped: NDArray[np.bool_],
) -> Entries:
    keys: dict[bytes, int] = {}
    paid = np.array(
        [keys.setdefault(one.key, len(keys)) if one.who is not Charged.NOBODY else -1 for one in charges], np.int64
    )[charge]
    owned = np.array([*(keys.setdefault(one.key, len(keys)) if one.key else -1 for one in owners), -1], np.int64)
    received, source = owned[flows.dst], owned[flows.src]
    senders, receivers = np.flatnonzero(paid >= 0), np.flatnonzero(received >= 0)
    echoes = np.flatnonzero(looped & (source >= 0)) if looped.any() else np.zeros(0, np.int64)
    ends = np.cumsum([len(senders), len(receivers), len(echoes)]).tolist()

    facts = np.zeros((4, ends[2]), np.int64)
    facts[0] = Vantage.EDGE
    of_charges = np.array([(one.vantage, one.flags, one.interface, one.mac) for one in charges], np.int64)
    facts[:, : ends[0]] = of_charges.reshape(-1, 4).T[:, charge[senders]]
    vantage, flags, interface, mac = facts
    return Entries(
        record=np.concatenate([senders, receivers, echoes]),
        key=np.concatenate([paid[senders], received[receivers], source[echoes]]),
        keys=list(keys),
        vantage=vantage,
        flags=flags,
        interface=interface,
        mac=mac,
        senders=slice(0, ends[0]),
        receivers=slice(ends[0], ends[1]),
        echoes=slice(ends[1], ends[2]),
    )


def _group(flows: Columns, owners: list[Owner]) -> NDArray[np.bool_]:
    """Frames for everybody: broadcast or multicast, by MAC (IEEE 802: lowest bit of the first octet) or by address."""
    by_mac = np.array([one >> 40 & 1 for one in flows.macs], np.bool_)[flows.dst_mac]
    by_address = np.array([*(one.group for one in owners), False], np.bool_)[flows.dst]
    grouped: NDArray[np.bool_] = by_mac | by_address
    return grouped


def _counts(flows: Columns, wanted: NDArray[np.bool_]) -> dict[Col, NDArray[np.int64]]:
    """What each record adds to each column, sampling multiplied out (whole numbers, at most MAX_COUNT)."""
    rate = flows.sampling
    octets = np.minimum(flows.bytes.astype(np.float64) * rate, MAX_COUNT).astype(np.int64)
    packets = np.minimum(flows.packets.astype(np.float64) * rate, MAX_COUNT).astype(np.int64)
    sessions = np.minimum(flows.flows.astype(np.float64) * rate, MAX_COUNT).astype(np.int64)
    variance = np.minimum(packets.astype(np.float64) * (rate - 1), MAX_COUNT).astype(np.int64)
    tcp, udp = flows.protocol == TCP, flows.protocol == UDP
    echo = (flows.protocol == ICMP) | (flows.protocol == ICMP6)
    flags = flows.tcp_flags & 0x3F
    syn = tcp & (flags == 0x02)
    small = flows.bytes < flows.packets * _SMALL
    size_known = flows.packets > 0
    asked = (flows.protocol == ICMP) & (flows.icmp_type == 8) | (flows.protocol == ICMP6) & (flows.icmp_type == 128)
    served = udp & (flows.src_port > 0) & ((flows.src_port < 1024) | np.isin(flows.src_port, REFLECTORS))
    served &= (flows.src_port != flows.dst_port) & ~np.isin(flows.src_port, _BY_BROADCAST)
    knocks = udp & small & (flows.dst_port > 0) & (flows.dst_port < 1024) & ~np.isin(flows.dst_port, _QUIET)
    # Exporters that tell no TCP flags: a flow whose packets have no room for data has not got anywhere.
    mute = tcp & (flags == 0) & (flows.bytes <= flows.packets * _BARE)
    login = tcp & np.isin(flows.dst_port, LOGIN_PORTS) & ((((flags & 0x02) > 0) & (flags != 0x12)) | (flags == 0))
    refused = echo & (
        (flows.protocol == ICMP) & np.isin(flows.icmp_type, _ICMP_ANSWERS)
        | (flows.protocol == ICMP6) & np.isin(flows.icmp_type, _ICMP6_ANSWERS)
    )
    turned = tcp & _TURNED[flags]
    reset = tcp & ((flags & 0x04) > 0)
    lost = refused & (flows.icmp_type != np.where(flows.protocol == ICMP, 0, 129))
    answers = turned | refused | (udp & (flows.src_port == 53))
    mail = tcp & np.isin(flows.dst_port, MAIL_PORTS)
    untold = flows.ip & (flows.protocol < 0)  # exporters that aggregate may leave the protocol out
    odd = _ODD[flows.protocol] & ~flows.fragment & ~untold

    def where(mask: NDArray[np.bool_], values: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(mask, values, 0)

    return {
        Col.BYTES: octets,
        Col.PACKETS: packets,
        Col.FLOWS: sessions,
        Col.FRAGMENTS: where(flows.fragment, packets),
        Col.MALFORMED: where(flows.malformed, packets),
        Col.ODD: where(odd, packets),
        Col.SYN_ONLY: where(syn, packets),
        Col.PROBES: where(syn | asked | mute | (knocks & ~served), packets),
        Col.SMALL: where(small & size_known, packets),
        Col.MAIL: where(mail, sessions),
        Col.REFLECTED: where(udp & np.isin(flows.src_port, REFLECTORS), octets),
        Col.ANSWERS: where(answers, packets),
        Col.DISCARDED_BYTES: where(flows.discarded, octets),
        Col.DISCARDED_PACKETS: where(flows.discarded, packets),
        Col.EXPECTED_BYTES: where(wanted, octets),
        Col.EXPECTED_PACKETS: where(wanted, packets),
        Col.SAMPLES: flows.packets,
        Col.VARIANCE: variance,
        Col.REPLIES: where(answers | served, packets),
        Col.LOGINS: where(login, sessions),
        Col.BYTES_IN: octets,
        Col.PACKETS_IN: packets,
        Col.ANSWERS_IN: where(turned | refused, packets),
        Col.TALK_IN: where(~(lost | reset), packets),
    }


def _summed(row: NDArray[np.int64], values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Sum of values by row; exact as long as each sum is below 2^53, else clipped like any count."""
    sums = np.bincount(row, weights=values, minlength=count)
    return np.minimum(sums, float(MAX_COUNT)).astype(np.int64)


def _spans(duration_ns: NDArray[np.int64], tick_ns: int) -> NDArray[np.int64]:
    """Ticks over which a record's counts spread: at least one, long ones rounded to sixteen steps an octave."""
    ticks = np.maximum(np.rint(duration_ns / tick_ns).astype(np.int64), 1)
    octave = np.maximum(np.floor(np.log2(ticks)).astype(np.int64) - 4, 0)
    unit = np.int64(1) << octave
    rounded: NDArray[np.int64] = (ticks + unit // 2) // unit * unit
    return rounded


def _within(words: NDArray[np.uint64], prefixes: Sequence[Prefix]) -> NDArray[np.bool_]:
    """Which of n addresses, each two big-endian words of its packed form, lie in one of the prefixes."""
    inside = np.zeros(len(words), np.bool_)
    mapped = (words[:, 0] == 0) & (words[:, 1] >> np.uint64(32) == 0xFFFF)
    for prefix in prefixes:
        length = prefix.prefixlen + (96 if prefix.version == 4 else 0)
        mask = np.array([_ones(min(length, 64)), _ones(max(length - 64, 0))], np.uint64)
        network = np.frombuffer(packed(prefix.network_address), ">u8").astype(np.uint64)
        inside |= ((words & mask) == network).all(axis=1) & (mapped == (prefix.version == 4))
    return inside


def _ones(bits: int) -> int:
    """A 64-bit word whose first `bits` bits are set."""
    return ((1 << bits) - 1) << (64 - bits)


def _contacts(
    rows: Rows, flows: Columns, octets: NDArray[np.int64], record: NDArray[np.int64], row: NDArray[np.int64]
) -> None:
    """Add to rows whom they talked to: the loudest few, and sketches of distinct peers and ports (or sources)."""
    addressed = flows.dst[record] >= 0
    record, row = record[addressed], row[addressed]
    if not len(record):
        return
    words = np.frombuffer(b"".join(flows.addresses), "<u8").reshape(-1, 2)
    hashed = hash_words(words)
    pairs, pair = _unique_columns(np.stack([row, flows.dst[record].astype(np.int64)]))
    loudness = _summed(pair, octets[record], pairs.shape[1])
    order = np.lexsort((hashed[pairs[1]], -loudness, pairs[0]))
    rank = np.arange(len(order)) - np.searchsorted(pairs[0][order], pairs[0][order])
    top = order[rank < _TOP_PEERS]
    rows.peer_row = pairs[0][top].astype(np.int32)
    rows.peer = np.frombuffer(b"".join(flows.addresses), "S16")[pairs[1][top]]
    rows.peer_bytes = loudness[top]
    # The second half of the sketch holds ports; sources where the subject is an attachment, which has no ports.
    attached = np.char.endswith(rows.key, ATTACHMENT)[row]
    second = np.where(attached, flows.src[record].astype(np.int64) + (1 << 17), flows.dst_port[record])
    port_hash = hash_words(flows.dst_port[record].astype(np.uint64).reshape(-1, 1))
    second_hash = np.where(attached, hashed[flows.src[record]], port_hash)
    bits, _ = _unique_columns(
        np.stack(
            [
                np.concatenate([pairs[0], row]),
                np.concatenate([_bit(hashed[pairs[1]]), _bit(second_hash) + SKETCH_BITS]),
            ]
        )
    )
    # A flow record of a minute tells of a minute's peers: they spread over its span like its octets.
    seconds, _ = _unique_columns(np.stack([row, second]))
    long = rows.span > 1
    rows.counts[long, Col.PEERS_SPREAD] = 1000 * np.bincount(pairs[0], minlength=len(rows))[long]
    rows.counts[long, Col.PORTS_SPREAD] = 1000 * np.bincount(seconds[0], minlength=len(rows))[long]
    brief = ~long[bits[0]]
    rows.bit_row, rows.bit = bits[0][brief].astype(np.int32), bits[1][brief].astype(np.int16)


def _bit(hashed: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (hashed % np.uint64(SKETCH_BITS)).astype(np.int64)
