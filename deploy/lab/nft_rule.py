"""Reading the rules of nft. Source: nft(8), EXPRESSIONS and STATEMENTS; nftables 1.0.6 for errors."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from deploy.lab.nft_parts import PERIODS, UNITS, Counter, Exists, Field, Limit, Match, Said, Verdict, written_out
from deploy.lab.nft_ruleset import Part, Set, Table
from deploy.lab.nft_values import (
    ETHER,
    ETHERTYPE,
    FAMILY,
    FLAGS,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    MARK,
    NAME,
    NUMBER,
    PACKET,
    PROTOCOL,
    SERVICE,
    STATE,
    Range,
    Type,
    point,
    read,
    show,
)
from deploy.lab.nft_words import NftError, Place, Word, Words

OPERATORS = ("==", "!=", "<", ">", "<=", ">=", "eq", "ne", "lt", "gt", "le", "ge")
SPELLED: Mapping[str, str] = MappingProxyType(
    {"==": "", "eq": "", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">="}
)
_V4, _V6 = {"nfproto": 2}, {"nfproto": 10}


def _payload(protocol: str, name: str, kind: Type, needs: Mapping[str, int], family: str = "") -> Field:
    json = {"payload": {"protocol": protocol, "field": name}}
    key = name if protocol in ("tcp", "udp", "th", "sctp") else f"{protocol} {name}"
    return Field(f"{protocol} {name}", kind, key, json, needs, family)


def _ports(protocol: str, needs: Mapping[str, int]) -> dict[str, Field]:
    return {name: _payload(protocol, name, SERVICE, needs) for name in ("sport", "dport")}


def _meta(name: str, kind: Type) -> Field:
    bare = name in ("iif", "oif", "iifname", "oifname")
    return Field(name if bare else f"meta {name}", kind, name, {"meta": {"key": name}})


FIELDS: Mapping[str, Mapping[str, Field]] = MappingProxyType(
    {
        "ip": {
            name: _payload("ip", name, kind, _V4, "ip")
            for name, kind in {
                "saddr": IPV4,
                "daddr": IPV4,
                "protocol": PROTOCOL,
                "frag-off": NUMBER,
                "length": NUMBER,
                "ttl": NUMBER,
                "id": NUMBER,
            }.items()
        },
        "ip6": {
            name: _payload("ip6", name, kind, _V6, "ip6")
            for name, kind in {
                "saddr": IPV6,
                "daddr": IPV6,
                "nexthdr": PROTOCOL,
                "length": NUMBER,
                "hoplimit": NUMBER,
            }.items()
        },
        "ether": {
            name: _payload("ether", name, kind, {})
            for name, kind in {"saddr": ETHER, "daddr": ETHER, "type": ETHERTYPE}.items()
        },
        "tcp": {**_ports("tcp", {"l4proto": 6}), "flags": _payload("tcp", "flags", FLAGS, {"l4proto": 6})},
        "udp": _ports("udp", {"l4proto": 17}),
        "sctp": _ports("sctp", {"l4proto": 132}),
        "th": _ports("th", {}),
        "icmp": {"type": _payload("icmp", "type", ICMP, {"l4proto": 1})},
        "icmpv6": {"type": _payload("icmpv6", "type", ICMPV6, {"l4proto": 58})},
        "meta": {
            name: _meta(name, kind)
            for name, kind in {
                "l4proto": PROTOCOL,
                "nfproto": FAMILY,
                "protocol": ETHERTYPE,
                "mark": MARK,
                "iif": NAME,
                "oif": NAME,
                "iifname": NAME,
                "oifname": NAME,
                "pkttype": PACKET,
                "length": NUMBER,
            }.items()
        },
        "ct": {
            "state": Field("ct state", STATE, "ct state", {"ct": {"key": "state"}}),
            **{
                f"original {name}": Field(
                    f"ct original {name}", kind, f"ct original {name}", {"ct": {"key": name, "dir": "original"}}, needs
                )
                for name, kind, needs in (
                    ("ip saddr", IPV4, _V4),
                    ("ip daddr", IPV4, _V4),
                    ("ip6 saddr", IPV6, _V6),
                    ("ip6 daddr", IPV6, _V6),
                    ("proto-src", SERVICE, {}),
                    ("proto-dst", SERVICE, {}),
                )
            },
        },
        "frag": {
            name: Field(
                f"frag {name}", NUMBER, f"frag {name}", {"exthdr": {"name": "frag", "field": name}}, {"exthdr frag": 1}
            )
            for name in ("frag-off", "more-fragments", "id", "nexthdr")
        },
    }
)
BARE_META = ("iif", "oif", "iifname", "oifname", "mark", "pkttype")
REASONS = (
    "port-unreachable",
    "host-unreachable",
    "net-unreachable",
    "admin-prohibited",
    "prot-unreachable",
    "no-route",
)


class RuleReader:
    """Reads one rule of a table; sets are looked up as they are named."""

    def __init__(self, words: Words, table: Table, family: str) -> None:
        self._words = words
        self._table = table
        self._family = family
        self._seen: str = ""  # the network protocol that a match has fixed
        self._carried = False  # a match has fixed the transport
        self.targets: list[tuple[str, Place]] = []  # chains that verdicts name

    def read(self) -> tuple[list[Part], str]:
        """Read to the end of the rule: its parts and its comment."""
        parts: list[Part] = []
        comment = ""
        ended: Place | None = None
        if self._words.at_end:
            self._words.unexpected()
        while not self._words.at_end:
            first = self._words.here
            if self._words.accept("comment"):
                comment = self._string()
                continue
            found = self._part()
            if ended:
                raise NftError("Statement after terminal statement has no effect", first.place, ended)
            parts += found
            if isinstance(found[-1], Verdict):
                ended = first.place
        return parts, comment

    def _part(self) -> list[Part]:
        word = self._words.here
        if word.kind == "word":
            if word.text in _STATEMENTS:
                self._words.take()
                return _STATEMENTS[word.text](self, word)
            if word.text == "exthdr":
                self._words.take()
                return [self._exthdr()]
            if word.text in BARE_META:
                self._words.take()
                return [self._match(FIELDS["meta"][word.text], word.place)]
            if word.text in FIELDS:
                return [self._field()]
        if word.kind == "word" and self._words.look(1).kind == "word":
            raise NftError("No symbol type information", word.place)
        self._words.take()
        self._words.unexpected()
        raise AssertionError

    def _field(self) -> Part:
        first = self._words.take()
        if first.text == "ct" and self._words.here.text == "original":
            return self._original(first)
        name = self._words.here
        known = FIELDS[first.text]
        if name.text not in known or name.kind != "word":
            self._words.unexpected()
        self._words.take()
        spot = first.place
        if name.place.line == spot.line:
            spot = Place(spot.line, spot.column, name.place.column + name.place.length - spot.column)
        if first.text == "meta" and self._words.accept("set"):
            value = read(self._words, known[name.text].kind)
            shown = show(value, known[name.text].kind)
            return Said(f"meta {name.text} set {shown}", {"mangle": {"key": known[name.text].json, "value": value.low}})
        return self._match(known[name.text], spot)

    def _original(self, first: Word) -> Match:
        """Read what connection tracking knows of a connection's first packet."""
        name = self._words.take().text
        compared = None
        while compared is None:
            name = f"{name} {self._words.here.text}"
            if not any(known.startswith(name) for known in FIELDS["ct"]):
                self._words.unexpected()
            self._words.take()
            compared = FIELDS["ct"].get(name)
        if compared.kind is SERVICE and not self._carried:
            raise NftError("Can't parse symbolic invalid expressions", self._words.here.place)
        return self._match(compared, first.place)

    def _match(self, compared: Field, spot: Place) -> Match:
        self._check_family(compared, spot)
        self._carried = self._carried or compared.text == "meta l4proto"
        words = self._words
        mask: int | None = None
        if words.accept("&"):
            mask = self._bits(compared.kind)
        operator = ""
        if words.here.text in OPERATORS and words.here.kind != "string":
            operator = SPELLED.get(words.here.text, words.here.text)
            words.take()
        elif mask is not None:
            words.unexpected()
        if words.here.text.startswith("@") and words.here.kind == "word":
            return Match(compared, operator, named=self._named(compared, spot), mask=mask)
        if words.accept("{"):
            values = [self._value(compared.kind)]
            while words.accept(","):
                if words.here.text == "}":
                    break
                values.append(self._value(compared.kind))
            words.expect("}")
            return Match(compared, operator, written_out(values, compared.kind), braces=True, mask=mask)
        value = self._value(compared.kind)
        if compared.kind.flags:
            while words.accept(","):
                more = self._value(compared.kind)
                value = Range(int(value.low) | int(more.low), int(value.low) | int(more.low))
            if compared.kind is FLAGS and words.accept("/"):
                mask = self._bits(compared.kind)
        return Match(compared, operator, (value,), mask=mask)

    def _check_family(self, compared: Field, spot: Place) -> None:
        if not compared.family:
            return
        fixed = self._seen or (self._family if self._family in ("ip", "ip6") else "")
        if fixed and fixed != compared.family:
            raise NftError(f"conflicting protocols specified: {fixed} vs. {compared.family}", spot)
        self._seen = compared.family

    def _value(self, kind: Type) -> Range:
        if kind.flags and self._words.here.text == "(":
            bits = self._bits(kind)
            return Range(bits, bits)
        return read(self._words, kind)

    def _bits(self, kind: Type) -> int:
        """Read one value, or several joined by `|` or `,` in parentheses."""
        words = self._words
        grouped = words.accept("(")
        bits = point(words.here.text, kind, words.here)
        words.take()
        while words.accept("|", ","):
            bits |= point(words.here.text, kind, words.here)
            words.take()
        if grouped:
            words.expect(")")
        return bits

    def _named(self, compared: Field, spot: Place) -> Set:
        word = self._words.take()
        members = self._table.sets.get(word.text[1:])
        if members is None:
            raise NftError("No such file or directory", word.place)
        if members.kind.name != compared.kind.name:
            message = f"datatype mismatch, expected {compared.kind.title}, expression has type {members.kind.title}"
            raise NftError(message, word.place, spot)
        return members

    def _exthdr(self) -> Part:
        words = self._words
        header = words.here
        if header.text not in ("frag", "hbh", "dst", "rt", "mh"):
            words.unexpected()
        words.take()
        answer = words.accept("exists", "missing")
        if answer is None:
            words.unexpected()
        return Exists(header.text, bool(answer and answer.text == "exists"))

    def _counter(self, _: Word) -> list[Part]:
        counter = Counter()
        words = self._words
        if words.accept("packets"):
            counter.packets = self._number()
            words.expect("bytes")
            counter.octets = self._number()
        elif words.here.text == "name":
            words.take()
            raise NftError("No such file or directory", words.here.place)
        return [counter]

    def _limit(self, _: Word) -> list[Part]:
        words = self._words
        words.expect("rate")
        over = bool(words.accept("over"))
        words.accept("until")
        word = words.take()
        digits, slash, per = word.text.partition("/")
        unit = ""
        if not slash and words.here.kind == "word":
            unit, slash, per = words.take().text.partition("/")
        if not digits.isdigit() or not slash or per not in PERIODS or (unit and unit not in UNITS):
            raise NftError("syntax error, unexpected string", word.place)
        burst, burst_unit = (0 if unit else 5), ("bytes" if unit else "")
        if words.accept("burst"):
            burst = self._number()
            named = words.accept("packets", *UNITS)
            burst_unit = named.text if named and named.text != "packets" else ""
        return [Limit(int(digits), unit, per, burst, burst_unit, over)]

    def _log(self, _: Word) -> list[Part]:
        shown: dict[str, object] = {}
        text = "log"
        while word := self._words.accept("prefix", "level", "group", "snaplen", "flags"):
            if word.text == "prefix":
                shown["prefix"] = self._string()
                text += f' prefix "{shown["prefix"]}"'
            else:
                value = self._words.take().text
                shown[word.text] = int(value) if value.isdigit() else value
                text += f" {word.text} {value}"
        return [Said(text, {"log": shown or None})]

    def _verdict(self, word: Word) -> list[Part]:
        if word.text not in ("jump", "goto"):
            return [Verdict(word.text)]
        spot = self._words.here.place
        name = self._words.name().text
        self.targets.append((name, spot))
        return [Verdict(word.text, name)]

    def _reject(self, _: Word) -> list[Part]:
        words = self._words
        if not words.accept("with"):
            fallback = {"ip": "icmp port-unreachable", "ip6": "icmpv6 port-unreachable"}
            return [Verdict("reject", detail=fallback.get(self._seen or self._family, ""))]
        if words.accept("tcp"):
            words.expect("reset")
            tcp = Match(FIELDS["meta"]["l4proto"], "", (Range(6, 6),))
            return [tcp, Verdict("reject", detail="tcp reset")]
        kind = words.accept("icmp", "icmpv6", "icmpx")
        words.accept("type")
        if kind is None or words.here.text not in REASONS:
            words.unexpected()
            raise AssertionError
        return [Verdict("reject", detail=f"{kind.text} {words.take().text}")]

    def _notrack(self, _: Word) -> list[Part]:
        return [Said("notrack", {"notrack": None})]

    def _number(self) -> int:
        word = self._words.here
        if not word.text.isdigit():
            self._words.unexpected(", expecting number")
        return int(self._words.take().text)

    def _string(self) -> str:
        if self._words.here.kind not in ("string", "word"):
            self._words.unexpected(", expecting string")
        return self._words.take().text


_STATEMENTS: Mapping[str, Callable[[RuleReader, Word], list[Part]]] = MappingProxyType(
    {
        "counter": RuleReader._counter,
        "limit": RuleReader._limit,
        "log": RuleReader._log,
        "reject": RuleReader._reject,
        "notrack": RuleReader._notrack,
        **dict.fromkeys(("accept", "drop", "return", "continue", "jump", "goto"), RuleReader._verdict),
    }
)
