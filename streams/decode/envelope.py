"""The envelope of a log line: who sent it, when it was received, and what it says.

Shapes, in the order in which they are tried: JSON as rsyslog or Vector write it, RFC 5424 (section 6), RFC 3164
(section 4.1), and a bare line. A line's own host name is any sender's free choice: the transport's address goes first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from controller.domain.errors import BadInput
from streams.decode.stamps import stamp_ns

HOST = ("fromhost-ip", "source_ip", "fromhost", "host", "hostname")
MESSAGE = ("message", "msg", "rawmsg")
RECEIPT = ("timegenerated",)
SENT = ("timestamp", "@timestamp", "timereported")
PROGRAM = ("appname", "app-name", "programname", "source", "syslogtag", "syslog-tag")

DAY_NS = 86_400_000_000_000

_RFC5424 = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<program>\S+) \S+ \S+ "
    r"(?:-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: (?P<text>.*))?$",
    re.DOTALL,
)
_DATE = r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+)"
_RFC3164 = re.compile(rf"(?:<(?P<pri>\d{{1,3}})>)?(?P<time>{_DATE}) +(?P<host>[\w.:-]+) (?P<text>.*)$", re.DOTALL)
_PRI = re.compile(r"<(?P<pri>\d{1,3})>(?P<text>.*)$", re.DOTALL)
_TAG = re.compile(r"(?P<program>[\w./%-]+)(?:\[[\w.-]*\])?: ?(?P<text>.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One message. `sender` is empty where neither transport nor line named one."""

    at_ns: int
    sender: str
    program: str
    text: str

    @property
    def whole(self) -> str:
        """Program and text, as most vendors' sentences are quoted."""
        return f"{self.program}: {self.text}" if self.program else self.text


def opened(line: str, *, kafka_ns: int) -> LogLine | Mapping[str, Any]:
    """Read one line; a JSON object that is an event of its own (Suricata EVE) comes back as such. Raises BadInput.

    Some devices end their datagrams with NUL; a NUL elsewhere is no text (RFC 5424, 6.4).
    """
    line = line.rstrip("\0")
    if "\0" in line:
        raise BadInput("binary")
    if line.lstrip().startswith("{"):
        return _json(line, kafka_ns=kafka_ns)
    if found := _RFC5424.match(line):
        program = "" if found["program"] == "-" else found["program"]
        sender = "" if found["host"] == "-" else found["host"]
        text = (found["text"] or "").removeprefix("\ufeff")
        return LogLine(_when(kafka_ns, sent=found["time"]), sender, program, text.strip())
    if found := _RFC3164.match(line):
        program, text = tagged(found["text"])
        return LogLine(_when(kafka_ns, sent=found["time"]), found["host"], program, text)
    found = _PRI.match(line)
    program, text = tagged(found["text"] if found else line)
    return LogLine(_when(kafka_ns), "", program, text)


def tagged(text: str) -> tuple[str, str]:
    """Split `program[pid]: text`; a sentence without a tag keeps all its words."""
    if found := _TAG.match(text.lstrip()):
        return found["program"], found["text"].strip()
    return "", text.strip()


def _json(line: str, *, kafka_ns: int) -> LogLine | Mapping[str, Any]:
    try:
        document = msgspec.json.decode(line)
    except msgspec.DecodeError:
        raise BadInput("not JSON") from None
    except RecursionError:
        raise BadInput("nested too deep") from None
    if not isinstance(document, dict):
        raise BadInput("not a record")
    if "event_type" in document:
        return document
    text = _first(document, MESSAGE)
    if not text.strip():
        raise BadInput("no message")
    program = _first(document, PROGRAM).rstrip(":").partition("[")[0]
    sender = _first(document, HOST)
    if not _first(document, MESSAGE[:2]).strip():
        # Only the raw line stands there: it carries an envelope of its own, and the collector's word goes first.
        inner = opened(text, kafka_ns=kafka_ns)
        if isinstance(inner, LogLine):
            text, program, sender = inner.text, program or inner.program, sender or inner.sender
    at_ns = _when(kafka_ns, receipt=_first(document, RECEIPT), sent=_first(document, SENT))
    return LogLine(at_ns, sender, program, text.strip())


def _first(document: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = document.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
    return ""


def _when(kafka_ns: int, *, receipt: str = "", sent: str = "") -> int:
    """Receipt by the collector, else the broker's stamp; a sender's own clock only where there is nothing better."""
    received = stamp_ns(receipt) if receipt else 0
    if received and (not kafka_ns or abs(received - kafka_ns) < DAY_NS):
        return received
    return kafka_ns or (stamp_ns(sent) if sent else 0)
