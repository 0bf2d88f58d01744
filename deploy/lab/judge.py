"""What really happened, told by the devices: their journals, their configurations, and whose packets still pass.

Imports nothing of the rooms that are judged. What Cordon says of itself comes in as plain values (`Named`), what is
true comes from the generator (`Truth`), and everything about lines, refusals and bystanders from the devices alone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from deploy.lab.control import Arrival, Burst

SECOND_NS = 1e9
SETTLING_S = 2.0  # after the last leg was verified; lines later than that belong to no incident


@dataclass(frozen=True, slots=True)
class Leg:
    """One device's part in a fence, as Cordon reports it; 0: not verified."""

    device: str
    verified_ns: int


@dataclass(frozen=True, slots=True)
class Fence:
    """A fence as Cordon reports it."""

    kind: str
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """One decision, in Cordon's own words. `acted`: it went beyond waiting for a person."""

    subject: str
    verdict_ns: int  # event time of the end of the tick that passed the threshold
    acted: bool
    fences: tuple[Fence, ...] = ()
    evidence: tuple[Mapping[str, Any], ...] = ()

    @property
    def verified_ns(self) -> int:
        """Wall clock of the last leg's proof; 0 while one is missing."""
        stamps = [leg.verified_ns for fence in self.fences for leg in fence.legs]
        return max(stamps) if stamps and all(stamps) else 0


@dataclass(frozen=True, slots=True)
class Truth:
    """One scenario: who is to be found, under which names, and when it began and ended. Times 0: it did not."""

    scenario: int
    machine: str = ""  # empty: nobody is to be found
    subjects: tuple[str, ...] = ()
    received_ns: int = 0  # stamp of the first bad record
    sent_ns: int = 0  # wall clock when it was sent
    fell_ns: int = 0  # wall clock when hardly any of it entered the network any more


@dataclass(frozen=True, slots=True)
class Run:
    """The frame of it all."""

    mode: str
    broker: str
    seed: int
    records: int
    messages: int
    approved: bool = True  # in approve mode: somebody did


class Devices(Protocol):
    """What is asked of the emulated devices."""

    def forward(self, bursts: Sequence[Burst], *, now: float) -> list[Arrival]:
        """Send test packets."""
        ...

    def configurations(self) -> dict[str, list[str]]:
        """Every running configuration."""
        ...

    def counters(self) -> dict[str, dict[str, int | str]]:
        """Lines heard."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The devices at one moment, and what passes them: per machine, for each of its test packets, (passes, VLAN)."""

    configurations: Mapping[str, Sequence[str]]
    counters: Mapping[str, Mapping[str, int | str]]
    passes: Mapping[str, tuple[tuple[bool, int | None], ...]]


def snapshot(devices: Devices, probes: Mapping[str, Sequence[Burst]], *, now: float) -> Snapshot:
    """Read the configurations and send every machine's test packets."""
    sent = [(name, burst) for name, bursts in probes.items() for burst in bursts]
    arrivals = devices.forward([burst for _, burst in sent], now=now)
    passes: dict[str, list[tuple[bool, int | None]]] = {name: [] for name in probes}
    for (name, _), arrival in zip(sent, arrivals, strict=True):
        passes[name].append((arrival.packets > 0, arrival.vlan if arrival.packets else None))
    return Snapshot(
        devices.configurations(), devices.counters(), {name: tuple(found) for name, found in passes.items()}
    )


def changed(before: Snapshot, after: Snapshot) -> frozenset[str]:
    """Machines of whose test packets one is treated otherwise than before."""
    return frozenset(name for name, passes in before.passes.items() if after.passes[name] != passes)


