"""`python -m controller`: the composition root of the only process with a way to the devices.

Only here, and in the adapters, are clocks, environment, signals and files read. One JSON object a line goes to standard
error; standard output stays empty.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from controller.answering import Answers
from controller.clerk import Clerk, EventTime
from controller.decider import Decider, Digests
from controller.domain import wire
from controller.domain.errors import BrokerUnavailable, CordonError, LedgerUnavailable, StaleDecision
from controller.domain.estate import Estate
from controller.domain.wire import Heartbeat
from controller.effect import Effects
from controller.enforcer import Enforcer
from controller.intake import Batch, Intake, KafkaAnnouncer
from controller.lanes import Lanes
from controller.ledger import Ledger
from controller.logins import Logins
from controller.readings import Readings, Said
from controller.reconciler import Reconciler
from controller.segments import Segments
from controller.settings import Access, Settings, lifelines, secrets
from controller.sheet import UndoSheet
from controller.surroundings import Surroundings
from controller.surveying import Surveyor, Tools
from drivers.devices import Devices

log = logging.getLogger("cordon.controller")

POLL_MS = 100
ATTEND_S = 0.1
SWEEP_S = 15.0
BEAT_S = 1.0
REHEARSED = 8
"""So many of our hosts are tried for a rehearsal at the start; one that can be decided on is enough."""
SHEET = "undo-sheet.txt"


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """Wall clock, nanoseconds since the epoch."""
        return time.time_ns()  # noqa: TID251 - the composition root reads the clock

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class CommandPager:
    """Runs the policy's command for each page, with the page as JSON on its standard input; logs it in any case."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    def page(self, *, what: str, about: str) -> None:
        """Call a person, without waiting for the command."""
        log.error("page: %s: %s", about, what)
        if self._command:
            threading.Thread(target=self._run, args=(what, about), daemon=True).start()

    def _run(self, what: str, about: str) -> None:
        page = json.dumps({"what": what, "about": about, "host": socket.gethostname()})
        try:
            subprocess.run(self._command, input=page, text=True, timeout=30, check=True, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("the pager command failed: %s", error)


@dataclass(frozen=True, slots=True)
class Options:
    """What the process is started with."""

    settings: Settings
    access: Access
    ledger: str
    known_hosts: Path
    run_dir: Path


@dataclass(slots=True)
class House:
    """Everything put together, and the loop that keeps it going."""

    options: Options
    stop: threading.Event
    kill_asked: threading.Event
    clock: SystemClock = field(default_factory=SystemClock)
    silent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    canaries: dict[str, dict[str, int]] = field(default_factory=dict)
    taken: int = 0
    dead: int = 0

    def run(self) -> None:
        """Work until told to stop. Raises ConfigError, LedgerUnavailable or BrokerUnavailable when it cannot begin."""
        options, clock = self.options, self.clock
        settings = options.settings
        estate, rules = settings.estate, settings.rules
        options.run_dir.mkdir(parents=True, exist_ok=True)
        keys = secrets(estate, os.environ)
        dry = rules.mode == "dry-run"
        network = Devices(
            estate,
            known_hosts=options.known_hosts,
            secrets=keys,
            rehearse=lambda device: dry or device.mode == "dry-run",
        )
        rehearsal = network
        if not dry:
            rehearsal = Devices(estate, known_hosts=options.known_hosts, secrets=keys, rehearse=lambda _: True)
        ledger = Ledger.open(options.ledger)
        event_time = EventTime(clock)
        pager = CommandPager(rules.pager_command)
        clerk = Clerk(ledger, pager, UndoSheet(options.run_dir / SHEET), clock, event_time)
        kill_file = Path(rules.limits.kill_file) if rules.limits.kill_file else None
        around = Surroundings(
            estate=estate,
            rules=rules,
            ledger=ledger,
            time=event_time,
            lifelines=lifelines(estate, broker=options.access.broker.servers, ledger=options.ledger),
            kill_file=lambda: kill_file is not None and kill_file.exists(),
        )
        corroboration = rules.limits.corroboration
        said = Said()
        readings = Readings(network, clock, corroboration, said)
        surveyor = Surveyor(
            clerk=clerk,
            live=Tools(network, readings),
            rehearsal=Tools(rehearsal, readings if dry else Readings(rehearsal, clock, corroboration, said)),
            fences=rules.fences,
            estate=estate,
        )
        effects = Effects(clerk, rules.effect)
        digests = Digests(policy=settings.policy_digest)
        decider = Decider(clerk=clerk, around=around, holds=network.holds, effects=effects, digests=digests)
        enforcer = Enforcer(clerk=clerk, surveyor=surveyor, situation=around.now, fences=rules.fences)
        announcer = KafkaAnnouncer(options.access)
        intake = Intake(options.access, ledger.offsets(), clock=clock)
        lanes = Lanes(lambda key, error: self._broke(key, error, reconciler, clerk))
        reconciler = Reconciler(
            clerk=clerk,
            enforcer=enforcer,
            decider=decider,
            effects=effects,
            around=around,
            lanes=lanes,
            readings=readings,
            announcer=announcer,
            rules=rules,
        )
        answers = Answers(
            clerk=clerk,
            decider=decider,
            surveyor=surveyor,
            segments=Segments(clerk=clerk, network=rehearsal, around=around, policy_digest=settings.policy_digest),
            lanes=lanes,
            network=rehearsal,
            estate=estate,
        )
        logins = Logins(clerk=clerk, live=network, fresh=rehearsal, lanes=lanes, estate=estate, rules=rules.logins)
        logins.warm()
        _rehearse(decider, ledger, estate)
        log.warning("controller: mode %s, %d devices, ledger open", rules.mode, len(estate.devices))
        try:
            self._loop(intake, reconciler, answers, logins, around, clerk)
        finally:
            lanes.close(timeout_s=30.0)
            announcer.close()
            intake.close()
            network.close()
            rehearsal.close()
            ledger.close()

    def _loop(
        self,
        intake: Intake,
        reconciler: Reconciler,
        answers: Answers,
        logins: Logins,
        around: Surroundings,
        clerk: Clerk,
    ) -> None:
        batch = Batch()
        attend_at = sweep_at = beat_at = 0.0
        unwell = ""
        while not self.stop.is_set():
            try:
                batch = batch if _unfinished(batch) else intake.poll(POLL_MS)
                self._hear(batch, reconciler, around, clerk)
                batch = Batch()
                now_s = self.clock.monotonic()
                if now_s >= attend_at:
                    attend_at = now_s + ATTEND_S
                    reconciler.attend()
                    answers.attend()
                    self._kill_if_asked(clerk)
                if now_s >= sweep_at:
                    sweep_at = now_s + SWEEP_S
                    reconciler.sweep()
                    logins.attend()
                if now_s >= beat_at:
                    beat_at = now_s + BEAT_S
                    clerk.ledger.take_in(verdicts=(), heartbeats=[self._beat(intake, clerk)], dead=(), offsets={})
                unwell = ""
            except (LedgerUnavailable, BrokerUnavailable) as error:
                if str(error) != unwell:
                    unwell = str(error)
                    clerk.page(f"the controller cannot work: {error}", about="controller")
                self.stop.wait(0.5)

    def _hear(self, batch: Batch, reconciler: Reconciler, around: Surroundings, clerk: Clerk) -> None:
        """Decide first, keep after: a batch that was decided on and not kept is heard again, and changes nothing."""
        for beat in batch.heartbeats:
            if beat.process == "streams":
                clerk.time.advance(beat.event_ns)
                self.silent[beat.instance] = beat.silent
                around.heard_silent(name for silent in self.silent.values() for name in silent)
        for canary in batch.canaries:
            heard_ns = self.clock.now_ns()
            took_ms = max(0, heard_ns - canary.event_ns) // 1_000_000
            told = {"event_ns": canary.event_ns, "heard_ns": heard_ns, "took_ms": took_ms}
            self.canaries[f"{wire.ACTIVITY}/{canary.partition}"] = told
        if batch.fresh:
            reconciler.hear(batch.fresh)
        if _unfinished(batch):
            clerk.ledger.take_in(
                verdicts=batch.verdicts, heartbeats=batch.heartbeats, dead=batch.dead, offsets=batch.offsets
            )
            self.taken += len(batch.verdicts)
            self.dead += len(batch.dead)

    def _beat(self, intake: Intake, clerk: Clerk) -> Heartbeat:
        notes = (f"{self.taken} verdicts taken in", f"{self.dead} dead letters", *(("catching up",) * intake.behind))
        return Heartbeat(
            process="controller",
            instance=f"{socket.gethostname()}-{os.getpid()}",
            at_ns=self.clock.now_ns(),
            event_ns=clerk.time.now_ns(),
            version=version("cordon"),
            notes=notes,
            canaries=self.canaries,
        )

    def _kill_if_asked(self, clerk: Clerk) -> None:
        if self.kill_asked.is_set():
            now_ns = self.clock.now_ns()
            clerk.ledger.set_killed("on", actor="signal", why="SIGUSR1 was sent to the controller", at_ns=now_ns)
            self.kill_asked.clear()
            clerk.page("the kill switch is on: nothing new is fenced", about="controller")

    def _broke(self, key: str, error: Exception, reconciler: Reconciler, clerk: Clerk) -> None:
        if isinstance(error, StaleDecision):
            return  # somebody moved it first; the next round sees it as it is
        reconciler.rest(key)
        log.error("%s broke off: %s", key, error, exc_info=None if isinstance(error, CordonError) else error)
        if not isinstance(error, LedgerUnavailable):
            clerk.page(f"work broke off: {error}", about=key)


def _rehearse(decider: Decider, ledger: Ledger, estate: Estate) -> None:
    """Decide on one of our hosts and keep nothing: what the first decision would have to load is there by then."""
    for host in estate.site.hosts[:REHEARSED]:
        try:
            ledger.rehearse(decider.imagine(str(host.addresses[0])))
        except (CordonError, IndexError) as error:
            log.info("no decision could be rehearsed on %s: %s", host.name, error)
        else:
            return


def _unfinished(batch: Batch) -> bool:
    return bool(batch.offsets)


def run(options: Options) -> None:
    """Run the controller until SIGTERM or SIGINT; SIGUSR1 turns the kill switch on."""
    stop, kill = threading.Event(), threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        stop.set()

    def killed(_: int, __: FrameType | None) -> None:
        kill.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGUSR1, killed)
    House(options, stop, kill).run()


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document = {
            "at": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "name": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            document["trace"] = self.formatException(record.exc_info)
        return json.dumps(document)


def log_to_stderr() -> None:
    """One JSON object a line, UTC, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = _JsonLines()
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def main() -> None:
    """`python -m controller`: the command `run` without its name."""
    import typer

    from controller.commands import run as command

    typer.run(command)


if __name__ == "__main__":
    main()
