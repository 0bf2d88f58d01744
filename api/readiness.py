"""Whether Cordon as a whole can do its work now, from the heartbeats in the ledger. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from api.schemas.operations import CanaryOut, ExporterOut, HealthOut, ProcessOut, SourceOut
from controller.domain.record import Proof
from controller.domain.wire import Heartbeat

NEEDED = ("streams", "controller")
"""Processes without which nothing is scored or nothing is carried out."""

CANARY_MAX_AGE_S = 60.0
"""A chain is broken that has let no canary through for so long: six are due meanwhile."""

EARS = "listen"
"""Listeners say more of an exporter; whether it is silent, those judge who read its records."""


def assess(
    beats: Sequence[Heartbeat],
    *,
    now_ns: int,
    max_age_s: float,
    killed: bool,
    logins: Sequence[str],
    dead: Mapping[str, int],
    decisions: Mapping[str, int],
) -> HealthOut:
    """Fold all heartbeats into one picture; `faults` name what is missing, in sentences."""
    processes = [_process(beat, now_ns=now_ns, max_age_s=max_age_s) for beat in beats]
    fresh = [beat for beat, shown in zip(beats, processes, strict=True) if shown.fresh]
    heard = {beat.process for beat in fresh}
    ever = {beat.process for beat in beats}
    faults = [
        f"{name} was not heard for {max_age_s:.0f} s" if name in ever else f"{name} was never heard"
        for name in NEEDED
        if name not in heard
    ]
    canaries = _canaries(fresh, now_ns=now_ns)
    faults += [
        f"nothing has come through {one.partition} for {one.age_s:.0f} s"
        for one in canaries
        if one.age_s > CANARY_MAX_AGE_S
    ]
    lag: Counter[str] = Counter()
    for beat in fresh:
        for partition, behind in beat.lag.items():
            lag[partition] = max(lag[partition], behind)
    return HealthOut(
        ready=not faults,
        faults=faults,
        killed=killed,
        lag=dict(sorted(lag.items())),
        oldest_ns=min((beat.oldest_ns for beat in fresh if beat.oldest_ns), default=0),
        canaries=canaries,
        processes=processes,
        exporters=_exporters(beats, fresh),
        sources=_sources(beats),
        logins=list(logins),
        dead=dict(dead),
        decisions=dict(decisions),
    )


def unproven(devices: Iterable[str], proofs: Mapping[str, Proof], *, now_ns: int, max_age_s: float) -> Iterator[str]:
    """Devices that did not let Cordon in within `max_age_s`, or at the last attempt, in sentences."""
    for name in devices:
        proof = proofs.get(name)
        if proof is None:
            yield f"{name}: nobody has tried to log in yet"
        elif not proof.reached:
            yield f"{name}: {proof.text}"
        elif (age_s := (now_ns - proof.reached_ns) / 1e9) > max_age_s:
            yield f"{name}: the last login was {age_s / 3600:.0f} hours ago"


def _canaries(fresh: Sequence[Heartbeat], *, now_ns: int) -> list[CanaryOut]:
    """Those of the controller that heard the last one."""
    newest: dict[str, Mapping[str, int]] = {}
    for beat in fresh:
        for name, one in beat.canaries.items():
            if one["heard_ns"] > newest.get(name, {}).get("heard_ns", 0):
                newest[name] = one
    return [
        CanaryOut(partition=name, age_s=max(0, now_ns - one["heard_ns"]) / 1e9, took_ms=one["took_ms"])
        for name, one in sorted(newest.items())
    ]


def _process(beat: Heartbeat, *, now_ns: int, max_age_s: float) -> ProcessOut:
    age_s = (now_ns - beat.at_ns) / 1e9
    return ProcessOut(
        process=beat.process,
        instance=beat.instance,
        version=beat.version,
        fresh=abs(age_s) <= max_age_s,
        age_s=round(age_s, 3),
        event_ns=beat.event_ns,
        oldest_ns=beat.oldest_ns,
        lag=dict(beat.lag),
        notes=list(beat.notes),
    )


def _exporters(beats: Sequence[Heartbeat], fresh: Sequence[Heartbeat]) -> list[ExporterOut]:
    """An exporter is silent when a live worker misses it and no live worker hears it, or when no worker is left."""
    names = sorted({name for beat in beats for name in (*beat.exporters, *beat.silent)})
    hears = {name for beat in fresh if beat.process != EARS for name in beat.exporters if name not in beat.silent}
    found = []
    for name in names:
        facts = [beat.exporters[name] for beat in beats if name in beat.exporters]
        newest = {key: value for one in sorted(facts, key=_last_ns) for key, value in one.items()}
        found.append(
            ExporterOut(
                address=name,
                silent=name not in hears,
                last_ns=newest.get("last_ns", 0),
                records=sum(one.get("records", 0) for one in facts),
                facts={key: value for key, value in newest.items() if key not in ("last_ns", "records")},
            )
        )
    return found


def _last_ns(facts: Mapping[str, int]) -> int:
    return facts.get("last_ns", 0)


def _sources(beats: Sequence[Heartbeat]) -> list[SourceOut]:
    totals: dict[str, Counter[str]] = {}
    exact: dict[str, bool] = {}
    for beat in beats:
        for topic, counts in beat.sources.items():
            totals.setdefault(topic, Counter()).update(counts)
            went = counts.get("scored", 0) + counts.get("dead", 0) + counts.get("skipped", 0)
            exact[topic] = exact.get(topic, True) and counts.get("received", 0) == went
    return [
        SourceOut(
            topic=topic,
            received=count["received"],
            scored=count["scored"],
            dead=count["dead"],
            skipped=count["skipped"],
            late=count["late"],
            exact=exact[topic],
        )
        for topic, count in sorted(totals.items())
    ]
