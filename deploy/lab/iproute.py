"""`ip` of iproute2 on an emulated Linux machine: links, addresses and neighbours, plain, brief and as JSON."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from types import MappingProxyType

from deploy.lab.shell import Call, Result, lines_of, refuse

OBJECTS = ("address", "route", "neighbor", "neighbour", "link")
BROADCAST = "ff:ff:ff:ff:ff:ff"
GARBAGE = 255  # exit status of a command line that iproute2 cannot read


@dataclass(slots=True)
class Link:
    """One network device of the machine, and what has gone through it."""

    name: str
    index: int
    mac: str
    up: bool = True
    peer_index: int | None = None  # the other end of a veth pair, in another namespace
    addresses: tuple[str, ...] = ()
    promiscuous: bool = False
    loopback: bool = False
    rx_packets: int = 0
    rx_bytes: int = 0
    rx_dropped: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_dropped: int = 0

    @property
    def state(self) -> str:
        """Operational state as the kernel names it."""
        return "UNKNOWN" if self.loopback else "UP" if self.up else "DOWN"

    @property
    def flags(self) -> list[str]:
        """Flags in the order in which iproute2 prints them."""
        kind = ["LOOPBACK"] if self.loopback else ["BROADCAST", "MULTICAST"]
        return kind + ["PROMISC"] * self.promiscuous + ["UP", "LOWER_UP"] * self.up

    @property
    def shown(self) -> str:
        """Name as lists show it: a veth names its other end too."""
        return self.name if self.peer_index is None else f"{self.name}@if{self.peer_index}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One entry of the neighbour tables (ARP and ND)."""

    address: str
    mac: str
    device: str
    state: str


@dataclass(frozen=True, slots=True)
class _Options:
    json: bool
    oneline: bool
    brief: bool
    stats: int  # 1 for -s, 2 for -s -s: with the kinds of errors
    pretty: bool
    family: int  # 4, 6, or 0 for both


