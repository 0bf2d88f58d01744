"""A frame of log lines into claims. Never raises for bad input: what cannot be read is a reject with its reason."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from controller.domain.address import unpacked
from controller.domain.errors import BadInput
from streams.decode import Reject
from streams.decode.claims import Claim, ClaimKind, Logs
from streams.decode.datagrams import MAGIC, unframed
from streams.decode.envelope import LogLine, opened
from streams.decode.eve import event, salvaged
from streams.decode.lines import LONGEST_LINE, gathered
from streams.decode.phrasebook import Phrasebook, named, shipped
from streams.decode.stamps import stamp_ns

CEE = "@cee:"


def decode_logs(
    frame: bytes,
    *,
    kafka_ns: int,
    unnamed: str = "",
    knows: Callable[[str], bool] | None = None,
    book: Phrasebook | None = None,
) -> Logs:
    """Read newline-separated log lines of any of the known shapes, or a frame of our own listener.

    In the latter the sender is whoever held the other end of the line, and the receipt is ours, whatever a line says.
    `kafka_ns` (0: none) stands in where a line carries no receipt stamp, `unnamed` where neither transport nor line
    names a sender; a sender that `knows` denies is refused. A cut EVE alert counts as heard when source and signature
    could be salvaged, else it is a reject.
    """
    book = book or shipped()
    claims: list[Claim] = []
    bad: list[tuple[bytes, str]] = []
    heard: list[int] = []
    senders: dict[str, tuple[int, int]] = {}
    cut = 0
    try:
        lines = _lines(frame, kafka_ns)
    except BadInput as error:
        return Logs(1, 0, (Reject(frame, error.reason),), (), ())
    for raw, peer, received_ns in lines:
        try:
            sender, at_ns, claim, was_cut = _read(raw, peer, kafka_ns=received_ns, unnamed=unnamed, book=book)
        except BadInput as error:
            bad.append((raw, error.reason))
            continue
        count, latest = senders.get(sender, (0, 0))
        if not count and knows is not None and not knows(sender):
            bad.append((raw, "unknown sender"))
            continue
        cut += was_cut
        heard.append(at_ns)
        senders[sender] = (count + 1, max(latest, at_ns))
        if claim is not None:
            claims.append(claim)
    if not lines:
        return Logs(1, 0, (Reject(frame, "empty frame"),), (), ())
    return Logs(len(lines), 0, tuple(gathered(bad)), tuple(claims), tuple(heard), senders, cut)


def _lines(frame: bytes, kafka_ns: int) -> list[tuple[bytes, str, int]]:
    """Each line, the address that it came from where that is known, and when it was received. Raises BadInput."""
    if not frame.startswith(MAGIC):
        return [(raw, "", kafka_ns) for raw in frame.split(b"\n") if raw.strip()]
    heard = unframed(frame)
    peers = [str(unpacked(one)) for one in heard.exporters]
    ends = heard.offset.tolist()
    told = zip(heard.exporter.tolist(), heard.receipt_ns.tolist(), ends[:-1], ends[1:], strict=True)
    return [(raw, peers[who], at_ns) for who, at_ns, at, end in told if (raw := heard.payload[at:end]).strip()]


def _read(
    raw: bytes, peer: str, *, kafka_ns: int, unnamed: str, book: Phrasebook
) -> tuple[str, int, Claim | None, bool]:
    if len(raw) > LONGEST_LINE:
        raise BadInput("line over 1 MiB")
    sender, at_ns, claim, was_cut = _line(raw.decode("utf-8", "replace"), peer, kafka_ns=kafka_ns, book=book)
    if not at_ns:
        raise BadInput("no time")
    if not sender and claim is not None:
        accused = named(unnamed) if claim.kind is ClaimKind.WEB_EXPLOIT else claim.accused
        claim = replace(claim, sender=unnamed, accused=accused)
    return sender or unnamed, at_ns, claim, was_cut


def _line(text: str, peer: str, *, kafka_ns: int, book: Phrasebook) -> tuple[str, int, Claim | None, bool]:
    """(sender, receipt ns, claim, was it cut) of one line. Raises BadInput."""
    try:
        line = opened(text, kafka_ns=kafka_ns)
    except BadInput:
        claim = salvaged(text, sender=peer, at_ns=kafka_ns)
        if claim is None:
            raise
        return peer, kafka_ns, claim, True
    if not isinstance(line, LogLine):
        return _eve(line, sender=peer or str(line.get("host", "")), at_ns=kafka_ns)
    if peer:
        line = LogLine(kafka_ns, peer, line.program, line.text)
    body = line.text.removeprefix(CEE).lstrip()
    if body.startswith("{"):
        return _inner(body, line)
    return line.sender, line.at_ns, book.claim(line), False


def _inner(body: str, line: LogLine) -> tuple[str, int, Claim | None, bool]:
    """JSON inside a syslog message: an EVE event, whole or cut; other JSON says nothing to us."""
    try:
        document = opened(body, kafka_ns=line.at_ns)
    except BadInput as error:
        claim = salvaged(body, sender=line.sender, at_ns=line.at_ns)
        if claim is None and '"event_type"' in body:
            raise BadInput("cut EVE line") from error
        return line.sender, line.at_ns, claim, claim is not None
    if isinstance(document, LogLine):
        return line.sender, line.at_ns, None, False
    return _eve(document, sender=line.sender, at_ns=line.at_ns)


def _eve(document: Mapping[str, Any], *, sender: str, at_ns: int) -> tuple[str, int, Claim | None, bool]:
    when = at_ns or stamp_ns(str(document.get("timestamp", "")))
    return sender, when, event(document, sender=sender, at_ns=when), False
