"""A frame of log lines into claims. Never raises for bad input: what cannot be read is a reject with its reason."""

from collections.abc import Mapping
from typing import Any

from controller.domain.errors import BadInput
from streams.decode import Reject
from streams.decode.claims import Claim, Logs
from streams.decode.envelope import LogLine, opened
from streams.decode.eve import event, salvaged
from streams.decode.lines import LONGEST_LINE, gathered
from streams.decode.phrasebook import Phrasebook, shipped
from streams.decode.stamps import stamp_ns

CEE = "@cee:"


def decode_logs(frame: bytes, *, kafka_ns: int, book: Phrasebook | None = None) -> Logs:
    """Read newline-separated log lines of any of the known shapes.

    `kafka_ns` (0: none) stands in where a line carries no receipt stamp. A cut EVE alert counts as heard when source
    and signature could be salvaged, else it is a reject.
    """
    book = book or shipped()
    claims: list[Claim] = []
    bad: list[tuple[bytes, str]] = []
    senders: dict[str, int] = {}
    received = cut = 0
    for raw in frame.split(b"\n"):
        if not raw.strip():
            continue
        received += 1
        if len(raw) > LONGEST_LINE:
            bad.append((raw, "line over 1 MiB"))
            continue
        try:
            sender, at_ns, claim, was_cut = _line(raw.decode("utf-8", "replace"), kafka_ns=kafka_ns, book=book)
        except BadInput as error:
            bad.append((raw, error.reason))
            continue
        cut += was_cut
        senders[sender] = max(at_ns, senders.get(sender, 0))
        if claim is not None:
            claims.append(claim)
    if not received:
        return Logs(1, 0, (Reject(frame, "empty frame"),), (), 0)
    return Logs(received, 0, tuple(gathered(bad)), tuple(claims), received - len(bad), senders, cut)


def _line(text: str, *, kafka_ns: int, book: Phrasebook) -> tuple[str, int, Claim | None, bool]:
    """(sender, receipt ns, claim, was it cut) of one line. Raises BadInput."""
    try:
        line = opened(text, kafka_ns=kafka_ns)
    except BadInput:
        claim = salvaged(text, sender="", at_ns=kafka_ns)
        if claim is None:
            raise
        return "", kafka_ns, claim, True
    if not isinstance(line, LogLine):
        return _eve(line, sender=str(line.get("host", "")), at_ns=kafka_ns)
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
