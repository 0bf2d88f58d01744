"""What the running configuration of a Catalyst does to frames.

Source: Catalyst 2960-X, 3750 and 9300 configuration guides (port ACLs, storm control, protected ports, MAC address
table, QoS). An IPv4 port ACL sees IPv4 alone, so IPv6, ARP and everything else pass it; a MAC list sees only what is
not IP. A layer 2 port learns an address before its ACL drops the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.lab.device import Packets, Passed
from deploy.lab.ios_acl import Entry, permitted, read_entry
from deploy.lab.ios_switch import Policed, Switch
from deploy.lab.ios_tree import Statement

_SCALE = {"k": 1e3, "m": 1e6, "g": 1e9}


@dataclass(frozen=True, slots=True)
class Policer:
    """One class of an input policy: which packets, and the rate in bit/s above which they are dropped."""

    name: str
    lists: tuple[tuple[str, tuple[Entry, ...]], ...]  # (family, entries); empty: every packet
    rate: float | None


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm-control threshold of a port."""

    traffic: str
    bits: float | None
    packets: float | None
    shuts: bool


@dataclass(frozen=True, slots=True)
class PortRules:
    """What stands in a port's way, compiled from the running configuration."""

    shut: bool
    routed: bool
    trunk: bool
    protected: bool
    untagged: int
    allowed: str
    ipv4: tuple[Entry, ...]
    ipv6: tuple[Entry, ...]
    mac: tuple[Entry, ...]
    ipv4_name: str
    ipv6_name: str
    mac_name: str
    policers: tuple[Policer, ...]
    storms: tuple[Storm, ...]


