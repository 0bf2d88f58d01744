"""`cordon replay`, whole: from files and options to a report, in process, through Kafka, or at emulated devices."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TextIO

from controller.domain.address import Prefix
from controller.domain.errors import ConfigError
from controller.domain.estate import Estate, Site, SourceFormat
from controller.domain.rulebook import Rulebook
from controller.domain.toml import read
from controller.ledger import Ledger
from deploy.recordings import Piece, Recording, pieces, recording
from deploy.replay import Report, Streams, document, reasoning, replay
from deploy.sketch import UNNAMED, sketch
from drivers.devices import Devices

Advance = Callable[[float], None]
CAPTURES = Path(__file__).parent / "examples" / "policy-capture.toml"
"""The policy for a quick look at a capture, where no site and no policy are given."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    files: tuple[Path, ...]
    site: Path | None = None
    policy: Path | None = None
    ours: tuple[str, ...] = ()
    format: str = ""
    teller: str = ""
    emulate: bool = False
    through_kafka: bool = False


@dataclass(frozen=True, slots=True)
class Material:
    """What is replayed, and the network and rules that it is replayed with."""

    recordings: tuple[Recording, ...]
    site: Site
    rules: Rulebook

    @property
    def estate(self) -> Estate:
        """The site with its look-ups."""
        return Estate(self.site)

    @property
    def kinds(self) -> tuple[SourceFormat, ...]:
        """The formats that occur."""
        return tuple(dict.fromkeys(one.format for one in self.recordings))

    @property
    def records(self) -> int:
        """Lines in all files."""
        return sum(len(one.lines) for one in self.recordings)

    def pieces(self, advance: Advance) -> Iterator[Piece]:
        """The frames in the order of time; tells how far it has come."""
        done, whole = 0, max(self.records, 1)
        for piece in pieces(self.recordings, tick_ns=self.rules.scoring.tick_ms * 1_000_000):
            yield piece
            done += piece.records
            advance(done / whole)


def material(request: Request) -> Material:
    """Read what was asked for. Raises ConfigError, BadInput or OSError."""
    kind = _format(request.format)
    recordings = tuple(recording(path, kind) for path in request.files)
    policy = request.policy or (None if request.site else CAPTURES)
    rules = Rulebook(version=1, mode="enforce")
    if policy:
        rules = read(policy.read_text(), Rulebook, file=str(policy))
    if request.site:
        return Material(recordings, read(request.site.read_text(), Site, file=str(request.site)), rules)
    if not request.ours:
        raise ConfigError(file="replay", key="--site", expected="a site file, or --ours with what is yours")
    ours = tuple(_prefix(text) for text in request.ours)
    site = sketch(recordings, ours)
    return Material(tuple(one.told_by(_teller(one, site, request.teller)) for one in recordings), site, rules)


def _format(text: str) -> SourceFormat | None:
    try:
        return SourceFormat(text) if text else None
    except ValueError:
        known = ", ".join(one.value for one in SourceFormat)
        raise ConfigError(file="replay", key="--format", expected=f"one of {known}", got=repr(text)) from None


def _prefix(text: str) -> Prefix:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ConfigError(file="replay", key="--ours", expected="an address or a prefix", got=repr(text)) from None


def _teller(one: Recording, site: Site, named: str) -> str:
    """Who a log is from: as told; of a web server's log the first of our hosts; else the device in front of them."""
    if named:
        return named
    return str(site.hosts[0].addresses[0]) if one.is_access_log else str(site.devices[0].exporter or UNNAMED)


def rerun(request: Request, *, advance: Advance = lambda _: None) -> dict[str, Any]:
    """Replay, and give the report as a JSON-ready mapping."""
    asked = material(request)
    if request.through_kafka:
        from deploy.passing import through_kafka

        return document(through_kafka(asked.site, asked.rules, asked.pieces(advance), kinds=asked.kinds))
    if request.emulate:
        from deploy.enacting import at_emulated_devices

        return document(at_emulated_devices(asked.site, asked.rules, asked.pieces(advance), kinds=asked.kinds))
    return document(_on_paper(asked, advance))


def _on_paper(asked: Material, advance: Advance) -> Report:
    with tempfile.TemporaryDirectory(prefix="cordon-replay-") as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.sqlite3")
        try:
            return replay(
                asked.pieces(advance),
                streams=Streams(asked.estate, asked.rules, asked.kinds),
                mind=reasoning(asked.estate, asked.rules, ledger=ledger, holds=dialects(asked.estate).holds),
            )
        finally:
            ledger.close()


def dialects(estate: Estate) -> Devices:
    """The estate's devices as far as their dialects know them; no session is ever opened."""
    return Devices(estate, known_hosts=Path("known_hosts"), secrets={}, rehearse=lambda _: True)


def tell(report: Mapping[str, Any], out: TextIO) -> None:
    """The report in words."""
    out.write(
        f"{report['received']:,} records: {report['scored']:,} scored, {report['dead']:,} dead, "
        f"{report['skipped']:,} skipped\n"
    )
    for reason, count in report["why_dead"].items():
        out.write(f"  {count:,} dead: {reason}\n")
    for one in report["verdicts"]:
        when = datetime.fromtimestamp(one["first_ns"] / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        finding = "nothing to act on" if one["level"] == "clear" else f"{one['finding']}, {one['level']}"
        out.write(f"{one['subject']}: {finding} (score {one['score']:.0f}), first at {when}\n")
        for evidence in one["evidence"]:
            out.write(f"  {evidence['detector']}: {evidence['text']}\n")
    if not report["verdicts"]:
        out.write("nobody is worth watching\n")
    for one in report["decisions"]:
        _tell_decision(one, out)
    if not report["decisions"]:
        out.write("no decision: nothing would have been fenced\n")
    if report["held_back"]:
        out.write(f"{report['held_back']:,} further records were held back by the fences\n")
    for notice in report["notices"]:
        out.write(f"page: {notice}\n")
    if report["silent"]:
        out.write(f"silent sensors: {', '.join(report['silent'])}\n")


def _tell_decision(one: Mapping[str, Any], out: TextIO) -> None:
    done = "would wait for a person" if one["state"] == "proposed" else one["state"]
    out.write(f"decision on {one['host'] or one['subject']} ({one['mode']}): {done}\n")
    for fence in one["fences"]:
        out.write(f"  {fence['kind']} on {', '.join(fence['where'])}\n")
    against: Sequence[str] = [reason["text"] for reason in one["reasons"] if not reason["allows"]]
    for text in against:
        out.write(f"  not by itself: {text}\n")