@dataclass(slots=True)
class IpRoute:
    """The program `ip`. `neighbours` is asked anew each time; a link that goes up or down changes `links`."""

    links: dict[str, Link]
    neighbours: Callable[[], list[Neighbour]]

    def ip(self, call: Call) -> Result:
        """Run one `ip` command line."""
        args = list(call.args)
        letters: list[str] = []
        while args and args[0].startswith("-"):
            option = args.pop(0).lstrip("-")
            if option in ("V", "Version"):
                return Result("ip utility, iproute2-6.1.0, libbpf 1.1.2\n")
            known = {"json": "j", "oneline": "o", "brief": "br", "stats": "s", "statistics": "s", "pretty": "p"}
            option = known.get(option, option)
            if option not in ("j", "o", "br", "s", "p", "4", "6", "d", "c", "color=never", "h"):
                return refuse(f'Option "-{option}" is unknown, try "ip -help".', GARBAGE)
            letters.append(option)
        options = _Options(
            "j" in letters,
            "o" in letters,
            "br" in letters,
            letters.count("s"),
            "p" in letters,
            4 if "4" in letters else 6 if "6" in letters else 0,
        )
        if not args:
            return refuse("Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }", GARBAGE)
        name = next((known for known in OBJECTS if known.startswith(args[0])), "")
        handler = _HANDLERS.get(name)
        if handler is None:
            return refuse(f'Object "{args[0]}" is unknown, try "ip help".')
        return handler(self, call, args[1:], options)

    def _link(self, call: Call, args: list[str], options: _Options) -> Result:
        verb = args[0] if args else "show"
        if "set".startswith(verb):
            return self._set(call, args[1:])
        if not any(word.startswith(verb) for word in ("show", "list", "lst")):
            return refuse(f'Command "{verb}" is unknown, try "ip link help".', GARBAGE)
        rest = [arg for arg in args[1:] if arg != "dev"]
        if "up" in rest[1:] or rest[:1] == ["up"]:
            rest.remove("up")
            chosen = [link for link in self.links.values() if link.up]
        else:
            chosen = list(self.links.values())
        if rest:
            if rest[0] not in self.links:
                return refuse(f'Device "{rest[0]}" does not exist.')
            chosen = [link for link in chosen if link.name == rest[0]]
        if options.json:
            return Result(_json([_link_json(link, options) for link in chosen], options))
        if options.brief:
            return Result(lines_of(f"{link.shown:<16} {link.state:<14} {link.mac} {_flags(link)} " for link in chosen))
        separator = "\\" if options.oneline else "\n"
        return Result(lines_of(separator.join(_link_lines(link, options)) for link in chosen))

    def _set(self, call: Call, args: list[str]) -> Result:
        rest = args[1:] if args[:1] == ["dev"] else args
        if not rest:
            return refuse('Not enough information: "dev" argument is required.', GARBAGE)
        name, *words = rest
        if name not in self.links:
            return refuse(f'Cannot find device "{name}"')
        if unknown := next((word for word in words if word not in ("up", "down")), None):
            return refuse(f'Error: either "dev" is duplicate, or "{unknown}" is a garbage.', GARBAGE)
        if not call.root:
            return refuse("RTNETLINK answers: Operation not permitted", 2)
        if words:
            self.links[name].up = words[-1] == "up"
        return Result(configured=bool(words))

    def _neighbour(self, _: Call, args: list[str], options: _Options) -> Result:
        if args and not any(word.startswith(args[0]) for word in ("show", "list", "lst")):
            return refuse(f'Command "{args[0]}" is unknown, try "ip neigh help".', GARBAGE)
        rest = args[1:]
        entries = self.neighbours()
        if options.family:
            entries = [entry for entry in entries if (":" in entry.address) == (options.family == 6)]
        if "dev" in rest:
            name = (rest[rest.index("dev") + 1 :] or [""])[0]
            if name not in self.links:
                return refuse(f'Cannot find device "{name}"')
            entries = [entry for entry in entries if entry.device == name]
            rest = [arg for arg in rest if arg not in ("dev", name)]
            if options.json:
                shown = [{"dst": e.address, "lladdr": e.mac, "state": [e.state]} for e in entries if _is(e, rest)]
                return Result(_json(shown, options))
            return Result(lines_of(f"{e.address} lladdr {e.mac} {e.state} " for e in entries if _is(e, rest)))
        entries = [entry for entry in entries if _is(entry, rest)]
        if options.json:
            return Result(
                _json(
                    [{"dst": e.address, "dev": e.device, "lladdr": e.mac, "state": [e.state]} for e in entries], options
                )
            )
        return Result(lines_of(f"{e.address} dev {e.device} lladdr {e.mac} {e.state} " for e in entries))

    def _address(self, _: Call, args: list[str], options: _Options) -> Result:
        if args and not any(word.startswith(args[0]) for word in ("show", "list", "lst")):
            return refuse(f'Command "{args[0]}" is unknown, try "ip address help".', GARBAGE)
        rest = [arg for arg in args[1:] if arg != "dev"]
        if rest and rest[0] not in self.links:
            return refuse(f'Device "{rest[0]}" does not exist.')
        chosen = [link for link in self.links.values() if not rest or link.name == rest[0]]
        if options.json:
            return Result(_json([_address_json(link) for link in chosen], options))
        if options.brief:
            return Result(
                lines_of(
                    f"{link.shown:<16} {link.state:<14} " + "".join(f"{a} " for a in link.addresses) for link in chosen
                )
            )
        lines: list[str] = []
        for link in chosen:
            head, ether = _link_lines(link, _Options(False, False, False, 0, False, 0))
            lines += [head.replace(" mode DEFAULT", ""), ether]
            for address in link.addresses:
                family = "inet6" if ":" in address else "inet"
                end = " " if family == "inet6" else f" {link.name}"
                lines += [f"    {family} {address} scope global{end}", "       valid_lft forever preferred_lft forever"]
        return Result(lines_of(lines))

    def _route(self, _: Call, args: list[str], options: _Options) -> Result:
        """List the connected networks; whatever else one may ask of routes is not emulated."""
        if args and not any(word.startswith(args[0]) for word in ("show", "list", "lst")):
            return refuse(f'Command "{args[0]}" is unknown, try "ip route help".', GARBAGE)
        routes = [
            (ip_interface(address), link.name)
            for link in self.links.values()
            for address in link.addresses
            if link.up and not link.loopback and (":" in address) == (options.family == 6)
        ]
        return Result(
            lines_of(
                f"{own.network} dev {name} proto kernel "
                + (f"scope link src {own.ip} " if own.version == 4 else "metric 256 pref medium")
                for own, name in routes
            )
        )