class Plane:
    """The forwarding plane; rules are compiled once for each revision of the configuration."""

    def __init__(self, switch: Switch) -> None:
        """Shares the switch's state and writes its counters and tables."""
        self._switch = switch
        self._revision = -1
        self._rules: dict[str, PortRules] = {}
        self._dropped: set[tuple[int, str]] = set()
        self._active: set[int] = set()

    def forward(self, bursts: Sequence[Packets], now: float) -> list[Passed]:
        """Each burst's fate, in order. Bursts of one call share the allowance of a policer or storm threshold."""
        self._refresh()
        spent: dict[tuple[str, str], float] = {}
        return [self._one(burst, now, spent) for burst in bursts]

    def _refresh(self) -> None:
        running = self._switch.running
        if self._revision == running.revision:
            return
        self._revision = running.revision
        self._rules = {}
        self._dropped = set()
        self._active = {vlan for vlan in self._switch.vlans() if self._switch.vlan_active(vlan)}
        for slot in running.names("mac address-table static"):
            if running.top[slot].line.endswith(" drop"):
                fields = slot.split()
                self._dropped.add((int(fields[5]), _colons(fields[3])))

    def _one(self, burst: Packets, now: float, spent: dict[tuple[str, str], float]) -> Passed:
        switch, port = self._switch, burst.interface
        if port not in switch.ports:
            return Passed(0, 0, None, f"no interface {port}")
        rules = self._rules_of(port)
        if rules.shut or port in switch.errdisabled:
            return Passed(0, 0, None, "err-disabled" if port in switch.errdisabled else "shutdown")
        switch.counters[port].received(burst.packets, burst.octets, now, burst.seconds)
        if rules.routed:
            return self._filtered(burst, rules, None, spent)
        vlan, why = self._vlan(burst, rules)
        if why:
            return Passed(0, 0, None, why)
        source, target = (vlan, burst.src_mac.lower()), (vlan, burst.dst_mac.lower())
        if source in self._dropped or target in self._dropped:
            return Passed(0, 0, vlan, "mac address-table static … drop")
        switch.macs[source] = port
        if burst.src in switch.arps and switch.arps[burst.src][:2] == (source[1], vlan):
            switch.arps[burst.src] = (source[1], vlan, now)
        out = switch.macs.get(target)
        if out and out != port and rules.protected and self._rules_of(out).protected:
            return Passed(0, 0, vlan, "switchport protected")
        passed = self._filtered(burst, rules, vlan, spent)
        self._sent(passed, port, out)
        return passed

    def _vlan(self, burst: Packets, rules: PortRules) -> tuple[int, str]:
        if rules.trunk:
            vlan = burst.vlan if burst.vlan is not None else rules.untagged
            if rules.allowed and not _in_vlans(vlan, rules.allowed):
                return vlan, f"switchport trunk allowed vlan {rules.allowed}"
        else:
            vlan = rules.untagged
            if burst.vlan not in (None, vlan):
                return vlan, "tagged frame on an access port"
        return vlan, "" if vlan in self._active else f"vlan {vlan} is not active"

    def _filtered(
        self, burst: Packets, rules: PortRules, vlan: int | None, spent: dict[tuple[str, str], float]
    ) -> Passed:
        family, entries, name = "mac", rules.mac, f"mac access-group {rules.mac_name}"
        if ":" in burst.src:
            family, entries, name = "ipv6", rules.ipv6, f"ipv6 traffic-filter {rules.ipv6_name}"
        elif burst.src:
            family, entries, name = "ipv4", rules.ipv4, f"ip access-group {rules.ipv4_name}"
        if stopped := permitted(entries, burst, family):
            return Passed(0, 0, vlan, f"{name} in: {stopped}")
        share, why = self._storm(burst, rules.storms, spent)
        rate, limit = self._policed(burst, rules.policers, spent, share)
        if rate < share:
            share, why = rate, limit
        return Passed(int(burst.packets * share), int(burst.octets * share), vlan, why)

    def _storm(
        self, burst: Packets, storms: tuple[Storm, ...], spent: dict[tuple[str, str], float]
    ) -> tuple[float, str]:
        first = int(burst.dst_mac[:2], 16)
        kind = "broadcast" if burst.dst_mac.lower() == "ff:ff:ff:ff:ff:ff" else "multicast" if first & 1 else "unicast"
        for storm in storms:
            if storm.traffic != kind:
                continue
            amount = burst.octets * 8 if storm.bits is not None else burst.packets
            limit = storm.bits if storm.bits is not None else storm.packets or 0.0
            share = _take(spent, (burst.interface, f"storm {kind}"), amount, limit * burst.seconds)
            if share < 1 and storm.shuts:
                self._switch.errdisabled.add(burst.interface)
                self._switch.forget(burst.interface)
            return share, "" if share == 1 else f"storm-control {kind}"
        return 1.0, ""

    def _policed(
        self, burst: Packets, policers: tuple[Policer, ...], spent: dict[tuple[str, str], float], offered: float
    ) -> tuple[float, str]:
        for policer in policers:
            if policer.lists and not any(_selected(entries, burst, kind) for kind, entries in policer.lists):
                continue
            if policer.rate is None:
                return offered, ""
            bits = burst.octets * 8 * offered
            share = _take(spent, (burst.interface, policer.name), bits, policer.rate * burst.seconds) * offered
            count = self._switch.policed.setdefault(burst.interface, Policed())
            for place, amount in enumerate((burst.packets, burst.octets)):
                count.conformed[place] += int(amount * share)
                count.exceeded[place] += int(amount * offered) - int(amount * share)
            return share, f"police in class {policer.name}"
        return offered, ""

    def _sent(self, passed: Passed, port: str, out: str | None) -> None:
        switch = self._switch
        uplinks = (name for name in switch.ports if name != port and self._rules_of(name).trunk)
        for name in [out] if out else uplinks:
            if name != port and not self._rules_of(name).shut:
                switch.counters[name].packets_out += passed.packets
                switch.counters[name].octets_out += passed.octets

    def _rules_of(self, port: str) -> PortRules:
        if port not in self._rules:
            self._rules[port] = self._compile(port)
        return self._rules[port]

    def _compile(self, port: str) -> PortRules:
        switch = self._switch
        running, path = switch.running, switch.interface(port)
        member = switch.is_member(port)
        bound = {
            slot: running.value(path, slot) for slot in ("ip access-group", "ipv6 traffic-filter", "mac access-group")
        }
        names = {slot: "" if member else line.removesuffix(" in") for slot, line in bound.items()}
        name4, name6, name_mac = names.values()
        trunk = switch.is_trunk(port)
        return PortRules(
            running.has(path, "shutdown"),
            switch.is_routed(port),
            trunk,
            running.has(path, "switchport protected"),
            switch.native_vlan(port) if trunk else switch.access_vlan(port),
            running.value(path, "switchport trunk allowed vlan"),
            self.entries("ipv4", name4),
            self.entries("ipv6", name6),
            self.entries("mac", name_mac),
            name4,
            name6,
            name_mac,
            self._policers(running.value(path, "service-policy input")),
            tuple(self._storms(port)),
        )

    def entries(self, family: str, name: str) -> tuple[Entry, ...]:
        """The entries of a named list in order; empty where it does not exist, which permits everything."""
        starts = {
            "ipv4": (("ip access-list extended", "extended"), ("ip access-list standard", "standard")),
            "ipv6": (("ipv6 access-list", "ipv6"),),
            "mac": (("mac access-list extended", "mac"),),
        }
        for start, kind in starts[family]:
            body = self._switch.running.body((f"{start} {name}",)) if name else {}
            texts = [(int(slot), _bare(statement.line)) for slot, statement in body.items()]
            found = [read_entry(text, kind) for _, text in sorted(texts) if not text.startswith("remark ")]
            if found:
                return tuple(found)
        return ()

    def _policers(self, policy: str) -> tuple[Policer, ...]:
        running = self._switch.running
        if not policy or (self._switch.classic and not running.has((), "mls qos")):
            return ()
        found = []
        for slot, statement in running.body((f"policy-map {policy}",)).items():
            name = slot.removeprefix("class ")
            rate = _police_rate(statement.body.get("police"))
            lists: list[tuple[str, tuple[Entry, ...]]] = []
            for section in (f"class-map match-all {name}", f"class-map match-any {name}"):
                for line in running.body((section,)):
                    listed = line.removeprefix("match access-group name ")
                    lists += [(kind, self.entries(kind, listed)) for kind in ("ipv4", "ipv6", "mac")]
            found.append(Policer(name, tuple((kind, found) for kind, found in lists if found), rate))
        return tuple(policer for policer in found if policer.lists or policer.name == "class-default")

    def _storms(self, port: str) -> list[Storm]:
        running, path = self._switch.running, self._switch.interface(port)
        shuts = running.value(path, "storm-control action") == "shutdown"
        storms = []
        for traffic in ("broadcast", "multicast", "unicast"):
            words = running.value(path, f"storm-control {traffic} level").split()
            if not words:
                continue
            if words[0] == "bps":
                storms.append(Storm(traffic, _number(words[1]), None, shuts))
            elif words[0] == "pps":
                storms.append(Storm(traffic, None, _number(words[1]), shuts))
            else:
                storms.append(Storm(traffic, self._switch.megabits(port) * 1e4 * float(words[0]), None, shuts))
        return storms


