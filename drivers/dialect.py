"""A dialect: everything that Cordon knows about one platform, as data.

A dialect is a TOML file. Each row holds one thing that a slot may hold: how the device's answer shows it (`read`), the
lines that make it so (`set`) and the lines that take it away (`unset`); they stand together so that they cannot drift
apart. One engine (`read`, `render`) serves all platforms. The names that a template may use are a closed set, checked
when the file is loaded, together with everything else that could otherwise fail at three in the morning.

In templates, questions and patterns `{name}` stands for a field; in patterns its value is quoted. `%name%` is a macro,
replaced when the file is loaded; a row with `variants` is written out once for each of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from controller.domain.crossing import Transport
from controller.domain.fence import Action, SlotKind
from controller.domain.verdict import TrafficClass

FIELD = re.compile(r"\{([a-z][a-z0-9_]*)\}")

IDENTITY: Mapping[str, tuple[str, ...]] = {
    "source": ("source",),
    "network": ("source",),
    "address": ("source",),
    "netmask": ("source",),
    "wildcard": ("source",),
    "label": ("source",),
    "length": ("family", "length"),
    "mask": ("family", "length"),
    "family": ("family",),
    "traffic": ("traffic",),
    "segment": ("segment",),
    "vlan": ("vlan",),
    "vlan_name": ("vlan",),
    "rate_bps": ("rate",),
    "rate_kbps": ("rate",),
    "burst_bits": ("rate",),
    "burst_kbits": ("rate",),
    "burst_bytes": ("rate",),
    "target": ("target",),
    "ports": ("ports",),
    "inside": ("inside",),
}
"""Fields of what is held, and the values of which each is a spelling."""

PLACE_FIELDS = frozenset({"interface", "tag", "slot"})
"""Fields of the slot: the interface as the device spells it, the same with nothing but letters, digits and -, and the
name of the segment that a slot separates."""

TIMING_FIELDS = frozenset({"timer"})
GROUPS = frozenset(
    {"source", "network", "netmask", "wildcard", "length", "family", "traffic", "segment", "vlan", "vlan_name"}
    | {"rate_bps", "rate_kbps", "seat", "left", "timeout", "age", "block", "target", "ports", "inside"}
)
"""Named groups that a row's pattern may have. left, timeout and age are times: seconds, or as in 1d2h3m4s5ms."""


class Holds(StrEnum):
    """Which attribute of a slot a row is part of."""

    VLAN = "vlan"
    SHUT = "shut"  # present while the port is closed
    ISOLATED = "isolated"  # present while the port reaches no other that is isolated
    RATE = "rate"
    ENTRIES = "entries"
    GUARD = "guard"  # present while there is an entry or a rate: what both stand on
    WALL = "wall"  # present while a segment is separated: what the next three stand on
    PREFIX = "prefix"  # once for each prefix of the separated segment
    INSIDE = "inside"  # once for each interface of the firewall towards it
    PASSAGE = "passage"  # once for each passage through the wall


SEPARATES = frozenset({Holds.WALL, Holds.PREFIX, Holds.INSIDE, Holds.PASSAGE})
"""Rows that are set as one: where one of their items has to change, all are taken away and set anew."""


class Family(StrEnum):
    """Address family of an entry's source; ANY is an entry without a source."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    ANY = "any"


class Scope(StrEnum):
    """Whether a row speaks of a subject's entries or of those that close a segment."""

    SUBJECT = "subject"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class Question:
    """One question. An answer without `proof` is unreadable; a refusal that matches `absent` means: nothing there."""

    ask: str
    proof: str
    slots: tuple[SlotKind, ...] = ()
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """How an answer shows something: a pattern, searched everywhere or within the `block` that another one finds."""

    question: str
    pattern: str
    within: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that a slot may hold.

    Several `read`s are joined on the groups that they share. `change` replaces a value in place (default: set over
    it). `inside` names a row that takes this one with it when it goes. A `frame` row holds no entry by itself.
    """

    name: str
    holds: Holds
    slots: tuple[SlotKind, ...]
    read: tuple[Read, ...]
    set: tuple[str, ...]
    unset: tuple[str, ...]
    change: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    inside: str = ""
    frame: bool = False
    seat: str = ""
    action: Action = Action.DROP
    traffic: tuple[TrafficClass, ...] = ()  # empty: every class
    families: tuple[Family, ...] = tuple(Family)
    scopes: tuple[Scope, ...] = (Scope.SUBJECT,)
    transport: Transport = Transport.ANY  # of a passage
    without: tuple[str, ...] = ()  # rows that cannot stand beside this one in a slot
    variants: tuple[dict[str, str], ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Every line that the row may send."""
        return (*self.context, *self.set, *self.unset, *self.change)


@dataclass(frozen=True, slots=True)
class Foreign:
    """What other people may have put where a fence would go. The group `what` is shown to a person.

    `places` are what cannot be put there then: vlan, enabled, rate_bps, entries, or of entries only those of a class
    or action, as in entries.limit.
    """

    places: tuple[str, ...]
    say: str
    read: Read
    slots: tuple[SlotKind, ...] = (SlotKind.PORT,)


