"""What exporters have said of their records so far: templates, sampling rates, and data that waits for its template.

This is all that reading a stream of datagrams has to remember. It is bounded for each exporter, so that none can push
out what another said, and can be saved and restored; only the last counters of links are not worth keeping.
"""

from dataclasses import astuple, dataclass, field

import msgspec

from controller.domain.errors import BadInput
from streams.decode.counters import Links
from streams.decode.layouts import Layout

_VERSION = 1
_EXPORTER_WIDE = ("", 0)

REPEATED = 1 << 20
"""Octets of sets of templates that are remembered to be known again as a whole."""

_BESIDE = 256  # octets that one takes beside its own


@dataclass(frozen=True, slots=True)
class Speaker:
    """Within what a template's number has its meaning (RFC 7011, 8)."""

    exporter: bytes  # packed address
    version: int
    domain: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A set of data whose template is not known, and what its datagram's header said."""

    speaker: Speaker
    number: int
    receipt_ns: int
    export_ns: int
    uptime_ms: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is remembered of one exporter: what is oldest is forgotten first."""

    templates: int = 4_096
    fields: int = 65_536  # over all its templates
    rates: int = 4_096
    waiting: int = 65_536  # octets


@dataclass(slots=True)
class _Said:
    layouts: dict[tuple[int, int, int], Layout] = field(default_factory=dict)  # version, domain, number
    fields: int = 0
    rates: dict[tuple[int, int, str, int], int] = field(default_factory=dict)  # version, domain, kind, id
    waiting: list[Waiting] = field(default_factory=list)
    octets: int = 0


class Templates:
    """What was learned, by exporter."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._said: dict[bytes, _Said] = {}
        self.changes = 0  # how often something became known, or changed, that was not so before
        self.links = Links()
        self._heard: set[tuple[Speaker, int, bytes]] = set()  # sets of templates of which all is known
        self._heard_at = 0  # as of so many changes
        self.remembered = 0
        """Octets that these sets take."""

    def layout(self, speaker: Speaker, number: int) -> Layout | None:
        """The layout of a template; None while it is not known."""
        said = self._said.get(speaker.exporter)
        return None if said is None else said.layouts.get((speaker.version, speaker.domain, number))

    def repeats(self, speaker: Speaker, number: int, body: bytes) -> bool:
        """Whether this set of templates was `heard` and nothing changed since: to learn it again changes nothing."""
        if self._heard_at != self.changes or self.remembered > REPEATED:
            self._heard.clear()
            self._heard_at, self.remembered = self.changes, 0
        return (speaker, number, body) in self._heard

    def heard(self, speaker: Speaker, number: int, body: bytes) -> None:
        """Note that all of a set of templates has been learned."""
        if not self.repeats(speaker, number, body):
            self._heard.add((speaker, number, body))
            self.remembered += len(body) + _BESIDE

    def learn(self, speaker: Speaker, number: int, layout: Layout) -> None:
        """Take in a template, in place of one with the same number."""
        said = self._of(speaker.exporter)
        key = (speaker.version, speaker.domain, number)
        if said.layouts.get(key) == layout:
            return
        self.changes += 1
        self._drop(said, key)
        said.layouts[key] = layout
        said.fields += len(layout.lengths)
        while len(said.layouts) > 1 and (
            len(said.layouts) > self._bounds.templates or said.fields > self._bounds.fields
        ):
            self._drop(said, next(iter(said.layouts)))

    def withdraw(self, speaker: Speaker, number: int) -> None:
        """Forget a template; 2 and 3 stand for all templates and all of options (RFC 7011, 8.1)."""
        said = self._said.get(speaker.exporter)
        if said is None:
            return
        for key, layout in list(said.layouts.items()):
            alike = key[:2] == (speaker.version, speaker.domain)
            if alike and (key[2] == number or number == (3 if layout.options else 2)):
                self.changes += 1
                self._drop(said, key)

    def _drop(self, said: _Said, key: tuple[int, int, int]) -> None:
        gone = said.layouts.pop(key, None)
        said.fields -= 0 if gone is None else len(gone.lengths)

    def keep(self, waiting: Waiting) -> None:
        """Keep data for its template, as far as there is room."""
        said = self._of(waiting.speaker.exporter)
        self.changes += 1
        said.waiting.append(waiting)
        said.octets += len(waiting.octets)
        while said.octets > self._bounds.waiting:
            said.octets -= len(said.waiting.pop(0).octets)

    def released(self, speaker: Speaker, number: int) -> list[Waiting]:
        """What waited for this template; it waits no longer."""
        said = self._said.get(speaker.exporter)
        if said is None or not said.waiting:
            return []
        found = [one for one in said.waiting if (one.speaker, one.number) == (speaker, number)]
        self.changes += bool(found)
        said.waiting = [one for one in said.waiting if (one.speaker, one.number) != (speaker, number)]
        said.octets = sum(len(one.octets) for one in said.waiting)
        return found

    def sampled(self, speaker: Speaker, kind: str, identity: int, rate: int) -> None:
        """Hear that a sampler or an interface, or all of a domain ("", 0), takes one packet of `rate`."""
        rates = self._of(speaker.exporter).rates
        key = (speaker.version, speaker.domain, kind, identity)
        if rates.get(key) != rate:
            self.changes += 1
            rates[key] = rate
            if len(rates) > self._bounds.rates:
                del rates[next(iter(rates))]

    def samples(self, exporter: bytes) -> bool:
        """Whether the exporter ever told a rate."""
        said = self._said.get(exporter)
        return said is not None and bool(said.rates)

    def rate(self, speaker: Speaker, *, sampler: int, interface: int) -> int:
        """Packets of which one was sampled: as the sampler, the interface or the domain has it; 0 when not known.

        A record that names no sampler has the rate of all the domain's samplers, if they agree.
        """
        said = self._said.get(speaker.exporter)
        if said is None:
            return 0
        here = (speaker.version, speaker.domain)
        for kind, identity in (("sampler", sampler), ("interface", interface), _EXPORTER_WIDE):
            found = said.rates.get((*here, kind, identity)) if identity or not kind else None
            if found is not None:
                return found
        alike = {rate for key, rate in said.rates.items() if key[:2] == here}
        return alike.pop() if len(alike) == 1 else 0

    def _of(self, exporter: bytes) -> _Said:
        return self._said.setdefault(exporter, _Said())

    def saved(self) -> bytes:
        """All of it, to be restored."""
        return msgspec.msgpack.encode((_VERSION, [_document(name, said) for name, said in self._said.items()]))

    @classmethod
    def restored(cls, raw: bytes, bounds: Bounds | None = None) -> "Templates":
        """The templates that were saved. Raises BadInput."""
        try:
            version, exporters = msgspec.msgpack.decode(raw, type=tuple[int, list[_Document]])
        except msgspec.MsgspecError as error:
            raise BadInput(f"templates: {error}") from None
        if version != _VERSION:
            raise BadInput(f"templates of version {version}")
        made = cls(bounds)
        for name, layouts, rates, waiting in exporters:
            for key, layout in layouts:
                speaker, number = Speaker(name, key[0], key[1]), key[2]
                made.learn(speaker, number, Layout(*layout))
            for (kept, domain, kind, identity), rate in rates:
                made.sampled(Speaker(name, kept, domain), kind, identity, rate)
            for kept, domain, number, receipt, export, uptime, octets in waiting:
                made.keep(Waiting(Speaker(name, kept, domain), number, receipt, export, uptime, octets))
        made.changes = 0
        return made


_Layout = tuple[tuple[int, ...], tuple[int, ...], int, bool, bool]
_Waiting = tuple[int, int, int, int, int, int, bytes]
_Document = tuple[
    bytes, list[tuple[tuple[int, int, int], _Layout]], list[tuple[tuple[int, int, str, int], int]], list[_Waiting]
]


def _document(name: bytes, said: _Said) -> _Document:
    return (
        name,
        [(key, astuple(layout)) for key, layout in said.layouts.items()],
        list(said.rates.items()),
        [
            (
                one.speaker.version,
                one.speaker.domain,
                one.number,
                one.receipt_ns,
                one.export_ns,
                one.uptime_ms,
                one.octets,
            )
            for one in said.waiting
        ],
    )
