"""Frames of JSON lines as goflow2 and pmacct write them, made once and sent many times at the time of day. Pure.

goflow2 writes fifty keys a record unless told otherwise (its pb/flow.pb.go), pmacct those of its `aggregate` directive
(src/plugin_cmn_json.c).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from deploy.lab.rates.crowd import EXPORTERS, LONGEST_MS, TCP, UPLINK, Talk, addresses, talk

FRAME_RECORDS = 900
"""Records of a frame; with all of goflow2's keys it stays below Kafka's usual limit of a message."""

POOL = 4
"""Different frames of each exporter."""

_NOW, _START = "1" * 19, "2" * 19
"""Where the time goes in: ns as goflow2 writes them."""

_NOW_S, _START_S = "1" * 10 + ".000000", "2" * 10 + ".000000"
"""The same as pmacct writes it, in seconds."""


def goflow2(exporter: int, said: Talk) -> Sequence[str]:
    """Records of NetFlow v5."""
    src, dst = addresses(said.src), addresses(said.dst)
    return [
        _dumped(
            {
                "type": "NETFLOW_V5", "time_received_ns": int(_NOW), "sequence_num": at, "sampling_rate": 0,
                "sampler_address": EXPORTERS[exporter], "time_flow_start_ns": int(_START),
                "time_flow_end_ns": int(_NOW), "bytes": int(said.octets[at]), "packets": int(said.packets[at]),
                "src_addr": src[at], "dst_addr": dst[at],
                "etype": "IPv4", "proto": _protocol(said, at), "src_port": int(said.src_port[at]),
                "dst_port": int(said.dst_port[at]), "in_if": int(said.entry[at]), "out_if": int(said.exit[at]),
                "src_mac": "00:00:00:00:00:00", "dst_mac": "00:00:00:00:00:00", "src_vlan": 0, "dst_vlan": 0,
                "vlan_id": 0, "ip_tos": 0, "forwarding_status": 0, "ip_ttl": 0, "ip_flags": 0,
                "tcp_flags": _flags(said, at), "icmp_type": 0, "icmp_code": 0, "ipv6_flow_label": 0, "fragment_id": 0,
                "fragment_offset": 0, "src_as": 0, "dst_as": 0, "next_hop": "192.0.2.1", "next_hop_as": 0,
                "src_net": f"{src[at]}/0", "dst_net": f"{dst[at]}/0", "bgp_next_hop": "", "bgp_communities": [],
                "as_path": [], "mpls_ttl": [], "mpls_label": [], "mpls_ip": [],
                "observation_domain_id": 0, "observation_point_id": 0, "layer_stack": [], "layer_size": [],
                "ipv6_routing_header_addresses": [], "ipv6_routing_header_seg_left": 0,
            }
        )
        for at in range(len(said))
    ]  # fmt: skip


def pmacct(exporter: int, said: Talk) -> Sequence[str]:
    """Aggregates of sfacctd or nfacctd with the keys that Cordon's guide asks for."""
    src, dst = addresses(said.src), addresses(said.dst)
    return [
        _dumped(
            {
                "event_type": "purge", "mac_src": _mac(int(said.entry[at])), "mac_dst": _mac(int(said.exit[at])),
                "etype": "800", "peer_ip_src": EXPORTERS[exporter], "iface_in": int(said.entry[at]),
                "iface_out": int(said.exit[at]), "ip_src": src[at], "ip_dst": dst[at],
                "port_src": int(said.src_port[at]), "port_dst": int(said.dst_port[at]),
                "tcp_flags": str(_flags(said, at)), "ip_proto": _protocol(said, at).lower(), "sampling_rate": 1,
                "timestamp_arrival": _NOW_S,
                "timestamp_start": _START_S, "timestamp_end": _NOW_S, "packets": int(said.packets[at]),
                "bytes": int(said.octets[at]), "writer_id": "default_kafka/1",
            }
        )
        for at in range(len(said))
    ]  # fmt: skip


def _dumped(record: Mapping[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":"))


def _protocol(said: Talk, at: int) -> str:
    return "TCP" if said.protocol[at] == TCP else "UDP"


def _flags(said: Talk, at: int) -> int:
    return 0x1B if said.protocol[at] == TCP else 0


def _mac(port: int) -> str:
    number = 0 if port == UPLINK else port
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


LINES: Mapping[str, Callable[[int, Talk], Sequence[str]]] = MappingProxyType(
    {"goflow2_json": goflow2, "pmacct_json": pmacct}
)


def frames(kind: str, *, records: int = FRAME_RECORDS, pool: int = POOL) -> Sequence[bytes]:
    """Frames of so many records, each of one exporter, the exporters in turn; `dated` puts the time into them."""
    made = []
    for number in range(pool * len(EXPORTERS)):
        exporter = number % len(EXPORTERS)
        lines = LINES[kind](exporter, talk(exporter, records, seed=number))
        made.append("\n".join(lines).encode())
    return made


def dated(frame: bytes, now_ns: int) -> bytes:
    """A frame whose records end now."""
    start_ns = now_ns - LONGEST_MS * 500_000
    for mark, time_ns in ((_NOW, now_ns), (_START, start_ns)):
        frame = frame.replace(mark.encode(), str(time_ns).encode())
    for mark, time_ns in ((_NOW_S, now_ns), (_START_S, start_ns)):
        frame = frame.replace(mark.encode(), f"{time_ns // 1000 / 1e6:.6f}".encode())
    return frame
