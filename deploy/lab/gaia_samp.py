"""SAM policy rules of a Check Point gateway: `fw samp` for IPv4 and `fw6 samp` for IPv6.

Source: Check Point R81 CLI reference guide, "fw sam_policy" (add, get, del, quota and ip filter arguments). The rules
lie in a database that survives a restart. A quota rule, and a deletion, works only once the policy is flushed: the
guide's own way is `fw samp add -t 2 quota flush true`.
"""

import shlex
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from deploy.lab.device import Packets
from deploy.lab.shell import Call, Result, refuse

_ACTIONS = {"d": "drop", "n": "notify", "b": "bypass"}
_LOGS = {"r": "log", "a": "alert"}
_LIMITS = ("new-conn-rate", "concurrent-conns", "pkt-rate", "byte-rate")
_KEYS = ("source", "destination", "service", "track", "source-negated", "destination-negated", "flush", *_LIMITS)
_IP = {"-s": "src_ip_addr", "-m": "src_mask", "-d": "dst_ip_addr", "-M": "dst_mask", "-p": "dport", "-r": "proto"}
USAGE = (
    "Usage: fw samp add [-u] -a {d|n|b} [-l {r|a}] [-t timeout] [-f target] [-n name] [-c comment] [-o originator] "
    "{ip <ip filter arguments> | quota <quota filter arguments>}\n"
    "       fw samp get [-l] [-u uid]\n"
    "       fw samp del uid\n       fw samp batch\n"
)


class Usage(Exception):
    """The command line is none of this program."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One rule of the database; `fields` in the order in which it was typed."""

    uid: str
    kind: str
    action: str
    fields: tuple[tuple[str, str], ...]
    deadline: float | None = None
    log: str = ""

    def value(self, name: str) -> str:
        """A field's value, "" when it is not there."""
        return dict(self.fields).get(name, "")

    def matches(self, burst: Packets) -> bool:
        """True for the packets that the rule selects."""
        if not burst.src:
            return False
        if self.kind == "ip":
            return (
                _one(self.value("src_ip_addr"), self.value("src_mask"), burst.src)
                and _one(self.value("dst_ip_addr"), self.value("dst_mask"), burst.dst)
                and self.value("dport") in ("", str(burst.dst_port))
                and self.value("proto") in ("", str(burst.protocol))
            )
        sides = (("source", burst.src), ("destination", burst.dst))
        if not all(_span(self.value(key), text) != (self.value(f"{key}-negated") == "true") for key, text in sides):
            return False
        protocol, _, port = self.value("service").partition("/")
        return protocol in ("", "any", str(burst.protocol)) and port in ("", str(burst.dst_port))

    def share(self, burst: Packets) -> float:
        """How much of a burst the rule lets pass, between 0 and 1."""
        if self.action != "drop" or not self.matches(burst):
            return 1.0
        if self.kind == "ip":
            return 0.0
        shares = [1.0]
        for name, amount in (("pkt-rate", burst.packets), ("byte-rate", burst.octets)):
            if self.value(name) and amount:
                shares.append(int(self.value(name)) * burst.seconds / amount)
        shares += [0.0 for name in ("new-conn-rate", "concurrent-conns") if self.value(name) == "0"]
        return min(shares)

    def line(self) -> str:
        """The rule as `fw samp get` prints it, without its time."""
        words = [f"operation=add uid={self.uid} target=all", f"action={self.action}"]
        words += [f"log={self.log}"] if self.log else []
        words += [f"{name}={value}" for name, value in self.fields]
        return " ".join([*words, f"req_type={self.kind}"])


def _one(address: str, mask: str, text: str) -> bool:
    if not address:
        return True
    found = ip_address(text)
    network = ip_network(f"{address}/{mask}" if mask else address, strict=False)
    return found.version == network.version and found in network


def _span(wanted: str, text: str) -> bool:
    kind, _, value = wanted.partition(":")
    if kind in ("", "any"):
        return True
    found = ip_address(text)
    if kind == "cidr":
        network = ip_network(value, strict=False)
        return found.version == network.version and found in network
    low, _, high = value.partition("-")
    first, last = ip_address(low), ip_address(high or low)
    return found.version == first.version and int(first) <= int(found) <= int(last)


