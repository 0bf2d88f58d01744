"""Configuration mode of a Catalyst: which lines each submode takes and what they change in the running configuration.

Sources: Cisco IOS and IOS XE command references for the Catalyst 2960-X/3750-X (15.2) and 9300 (16.x, 17.x). Changes
are live at once; a submode hands what it does not know to the one above, as the device does with pasted text.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from deploy.lab.ios_commands import LISTS, MODES
from deploy.lab.ios_grammar import Incomplete, Invalid, Match, Rejected, interface_name
from deploy.lab.ios_lists import add_entry, add_remark, drop_entry, drop_text, resequence
from deploy.lab.ios_switch import Switch

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """One submode: its name and the sections that its lines go to (several in an interface range)."""

    mode: str
    paths: tuple[Path, ...] = ((),)


class Editor:
    """One session's place in configuration mode. `run` applies a line and returns what the device prints."""

    def __init__(self, switch: Switch) -> None:
        """Starts at the top of configuration mode."""
        self._switch = switch
        self.levels: list[Level] = [Level("config")]

    @property
    def level(self) -> Level:
        """The submode that the prompt shows."""
        return self.levels[-1]

    @property
    def left(self) -> bool:
        """True once `exit` or `end` has led out of configuration mode."""
        return not self.levels

    def run(self, typed: str) -> str:
        """Apply one line at the innermost submode that knows it; raises Invalid, Incomplete, Ambiguous, Rejected."""
        furthest = Invalid(0)
        for depth in range(len(self.levels), 0, -1):
            mode = self.levels[depth - 1].mode
            grammar = MODES["config-classic" if mode == "config" and self._switch.classic else mode]
            try:
                match = grammar.match(typed, self._switch)
            except Invalid as refusal:
                furthest = max(furthest, refusal, key=lambda one: one.column)
                continue
            if match.verb not in ("exit", "end"):
                del self.levels[depth:]
            return self._apply(match)
        raise furthest

    def _apply(self, match: Match) -> str:
        own = self._verbs().get(match.verb)
        if own:
            return own(match)
        what, _, slot = match.verb.partition(" ")
        if match.line.startswith("no ") and what == "unset":
            return self._unset(match.line.removeprefix("no "))
        if what == "no":
            return self._unset(slot)
        if what == "bind":
            return self._bind(slot, match)
        if what == "unbind":
            return self._unbind(slot, match)
        return self._set(slot or match.line, match.line)

    def _verbs(self) -> dict[str, Callable[[Match], str]]:
        return {
            "exit": self._exit,
            "end": self._end,
            "interface": self._interface,
            "range": self._range,
            "no interface": self._no_interface,
            "default": self._default,
            "vlan": self._vlan,
            "no vlan": self._no_vlan,
            "list": self._list,
            "no list": lambda match: self._forget(match.line.removeprefix("no ")),
            "resequence": lambda match: resequence(self._switch.running, match),
            "class-map": self._class_map,
            "no class-map": self._no_class_map,
            "policy-map": self._policy_map,
            "no policy-map": self._no_policy_map,
            "mac drop": lambda match: self._put((), match.line.removesuffix(" drop"), match.line),
            "no mac drop": self._no_mac_drop,
            "archive": self._archive,
            "no archive": lambda _: self._forget("archive"),
            "shutdown": self._shutdown,
            "no shutdown": self._no_shutdown,
            "access vlan": self._access_vlan,
            "no access vlan": lambda _: self._place(None),
            "ip address": self._ip_address,
            "service-policy": self._service_policy,
            "no service-policy": self._no_service_policy,
            "storm": self._storm,
            "entry": lambda match: add_entry(self._switch.running, self.level.paths[0], match.line),
            "remark": lambda match: add_remark(self._switch.running, self.level.paths[0], match),
            "no entry": lambda match: drop_entry(self._switch.running, self.level.paths[0], match.values["seq"]),
            "no entry text": lambda match: drop_text(self._switch.running, self.level.paths[0], match.line),
            "class": self._class,
            "no class": lambda match: self._unset(f"class {match.values['name']}"),
            "police": self._police,
        }

    def _put(self, path: Path, slot: str, line: str) -> str:
        self._switch.running.put(path, slot, line)
        return ""

    def _set(self, slot: str, line: str) -> str:
        for path in self.level.paths:
            self._put(path, slot, line)
        return ""

    def _unset(self, slot: str) -> str:
        for path in self.level.paths:
            self._switch.running.drop(path, slot)
        return ""

    def _forget(self, slot: str) -> str:
        self._switch.running.drop((), slot)
        return ""

    def _ports(self) -> list[str]:
        return [path[0].removeprefix("interface ") for path in self.level.paths]

    # -- moving about

    def _exit(self, _: Match) -> str:
        self.levels.pop()
        return ""

    def _end(self, _: Match) -> str:
        self.levels.clear()
        return ""

    def _enter(self, mode: str, *paths: Path) -> str:
        self.levels.append(Level(mode, paths))
        return ""

    def _interface(self, match: Match) -> str:
        slot = f"interface {match.values['name']}"
        self._put((), slot, slot)
        return self._enter("config-if", (slot,))

    def _range(self, match: Match) -> str:
        names: list[str] = []
        for part in match.values["names"].split(","):
            first, _, last = (piece.strip() for piece in part.partition("-"))
            name = interface_name(first)
            if name is None or not self._switch.has_interface(name):
                raise Invalid(match.line.find(first))
            stem, low = name[: -len(name.split("/")[-1])], name.split("/")[-1]
            if not stem.endswith("/"):
                names.append(name)
                continue
            high = last.split("/")[-1] or low
            names += [f"{stem}{number}" for number in range(int(low), int(high) + 1)]
        known = [name for name in names if self._switch.has_interface(name)]
        return self._enter("config-if-range", *((f"interface {name}",) for name in known))

    def _no_interface(self, match: Match) -> str:
        if match.values["name"] in self._switch.ports:
            sentence = "% Removal of physical interfaces is not permitted.\n"
            raise Rejected(sentence)
        return self._forget(f"interface {match.values['name']}")

    def _default(self, match: Match) -> str:
        name = match.values["name"]
        before = self._switch.access_vlan(name)
        for slot in list(self._switch.running.body((f"interface {name}",))):
            self._switch.running.drop((f"interface {name}",), slot)
        if before != self._switch.access_vlan(name):
            self._switch.forget(name)
        return f"Interface {name} set to default configuration\n"

    def _archive(self, _: Match) -> str:
        self._put((), "archive", "archive")
        return self._enter("config-archive", ("archive",))

    # -- VLANs and ports

    def _vlan(self, match: Match) -> str:
        number = int(match.values["id"])
        if 1002 <= number <= 1005:
            sentence = f"Default VLAN {number} may not be changed.\n"
            raise Rejected(sentence)
        if number != 1:
            self._put((), f"vlan {number}", f"vlan {number}")
        return self._enter("config-vlan", (f"vlan {number}",))

    def _no_vlan(self, match: Match) -> str:
        if int(match.values["id"]) in (1, 1002, 1003, 1004, 1005):
            sentence = f"%Default VLAN {match.values['id']} may not be deleted.\n"
            raise Rejected(sentence)
        return self._forget(f"vlan {match.values['id']}")

    def _access_vlan(self, match: Match) -> str:
        vlan = int(match.values["vlan"])
        printed = ""
        if vlan not in self._switch.vlans():
            self._put((), f"vlan {vlan}", f"vlan {vlan}")
            printed = f"% Access VLAN does not exist. Creating vlan {vlan}\n"
        self._place(vlan)
        return printed

    def _place(self, vlan: int | None) -> str:
        for port, path in zip(self._ports(), self.level.paths, strict=True):
            before = self._switch.access_vlan(port)
            if vlan in (None, 1):
                self._switch.running.drop(path, "switchport access vlan")
            else:
                self._put(path, "switchport access vlan", f"switchport access vlan {vlan}")
            if before != self._switch.access_vlan(port):
                self._switch.forget(port)
        return ""

    def _shutdown(self, _: Match) -> str:
        for port in self._ports():
            self._switch.forget(port)
        return self._set("shutdown", "shutdown")

    def _no_shutdown(self, _: Match) -> str:
        self._switch.errdisabled.difference_update(self._ports())
        return self._unset("shutdown")

    def _ip_address(self, match: Match) -> str:
        if not all(self._switch.is_routed(port) for port in self._ports()):
            raise Invalid(3)
        return self._set("ip address", match.line)

    def _bind(self, slot: str, match: Match) -> str:
        for port in self._ports():
            if self._switch.is_member(port):
                sentence = f"Command rejected: {port} is part of a port-channel; apply the ACL to the port-channel.\n"
                raise Rejected(sentence)
            if match.line.endswith(" out") and not self._switch.is_routed(port):
                sentence = f"Command rejected: outbound ACLs are not supported on layer 2 interface {port}.\n"
                raise Rejected(sentence)
        return self._set(slot if match.line.endswith(" in") else f"{slot} out", match.line)

    def _unbind(self, slot: str, match: Match) -> str:
        line = match.line.removeprefix("no ")
        slot = slot if line.endswith(" in") else f"{slot} out"
        for path in self.level.paths:
            if self._switch.running.value(path, slot) == line[len(slot) :].strip():
                self._switch.running.drop(path, slot)
        return ""

    def _service_policy(self, match: Match) -> str:
        name = match.values["name"]
        if not self._switch.running.has((), f"policy-map {name}"):
            sentence = f"% policy map {name} not configured\n"
            raise Rejected(sentence)
        for path in self.level.paths:
            bound = self._switch.running.value(path, match.slot)
            if bound and bound != name:
                sentence = f"Policy map {bound} is already attached\n"
                raise Rejected(sentence)
        return self._set(match.slot, match.line)

    def _no_service_policy(self, match: Match) -> str:
        slot = match.slot.removeprefix("no ")
        for path in self.level.paths:
            if match.values.get("name") in (None, self._switch.running.value(path, slot)):
                self._switch.running.drop(path, slot)
        return ""

    def _storm(self, match: Match) -> str:
        slot = match.slot.removesuffix(" bps").removesuffix(" pps")
        if slot == match.slot:
            if not re.fullmatch(r"\d+(\.\d+)?", match.values["rise"]) or float(match.values["rise"]) > 100:
                raise Invalid(match.line.rfind(match.values["rise"]))
            match = Match(match.verb, re.sub(r"(\d+)(?:\.(\d+))?", _two_places, match.line), match.slot, match.values)
        return self._set(slot, match.line)

    # -- lists

    def _list(self, match: Match) -> str:
        other = {"extended": "standard", "standard": "extended"}
        kind = match.slot.removeprefix("ip access-list ")
        if kind in other and self._switch.running.has((), f"ip access-list {other[kind]} {match.values['name']}"):
            sentence = "Access list type conflicts with prior definition\n"
            raise Rejected(sentence)
        self._put((), match.line, match.line)
        return self._enter(LISTS[match.slot][0], (match.line,))

    def _no_mac_drop(self, match: Match) -> str:
        return self._forget(match.line.removeprefix("no ").removesuffix(" drop"))

    # -- policies

    def _class_map(self, match: Match) -> str:
        line = match.line if len(match.line.split()) == 3 else f"class-map match-all {match.values['name']}"
        self._put((), line, line)
        return self._enter("config-cmap", (line,))

    def _no_class_map(self, match: Match) -> str:
        name = match.values["name"]
        used = [
            slot
            for slot in self._switch.running.names("policy-map ")
            if self._switch.running.has((slot,), f"class {name}")
        ]
        if used:
            sentence = f"% Class-map {name} is being used\n"
            raise Rejected(sentence)
        self._forget(f"class-map match-any {name}")
        return self._forget(f"class-map match-all {name}")

    def _policy_map(self, match: Match) -> str:
        self._put((), match.line, match.line)
        return self._enter("config-pmap", (match.line,))

    def _no_policy_map(self, match: Match) -> str:
        name, running = match.values["name"], self._switch.running
        for slot in running.names("interface "):
            if name in (
                running.value((slot,), "service-policy input"),
                running.value((slot,), "service-policy output"),
            ):
                sentence = f"% Policy-map {name} is being used\n"
                raise Rejected(sentence)
        return self._forget(f"policy-map {name}")

    def _class(self, match: Match) -> str:
        name, running = match.values["name"], self._switch.running
        known = running.has((), f"class-map match-all {name}") or running.has((), f"class-map match-any {name}")
        if name != "class-default" and not known:
            sentence = f"class map {name} not configured\n"
            raise Rejected(sentence)
        path = self.level.paths[0]
        self._put(path, match.line, match.line)
        return self._enter("config-pmap-c", (*path, match.line))

    def _police(self, match: Match) -> str:
        path = self.level.paths[0]
        rate, burst = match.values["rate"], match.values.get("burst")
        if self._switch.classic:
            if burst is None:
                raise Incomplete
            action = " exceed-action drop" if "exceed-action drop" in match.line else ""
            return self._put(path, "police", f"police {rate} {burst}{action}")
        self._put(path, "police", f"police cir {rate}{f' bc {burst}' if burst else ''}")
        below = (*path, "police")
        self._put(below, "conform-action", "conform-action transmit")
        exceed = "transmit" if "exceed-action transmit" in match.line else "drop"
        self._put(below, "exceed-action", f"exceed-action {exceed}")
        return self._enter("config-pmap-c-police", below)


def _two_places(found: re.Match[str]) -> str:
    return f"{found.group(1)}.{(found.group(2) or '').ljust(2, '0')[:2]}"