def _is(entry: Neighbour, rest: list[str]) -> bool:
    wanted = [word for word in rest if word not in ("to", "nud", "all")]
    return not wanted or entry.address in wanted


def _flags(link: Link) -> str:
    return f"<{','.join(link.flags)}>"


def _link_lines(link: Link, options: _Options) -> list[str]:
    kind, ether, size = ("loopback", link.mac, 65536) if link.loopback else ("ether", BROADCAST, 1500)
    lines = [
        f"{link.index}: {link.shown}: {_flags(link)} mtu {size} qdisc noqueue state {link.state} "
        "mode DEFAULT group default qlen 1000",
        f"    link/{kind} {link.mac} brd {ether}" + (" link-netnsid 0" if link.peer_index is not None else ""),
    ]
    if options.stats:
        more = options.stats > 1
        lines += [
            "    RX:  bytes packets errors dropped  missed   mcast           ",
            f"    {link.rx_bytes:>10} {link.rx_packets:>7} {0:>6} {link.rx_dropped:>7} {0:>7} {0:>7} ",
            *(["    RX errors:  length    crc   frame    fifo overrun", f"    {_zeros(16)}"] if more else []),
            "    TX:  bytes packets errors dropped carrier collsns           ",
            f"    {link.tx_bytes:>10} {link.tx_packets:>7} {0:>6} {link.tx_dropped:>7} {0:>7} {0:>7} ",
            *(["    TX errors: aborted   fifo  window heartbt transns", f"    {_zeros(16, last=1)}"] if more else []),
        ]
    return lines


def _zeros(first: int, *, last: int = 0) -> str:
    """Counts of the kinds of errors, of which there are none, and of a link's changes."""
    return f"{0:>{first + 2}} {0:>6} {0:>7} {0:>7} {last:>7} "


def _link_json(link: Link, options: _Options) -> dict[str, object]:
    shown: dict[str, object] = {
        "ifindex": link.index,
        **({"link_index": link.peer_index} if link.peer_index is not None else {}),
        "ifname": link.name,
        "flags": link.flags,
        "mtu": 65536 if link.loopback else 1500,
        "qdisc": "noqueue",
        "operstate": link.state,
        "linkmode": "DEFAULT",
        "group": "default",
        "txqlen": 1000,
        "link_type": "loopback" if link.loopback else "ether",
        "address": link.mac,
        "broadcast": link.mac if link.loopback else BROADCAST,
    }
    if link.peer_index is not None:
        shown["link_netnsid"] = 0
    if options.stats:
        received = {
            "bytes": link.rx_bytes,
            "packets": link.rx_packets,
            "errors": 0,
            "dropped": link.rx_dropped,
            "over_errors": 0,
            "multicast": 0,
        }
        sent = {
            "bytes": link.tx_bytes,
            "packets": link.tx_packets,
            "errors": 0,
            "dropped": link.tx_dropped,
            "carrier_errors": 0,
            "collisions": 0,
        }
        if options.stats > 1:
            received |= dict.fromkeys((f"{kind}_errors" for kind in ("length", "crc", "frame", "fifo", "missed")), 0)
            sent |= dict.fromkeys((f"{kind}_errors" for kind in ("aborted", "fifo", "window", "heartbeat")), 0)
            sent["carrier_changes"] = 1
        shown["stats64"] = {"rx": received, "tx": sent}
    return shown


def _address_json(link: Link) -> dict[str, object]:
    shown = _link_json(link, _Options(True, False, False, 0, False, 0))
    shown["addr_info"] = [
        {
            "family": "inet6" if ":" in address else "inet",
            "local": address.split("/")[0],
            "prefixlen": int(address.partition("/")[2] or (128 if ":" in address else 32)),
            "scope": "global",
        }
        for address in link.addresses
    ]
    return shown


def _json(value: object, options: _Options) -> str:
    return (json.dumps(value, indent=4) if options.pretty else json.dumps(value, separators=(",", ":"))) + "\n"


_HANDLERS: Mapping[str, Callable[[IpRoute, Call, list[str], _Options], Result]] = MappingProxyType(
    {
        "link": IpRoute._link,
        "address": IpRoute._address,
        "route": IpRoute._route,
        "neighbor": IpRoute._neighbour,
        "neighbour": IpRoute._neighbour,
    }
)
