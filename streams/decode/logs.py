"""A frame of log lines into claims. Never raises for bad input: what cannot be read is a reject with its reason."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import MAPPED, Prefix, unpacked
from controller.domain.errors import BadInput
from streams.decode import Reject
from streams.decode.claims import Claim, ClaimKind, Logs
from streams.decode.datagrams import MAGIC, Datagrams, unframed
from streams.decode.datagrams import frame as frame_of
from streams.decode.envelope import LogLine, opened
from streams.decode.eve import event, salvaged
from streams.decode.lines import LONGEST_LINE, gathered
from streams.decode.phrasebook import Fit, Phrasebook, named, shipped
from streams.decode.shapes import OTHER, Shapes
from streams.decode.sieve import BLANK, ODD
from streams.decode.stamps import stamp_ns

CEE = "@cee:"

Ints = NDArray[np.int64]

Ranges: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""First and last IPv4 address of each range; ascending, and none touches another."""

EVERYBODY: Ranges = (np.zeros(1, np.int64), np.full(1, 0xFFFFFFFF, np.int64))


def ranges(prefixes: Iterable[Prefix]) -> Ranges:
    """What these prefixes cover of IPv4."""
    mapped = ip_address(MAPPED)
    fours = [one for one in prefixes if isinstance(one, IPv4Network)]
    if any(mapped in one for one in prefixes if isinstance(one, IPv6Network)):
        return EVERYBODY
    both = np.array([(int(one[0]), int(one[-1])) for one in collapse_addresses(fours)], np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def prepare() -> None:
    """Load what is compiled, or compile it, by two lines of a shape: no live frame should wait for that."""
    book = shipped()
    told = next(phrase for _, phrase in book.entries if phrase.by_shape)
    lines = [f"<4>Jan  1 00:00:0{second} gw {told.example}".encode() for second in range(2)]
    LogReader(book=book).frame(frame_of([bytes(16)], [0, 0], [1, 1], lines), kafka_ns=1)


class LogReader:
    """Reads frames of log lines; nobody outside of `ours` is accused. It remembers shapes of lines to spare work."""

    def __init__(self, *, ours: Ranges = EVERYBODY, book: Phrasebook | None = None) -> None:
        self._book = book or shipped()
        self._ours = ours
        self._shapes = Shapes(self._book, _whole)

    def frame(
        self, frame: bytes, *, kafka_ns: int, unnamed: str = "", knows: Callable[[str], bool] = lambda _: True
    ) -> Logs:
        """Read newline-separated log lines of any of the known shapes, or a frame of our own listener.

        In the latter the sender is whoever held the other end of the line, and the receipt is ours, whatever a line
        says; lines of a sender that say the same of the same are one claim. `kafka_ns` (0: none) stands in where a line
        carries no receipt stamp, `unnamed` where neither transport nor line names a sender; a sender that `knows`
        denies is refused. A cut EVE alert counts as heard when source and signature could be salvaged, else it is a
        reject.
        """
        if not frame.startswith(MAGIC):
            return _each(frame, kafka_ns=kafka_ns, unnamed=unnamed, knows=knows, book=self._book)
        try:
            heard = unframed(frame)
        except BadInput as error:
            return _refused(frame, error.reason)
        return self._all(heard, frame, knows)

    def _all(self, heard: Datagrams, frame: bytes, knows: Callable[[str], bool]) -> Logs:
        """The lines of our own listener, of which only those are looked at that may claim anything."""
        peers = [str(unpacked(one)) for one in heard.exporters]
        may, marks = self._book.words.sought(heard.payload, heard.offset)
        there = (marks & BLANK) == 0
        if not there.any():
            return _refused(frame, "empty frame")
        known = there & np.array([knows(peer) for peer in peers], np.bool_)[heard.exporter]
        plain = ((marks & ODD) == 0) & (np.diff(heard.offset) <= LONGEST_LINE) & (heard.receipt_ns > 0)
        bad = [(heard.one(index), "unknown sender") for index in np.flatnonzero(there & ~known).tolist()]
        claims = self._claims(heard, np.flatnonzero(known & plain & (may != 0)), may, peers)
        cut = 0
        for index in np.flatnonzero(known & ~plain).tolist():
            raw, peer, at_ns = heard.one(index), peers[heard.exporter[index]], int(heard.receipt_ns[index])
            try:
                _, _, claim, was_cut = _read(raw, peer, kafka_ns=at_ns, unnamed="", book=self._book)
            except BadInput as error:
                bad.append((raw, error.reason))
                known[index] = False
                continue
            cut += was_cut
            claims += [claim] if claim is not None else []
        receipt = heard.receipt_ns[known]
        senders = _senders(peers, heard.exporter[known], receipt)
        return Logs(int(there.sum()), 0, tuple(gathered(bad)), tuple(claims), receipt, senders, cut)

    def _claims(self, heard: Datagrams, lines: Ints, may: NDArray[np.uint64], peers: list[str]) -> list[Claim]:
        """What plain lines claim, those alike together."""
        if not len(lines):
            return []
        alike: dict[tuple[int, int, str], _Alike] = {}
        told = self._shapes.tell(heard, lines, may[lines])
        first, last = self._ours
        mine = np.append(last, -1)[np.searchsorted(first, told.accused, "right") - 1] >= told.accused
        telling = np.flatnonzero((told.accused >= 0) & mine)
        groups = _groups(heard.exporter[lines], told.phrase, told.accused, telling)
        for group, fit in zip(groups, told.fits(np.array([group[-1] for group in groups], np.int64)), strict=True):
            stamps = heard.receipt_ns[lines[group]].tolist()
            who = int(heard.exporter[lines[group[0]]])
            alike[who, fit.number, fit.words["accused"]] = _Alike(fit, min(stamps), max(stamps), len(stamps))
        for index in lines[told.accused == OTHER].tolist():
            alone = self._book.fit(_whole(heard.one(index)), int(may[index]))
            if alone is not None:
                _add(alike, int(heard.exporter[index]), int(heard.receipt_ns[index]), alone)
        return [
            self._book.said(one.fit, sender=peers[who], first_ns=one.first_ns, last_ns=one.last_ns, lines=one.lines)
            for (who, _, _), one in alike.items()
        ]


@dataclass(slots=True)
class _Alike:
    """Lines of one sender that fit the same phrase and accuse the same, and what the last of them says."""

    fit: Fit
    first_ns: int
    last_ns: int
    lines: int = 0


def _add(alike: dict[tuple[int, int, str], _Alike], who: int, at_ns: int, fit: Fit) -> None:
    one = alike.setdefault((who, fit.number, fit.words.get("accused", "")), _Alike(fit, at_ns, at_ns))
    one.lines += 1
    one.first_ns = min(one.first_ns, at_ns)
    if at_ns >= one.last_ns:
        one.fit, one.last_ns = fit, at_ns


def _groups(sender: Ints, phrase: Ints, accused: Ints, chosen: Ints) -> list[Ints]:
    """The chosen lines by sender, phrase and accused, in each group as they came."""
    if not len(chosen):
        return []
    order = chosen[np.lexsort((accused[chosen], phrase[chosen], sender[chosen]))]
    key = np.stack((sender[order], phrase[order], accused[order]))
    return np.split(order, np.flatnonzero((key[:, 1:] != key[:, :-1]).any(axis=0)) + 1)


def _senders(peers: list[str], sender: Ints, receipt_ns: Ints) -> dict[str, tuple[int, int]]:
    """Lines and latest receipt of each."""
    latest = np.zeros(len(peers), np.int64)
    np.maximum.at(latest, sender, receipt_ns)
    counts = np.bincount(sender, minlength=len(peers)).tolist()
    return {peer: (lines, at_ns) for peer, lines, at_ns in zip(peers, counts, latest.tolist(), strict=True) if lines}


def _refused(frame: bytes, reason: str) -> Logs:
    return Logs(1, 0, (Reject(frame, reason),), (), np.zeros(0, np.int64))


def _whole(raw: bytes) -> bytes:
    """Program and text of a line that is no JSON; its stamps are of no use here."""
    line = opened(raw.decode("utf-8", "replace"), kafka_ns=1)
    return line.whole.encode() if isinstance(line, LogLine) else b""


def _each(frame: bytes, *, kafka_ns: int, unnamed: str, knows: Callable[[str], bool], book: Phrasebook) -> Logs:
    """Lines that somebody else put into a frame: each names its sender, or nobody does."""
    claims: list[Claim] = []
    bad: list[tuple[bytes, str]] = []
    heard: list[int] = []
    senders: dict[str, tuple[int, int]] = {}
    cut = 0
    lines = [raw for raw in frame.split(b"\n") if raw.strip()]
    for raw in lines:
        try:
            sender, at_ns, claim, was_cut = _read(raw, "", kafka_ns=kafka_ns, unnamed=unnamed, book=book)
        except BadInput as error:
            bad.append((raw, error.reason))
            continue
        count, latest = senders.get(sender, (0, 0))
        if not count and not knows(sender):
            bad.append((raw, "unknown sender"))
            continue
        cut += was_cut
        heard.append(at_ns)
        senders[sender] = (count + 1, max(latest, at_ns))
        if claim is not None:
            claims.append(claim)
    if not lines:
        return _refused(frame, "empty frame")
    return Logs(len(lines), 0, tuple(gathered(bad)), tuple(claims), np.array(heard, np.int64), senders, cut)


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
