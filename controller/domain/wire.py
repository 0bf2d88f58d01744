"""What stands on the wires between the processes: topics, and the JSON of verdicts, decisions, health and dead letters.

Every document has `v`; readers ignore fields that they do not know. Activity, state and lessons are private to streams.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.domain.address import subject_of, subject_text
from controller.domain.errors import BadInput
from controller.domain.verdict import Evidence, Fact, Finding, Level, Rates, TrafficClass, Verdict, Witness

VERSION = 1

FLOWS = "cordon.flows"  # frames of our own listener
SYSLOG = "cordon.syslog"
ACTIVITY = "cordon.activity"
STATE = "cordon.state"
LESSONS = "cordon.lessons"
VERDICTS = "cordon.verdicts"
DECISIONS = "cordon.decisions"
HEALTH = "cordon.health"
DEAD = "cordon.dead"

MARK_KEY = b"cordon.mark"
"""Key of a clock mark: a message on a flow or log partition whose value is its event time in ns as decimal text."""

CANARY_KEY = b"cordon.canary"
"""Key of a canary among the verdicts."""

CANARY_NS = 10 * 1_000_000_000
"""Event time between two canaries."""

KEPT_OF_A_DEAD_LETTER = 64 * 1024


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """One Kafka topic as it has to be created. `compact` keeps the last value of each key."""

    name: str
    partitions: int
    retention_ms: int
    compact: bool = False
    max_message_bytes: int = 1_000_000


def topics(source_topics: tuple[str, ...], *, partitions: int = 4) -> tuple[TopicPlan, ...]:
    """Every topic with its size, declared nowhere else; flows, logs, activity and state have `partitions` each."""
    hour, day = 3_600_000, 86_400_000
    return (
        *(TopicPlan(name, partitions, 6 * hour) for name in dict.fromkeys((FLOWS, SYSLOG, *source_topics))),
        TopicPlan(ACTIVITY, partitions, 6 * hour),
        TopicPlan(STATE, partitions, 7 * day),
        TopicPlan(LESSONS, 1, 7 * day),
        TopicPlan(VERDICTS, 1, 7 * day),
        TopicPlan(DECISIONS, 1, 30 * day),
        TopicPlan(HEALTH, 1, day),
        TopicPlan(DEAD, 1, 30 * day),
    )


def mark(at_ns: int) -> bytes:
    """The value of a clock mark: no record with an earlier receipt stamp will follow on this partition."""
    return str(at_ns).encode()


def mark_time(value: bytes) -> int:
    """Read a clock mark's event time in ns. Raises BadInput."""
    if not value.isdigit() or len(value) > 20:
        raise BadInput("clock mark is not a decimal number")
    return int(value)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Input that could not be used, kept with the reason. `count` records were lost with it."""

    source: str  # topic/partition@offset, file:line, or peer address
    reason: str
    at_ns: int
    length: int
    sha256: str
    kept: bytes  # the first 64 KiB
    count: int = 1


def dead_letter(raw: bytes, *, source: str, reason: str, at_ns: int, count: int = 1) -> DeadLetter:
    """Keep what can be kept of a bad message."""
    return DeadLetter(
        source=source,
        reason=reason,
        at_ns=at_ns,
        length=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
        kept=raw[:KEPT_OF_A_DEAD_LETTER],
        count=count,
    )


def dead_letter_json(letter: DeadLetter) -> bytes:
    """Dead letter as JSON; bytes that are not UTF-8 stand as lone surrogates (surrogateescape)."""
    return _dump(
        {
            "v": VERSION,
            "source": letter.source,
            "reason": letter.reason,
            "at_ns": letter.at_ns,
            "length": letter.length,
            "sha256": letter.sha256,
            "kept": letter.kept.decode("utf-8", "surrogateescape"),
            "count": letter.count,
        }
    )


def dead_letter_from(raw: bytes) -> DeadLetter:
    """Read `dead_letter_json`. Raises BadInput."""
    document = _load(raw)
    try:
        return DeadLetter(
            source=str(document["source"]),
            reason=str(document["reason"]),
            at_ns=_whole(document["at_ns"]),
            length=_whole(document["length"]),
            sha256=str(document["sha256"]),
            kept=str(document["kept"]).encode("utf-8", "surrogateescape")[:KEPT_OF_A_DEAD_LETTER],
            count=_whole(document.get("count", 1)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"dead letter: {error}") from None


def verdict_json(verdict: Verdict) -> bytes:
    """A verdict as it stands on cordon.verdicts."""
    return _dump(
        {
            "v": VERSION,
            "id": verdict.id,
            "subject": subject_text(verdict.subject),
            "tick_end_ns": verdict.tick_end_ns,
            "score": round(verdict.score, 3),
            "level": verdict.level.name.lower(),
            "finding": verdict.finding.value,
            "evidence": [evidence_document(one) for one in verdict.evidence],
            "rates": {name: getattr(verdict.rates, name) for name in Rates.__slots__},
            "exporter": verdict.exporter,
            "interface": verdict.interface,
            "mac": verdict.mac,
            "first_bad_ns": verdict.first_bad_ns,
            "peers": list(verdict.peers),
            "explains": list(verdict.explains),
            "scorer": verdict.scorer,
            "worker": verdict.worker,
        }
    )


def verdict_from(raw: bytes) -> Verdict:
    """Read `verdict_json`. Raises BadInput naming the field that is wrong."""
    document = _load(raw)
    try:
        rates = {name: _figure(document["rates"].get(name, 0.0)) for name in Rates.__slots__}
        return Verdict(
            subject=subject_of(document["subject"]),
            tick_end_ns=_whole(document["tick_end_ns"]),
            score=_figure(document["score"]),
            level=Level[document["level"].upper()],
            finding=Finding(document["finding"]),
            evidence=tuple(evidence_from(one) for one in document["evidence"]),
            rates=Rates(**rates),
            exporter=str(document.get("exporter", "")),
            interface=_whole(document.get("interface", 0)),
            mac=str(document.get("mac", "")),
            first_bad_ns=_whole(document.get("first_bad_ns", 0)),
            peers=tuple(str(one) for one in document.get("peers", ())),
            explains=tuple(str(one) for one in document.get("explains", ())),
            scorer=str(document.get("scorer", "")),
            worker=str(document.get("worker", "")),
        )
    except BadInput:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"verdict: {type(error).__name__} {error}") from None


def evidence_document(evidence: Evidence) -> dict[str, Any]:
    """Evidence as a JSON-ready mapping."""
    return {
        "detector": evidence.detector,
        "witness": evidence.witness.value,
        "source": evidence.source,
        "strength": round(evidence.strength, 4),
        "weight": evidence.weight,
        "half_life_s": evidence.half_life_s,
        "at_ns": evidence.at_ns,
        "text": evidence.text,
        "facts": {name: list(fact) if isinstance(fact, tuple) else fact for name, fact in evidence.facts.items()},
        "traffic": evidence.traffic.value,
        "compromise": evidence.compromise,
    }


def evidence_from(document: Mapping[str, Any]) -> Evidence:
    """Read `evidence_document`; raises KeyError, TypeError or ValueError for what is not there or not of its kind."""
    half_life_s = _figure(document["half_life_s"])
    if half_life_s <= 0:
        raise ValueError("half_life_s must be above 0")
    return Evidence(
        detector=str(document["detector"]),
        witness=Witness(document["witness"]),
        source=str(document["source"]),
        strength=_figure(document["strength"]),
        weight=_figure(document["weight"]),
        half_life_s=half_life_s,
        at_ns=_whole(document["at_ns"]),
        text=str(document["text"]),
        facts={str(k): _fact(v) for k, v in document.get("facts", {}).items()},
        traffic=TrafficClass(document.get("traffic", "all")),
        compromise=bool(document.get("compromise", False)),
    )


@dataclass(frozen=True, slots=True)
class Canary:
    """Proof that the chain is whole, said among the verdicts every CANARY_NS of event time.

    What an activity partition heard before `event_ns` has been scored, and what was to be said of it stands before
    this: the clock marks that close a tick have come from every source partition through combining and scoring.
    """

    partition: int  # of cordon.activity
    event_ns: int


def canary_json(canary: Canary) -> bytes:
    """A canary as it stands on cordon.verdicts."""
    return _dump({"v": VERSION, "partition": canary.partition, "event_ns": canary.event_ns})


def canary_from(raw: bytes) -> Canary:
    """Read `canary_json`. Raises BadInput."""
    document = _load(raw)
    try:
        return Canary(_whole(document["partition"]), _whole(document["event_ns"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"canary: {type(error).__name__} {error}") from None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How one process is, once a second. `oldest_ns` is the event time of the oldest unprocessed event.

    Counts: for every source topic received = scored + dead + skipped, exactly.
    """

    process: str  # streams, controller, api, listen, clock
    instance: str
    at_ns: int  # wall clock of the sender
    event_ns: int = 0  # how far event time has come: the last tick closed
    version: str = ""
    lag: Mapping[str, int] = field(default_factory=dict)  # topic/partition → messages behind
    oldest_ns: int = 0
    sources: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict
    )  # topic → received, scored, dead, skipped, late
    exporters: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict
    )  # address → last_ns, records, fragments_visible (0/1)…
    silent: tuple[str, ...] = ()  # exporters that were heard before and are not now
    notes: tuple[str, ...] = ()
    canaries: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict
    )  # topic/partition of activity → event_ns of the last canary, heard_ns, and took_ms from the one to the other


