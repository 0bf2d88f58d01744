"""Suricata's EVE JSON: alerts and decoder anomalies become claims. Fields as in Suricata's etc/schema.json."""

import re
from collections.abc import Mapping
from typing import Any

from controller.domain.address import Address, address_of
from controller.domain.errors import BadInput
from controller.domain.verdict import TrafficClass, Witness
from streams.decode.claims import Claim, ClaimKind

FRAGMENT_RULES = frozenset({2200069, 2200070, 2200071, 2200072, 2200119})
"""decoder-events.rules: packets too large after reassembly, overlapping fragments, too many of them."""

DECODER_RULES = range(2200000, 2201000)
BREAK_INS = ("trojan", "command and control", "malware", "successful", "exploit kit", "web application attack")
"""Words in a category that speak of a machine that was broken into or breaks in, not of volume."""

_CUT = {
    name: re.compile(rf'"{name}"\s*:\s*"?([^",}}]+)')
    for name in ("src_ip", "dest_ip", "signature_id", "severity", "signature", "category")
}


def event(document: Mapping[str, Any], *, sender: str, at_ns: int) -> Claim | None:
    """The claim of one event; None for events that accuse nobody (flow, dns, stats, anomalies without a source)."""
    kind = document.get("event_type")
    if kind == "alert":
        return _alert(document, sender=sender, at_ns=at_ns)
    if kind == "anomaly":
        return _anomaly(document, sender=sender, at_ns=at_ns)
    return None


def salvaged(line: str, *, sender: str, at_ns: int) -> Claim | None:
    """What can be had from an alert that was cut on its way (syslog daemons cut at 1, 2 or 8 kB). None: nothing."""
    if not re.search(r'"event_type"\s*:\s*"alert"', line):
        return None
    fields = {name: found[1] for name, pattern in _CUT.items() if (found := pattern.search(line))}
    if "src_ip" not in fields or "signature" not in fields:
        return None
    rule = {
        "signature": fields["signature"],
        "signature_id": _number(fields.get("signature_id")),
        "severity": _number(fields.get("severity")) or 3,
        "category": fields.get("category", ""),
    }
    document = {"src_ip": fields["src_ip"], "dest_ip": fields.get("dest_ip", ""), "alert": rule}
    return _alert(document, sender=sender, at_ns=at_ns)


def _alert(document: Mapping[str, Any], *, sender: str, at_ns: int) -> Claim | None:
    rule = document.get("alert")
    if not isinstance(rule, dict):
        return None
    accused, peer = _sides(document, rule)
    if accused is None:
        return None
    number = _number(rule.get("signature_id"))
    severity = min(max(_number(rule.get("severity")) or 3, 1), 4)
    category, signature = str(rule.get("category", "")), str(rule.get("signature", ""))[:200]
    return Claim(
        kind=ClaimKind.IDS_ALERT,
        witness=Witness.IDS,
        sender=sender,
        at_ns=at_ns,
        phrase=f"suricata/{number}",
        text=f"IDS alert {number} severity {severity}: {signature}",
        accused=accused,
        peer=peer,
        facts={"signature_id": number, "signature": signature, "severity": severity, "category": category},
        traffic=_traffic(number),
        compromise=any(word in category.lower() for word in BREAK_INS),
        count=1.0 / severity,
    )


def _sides(document: Mapping[str, Any], rule: Mapping[str, Any]) -> tuple[Address | None, Address | None]:
    """Who did it, and to whom: the rule's own word, else the flow's initiator, else the packet's direction.

    An alert on a reply has the server as its source, so the packet's direction is the weakest of the three.
    """
    source, target = rule.get("source"), rule.get("target")
    if isinstance(source, dict) and isinstance(target, dict):
        return _address(source.get("ip")), _address(target.get("ip"))
    flow = document.get("flow")
    if isinstance(flow, dict) and flow.get("src_ip"):
        return _address(flow.get("src_ip")), _address(flow.get("dest_ip"))
    return _address(document.get("src_ip")), _address(document.get("dest_ip"))


def _anomaly(document: Mapping[str, Any], *, sender: str, at_ns: int) -> Claim | None:
    anomaly = document.get("anomaly")
    accused = _address(document.get("src_ip"))
    if accused is None or not isinstance(anomaly, dict) or anomaly.get("type") != "decode":
        return None
    name = str(anomaly.get("event", "unnamed"))[:100]
    return Claim(
        kind=ClaimKind.IDS_ALERT,
        witness=Witness.IDS,
        sender=sender,
        at_ns=at_ns,
        phrase=f"suricata/{name}",
        text=f"IDS could not decode its packets: {name}",
        accused=accused,
        peer=_address(document.get("dest_ip")),
        facts={"event": name},
        traffic=TrafficClass.FRAGMENTS if "frag" in name.lower() else TrafficClass.MALFORMED,
        count=0.25,
    )


def _traffic(number: int) -> TrafficClass:
    if number in FRAGMENT_RULES:
        return TrafficClass.FRAGMENTS
    return TrafficClass.MALFORMED if number in DECODER_RULES else TrafficClass.ALL


def _address(value: object) -> Address | None:
    try:
        return address_of(value) if isinstance(value, str) else None
    except BadInput:
        return None


def _number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.strip().isdecimal() and len(value) < 12 else 0
