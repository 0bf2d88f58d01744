"""The demonstration: a provider of 400 hosts, two offenders, and Cordon between them and the network.

Everything runs as in production, in processes of its own. Only the devices and their traffic are played, and what the
summary says of them is told by the devices themselves.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from deploy import parts
from deploy.lab import rig
from deploy.lab.board import Board, Milestone, Traffic
from deploy.lab.console import Console, Decided
from deploy.lab.control import Emulators
from deploy.lab.judge import Judgement, Run, Snapshot, Truth, journal_lines, judge, snapshot
from deploy.lab.probing import probes
from deploy.lab.provider import EXPERT, EXPERT_ENV, Machine, Provider, provider
from deploy.supervisor import Supervisor
from streams.broker import EMBEDDED, access

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
PRESENT_S = 1.5  # scoring is no further behind: live time has come
ALMOST_S = 20.0  # the day before is scored; the traffic may go on tick by tick
WARM_UP_S = 600.0
PAUSE_S = 0.1
STAGGER_S = 4.0  # between the beginnings of two scenarios
CALM_S = 12.0  # how long a scenario without an offender is watched
PATIENCE_S = 20.0  # after which an offender that is not isolated counts as missed
SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    mode: str = "enforce"
    scenarios: tuple[int, ...] = (1, 2)
    seed: int = 1
    wait_s: float = 600.0
    approves_itself: bool = False
    with_a_past: bool = True
    broker: str = ""  # HOST:PORT of somebody else's; empty: the embedded one; "apache": one of our own
    broker_file: Path | None = None
    journal: Path | None = None
    home: Path = Path(".cordon")


@dataclass(slots=True)
class Incident:
    """One scenario as it unfolds. Times are wall clock except `received_ns`; 0: not yet."""

    number: int
    machine: Machine | None
    started_s: float = 0.0
    received_ns: int = 0
    sent_ns: int = 0
    fell_ns: int = 0
    decision: Decided | None = None

    @property
    def truth(self) -> Truth:
        """What is true of it, for the judge."""
        if self.machine is None:
            return Truth(self.number)
        subjects = self.machine.subjects
        return Truth(self.number, self.machine.name, subjects, self.received_ns, self.sent_ns, self.fell_ns)


class Demo:
    """One run. `prepare`, `perform`, `judge`; whoever calls ends the supervisor whatever happens."""

    def __init__(self, options: Options, board: Board, supervisor: Supervisor, folders: rig.Folders) -> None:
        self._options, self._board, self._supervisor, self._folders = options, board, supervisor, folders
        self._provider: Provider = provider(options.seed)
        self._incidents = [Incident(number, self._provider.offender(number)) for number in options.scenarios]
        self._records = self._messages = 0
        self._asked: set[str] = set()
        self._live = False

    def prepare(self, stack: ExitStack) -> None:
        """Start everything, let a normal day pass, and look at the devices as they are."""
        options, board = self._options, self._board
        names = ", ".join(f"{plan.name} ({plan.platform})" for plan in self._provider.devices)
        board.event(f"seed {options.seed}: {len(self._provider.machines)} hosts behind {names}")
        board.stage("starting the devices")
        rig.emulate(self._provider, self._folders, self._supervisor, mode=options.mode)
        board.stage("starting the broker")
        broker = self._broker()
        reach = access(broker, file=options.broker_file, environment=os.environ, tempo=EMBEDDED)
        if broker == options.broker:
            stack.enter_context(rig.guest_topics(reach))
            stack.callback(self._supervisor.stop)  # nobody reads or writes them any more when they are deleted
        else:
            rig.make_topics(reach)
        self._emulators = stack.enter_context(Emulators(self._folders.control))
        self._before = self._look()
        board.stage("starting Cordon")
        layout = self._layout(broker)
        self._supervisor.launch(parts.worker(layout, ready=lambda: True))
        self._play = rig.play(
            self._provider,
            self._folders,
            self._supervisor,
            broker=broker,
            broker_file=options.broker_file,
            scenarios=options.scenarios,
            with_a_past=() if options.with_a_past else ("--no-day",),
        )
        self._supervisor.start(
            parts.api(layout, host="127.0.0.1", port=0, ready=lambda: rig.connection(layout.connection) is not None)
        )
        url, token = rig.connection(layout.connection) or ("", "")
        self._console = stack.enter_context(Console(url, token))
        controller = parts.controller(layout, ready=lambda: True)
        self._supervisor.launch(replace(controller, environment={EXPERT_ENV: EXPERT}))
        board.event(f"the API answers at {url}; `cordon decisions`, `cordon show`, `cordon approve` reach it")
        self._warm_up()

    def perform(self) -> None:
        """Let the scenarios begin one after the other, and wait until each has come to its end."""
        for incident in self._incidents:
            incident.started_s = time.monotonic()
            self._play.order(start=incident.number)
            name = incident.machine.name if incident.machine else "a night with nothing wrong"
            self._board.event(f"scenario {incident.number} begins: {name}")
            self._watch(until=partial(self._over, incident), at_most_s=STAGGER_S)
        self._board.stage("watching")
        self._watch(until=lambda: all(self._over(one) for one in self._incidents), at_most_s=self._patience())
        self._watch(until=lambda: False, at_most_s=SETTLE_S)

    def judge(self) -> Judgement:
        """Look at the devices again, end the play, and weigh what happened."""
        after = self._look()
        decisions = self._console.decisions()
        self._play.order(totals=True)
        self._wait(self._counted, deadline_s=30.0, what="the generator to count")
        run = Run(
            mode=self._options.mode,
            broker="apache" if self._options.broker else "embedded",
            seed=self._options.seed,
            records=self._records,
            messages=self._messages,
            approved=self._options.mode != "approve" or self._all_approved(decisions),
        )
        for incident in self._incidents:
            incident.decision = self._decision_on(incident, decisions)
            self._tell(incident)
        return judge(
            run,
            truths=[incident.truth for incident in self._incidents],
            named=[one.named for one in decisions],
            before=self._before,
            after=after,
            lines=journal_lines(self._folders.journal),
        )

    def _broker(self) -> str:
        """Where the broker is, started unless it is somebody else's."""
        match self._options.broker:
            case "":
                return rig.embedded_broker(self._supervisor)
            case "apache":
                return rig.apache_broker(self._supervisor, self._folders)
            case elsewhere:
                return elsewhere

    def _layout(self, broker: str) -> parts.Layout:
        run = self._folders.run
        return parts.Layout(
            run=self._options.home,
            site=run / "site.toml",
            policy=run / "policy.toml",
            broker=broker,
            ledger=f"sqlite:///{run / 'ledger.sqlite3'}",
            known_hosts=self._folders.known_hosts,
            broker_file=self._options.broker_file,
            embedded=not self._options.broker,
        )

    def _look(self) -> Snapshot:
        now = time.time()  # noqa: TID251 - test packets are stamped with the wall clock, as all traffic here
        return snapshot(self._emulators, probes(self._provider), now=now)

    def _warm_up(self) -> None:
        """Wait until the past is written and scored, the controller is up, and live time has caught up."""

        def ready() -> bool:
            self._hear()
            beats = self._beats()
            behind_ns = time.time_ns() - int(beats.get("streams", {}).get("event_ns", 0))  # noqa: TID251 - live time
            share = max(0.0, 1.0 - behind_ns / DAY_NS)
            if behind_ns < ALMOST_S * SECOND_NS:
                self._play.order(live=True)
            self._board.stage("a normal day passes, so that Cordon knows what is usual", share)
            return self._live and behind_ns < PRESENT_S * SECOND_NS and "controller" in beats

        self._wait(ready, deadline_s=WARM_UP_S, what="the day before to be scored")
        self._board.event(f"{self._records:,} records of a normal day are scored; live time begins")

    def _watch(self, *, until: Callable[[], bool], at_most_s: float) -> None:
        """Follow what happens until a state has come or the time is over."""
        end = time.monotonic() + at_most_s
        while time.monotonic() < end:
            self._hear()
            self._follow()
            if until():
                return
            time.sleep(PAUSE_S)

    def _hear(self) -> None:
        """Take in what the generator knows to be true."""
        incidents = {one.number: one for one in self._incidents}
        for fact in self._play.told():
            incident = incidents.get(fact.get("scenario", 0))
            match fact["event"]:
                case "warm":
                    self._records = fact["records"]
                case "live":
                    self._live = True
                case "bad" if incident:
                    incident.received_ns, incident.sent_ns = fact["received_ns"], fact["sent_ns"]
                case "fell" if incident:
                    incident.fell_ns = fact["at_ns"]
                case "passing" if incident and incident.machine:
                    self._board.traffic(
                        incident.number,
                        Traffic(incident.machine.name, fact["offered"], fact["entered"], fact["why"]),
                    )
                case "totals":
                    self._records, self._messages = fact["records"], fact["messages"]

    def _follow(self) -> None:
        """Take in how decisions stand; approve them if that was asked for."""
        self._supervisor.tend()
        try:
            decisions = self._console.decisions()
        except httpx.HTTPError as error:
            self._board.event(f"the API did not answer: {error}")
            return
        self._board.decisions([one.row for one in decisions])
        for incident in self._incidents:
            incident.decision = self._decision_on(incident, decisions)
        if self._options.mode == "approve":
            self._put_to_people(decisions)

    def _put_to_people(self, decisions: Iterable[Decided]) -> None:
        """Approve what is proposed, or say how a person does; each decision once."""
        for one in decisions:
            if one.state == "proposed" and one.id not in self._asked:
                self._asked.add(one.id)
                if self._options.approves_itself:
                    self._console.approve(one.id, reason="demonstration with --auto-approve")
                else:
                    self._board.event(f"approve it in another terminal: cordon approve {one.id[:12]} --reason WHY")

    def _counted(self) -> bool:
        self._hear()
        return bool(self._messages)

    def _over(self, incident: Incident) -> bool:
        """True when nothing more is to be waited for."""
        if incident.machine is None:
            return time.monotonic() - incident.started_s > CALM_S
        decision = incident.decision
        if decision is None:
            return False
        if self._options.mode == "dry-run":
            return decision.simulated and bool(decision.fences)
        return bool(incident.fell_ns) and decision.verified

    def _patience(self) -> float:
        waits_for_people = self._options.mode == "approve" and not self._options.approves_itself
        return self._options.wait_s if waits_for_people else PATIENCE_S

    def _all_approved(self, decisions: Sequence[Decided]) -> bool:
        found = [self._decision_on(one, decisions) for one in self._incidents if one.machine]
        return all(one is not None and one.named.acted for one in found)

    def _decision_on(self, incident: Incident, decisions: Iterable[Decided]) -> Decided | None:
        if incident.machine is None:
            return None
        own = [
            one for one in decisions if one.subject in incident.machine.subjects or one.host == incident.machine.name
        ]
        return min(own, key=lambda one: (not one.verified, one.verdict_ns), default=None)

    def _beats(self) -> Mapping[str, Mapping[str, Any]]:
        try:
            return self._console.beats()
        except httpx.HTTPError:
            return {}

    def _wait(self, state: Callable[[], bool], *, deadline_s: float, what: str) -> None:
        end = time.monotonic() + deadline_s
        while not state():
            self._supervisor.tend()
            if time.monotonic() > end:
                raise TimeoutError(
                    f"waited {deadline_s:.0f} s for {what}; the logs are in {self._folders.run / 'logs'}"
                )
            time.sleep(PAUSE_S)

    def _tell(self, incident: Incident) -> None:
        """The timeline of one incident."""
        if incident.machine is None:
            return
        decision, truth = incident.decision, incident.truth

        def after(stamp_ns: int, *, since_ns: int = truth.sent_ns) -> float | None:
            return (stamp_ns - since_ns) / SECOND_NS if stamp_ns and since_ns else None

        evidence = str(decision.evidence[0]["text"]) if decision and decision.evidence else ""
        steps = [Milestone("first bad record", 0.0 if truth.sent_ns else None, truth.machine)]
        verdict = after(decision.verdict_ns, since_ns=truth.received_ns) if decision else None
        steps.append(Milestone("verdict, in event time", verdict, evidence))
        state = decision.row.state if decision else ""
        steps.append(Milestone("decision", after(decision.decided_ns) if decision else None, state))
        for fence in decision.fences if decision else ():
            steps += [Milestone(f"{fence.kind} verified", after(leg.verified_ns), leg.device) for leg in fence.legs]
        steps.append(Milestone("traffic seen to fall", after(truth.fell_ns)))
        self._board.timeline(f"Scenario {incident.number}: {truth.machine}", steps)


def folders(options: Options) -> rig.Folders:
    """A fresh folder for the run below the home, and the journals' folder."""
    run = options.home / "demo"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    options.home.chmod(0o700)
    (options.home / "connection.toml").unlink(missing_ok=True)
    return rig.Folders(run.resolve(), (options.journal or run / "journal").resolve())


def perform(options: Options, board: Board, *, linger: Callable[[Callable[[], None]], None]) -> Judgement:
    """Run the demonstration from beginning to end. `linger` is called with everything still up, after the judgement."""
    places = folders(options)
    with Supervisor(places.run / "logs", say=board.event, grace_s=3.0) as supervisor, ExitStack() as stack:
        demo = Demo(options, board, supervisor, places)
        demo.prepare(stack)
        demo.perform()
        judgement = demo.judge()
        linger(supervisor.tend)
    return judgement