def heartbeat_json(beat: Heartbeat) -> bytes:
    """A heartbeat as it stands on cordon.health."""
    document: dict[str, Any] = {name: getattr(beat, name) for name in Heartbeat.__slots__}
    return _dump(
        {
            "v": VERSION,
            **document,
            "lag": dict(beat.lag),
            "sources": {name: dict(one) for name, one in beat.sources.items()},
            "exporters": {name: dict(one) for name, one in beat.exporters.items()},
            "canaries": {name: dict(one) for name, one in beat.canaries.items()},
        }
    )


def heartbeat_from(raw: bytes) -> Heartbeat:
    """Read `heartbeat_json`. Raises BadInput."""
    document = _load(raw)
    try:
        return Heartbeat(
            process=str(document["process"]),
            instance=str(document["instance"]),
            at_ns=_whole(document["at_ns"]),
            event_ns=_whole(document.get("event_ns", 0)),
            version=str(document.get("version", "")),
            lag={str(k): _whole(v) for k, v in document.get("lag", {}).items()},
            oldest_ns=_whole(document.get("oldest_ns", 0)),
            sources={str(k): {str(a): _whole(b) for a, b in v.items()} for k, v in document.get("sources", {}).items()},
            exporters={
                str(k): {str(a): _whole(b) for a, b in v.items()} for k, v in document.get("exporters", {}).items()
            },
            silent=tuple(str(one) for one in document.get("silent", ())),
            notes=tuple(str(one) for one in document.get("notes", ())),
            canaries={
                str(k): {str(a): _whole(b) for a, b in v.items()} for k, v in document.get("canaries", {}).items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"heartbeat: {type(error).__name__} {error}") from None


@dataclass(frozen=True, slots=True)
class DecisionNote:
    """What the controller tells the streams: subjects under watch, whose rates are to be reported back each tick."""

    decision_id: str
    subject: str
    state: str
    at_ns: int
    simulated: bool = False


def decision_json(note: DecisionNote) -> bytes:
    """A decision note as it stands on cordon.decisions."""
    return _dump({"v": VERSION, **{name: getattr(note, name) for name in DecisionNote.__slots__}})


def decision_from(raw: bytes) -> DecisionNote:
    """Read `decision_json`. Raises BadInput."""
    document = _load(raw)
    try:
        return DecisionNote(
            decision_id=str(document["decision_id"]),
            subject=str(document["subject"]),
            state=str(document["state"]),
            at_ns=_whole(document["at_ns"]),
            simulated=bool(document.get("simulated", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"decision note: {error}") from None


def _dump(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def _whole(value: Any) -> int:
    """A whole number of 64 bits, as databases hold them: a forged one may not stop whoever keeps it."""
    try:
        number = int(value)
    except OverflowError:
        raise ValueError("an infinite number") from None
    if not -(2**63) <= number < 2**63:
        raise ValueError("a number beyond 64 bits")
    return number


def _figure(value: Any) -> float:
    """A finite number."""
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("a number beyond all measure") from None
    if not math.isfinite(number):
        raise ValueError(f"{number} is no figure")
    return number


def _fact(value: Any) -> Fact:
    if isinstance(value, list):
        return tuple(str(one) for one in value)
    if isinstance(value, str | bool):
        return value
    return _figure(value) if isinstance(value, float) else _whole(value)


def _load(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadInput("not a JSON object")
    if document.get("v") != VERSION:
        raise BadInput(f"version {document.get('v')!r} where {VERSION} is spoken")
    return document
