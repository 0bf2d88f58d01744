"""What the active configuration of an EX switch does to frames.

Source: Junos OS routing policies, firewall filters and traffic policers guide. Terms are tried in order; a term without
a terminating action accepts; what no term matches is discarded. A filter of family ethernet-switching sees every frame,
so its silent discard stops ARP and IPv6 as well. Frames that are not IP count as ARP, there is no other kind here.
"""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from deploy.lab.device import Packets, Passed, Traffic
from deploy.lab.junos_switch import JunosSwitch, PortFacts, Tally
from deploy.lab.junos_tree import Tree, below, value

_SCALE = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmp6": 58,
    "ospf": 89,
    "sctp": 132,
}
_ETHER = {"arp": (0x0806,), "ipv4": (0x0800,), "ipv6": (0x86DD,)}

Spent = dict[tuple[str, ...], float]


def forward(switch: JunosSwitch, bursts: Sequence[Packets], now: float) -> list[Passed]:
    """Each burst's fate, in order. Bursts of one call share a policer's allowance."""
    spent: Spent = {}
    return [_one(switch, burst, now, spent) for burst in bursts]


def _one(switch: JunosSwitch, burst: Packets, now: float, spent: Spent) -> Passed:
    port = burst.interface
    if port not in switch.ports:
        return Passed(0, 0, None, f"no interface {port}")
    facts = switch.port_facts(port)
    if facts.disabled:
        return Passed(0, 0, None, "disable")
    family = facts.family
    if not family:
        return Passed(0, 0, None, "no family on unit 0")
    switch.counters[port].received(burst.packets, burst.octets, now, burst.seconds)
    if family != "ethernet-switching":
        family = "inet6" if ":" in burst.src else "inet"
        bound = value(switch.running, ("interfaces", port, "unit 0", f"family {family}", "filter"), "input")
        return _through(switch, burst, None, [(family, bound)], spent)
    vlan, why = _vlan(facts, burst)
    if vlan is None:
        return Passed(0, 0, None, why)
    switch.macs[vlan, burst.src_mac.lower()] = port
    over_port = value(switch.running, (*switch.switching(port), "filter"), "input")
    over_vlan = value(switch.running, ("vlans", switch.vlans()[vlan], "forwarding-options", "filter"), "input")
    passed = _through(switch, burst, vlan, [(family, over_port), (family, over_vlan)], spent)
    out = switch.macs.get((vlan, burst.dst_mac.lower()))
    for name in [out] if out else [name for name in switch.ports if switch.port_facts(name).trunk]:
        if name != port and not switch.port_facts(name).disabled:
            switch.counters[name].packets_out += passed.packets
            switch.counters[name].octets_out += passed.octets
    return passed


def _vlan(facts: PortFacts, burst: Packets) -> tuple[int | None, str]:
    if facts.trunk:
        vlan = burst.vlan if burst.vlan is not None else facts.native
    else:
        vlan = next(iter(facts.carried), None)
        if burst.vlan not in (None, vlan):
            return None, "tagged frame on an access port"
    if vlan is None or vlan not in facts.carried:
        return None, "not a member of any active vlan"
    return vlan, ""


def _through(
    switch: JunosSwitch, burst: Packets, vlan: int | None, filters: list[tuple[str, str]], spent: Spent
) -> Passed:
    share, why = 1.0, ""
    for family, name in filters:
        body = below(switch.running, ("firewall", f"family {family}", f"filter {name}")) if name else None
        if body is None:
            continue
        passed, reason = _filtered(switch, burst, name, body, share, spent)
        if passed < share:
            share, why = passed, reason
        if share == 0:
            break
    return Passed(int(burst.packets * share), int(burst.octets * share), vlan, why)