def _take(spent: dict[tuple[str, str], float], key: tuple[str, str], amount: float, allowed: float) -> float:
    """The share of `amount` that still fits below `allowed` after what others of this call have taken."""
    left = max(0.0, allowed - spent.get(key, 0.0))
    spent[key] = spent.get(key, 0.0) + min(amount, left)
    return 1.0 if amount <= left or amount == 0 else left / amount


def _selected(entries: tuple[Entry, ...], burst: Packets, kind: str) -> bool:
    family = "ipv6" if ":" in burst.src else "ipv4" if burst.src else "mac"
    return kind == family and not permitted(entries, burst, kind)


def _police_rate(police: Statement | None) -> float | None:
    if police is None:
        return None
    actions = [police.line, *(statement.line for statement in police.body.values())]
    numbers = [word for word in police.line.split() if word.isdigit()]
    return float(numbers[0]) if "exceed-action transmit" not in " ".join(actions) else None


def _bare(line: str) -> str:
    words = line.removeprefix("sequence ").split(maxsplit=1)
    return words[1] if words[0].isdigit() else line


def _number(text: str) -> float:
    unit = text[-1].lower()
    return float(text[:-1]) * _SCALE[unit] if unit in _SCALE else float(text)


def _colons(dotted: str) -> str:
    digits = dotted.replace(".", "")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def _in_vlans(vlan: int, allowed: str) -> bool:
    if allowed in ("all", "none"):
        return allowed == "all"
    spans = (part.partition("-") for part in allowed.split(","))
    return any(int(low) <= vlan <= int(high or low) for low, _, high in spans)
