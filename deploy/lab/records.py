"""Lines as collectors write them: goflow2 JSON for sampled flows, rsyslog JSON for log messages.

Keys, order and spelling follow goflow2 2.x (`-format=json` with `formatter.fields`) and rsyslog's `jsonmesg`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

PROTOCOLS = MappingProxyType(
    {0: "HOPOPT", 1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 44: "IPv6-Frag", 47: "GRE", 50: "ESP", 58: "IPv6-ICMP"}
)
DISCARDED = 0x40000000 | 258  # sFlow v5: output interface of a discarded packet, reason "ACL"
MORE_FRAGMENTS = 1


def protocol_name(number: int) -> str:
    """IANA's name as goflow2 prints it."""
    return PROTOCOLS.get(number, "unassigned" if 146 <= number <= 252 else str(number))


@dataclass(frozen=True, slots=True)
class Shape:
    """All of a flow record that does not change from one record of a conversation to the next."""

    sampler: str
    in_if: int
    out_if: int
    src: str  # "" for a frame that is not IP
    dst: str  # "" where it changes: `template` leaves a place for it
    protocol: int
    src_mac: str
    dst_mac: str
    sampling: int
    src_port: int = 0
    tcp_flags: int = 0
    ip_flags: int = 2  # bit 0 MF, bit 1 DF
    fragment_offset: int = 0  # units of 8 octets
    vlan: int = 0
    broken: bool = False  # the header ends early: goflow2 names the protocol but not its layer


def template(shape: Shape) -> bytes:
    """A line to be filled by `%` with (received ns, start ns, end ns, bytes, packets, dst, dst port)."""
    family = "" if not shape.src else "IPv6" if ":" in shape.src else "IPv4"
    protocol = protocol_name(shape.protocol) if family else ""
    layers = ["Ethernet", *([family] if family else []), *([protocol] if protocol and not shape.broken else [])]
    if shape.fragment_offset and not shape.broken:
        layers = ["Ethernet", family, "Fragment"] if family == "IPv6" else layers
    names = ",".join(f'"{layer}"' for layer in layers)
    return (
        f'{{"type":"SFLOW_5","time_received_ns":%d,"sampling_rate":{shape.sampling},'
        f'"sampler_address":"{shape.sampler}","time_flow_start_ns":%d,"time_flow_end_ns":%d,"bytes":%d,"packets":%d,'
        f'"src_addr":"{shape.src}","dst_addr":"%b","etype":"{family}","proto":"{protocol}",'
        f'"src_port":{shape.src_port},"dst_port":%d,"in_if":{shape.in_if},"out_if":{shape.out_if},'
        f'"src_mac":"{shape.src_mac}","dst_mac":"{shape.dst_mac}","src_vlan":{shape.vlan},'
        f'"ip_flags":{shape.ip_flags},"tcp_flags":{shape.tcp_flags},"fragment_offset":{shape.fragment_offset},'
        f'"layer_stack":[{names}]}}\n'
    ).encode()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log message, as a collector took it from `sender`."""

    at_ns: int
    sender: str  # transport address
    hostname: str
    program: str
    text: str
    priority: int = 30  # facility * 8 + severity (RFC 5424, 6.2.1); 30 is daemon.info


def rsyslog(line: LogLine) -> bytes:
    """The message as rsyslog writes it: all values are text."""
    stamp = datetime.fromtimestamp(line.at_ns / 1e9, UTC).isoformat(timespec="microseconds")
    return (
        msgspec.json.encode(
            {
                "msg": f" {line.text}",
                "rawmsg": f"<{line.priority}>{stamp} {line.hostname} {line.program}: {line.text}",
                "timereported": stamp,
                "hostname": line.hostname,
                "syslogtag": f"{line.program}:",
                "inputname": "imudp",
                "fromhost-ip": line.sender,
                "pri": str(line.priority),
                "syslogfacility": str(line.priority // 8),
                "syslogseverity": str(line.priority % 8),
                "timegenerated": stamp,
                "programname": line.program,
                "protocol-version": "1",
            }
        )
        + b"\n"
    )


def access_line(*, at_ns: int, client: str, request: str, status: int, octets: int, agent: str) -> str:
    """One line of a web server's access log in the combined format."""
    stamp = datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{client} - - [{stamp}] "{request}" {status} {octets} "-" "{agent}"'
