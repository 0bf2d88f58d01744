"""A replay through the running parts: broker, topics and a worker process of its own; only the controller is in here.

The records' own time goes to the topics as clock marks, so that the worker scores them as it would have then.
"""

import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from controller.clerk import EventTime
from controller.domain import wire
from controller.domain.estate import Estate, Site, SourceFormat
from controller.domain.rulebook import Rulebook
from controller.domain.wire import Heartbeat
from controller.intake import Intake
from controller.ledger import Ledger
from controller.settings import EMBEDDED as READING
from controller.settings import access as reach
from deploy import parts
from deploy.ports import free_port
from deploy.recordings import Piece
from deploy.replay import AFTERMATH_S, Reasoning, Report, Stopped, concluded, reasoning, source_of
from deploy.supervisor import Supervisor
from deploy.tomlwriting import toml_text
from drivers.devices import Devices
from streams.broker import EMBEDDED, access
from streams.publish import Publisher, create_topics

POLL_MS = 50
WORKER_IS_SLOW_S = 120.0


def through_kafka(site: Site, rules: Rulebook, pieces: Iterable[Piece], *, kinds: tuple[SourceFormat, ...]) -> Report:
    """Replay through an embedded broker and a worker. Raises TimeoutError when the worker does not come to the end."""
    with tempfile.TemporaryDirectory(prefix="cordon-replay-") as name:
        folder = Path(name)
        layout = _layout(folder, site, rules)
        with Supervisor(folder / "logs") as supervisor:
            supervisor.start(parts.broker(int(layout.broker.rpartition(":")[2])))
            way = access(layout.broker, file=None, environment=os.environ, tempo=EMBEDDED)
            topics = create_topics(way, wire.topics(tuple(source.topic for source in site.sources))).partitions
            supervisor.launch(parts.worker(layout, ready=lambda: True))
            estate = Estate(site)
            with Publisher(way, topics) as publisher:
                end_ns = _publish(publisher, estate, pieces, kinds)
                publisher.flush()
            ledger = Ledger.open(layout.ledger)
            holds = Devices(estate, known_hosts=folder, secrets={}, rehearse=lambda _: True).holds
            try:
                return _listen(layout.broker, reasoning(estate, rules, ledger=ledger, holds=holds), end_ns)
            finally:
                ledger.close()


def _layout(folder: Path, site: Site, rules: Rulebook) -> parts.Layout:
    (folder / "site.toml").write_text(toml_text(site))
    (folder / "policy.toml").write_text(toml_text(rules))
    return parts.Layout(
        run=folder,
        site=folder / "site.toml",
        policy=folder / "policy.toml",
        broker=f"127.0.0.1:{free_port()}",
        ledger=f"sqlite:///{folder / 'ledger.sqlite3'}",
        known_hosts=folder / "known_hosts",
    )


def _publish(publisher: Publisher, estate: Estate, pieces: Iterable[Piece], kinds: tuple[SourceFormat, ...]) -> int:
    """Write every frame to its topic, partitions in turn, with marks; gives the time of the last mark."""
    topics = {kind: source_of(estate, kind).topic for kind in kinds}
    everywhere = tuple(dict.fromkeys(source.topic for source in estate.site.sources))
    at_ns = 0
    for number, piece in enumerate(pieces):
        topic = topics[piece.format]
        publisher.send(topic, piece.value, partition=number % publisher.partitions(topic), at_ns=piece.at_ns)
        at_ns = piece.at_ns
        publisher.mark(everywhere, at_ns)
    end_ns = at_ns + int(AFTERMATH_S * 1e9)
    publisher.mark(everywhere, end_ns)
    return end_ns


def _listen(broker: str, mind: Reasoning, end_ns: int) -> Report:
    """Decide on the verdicts as they come, until the worker has closed the last tick."""
    report = Report()
    patience = time.monotonic() + WORKER_IS_SLOW_S
    heard: Heartbeat | None = None
    intake = Intake(reach(broker, file=None, environment=os.environ, tempo=READING), {}, clock=Stopped(EventTime()))
    try:
        while heard is None or heard.event_ns < end_ns - int(AFTERMATH_S * 1e9):
            if time.monotonic() > patience:
                raise TimeoutError(f"the worker did not come to the end of the records in {WORKER_IS_SLOW_S:.0f} s")
            batch = intake.poll(POLL_MS)
            for letter in batch.dead:
                report.why_dead[letter.reason] += letter.count
            report.hear(batch.verdicts)
            mind.decider.hear(batch.verdicts)
            heard = next((beat for beat in reversed(batch.heartbeats) if beat.process == "streams"), heard)
    finally:
        intake.close()
    for counts in heard.sources.values():
        report.received += counts.get("received", 0)
        report.scored += counts.get("scored", 0)
        report.dead += counts.get("dead", 0)
        report.skipped += counts.get("skipped", 0)
    report.silent = heard.silent
    return concluded(report, mind)