@dataclass(frozen=True, slots=True)
class Ours:
    """Configuration under Cordon's name. What no row recognises in it was changed by somebody: it is foreign."""

    read: Read
    slots: tuple[SlotKind, ...]
    places: tuple[str, ...] = ("entries",)


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of one device that the dialect needs (site.toml, devices.options)."""

    pattern: str
    default: str = ""


@dataclass(frozen=True, slots=True)
class Vlans:
    """Which VLANs exist and are active, with their names where the platform uses them. `every`: all VLANs pass."""

    read: Read
    every: str = ""


@dataclass(frozen=True, slots=True)
class Seats:
    """Numbers with which the platform tells its items apart; `taken` finds, in the group `seat`, those in use."""

    first: int
    last: int
    taken: Read


@dataclass(frozen=True, slots=True)
class CounterReads:
    """A port's own totals: groups octets_in and packets_in; `macs` matches once for each MAC learned there."""

    questions: tuple[str, ...]
    totals: Read
    macs: Read | None = None


@dataclass(frozen=True, slots=True)
class SightReads:
    """What the platform shows of the network around it; reads of one kind are joined on the groups that they share.

    `carries`: port and vlan, `trunks`: port, `learned`: mac, vlan and port, `routes`: source, port and perhaps via,
    `secluded`: vlan, of VLANs whose ports do not reach each other. `spelled` has the long form of what the platform
    abbreviates in interface names.
    """

    questions: tuple[str, ...]
    carries: tuple[Read, ...] = ()
    trunks: tuple[Read, ...] = ()
    learned: tuple[Read, ...] = ()
    routes: tuple[Read, ...] = ()
    secluded: tuple[Read, ...] = ()
    spelled: dict[str, str] = field(default_factory=dict)

    @property
    def reads(self) -> tuple[Read, ...]:
        """All of them."""
        return (*self.carries, *self.trunks, *self.learned, *self.routes, *self.secluded)


@dataclass(frozen=True, slots=True)
class Rate:
    """Rates that the platform can hold, bits per second; a burst is what passes in `burst_ms` at that rate."""

    step_bps: int
    min_bps: int
    max_bps: int
    burst_ms: int = 100


@dataclass(frozen=True, slots=True)
class Expiry:
    """Entries can end on the device: `timer` is put where a line has {timer}, with {expires} in seconds."""

    timer: str
    max_s: int


@dataclass(frozen=True, slots=True)
class Talk:
    """How to hold the conversation. `shell`: exit statuses are refusals. Else: prompts, and a mode to configure in.

    `enter_timed` or `commit_timed` with `confirm` make the device take a change back by itself after {minutes}.
    """

    driver: str  # netmiko's name of the platform
    asks: tuple[str, ...]  # every question matches one of these, and no configuring line does
    prompt: str  # {hostname} is what the device calls itself, as netmiko finds it after the login
    shell: bool = False
    elevate: bool = False  # enter the privileged mode with the device's second secret
    envelope: tuple[str, ...] = ()  # before, between and after the lines of a change, which then are sent as one
    enter: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    abandon: tuple[str, ...] = ()
    commit: tuple[str, ...] = ()
    enter_timed: tuple[str, ...] = ()
    untimed: str = ""  # a refusal of enter_timed that means: this device has no such timer
    commit_timed: tuple[str, ...] = ()
    confirm: tuple[str, ...] = ()
    answer_s: float = 10.0
    commit_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Cover:
    """What a fence really does on this platform, in words for docs/coverage.md and for the person who approves."""

    direction: str
    families: str
    fragments: str
    arp: str
    established: str
    reload: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One platform, loaded and checked. Immutable; `digest` goes into every change that was planned with it."""

    platform: str
    about: str
    provenance: tuple[str, ...]
    interface: str  # pattern of an interface's canonical name
    refusals: tuple[str, ...]
    talk: Talk
    questions: dict[str, Question]
    rows: tuple[Row, ...]
    cover: dict[str, Cover]  # by fence kind; filter_class as filter_class:<traffic class>
    options: dict[str, Option] = field(default_factory=dict)
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    seats: dict[str, Seats] = field(default_factory=dict)
    facts: dict[str, Read] = field(default_factory=dict)
    ours: tuple[Ours, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    vlans: Vlans | None = None
    vlan_default: Read | None = None  # matches where a port without a VLAN line is in VLAN 1
    counters: CounterReads | None = None
    sight: SightReads | None = None
    rate: Rate | None = None
    expiry: Expiry | None = None
    digest: str = ""

    def rows_of(self, kind: SlotKind) -> tuple[Row, ...]:
        """Rows of one kind of slot, in the order in which they are set."""
        return tuple(row for row in self.rows if kind in row.slots)

    def fields_of(self, row: Row) -> frozenset[str]:
        """Names of the fields that a row's lines use, those within the dialect's words included."""
        found = {name for line in row.lines for name in FIELD.findall(line)}
        for name in found & self.words.keys():
            found |= {inner for text in self.words[name].values() for inner in FIELD.findall(text)}
        return frozenset(found)

    def identity_of(self, row: Row) -> tuple[str, ...]:
        """Names of the values that tell one item of this row from another."""
        return tuple(sorted({value for name in self.fields_of(row) for value in IDENTITY.get(name, ())}))

    def questions_of(self, kind: SlotKind) -> tuple[str, ...]:
        """Names of the questions that tell what a slot of this kind holds."""
        return tuple(name for name, question in self.questions.items() if kind in question.slots)
