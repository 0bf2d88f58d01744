"""One device, spoken to in its dialect: observe, plan, push. No subclass per vendor, no vendor's word in the code."""

import time
from collections.abc import Sequence

from controller.domain.errors import BadInput, ForeignState, Unreadable, Unsupported
from controller.domain.fence import Change, Counters, Held, Slot, SlotKind, SlotState, Transcript
from controller.domain.sight import Sight
from drivers.conversation import Query, Session
from drivers.dialect import CounterReads, Dialect
from drivers.difference import both_ways, foreign_in_the_way, unsupported
from drivers.items import state_of
from drivers.loading import interface_name
from drivers.read import Answers, Reading, read_slot, sight, totals
from drivers.render import Place, fill, segment_name, tag_of

_FIREWALL = "cordon"


class NetworkDriver:
    """A device that can hold fences, over any session. Implements `controller.ports.NetworkDevice`."""

    def __init__(self, name: str, dialect: Dialect, session: Session, options: dict[str, str] | None = None) -> None:
        self.name = name
        self._dialect, self._session, self._options = dialect, session, options or {}

    def observe(self, slot: Slot) -> Held:
        """What the slot holds now, with the questions and answers that say so."""
        place, names = self._place(slot.kind, slot.name), self._names(slot)
        return self._held(slot, place, self._ask(names, place))

    def plan(self, want: SlotState, have: Held) -> Change:
        """The lines to `want` and back, computed from what the device answered; nothing is sent."""
        kind, slot = have.slot.kind, have.slot
        place = self._place(kind, slot.name)
        names = self._dialect.questions_of(kind)
        asked = dict(have.transcript)
        answers = {
            name: asked[query.text]
            for name, query in zip(names, self._queries(names, place), strict=True)
            if query.text in asked
        }
        reading = self._read(slot, place, answers)
        if problem := unsupported(self._dialect, kind, want, have.state, have.vlans):
            raise Unsupported(self.name, problem)
        if foreign := foreign_in_the_way(have.foreign, want, have.state):
            raise ForeignState(self.name, f"{slot.name}: {foreign}")
        try:
            apply, undo = both_ways(self._dialect, kind, reading, want, left_s=have.state.expires_s)
        except BadInput as error:
            raise Unsupported(self.name, str(error)) from error
        return Change(
            slot=slot,
            have=have.state,
            want=want,
            apply=apply,
            undo=undo,
            dialect=self._dialect.platform,
            digest=self._dialect.digest,
        )

    def push(self, lines: Sequence[str], *, confirm_within_s: int = 0) -> Transcript:
        """Send configuration lines, stopping at the first that is refused."""
        return self._session.configure(lines, confirm_within_s=confirm_within_s)

    def confirm(self) -> Transcript:
        """Keep what `push` left pending."""
        return self._session.confirm()

    def counters(self, interface: str) -> Counters:
        """The interface's own totals now."""
        place, counts = self._place(SlotKind.PORT, interface), self._counts()
        macs = counts.macs.question if counts.macs is not None else ""
        answers = self._ask([name for name in counts.questions if name != macs], place)
        return self._counters(interface, place, answers)

    def observe_and_count(self, slot: Slot) -> tuple[Held, Counters]:
        """Both of one port, in one exchange, with the number of MACs learned on it where the platform tells.

        A question that both ask is asked once.
        """
        place, names = self._place(slot.kind, slot.name), self._names(slot)
        answers = self._ask(tuple(dict.fromkeys((*names, *self._counts().questions))), place)
        return self._held(slot, place, {name: answers[name] for name in names}), self._counters(
            slot.name, place, answers
        )

    def look(self) -> Sight:
        """What the device shows of the network around it."""
        if self._dialect.sight is None:
            raise Unsupported(self.name, f"{self._dialect.platform} shows nothing of VLANs, MACs and routes")
        names, fields = self._dialect.sight.questions, dict(self._options)
        texts = self._session.ask(self._queries(names, Place(fields)))
        try:
            return sight(self._dialect, self.name, fields, dict(zip(names, texts, strict=True)))
        except BadInput as error:
            raise Unreadable(self.name, str(error)) from error

    def close(self) -> None:
        """End the session; the next call opens one."""
        self._session.close()

    def _names(self, slot: Slot) -> tuple[str, ...]:
        """The questions whose answers say what a slot holds."""
        names = tuple(self._dialect.questions_of(slot.kind))
        if not names or not self._dialect.rows_of(slot.kind):
            raise Unsupported(self.name, f"{self._dialect.platform} can set nothing in a {slot.kind}")
        return names

    def _counts(self) -> CounterReads:
        if self._dialect.counters is None:
            raise Unreadable(self.name, f"{self._dialect.platform} has no port counters")
        return self._dialect.counters

    def _ask(self, names: Sequence[str], place: Place) -> Answers:
        return dict(zip(names, self._session.ask(self._queries(names, place)), strict=True))

    def _held(self, slot: Slot, place: Place, answers: Answers) -> Held:
        reading = self._read(slot, place, answers)
        asked = zip(self._queries(tuple(answers), place), answers.values(), strict=True)
        return Held(
            slot=slot,
            state=state_of(self._dialect, slot.kind, reading.items),
            foreign=reading.foreign,
            vlans=reading.vlans,
            transcript=tuple((query.text, text) for query, text in asked),
        )

    def _counters(self, interface: str, place: Place, answers: Answers) -> Counters:
        """Of answers that have just been given."""
        at_s = time.monotonic()
        try:
            octets, packets, macs = totals(self._dialect, place.fields, answers)
        except BadInput as error:
            raise Unreadable(self.name, f"{interface}: {error}") from error
        return Counters(interface, at_s, octets_in=octets, packets_in=packets, macs=macs)

    def _place(self, kind: SlotKind, name: str) -> Place:
        if kind is SlotKind.FIREWALL:
            if name != _FIREWALL:
                raise Unsupported(self.name, f"the rule set of a firewall is called {_FIREWALL!r}, not {name!r}")
            return Place(dict(self._options))
        try:
            if kind is SlotKind.SEGMENT:
                return Place({**self._options, "slot": segment_name(name)})
            interface = interface_name(self._dialect, name)
        except BadInput as error:
            raise Unsupported(self.name, str(error)) from error
        return Place({**self._options, "interface": interface, "tag": tag_of(interface)})

    def _queries(self, names: Sequence[str], place: Place) -> tuple[Query, ...]:
        questions = (self._dialect.questions[name] for name in names)
        return tuple(Query(fill(question.ask, place.fields), question.absent) for question in questions)

    def _read(self, slot: Slot, place: Place, answers: Answers) -> Reading:
        try:
            return read_slot(self._dialect, slot.kind, place, answers)
        except BadInput as error:
            raise Unreadable(self.name, f"{slot.name}: {error}") from error