def _filtered(
    switch: JunosSwitch, burst: Packets, name: str, body: Tree, offered: float, spent: Spent
) -> tuple[float, str]:
    for term, rule in body.items():
        if not term.startswith("term ") or not _matches(rule.get("from", {}), burst):
            continue
        then = rule.get("then", {})
        share = offered
        for action in then:
            word, _, argument = action.partition(" ")
            if word == "count":
                _add(switch.counts.setdefault((name, argument), Tally()), burst, offered)
            elif word == "policer":
                key = (name, argument, burst.interface if "interface-specific" in body else "")
                share = _police(switch, burst, key, offered, spent)
        if "discard" in then:
            return 0.0, f"filter {name} {term}: discard"
        return share, f"filter {name} {term}: policer" if share < offered else ""
    return 0.0, f"filter {name}: implicit discard"


def _add(tally: Tally, burst: Packets, share: float) -> None:
    tally.octets += int(burst.octets * share)
    tally.packets += int(burst.packets * share)


def _police(switch: JunosSwitch, burst: Packets, key: tuple[str, str, str], offered: float, spent: Spent) -> float:
    path = ("firewall", f"policer {key[1]}")
    limit = value(switch.running, (*path, "if-exceeding"), "bandwidth-limit")
    if not limit or "discard" not in (below(switch.running, (*path, "then")) or {}):
        return offered
    rate = int(limit[:-1]) * _SCALE[limit[-1]] if limit[-1] in _SCALE else int(limit)
    bits = burst.octets * 8 * offered
    left = max(0.0, rate * burst.seconds - spent.get(key, 0.0))
    spent[key] = spent.get(key, 0.0) + min(bits, left)
    share = offered if bits <= left or bits == 0 else offered * left / bits
    _add(switch.policed.setdefault(key[:2], Tally()), burst, offered - share)
    return share


def _matches(conditions: Tree, burst: Packets) -> bool:
    by_word: dict[str, list[str]] = {}
    for step, nested in conditions.items():
        if step.startswith("ip-version "):
            if step.endswith("ipv6") != (":" in burst.src) or not burst.src or not _matches(nested, burst):
                return False
            continue
        word, _, wanted = step.partition(" ")
        by_word.setdefault(word, []).append(wanted)
    return all(any(_is(word, one, burst) for one in wanted) for word, wanted in by_word.items())


def _is(word: str, wanted: str, burst: Packets) -> bool:
    match word:
        case "source-mac-address" | "destination-mac-address":
            return _mac(wanted, burst.src_mac if word.startswith("source") else burst.dst_mac)
        case "source-address" | "ip-source-address":
            return _inside(burst.src, wanted)
        case "destination-address" | "ip-destination-address":
            return _inside(burst.dst, wanted)
        case "protocol" | "ip-protocol" | "next-header":
            known = _PROTOCOLS.get(wanted)
            return bool(burst.src) and burst.protocol == (known if known is not None else int(wanted))
        case "source-port" | "destination-port":
            port = burst.src_port if word.startswith("source") else burst.dst_port
            low, _, high = wanted.partition("-")
            return burst.protocol in (6, 17, 132) and int(low) <= port <= int(high or low)
        case "is-fragment":
            return burst.traffic is Traffic.FRAGMENT and ":" not in burst.src
        case "fragment-flags":
            later = burst.src_port == 0 and burst.dst_port == 0
            fragment = burst.traffic is Traffic.FRAGMENT and ":" not in burst.src
            return fragment and (wanted == "is-fragment" or (wanted == "more-fragments" and not later))
        case "ether-type":
            number = 0x86DD if ":" in burst.src else 0x0800 if burst.src else 0x0806
            return number in _ETHER.get(wanted, ()) or (wanted not in _ETHER and int(wanted, 0) == number)
        case "user-vlan-id":
            return burst.vlan == int(wanted)
        case _:
            return False


def _inside(address: str, prefix: str) -> bool:
    if not address:
        return False
    network = ip_network(prefix, strict=False)
    found = ip_address(address)
    return found.version == network.version and found in network


def _mac(wanted: str, mac: str) -> bool:
    text, _, length = wanted.partition("/")
    cut = 48 - int(length or 48)
    return int(text.replace(":", ""), 16) >> cut == int(mac.replace(":", ""), 16) >> cut
