"""From hits to verdicts: evidence is put on record, weighed, and said when there is something to say."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, islice
from operator import itemgetter
from typing import cast

import numpy as np

from controller.domain.address import AttachmentKey, HostKey, unpacked
from controller.domain.rulebook import LogRule, Rulebook
from controller.domain.verdict import Evidence, Finding, Level, Rates, Verdict, Witness
from streams import keys, retracing
from streams.detecting import Hit
from streams.looking import Look
from streams.rows import Claim, Col, Symptom, Vantage
from streams.sensors import DOUBTED, Sensors
from streams.standing import Entry, Judge, Judgement, Standing, found
from streams.subjects import Subjects
from streams.suffering import Blame
from streams.windows import Ints, Views

SECOND_NS = 1_000_000_000
NOTABLE = 5.0
"""A score that moves so far is said at once."""

_SAID_AGAIN = 0.05
_TOP_PEERS = 5
_REMEMBERED = 1 << 14
"""Addresses that need not be spelled again."""

_CROWD = 5
_CROWD_SHARE = 0.25


class Speaker:
    """Keeps the standing of every subject that something is said about."""

    def __init__(self, rules: Rulebook, subjects: Subjects, sensors: Sensors, views: Views) -> None:
        self._rules, self._subjects, self._sensors, self._views = rules, subjects, sensors, views
        self._outsider = lru_cache(_REMEMBERED)(self._foreign)  # who is attacked is attacked in tick after tick
        self._judge = Judge(rules.scoring, rules.detectors)
        self.standings: dict[int, Standing] = {}
        self._watched: dict[bytes, set[str]] = {}
        self._touched: set[int] = set()
        self._moved: set[int] = set()

    @property
    def watching(self) -> bool:
        """True while a decision wants rates reported."""
        return bool(self._watched)

    @property
    def lasting(self) -> bool:
        """True while flow evidence is in force: the traffic may go on without a new record."""
        return any(
            entry.witness == Witness.FLOW and entry.strength > 0
            for standing in self.standings.values()
            for entry in standing.entries
        )

    @property
    def busy(self) -> bool:
        """True while the next full second may have something to say."""
        return self.watching or self.lasting or any(one.news for one in self.standings.values())

    def slots(self) -> Ints:
        """Subjects that something is said about, or that a decision watches."""
        watched = self._subjects.known(self._watched).tolist()
        return np.array(sorted({*self.standings, *watched}), np.int64)

    def touched(self) -> set[int]:
        """Buckets of standings that changed since this was asked last."""
        touched, self._touched = self._touched, set()
        return touched

    def watch(self, key: bytes, decision: str, *, ended: bool) -> None:
        """Begin or end to report a subject's rates for a decision."""
        decisions = self._watched.setdefault(key, set())
        if ended:
            decisions.discard(decision)
        else:
            decisions.add(decision)
            self._touched.add(int(self._subjects.bucket[self._subjects.slot(key)]))
        if not decisions:
            del self._watched[key]

    def watched(self) -> list[tuple[bytes, list[str]]]:
        """Whom decisions watch."""
        return [(key, sorted(decisions)) for key, decisions in sorted(self._watched.items())]

    def restore(self, watched: list[tuple[bytes, list[str]]]) -> None:
        """Become what was saved; standings are put back by themselves."""
        self._watched = {key: set(decisions) for key, decisions in watched}
        self._touched = set()

    def _standing(self, slot: int) -> Standing:
        self._touched.add(int(self._subjects.bucket[slot]))
        self._moved.add(slot)
        return self.standings.setdefault(slot, Standing(entries=[]))

    def claim(self, claims: Sequence[Claim]) -> None:
        """Put what log lines claim on record; lines of one kind and sender add up and fade.

        `claims` are those of a tick, by key, detector, source and time.
        """
        if not claims:
            return
        slots = self._subjects.slots(keys.key_array([claim.key for claim in claims])).tolist()
        told = zip(slots, claims, strict=True)
        for (slot, detector, source), alike in groupby(told, lambda one: (one[0], one[1].detector, one[1].source)):
            self._claim(self._standing(slot), detector, source, [claim for _, claim in alike])

    def _claim(self, standing: Standing, detector: str, source: str, claims: list[Claim]) -> None:
        rule = cast("LogRule", self._judge.rule(detector))
        old = found(standing, detector, source)
        amount, at_ns = (old.amount, old.at_ns) if old is not None else (0.0, claims[0].at_ns)
        for claim in claims:
            now_ns = max(claim.at_ns, at_ns)
            amount = amount * math.exp2(-(now_ns - at_ns) / 1e9 / rule.half_life_s) + claim.count
            at_ns = now_ns
        last = claims[-1]
        entry = Entry(
            detector=detector,
            witness=last.witness,
            source=source,
            strength=min(1.0, amount / rule.full_at),
            at_ns=at_ns,
            said_ns=at_ns,
            text=f"{last.text} ({amount:,.0f} lines of late)" if amount >= 2 else last.text,
            facts={**last.facts, "lines": round(amount, 1), **({"peer": last.peer} if last.peer else {})},
            traffic=last.traffic,
            compromise=any(claim.compromise for claim in claims) or (old is not None and old.compromise),
            amount=amount,
        )
        self._judge.put(standing, entry)
        standing.first_line_ns = standing.first_line_ns or min(claim.first_ns or claim.at_ns for claim in claims)

    def accuse(self, seen: Look, hits: list[Hit], *, end_ns: int, tick: int) -> set[int]:
        """Put hits on record; returns the subjects whose traffic is not normal."""
        if not hits:
            return set()
        slots = seen.reading.slots
        accused = sorted({int(slots[hit.at]) for hit in hits})
        peers = retracing.peers(self._views, self._views.of(np.array(accused, np.int64)))
        crowds = _crowds(seen, hits, self._views)
        for hit in hits:
            slot = int(slots[hit.at])
            self._put(seen, hit, self._standing(slot), peers.get(slot, []), crowds, end_ns=end_ns, tick=tick)
        for slot in accused:
            self.standings[slot].peers = self._outside(peers.get(slot, []))
        return {int(slots[hit.at]) for hit in hits if not hit.note}

    def _put(
        self,
        seen: Look,
        hit: Hit,
        standing: Standing,
        peers: list[tuple[bytes, int]],
        crowds: dict[int, tuple[int, int]],
        *,
        end_ns: int,
        tick: int,
    ) -> None:
        view = int(seen.loudest[hit.at])
        number = int(self._views.exporter[view]) if view >= 0 else -1
        source = self._sensors.name(number) if number >= 0 else ""
        strength = hit.strength
        doubted = number >= 0 and self._sensors.doubted(number, tick, self._views.slow_ticks)
        if doubted:
            strength = min(strength, DOUBTED)
        old = found(standing, hit.detector, source)
        same = (
            old is not None
            and end_ns - old.said_ns < SECOND_NS
            and abs(old.strength - strength) < _SAID_AGAIN
            and old.excuse == hit.excuse
            and old.note == hit.note
        )
        if same and old is not None:
            text, facts, said_ns = old.text, old.facts, old.said_ns
        else:
            text, told = hit.told()
            facts, said_ns = {name: _plain(fact) for name, fact in told.items()}, end_ns
            text += self._addressed(peers, facts)
            if doubted:
                text += f"; {source} has just changed its sampling rate"
            if number in crowds:
                loud, among = crowds[number]
                text += f"; {source} accuses {loud} of {among} subjects at once"
                facts |= {"exporter_accuses": loud, "exporter_subjects": among}
        if not hit.note and not hit.excuse and not standing.first_bad_ns:
            standing.first_bad_ns = retracing.onset(self._views, view, tick) if view >= 0 else end_ns
        entry = Entry(
            detector=hit.detector,
            witness=Witness.FLOW.value,
            source=source,
            strength=strength,
            at_ns=end_ns,
            said_ns=said_ns,
            text=text,
            facts=facts,
            traffic=hit.traffic.value,
            excuse=hit.excuse,
            note=hit.note,
        )
        self._judge.put(standing, entry)

    def _addressed(self, peers: list[tuple[bytes, int]], facts: dict[str, str | int | float | bool]) -> str:
        total = sum(amount for _, amount in peers)
        if not total:
            return ""
        address, share = str(unpacked(peers[0][0])), peers[0][1] / total
        facts |= {"to": address, "to_share": round(share, 3)}
        return f"; to {address} {share:.0%}" if share >= _CROWD_SHARE else f"; to many, {address} {share:.0%} of it"

    def _outside(self, peers: list[tuple[bytes, int]]) -> list[str]:
        return list(islice(filter(None, (self._outsider(raw) for raw, _ in peers)), _TOP_PEERS))

    def _foreign(self, raw: bytes) -> str:
        """The text of an address that is none of ours; "" for one that is."""
        address = unpacked(raw)
        return "" if self._subjects.is_ours(address) else str(address)

    def attribute(self, seen: Look, blames: list[Blame], *, end_ns: int) -> set[int]:
        """Put attributions on record; returns the subjects that are blamed."""
        blamed = set()
        for blame in blames:
            slot = int(seen.reading.slots[blame.at])
            standing = self._standing(slot)
            text, facts = blame.told(seen.reading)
            entry = Entry(
                detector="attribution",
                witness=Witness.DEVICE.value,
                source=blame.device,
                strength=blame.strength,
                at_ns=end_ns,
                said_ns=end_ns,
                text=text,
                facts={name: _plain(fact) for name, fact in facts.items()},
            )
            self._judge.put(standing, entry)
            blamed.add(slot)
        return blamed

    def verdicts(self, seen: Look | None, *, end_ns: int, second: bool) -> list[Verdict]:
        """What is to be said at the end of a tick, the worst first.

        Who nothing was added to in the tick only fades, and is judged at full seconds.
        """
        said = []
        places = {slot: at for at, slot in enumerate(seen.reading.slots.tolist())} if seen is not None else {}
        due = set(self._moved)
        if second:
            due |= {*self.standings, *(self._subjects.slot(key) for key in self._watched)}
        for slot, key in self._by_key(due):
            standing = self.standings.get(slot)
            watched = key in self._watched
            if standing is None:
                standing = self._standing(slot)
            self._judge.fade(standing, end_ns)
            judgement = self._judge.judge(standing, end_ns)
            finding = Finding.GATEWAY if self._subjects.is_gateway(slot) else judgement.finding
            if self._is_due(standing, judgement, finding, watched=watched, second=second, end_ns=end_ns):
                at = places.get(slot, -1)
                said.append(self._verdict(slot, standing, judgement, finding, seen, at, end_ns))
                standing.said_ns, standing.said_score = end_ns, judgement.score
                standing.said_level, standing.said_finding = int(judgement.level), finding.value
                standing.news = False
                self._touched.add(int(self._subjects.bucket[slot]))
            if not standing.entries and not watched and standing.said_level < Level.WATCH:
                del self.standings[slot]
                self._touched.add(int(self._subjects.bucket[slot]))
        self._moved = set()
        return sorted(said, key=lambda verdict: -verdict.score)

    def _by_key(self, slots: set[int]) -> list[tuple[int, bytes]]:
        """Slots and keys by key: the order of verdicts does not depend on where state stands."""
        chosen = sorted(slots)
        keyed = self._subjects.keys(np.array(chosen, np.int64))
        raw, width = keyed.tobytes(), keyed.itemsize  # a key may end with zeros, which a list of texts would lose
        found = [(slot, raw[at * width : (at + 1) * width]) for at, slot in enumerate(chosen)]
        return sorted(found, key=itemgetter(1))

    def _is_due(
        self, standing: Standing, now: Judgement, finding: Finding, *, watched: bool, second: bool, end_ns: int
    ) -> bool:
        aged = end_ns - standing.said_ns >= SECOND_NS
        if now.level != standing.said_level and max(int(now.level), standing.said_level) >= Level.WATCH:
            return True
        if now.level >= Level.WATCH:
            moved = abs(now.score - standing.said_score) >= NOTABLE or finding.value != standing.said_finding
            return moved or (aged and standing.news)
        noted = standing.news and any(entry.note for entry in standing.entries)
        return second and aged and (watched or noted)

    def _verdict(
        self,
        slot: int,
        standing: Standing,
        judgement: Judgement,
        finding: Finding,
        seen: Look | None,
        at: int,
        end_ns: int,
    ) -> Verdict:
        if seen is not None and at >= 0:
            self._place(standing, int(seen.loudest[at]))
        subject = self._subjects.subject(slot)
        exporter, interface, mac = standing.exporter, standing.interface, standing.mac
        if isinstance(subject, AttachmentKey):
            exporter, interface = str(subject.exporter), subject.interface
            mac = subject.mac
        claimed = [str(entry.facts["peer"]) for entry in judgement.entries if entry.facts.get("peer")]
        return Verdict(
            subject=subject,
            tick_end_ns=end_ns,
            score=judgement.score,
            level=judgement.level,
            finding=finding,
            evidence=tuple(self._judge.evidence(entry) for entry in judgement.entries),
            rates=self._rates(slot, seen, at),
            exporter=exporter,
            interface=interface,
            mac=mac,
            first_bad_ns=standing.first_bad_ns or standing.first_line_ns,
            peers=tuple(dict.fromkeys([*standing.peers, *claimed]))[: _TOP_PEERS + 1],
            explains=tuple(
                f"{entry.facts['device']}: {entry.facts['symptom']}"
                for entry in judgement.entries
                if entry.detector == "attribution"
            ),
        )

    def _place(self, standing: Standing, view: int) -> None:
        """Remember where the subject's traffic was seen to enter, if it was seen at its own edge."""
        if view < 0 or self._views.vantage[view] != Vantage.EDGE:
            return
        standing.exporter = self._sensors.name(int(self._views.exporter[view]))
        standing.interface = int(self._views.interface[view])
        standing.mac = keys.mac_text(int(self._views.mac[view]))

    def _rates(self, slot: int, seen: Look | None, at: int) -> Rates:
        baselines, one = self._subjects.baselines, np.array([slot])
        normal = baselines.normal(one)[0]
        known = {
            "baseline_bits": round(float(normal[0]), 1),
            "baseline_packets": round(float(normal[1]), 2),
            "baseline_age_s": round(float(baselines.age_s(one)[0]), 1),
        }
        if seen is None or at < 0:
            return Rates(**known)
        rate = seen.reading.rate[at].tolist()
        figures = {
            "bits": (rate[Col.BYTES] - rate[Col.DISCARDED_BYTES]) * 8,
            "packets": rate[Col.PACKETS] - rate[Col.DISCARDED_PACKETS],
            "flows": rate[Col.FLOWS],
            "fragments": rate[Col.FRAGMENTS],
            "malformed": rate[Col.MALFORMED],
            "odd_protocol": rate[Col.ODD],
            "bits_in": rate[Col.BYTES_IN] * 8,
            "packets_in": rate[Col.PACKETS_IN],
            "discarded_bits": rate[Col.DISCARDED_BYTES] * 8,
            "discarded_packets": rate[Col.DISCARDED_PACKETS],
        }
        return Rates(**known, **{name: round(max(figure, 0.0), 1) for name, figure in figures.items()})

    def unexplained(self, symptoms: list[Symptom], *, end_ns: int) -> list[Verdict]:
        """Say of devices that suffered that no host behind them was found to be the cause."""
        return [self._no_cause(symptom, end_ns) for symptom in symptoms]

    def _no_cause(self, symptom: Symptom, end_ns: int) -> Verdict:
        rule = self._judge.rule("attribution")
        text = f"{symptom.device} said “{symptom.text}”; no host scored here exceeded its normal behind it meanwhile"
        evidence = Evidence(
            detector="attribution",
            witness=Witness.DEVICE,
            source=symptom.device,
            strength=0.0,
            weight=rule.weight,
            half_life_s=rule.half_life_s,
            at_ns=symptom.at_ns,
            text=text,
            facts={"device": symptom.device, "symptom": symptom.text},
        )
        return Verdict(
            subject=HostKey(self._subjects.device_address(symptom.device)),
            tick_end_ns=end_ns,
            score=0.0,
            level=Level.CLEAR,
            finding=Finding.NO_NETWORK_CAUSE,
            evidence=(evidence,),
            rates=Rates(),
            explains=(f"{symptom.device}: {symptom.text}",),
        )


def _crowds(seen: Look, hits: list[Hit], views: Views) -> dict[int, tuple[int, int]]:
    """Exporters that accuse many of their subjects at once: (accused, all active), by number."""
    numbers = np.where(seen.loudest >= 0, views.exporter[seen.loudest], -1)
    accused = numbers[sorted({hit.at for hit in hits if not hit.note and not hit.excuse})]
    found: dict[int, tuple[int, int]] = {}
    active = views.active() if len(accused) >= _CROWD else accused
    for number in np.unique(accused[accused >= 0]).tolist():
        loud = int((accused == number).sum())
        among = len(np.unique(views.slot[active[views.exporter[active] == number]]))
        if loud >= max(_CROWD, _CROWD_SHARE * among):
            found[number] = loud, among
    return found


def _plain(fact: object) -> str | int | float | bool:
    return fact if isinstance(fact, str | int | float | bool) else str(fact)
