"""Times as collectors write them: integers of some unit, RFC 3339, or seconds as text; and which of them to believe."""

from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np

from streams.decode.compiled import inlined

Stamp: TypeAlias = int | float | str

FUTURE_NS = 300_000_000_000
"""A receipt stamp cannot lie after the broker's own by more than two clocks may differ."""

LONGEST_FLOW_NS = 2 * 3600 * 1_000_000_000
"""Active timeouts default to 30 minutes on some platforms; a flow that claims to be longer than this lies."""

HIGHEST_NS = 1 << 62
"""From here on a number of ns is no time."""


def stamp_ns(stamp: Stamp) -> int:
    """Nanoseconds since the epoch; 0 for what cannot be read.

    Integers are ns; text is seconds with a fraction, or a date in RFC 3339 or with a space for the T, UTC if unzoned.
    """
    if isinstance(stamp, float):
        stamp = repr(stamp)
    if isinstance(stamp, int):
        return stamp if 0 <= stamp < HIGHEST_NS else 0
    text = stamp.strip()
    if text.isdecimal() and 12 < len(text) < 20:
        return stamp_ns(int(text))
    whole, _, fraction = text.partition(".")
    if whole.isdecimal() and len(whole) < 20 and (fraction.isdecimal() or not fraction):
        return stamp_ns(int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, "0")))
    return _date_ns(text)


def _date_ns(text: str) -> int:
    try:
        moment = datetime.fromisoformat(_trimmed(text))
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        seconds = int(moment.replace(microsecond=0).timestamp())
    except (OverflowError, ValueError):
        return 0
    return stamp_ns(seconds * 1_000_000_000 + moment.microsecond * 1000)


def _trimmed(text: str) -> str:
    """A date whose fraction of a second has at most the six digits that datetime reads."""
    head, dot, tail = text.partition(".")
    if not dot:
        return text
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[: min(digits, 6)]}{tail[digits:]}"


@inlined
def judged(
    came: np.int64, start: np.int64, end: np.int64, kafka_ns: int, oldest_ns: int
) -> tuple[np.int64, np.int64, bool, np.int64]:
    """Receipt and duration of one record, whether its stamps are far from the broker's, and how far.

    `oldest_ns` is the first time that is believed. A receipt stamp before it, or after the Kafka timestamp, is void:
    the Kafka timestamp stands in, and the duration is void too. A missing stamp (0) takes the Kafka timestamp and is
    no skew. Without a Kafka timestamp (0) no receipt stamp is void.
    """
    void = kafka_ns != 0 and came != 0 and (came < oldest_ns or came > kafka_ns + FUTURE_NS)
    if kafka_ns != 0 and (came == 0 or void):
        came = np.int64(kafka_ns)
    lasted = end - start
    honest = start > 0 and 0 < lasted <= LONGEST_FLOW_NS and not void
    skew = abs(end - came) if end > 0 else np.int64(0)
    return came, lasted if honest else np.int64(0), bool(void or skew > FUTURE_NS), skew
