"""Suspicious activity rules of a Check Point gateway: `fw sam`.

Source: Check Point R81 CLI reference guide, "fw sam" (criteria, -n -i -I -j -J, -t, -C, -D, -M) and the record
format of its log. Rules are IPv4 only, live in the kernel of one member, end by their own timeout and are gone after a
restart.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, ip_address

from deploy.lab.device import Packets
from deploy.lab.shell import Call, Result, refuse

_ACTIONS = {
    "n": "Notify",
    "i": "Inhibit",
    "I": "Inhibit Close",
    "j": "Inhibit Drop",
    "J": "Inhibit Drop Close",
}
_CRITERIA = {  # name: what its arguments are
    "src": ("source",),
    "dst": ("target",),
    "any": ("either",),
    "subsrc": ("source", "mask"),
    "subdst": ("target", "mask"),
    "subany": ("either", "mask"),
    "srv": ("source", "target", "port", "protocol"),
    "subsrv": ("source", "mask", "target", "mask", "port", "protocol"),
    "subsrvs": ("source", "mask", "target", "port", "protocol"),
    "subsrvd": ("source", "target", "mask", "port", "protocol"),
    "dstsrv": ("target", "port", "protocol"),
    "subdstsrv": ("target", "mask", "port", "protocol"),
    "srcpr": ("source", "protocol"),
    "dstpr": ("target", "protocol"),
    "subsrcpr": ("source", "mask", "protocol"),
    "subdstpr": ("target", "mask", "protocol"),
}
_LOGS = ("nolog", "long_noalert", "long_alert")
_NAMED = {"tcp": 6, "udp": 17, "icmp": 1}
USAGE = (
    "Usage: fw sam [-v] [-s sam-server] [-S server-sic-name] [-f fw-host] [-t timeout] [-l log] [-C] "
    "[-e key=val]+ [-r] -n|-i|-I|-j|-J <criteria>\n"
    "       fw sam [-v] [-s sam-server] [-S server-sic-name] [-f fw-host] -D\n"
    "       fw sam [-v] [-s sam-server] [-S server-sic-name] [-f fw-host] [-r] -M -i|-j|-n|-b|-q all|<criteria>\n"
)
_NONE = "no corresponding SAM requests\n"


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which packets a rule means; `text` is the rule as it was typed, in canonical numbers."""

    text: str
    source: IPv4Network | None = None
    target: IPv4Network | None = None
    either: IPv4Network | None = None
    port: int | None = None
    protocol: int | None = None

    def matches(self, burst: Packets) -> bool:
        """True for the packets of the rule; never for IPv6."""
        if not burst.src or ":" in burst.src:
            return False
        source, target = ip_address(burst.src), ip_address(burst.dst)
        if self.either is not None and source not in self.either and target not in self.either:
            return False
        return (
            (self.source is None or source in self.source)
            and (self.target is None or target in self.target)
            and (self.protocol is None or self.protocol == burst.protocol)
            and (self.port is None or self.port == burst.dst_port)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in the kernel; `deadline` in seconds since the epoch, None for ever."""

    action: str
    criteria: Criteria
    deadline: float | None = None

    @property
    def inhibits(self) -> bool:
        """False for a rule that only reports."""
        return self.action != "n"

    @property
    def closes(self) -> bool:
        """True when sessions that are open already end too."""
        return self.action in ("I", "J")


@dataclass(slots=True)
class _Request:
    """One command line of `fw sam`, understood."""

    actions: str = ""
    timeout: int | None = None
    target: str = "All"
    cancel: bool = False
    delete: bool = False
    monitor: bool = False
    words: list[str] = field(default_factory=list)


class Usage(Exception):
    """The command line is none of this program; the argument, when there is one, is its sentence."""


@dataclass(slots=True)
class Sam:
    """The rules of one member and the program that edits them."""

    hostname: str
    rules: list[Rule] = field(default_factory=list)

    def expire(self, now: float) -> None:
        """Let rules go whose time is over."""
        self.rules = [rule for rule in self.rules if rule.deadline is None or rule.deadline > now]

    def run(self, call: Call) -> Result:
        """One `fw sam` command line."""
        try:
            request = _read(list(call.args))
            if request.target not in ("All", "Gateways", "localhost", self.hostname):
                return refuse(f"sam: cannot resolve {request.target}")
            if request.delete:
                return self._delete(request)
            if request.monitor:
                return self._monitor(request, call.now)
            return self._edit(request, call.now)
        except Usage as usage:
            return refuse(f"{usage}\n{USAGE}".lstrip("\n"))

    def _edit(self, request: _Request, now: float) -> Result:
        if len(request.actions) != 1 or not request.words:
            raise Usage
        criteria = read_criteria(request.words)
        title = f"{_ACTIONS[request.actions]} {criteria.text}"
        same = [rule for rule in self.rules if (rule.action, rule.criteria) == (request.actions, criteria)]
        if request.cancel:
            if not same:
                return Result(_NONE)
            self.rules = [rule for rule in self.rules if rule not in same]
            return Result(self._done(f"Cancel {title}", request), configured=True)
        self.rules = [rule for rule in self.rules if rule not in same]
        deadline = now + request.timeout if request.timeout else None
        self.rules.append(Rule(request.actions, criteria, deadline))
        return Result(self._done(title, request), configured=not same or same[0].deadline != deadline)

    def _delete(self, request: _Request) -> Result:
        if request.words or request.actions or request.cancel:
            raise Usage
        held, self.rules = self.rules, []
        return Result(self._done("Delete All", request), configured=bool(held))

    def _monitor(self, request: _Request, now: float) -> Result:
        if not request.actions or not request.words:
            raise Usage
        wanted = None if request.words == ["all"] else read_criteria(request.words)
        letters = set(request.actions)
        letters |= {"I"} if "i" in letters else set()
        letters |= {"J"} if "j" in letters else set()
        lines = []
        for rule in self.rules:
            if rule.action in letters and wanted in (None, rule.criteria):
                left = "never" if rule.deadline is None else str(max(0, round(rule.deadline - now)))
                kind, *arguments = rule.criteria.text.split()
                lines.append(f"{kind},{_ACTIONS[rule.action]},{left},{','.join(arguments)}\n")
        return Result("".join(lines) or _NONE)

    def _done(self, title: str, request: _Request) -> str:
        request_of = f"'{title} on {request.target}'"
        return (
            f"sam: request for {request_of} acknowledged\n"
            f"sam: {self.hostname} (0/1) successfully completed {request_of} processing\n"
            f"sam: request for {request_of} done\n"
        )


def _read(args: list[str]) -> _Request:
    request = _Request()
    while args and args[0].startswith("-"):
        option = args.pop(0)
        if option in ("-s", "-S", "-f", "-t", "-l", "-e"):
            if not args:
                raise Usage
            _option(request, option, args.pop(0))
        elif option == "-C":
            request.cancel = True
        elif option == "-D":
            request.delete = True
        elif option == "-M":
            request.monitor = True
        elif option not in ("-v", "-r") and set(option[1:]) <= set("niIjJbq") and option != "-":
            request.actions += option[1:]
        elif option not in ("-v", "-r"):
            raise Usage(f"fw sam: illegal option {option}")
    request.words = args
    return request


def _option(request: _Request, option: str, value: str) -> None:
    if option == "-t":
        if not value.isdigit():
            raise Usage(f"fw sam: illegal timeout {value}")
        request.timeout = int(value)
    elif option == "-f":
        request.target = value
    elif option == "-l" and value not in _LOGS:
        raise Usage(f"fw sam: illegal log type {value}")


def read_criteria(words: list[str]) -> Criteria:
    """The packets that the words behind the action mean; raises Usage."""
    shape = _CRITERIA.get(words[0])
    if shape is None or len(words) != len(shape) + 1:
        raise Usage
    places: dict[str, tuple[str, str]] = {}
    numbers: dict[str, int] = {}
    canonical, side = [words[0]], ""
    for kind, word in zip(shape, words[1:], strict=True):
        if kind in ("port", "protocol"):
            numbers[kind] = _integer(word)
            canonical.append(str(numbers[kind]))
            continue
        canonical.append(_address(word))
        if kind == "mask":
            places[side] = (places[side][0], word)
        else:
            side = kind
            places[side] = (word, "255.255.255.255")
    networks = {name: _network(*place) for name, place in places.items()}
    return Criteria(
        " ".join(canonical),
        networks.get("source"),
        networks.get("target"),
        networks.get("either"),
        numbers.get("port"),
        numbers.get("protocol"),
    )


def _integer(word: str) -> int:
    if word in _NAMED:
        return _NAMED[word]
    if not word.isdigit():
        raise Usage(f"fw sam: illegal number {word}")
    return int(word)


def _address(word: str) -> str:
    try:
        return str(IPv4Address(word))
    except ValueError as error:
        message = f"fw sam: illegal IP address {word}"
        raise Usage(message) from error


def _network(address: str, mask: str) -> IPv4Network:
    try:
        return IPv4Network((address, mask), strict=False)
    except ValueError as error:
        message = f"fw sam: illegal netmask {mask}"
        raise Usage(message) from error