def journal_lines(folder: Path) -> dict[str, tuple[float, ...]]:
    """Per device, when a line was heard that changed its configuration (the console's own edits left out)."""
    found: dict[str, tuple[float, ...]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        entries = (json.loads(line) for line in path.read_text().splitlines())
        found[path.stem] = tuple(
            float(entry["time"]) for entry in entries if entry.get("configured") and entry["session"]
        )
    return found


@dataclass(frozen=True, slots=True)
class Judgement:
    """The summary as a document, with the exit status in it."""

    document: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True when all was as it has to be."""
        return bool(self.document["exit"] == "ok")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was not, and what else is worth saying."""
        return tuple(self.document["reasons"])


def judge(
    run: Run,
    *,
    truths: Sequence[Truth],
    named: Sequence[Named],
    before: Snapshot,
    after: Snapshot,
    lines: Mapping[str, Sequence[float]],
) -> Judgement:
    """Weigh what was done against what is true."""
    offenders = {truth.machine for truth in truths if truth.machine}
    bystanders = changed(before, after) - offenders
    devices = _devices(before, after)
    found = {truth.scenario: _decision_on(truth, named) for truth in truths}
    spent = _lines_by_incident(truths, found, lines)
    touched = _touched_by_incident(truths, bystanders)
    right = {subject for truth in truths for subject in truth.subjects}
    false = [one.subject for one in named if one.acted and one.subject not in right]
    incidents = [
        _incident(
            truth,
            found[truth.scenario],
            devices,
            bystanders=touched[truth.scenario],
            config_lines=spent[truth.scenario],
        )
        for truth in truths
    ]
    failures = [
        *_missing(run, truths, incidents),
        *(f"a bystander was touched: {name}" for name in sorted(bystanders)),
        *(f"acted against {subject}, who did nothing wrong" for subject in false),
    ]
    if run.mode == "dry-run":
        failures += [
            f"a line was configured in dry-run on {name}" for name, heard in devices.items() if heard["config_lines"]
        ]
    notes = ["nobody approved in time"] if run.mode == "approve" and not run.approved else []
    return Judgement(
        {
            "version": 1,
            "mode": run.mode,
            "broker": run.broker,
            "seed": run.seed,
            "records": run.records,
            "messages": run.messages,
            "records_per_message": round(run.records / run.messages, 1) if run.messages else 0.0,
            "incidents": incidents,
            "devices": devices,
            "false_actions": len(false),
            "exit": "failed" if failures else "ok",
            "reasons": failures + notes,
        }
    )


def _decision_on(truth: Truth, named: Sequence[Named]) -> Named | None:
    """The decision about the offender: the one that went furthest, of equals the first."""
    own = [one for one in named if one.subject in truth.subjects]
    return min(own, key=lambda one: (not one.verified_ns, not one.acted, one.verdict_ns), default=None)


def _incident(
    truth: Truth,
    decision: Named | None,
    devices: Mapping[str, Mapping[str, Any]],
    *,
    bystanders: int,
    config_lines: int,
) -> dict[str, Any]:
    verified = decision.verified_ns if decision else 0
    return {
        "scenario": truth.scenario,
        "expected": list(truth.subjects),
        "offender": decision.subject if decision else None,
        "verdict_s": _seconds(decision.verdict_ns if decision else 0, truth.received_ns),
        "isolated_s": _seconds(verified, truth.sent_ns),
        "traffic_fell_s": _seconds(truth.fell_ns, truth.sent_ns),
        "fences": [
            {
                "kind": fence.kind,
                "legs": [
                    {
                        "device": leg.device,
                        "platform": devices[leg.device]["platform"] if leg.device in devices else "",
                        "verified_s": _seconds(leg.verified_ns, truth.sent_ns),
                    }
                    for leg in fence.legs
                ],
            }
            for fence in (decision.fences if decision else ())
        ],
        "bystanders_touched": bystanders,
        "config_lines_sent": config_lines,
        "evidence": [
            {"detector": one["detector"], "text": one["text"], "facts": one.get("facts", {})}
            for one in (decision.evidence if decision else ())
        ],
    }


def _seconds(then_ns: int, since_ns: int) -> float | None:
    return round((then_ns - since_ns) / SECOND_NS, 3) if then_ns and since_ns else None


def _missing(run: Run, truths: Iterable[Truth], incidents: Iterable[Mapping[str, Any]]) -> list[str]:
    """What should have happened and did not."""
    found = []
    for truth, incident in zip(truths, incidents, strict=True):
        if not truth.machine:
            continue
        if incident["offender"] is None:
            found.append(f"scenario {truth.scenario}: {truth.machine} was not named")
        elif run.mode == "enforce" or (run.mode == "approve" and run.approved):
            if incident["isolated_s"] is None:
                found.append(f"scenario {truth.scenario}: {truth.machine} was named and not isolated")
            elif incident["traffic_fell_s"] is None:
                found.append(f"scenario {truth.scenario}: the traffic of {truth.machine} did not fall")
    return found


def _devices(before: Snapshot, after: Snapshot) -> dict[str, dict[str, Any]]:
    """Lines, refusals and sessions of each device between two moments."""
    return {
        name: {
            "platform": counts["platform"],
            **{
                what: int(counts[what]) - int(before.counters[name][what])
                for what in ("config_lines", "refused", "sessions")
            },
        }
        for name, counts in after.counters.items()
    }


def _lines_by_incident(
    truths: Sequence[Truth], found: Mapping[int, Named | None], lines: Mapping[str, Sequence[float]]
) -> dict[int, int]:
    """Configured lines per incident: those on its fences' devices, from its beginning until its fences stood."""
    spent = {truth.scenario: 0 for truth in truths}
    for truth in truths:
        decision = found[truth.scenario]
        if decision is None:
            continue
        end = decision.verified_ns / SECOND_NS + SETTLING_S if decision.verified_ns else float("inf")
        for device in {leg.device for fence in decision.fences for leg in fence.legs}:
            spent[truth.scenario] += sum(truth.sent_ns / SECOND_NS <= at <= end for at in lines.get(device, ()))
    return spent


def _touched_by_incident(truths: Sequence[Truth], bystanders: frozenset[str]) -> dict[int, int]:
    """Every bystander counts once in each incident of the run: which fence hit whom the packets do not tell."""
    return {truth.scenario: len(bystanders) for truth in truths}