@dataclass(slots=True)
class Database:
    """The rules of one address family, those in force, and the program that edits them."""

    version: int
    rules: dict[str, Policy] = field(default_factory=dict)
    live: dict[str, Policy] = field(default_factory=dict)
    made: int = 0

    def expire(self, now: float) -> None:
        """Let rules go whose time is over, from the database and from the kernel alike."""
        for table in (self.rules, self.live):
            for uid in [uid for uid, rule in table.items() if rule.deadline is not None and rule.deadline <= now]:
                del table[uid]

    def restart(self) -> None:
        """A restart loads what the database holds."""
        self.live = dict(self.rules)

    def run(self, call: Call) -> Result:
        """One `fw samp` command line, without the first two words."""
        try:
            verbs = {"add": self._add, "get": self._get, "del": self._del}
            if call.args == ("batch",):
                return self._batch(call)
            if call.args and call.args[0] in verbs:
                return verbs[call.args[0]](list(call.args[1:]), call.now)
        except (Usage, ValueError):
            return refuse(USAGE)
        return refuse(USAGE)

    def _batch(self, call: Call) -> Result:
        """Add and delete what the lines of the input say, one after the other."""
        results = [
            self.run(replace(call, args=tuple(shlex.split(line)), stdin=""))
            for line in call.stdin.splitlines()
            if line.strip()
        ]
        return Result(
            err="".join(one.err for one in results),
            status=max((one.status for one in results), default=0),
            refused=any(one.refused for one in results),
            configured=any(one.configured for one in results),
        )

    def _add(self, args: list[str], now: float) -> Result:
        options: dict[str, str] = {}
        while args and args[0].startswith("-"):
            option = args.pop(0)
            if option == "-u":
                continue
            if option not in ("-a", "-l", "-t", "-f", "-n", "-c", "-o", "-z") or not args:
                raise Usage
            options[option] = args.pop(0)
        if not args:
            raise Usage
        kind, words = args[0], args[1:]
        flush = kind == "quota" and words[-2:] == ["flush", "true"]
        words = words[:-2] if flush else words
        configured = False
        if words or not flush:
            rule = self._rule(kind, words, options, now)
            self.rules[rule.uid] = rule
            configured = True
            if kind == "ip":
                self.live[rule.uid] = rule
        if flush:
            configured = configured or self.live != self.rules
            self.live = dict(self.rules)
        return Result(configured=configured)

    def _rule(self, kind: str, words: list[str], options: dict[str, str], now: float) -> Policy:
        timeout = options.get("-t", "")
        if (
            options.get("-a") not in _ACTIONS
            or options.get("-l", "r") not in _LOGS
            or (timeout and not timeout.isdigit())
        ):
            raise Usage
        fields = self._ip_fields(words) if kind == "ip" else self._quota_fields(words) if kind == "quota" else []
        if not fields:
            raise Usage
        self.made += 1
        texts = [
            (key, shlex.quote(options[flag])) for flag, key in (("-n", "name"), ("-c", "comment")) if flag in options
        ]
        return Policy(
            f"<{0x5F000000 + self.made:08x},00000000,3403a8c0,0000264a>",
            kind,
            _ACTIONS[options["-a"]],
            (*texts, *fields),
            now + int(timeout) if timeout else None,
            _LOGS.get(options.get("-l", ""), ""),
        )

    def _ip_fields(self, words: list[str]) -> list[tuple[str, str]]:
        if len(words) % 2 or not words:
            raise Usage
        fields = []
        for option, value in zip(words[::2], words[1::2], strict=True):
            if option not in _IP:
                raise Usage
            if option in ("-s", "-d"):
                self._right_family(value)
            elif option in ("-m", "-M"):
                IPv4Address(value) if self.version == 4 else int(value)
            else:
                int(value)
            fields.append((_IP[option], value))
        return fields

    def _quota_fields(self, words: list[str]) -> list[tuple[str, str]]:
        if len(words) % 2 or not words:
            raise Usage
        fields = []
        for key, value in zip(words[::2], words[1::2], strict=True):
            if key not in _KEYS:
                raise Usage
            if key in ("source", "destination") and value != "any":
                kind, _, span = value.partition(":")
                if kind not in ("range", "cidr"):
                    raise Usage
                for part in [span.partition("/")[0]] if kind == "cidr" else span.split("-"):
                    self._right_family(part)
            elif key in _LIMITS:
                int(value)
            fields.append((key, value))
        if not any(key in _LIMITS for key, _ in fields):
            raise Usage
        return fields

    def _right_family(self, text: str) -> None:
        IPv4Address(text) if self.version == 4 else IPv6Address(text)

    def _get(self, args: list[str], now: float) -> Result:
        wanted = args[args.index("-u") + 1].strip("'") if "-u" in args[:-1] else None
        if set(args) - {"-l", "-u", wanted}:
            raise Usage
        lines = []
        for rule in self.rules.values():
            if wanted in (None, rule.uid):
                left = "indefinite" if rule.deadline is None else str(max(0, round(rule.deadline - now)))
                lines.append(rule.line().replace("target=all", f"target=all timeout={left}"))
        if not lines:
            return Result("no corresponding SAM policy requests\n")
        if "-l" in args:
            lines = ["\n".join(word.replace("=", "\n", 1) for word in shlex.split(line)[1:]) + "\n" for line in lines]
        return Result("".join(f"{line}\n" for line in lines))

    def _del(self, args: list[str], _: float) -> Result:
        if len(args) != 1:
            raise Usage
        if self.rules.pop(args[0].strip("'"), None) is None:
            return refuse("fw samp: no such rule")
        return Result(configured=True)
