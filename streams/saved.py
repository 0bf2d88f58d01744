"""Buckets and meta of a scorer as bytes, and back. Private to streams, and versioned.

A bucket holds its subjects whole: baseline, standing, views, and every contribution that is still in a window. Sums are
not kept: they follow from the contributions. Everything stands in the order of keys and names, so that equal scorers
give equal bytes however their subjects came in.

All buckets of one checkpoint are made as four tables sorted by bucket, of which each gets its stretch of rows; those
that were made together are read together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from controller.domain.errors import BadInput
from streams import blocks
from streams.amounts import Counts, narrow
from streams.baseline import QUANTITIES, Baselines, Shape
from streams.folding import by_row
from streams.habits import HABITS, Habits
from streams.keys import WIDTH
from streams.lots import Lot, no_lot, together
from streams.rows import NCOL
from streams.sensors import Sensors
from streams.squeezing import restored, squeezed
from streams.standing import Standing
from streams.subjects import Subjects
from streams.windows import LEARNED, Ints, Views

VERSION = 6
SQUEEZE_ABOVE = 4_096
"""Octets of what belongs to no bucket."""

_COUNTED = 1 << 16
"""Numbers are sorted by counting each where there are not many more than of what is sorted."""

Table = dict[str, NDArray[Any]]
_PLAIN = ("last_tick", "tainted")
_VIEW = ("vantage", "flags", "interface", "mac", "second", "learned")
_ACROSS = {"mean": QUANTITIES, "variance": QUANTITIES, "habit": len(HABITS), "learned": len(LEARNED)}
_KEY, _PEER, _SKETCH = WIDTH // 8, 2, 16


class Bucket(msgspec.Struct, array_like=True):
    """One bucket: its rows of four tables, of which each names rows of the one before by their place in the bucket."""

    version: int
    layout: msgspec.Raw  # the columns of the tables; equal for all that were made together
    lengths: tuple[int, int, int, int]  # subjects, views, contributions, peers
    rows: tuple[bytes, bytes, bytes, bytes]
    names: list[str]  # exporters
    standings: dict[int, Standing]  # by place among the subjects


class Meta(msgspec.Struct):
    """What belongs to no bucket."""

    next: int
    marks: dict[str, int]
    counts: dict[str, dict[str, int]]
    sensors: list[tuple[str, int, int, float, int, int, int]]
    shapes: dict[int, tuple[bytes, bytes]]
    suffering: list[tuple[str, int, dict[str, str], bool]]
    watched: list[tuple[bytes, list[str]]]
    pending: list[tuple[int, bytes]]
    version: int = VERSION


_ENCODER = msgspec.msgpack.Encoder()
_BUCKET, _META = msgspec.msgpack.Decoder(Bucket), msgspec.msgpack.Decoder(Meta)
_LAYOUT = msgspec.msgpack.Decoder(tuple[tuple[blocks.Column, ...], ...])


def meta(value: Meta) -> bytes:
    """Meta as bytes."""
    return squeezed(_ENCODER.encode(value), SQUEEZE_ABOVE)


def read_meta(raw: bytes) -> Meta:
    """Read `meta`. Raises BadInput."""
    try:
        found = _META.decode(restored(raw))
    except msgspec.MsgspecError as error:
        raise BadInput(f"state of a scorer: {error}") from None
    if found.version != VERSION:
        raise BadInput(f"state of a scorer: version {found.version} where {VERSION} is spoken")
    return found


def shape(total: bytes, count: bytes) -> Shape:
    """A shape from its bytes."""
    return Shape(np.frombuffer(total, np.int64).copy(), np.frombuffer(count, np.int64).copy())


def buckets(
    wanted: Sequence[int], subjects: Subjects, views: Views, sensors: Sensors, standings: Mapping[int, Standing]
) -> list[tuple[int, bytes]]:
    """The state of each wanted bucket; one that has become empty too."""
    if not wanted:
        return []
    chosen = np.array(sorted(wanted), np.int64)
    slots, cuts = _sorted_subjects(chosen, subjects)
    place = np.full(subjects.size + 1, -1, np.int64)
    place[slots] = np.arange(len(slots))
    view, seen = _views(place, cuts, views, sensors)
    lots, peers = _contributions(view, seen.cuts, views)
    names = _names(seen, sensors)
    tables = [blocks.packed(_subjects(slots, subjects)), *(blocks.packed(one.table) for one in (seen, lots, peers))]
    ends = (cuts, seen.cuts, lots.cuts, peers.cuts)
    layout = msgspec.Raw(_ENCODER.encode([one.columns for one in tables]))
    held = _held(place, cuts, standings)
    rows = zip(*(one.parts(end) for one, end in zip(tables, ends, strict=True)), strict=True)
    lengths = np.diff(ends).T.tolist()
    return [
        (bucket, _ENCODER.encode((VERSION, layout, length, parts, names[number], held.get(number, {}))))
        for number, (bucket, length, parts) in enumerate(zip(chosen.tolist(), lengths, rows, strict=True))
    ]


@dataclass(frozen=True, slots=True)
class _Stretches:
    """A table sorted by bucket; bucket number n has the rows from `cuts[n]` up to `cuts[n + 1]`."""

    table: Table
    cuts: Ints


def _stretches(owner: Ints, owners: Ints, **table: NDArray[Any]) -> _Stretches:
    """Rows sorted by `owner`, a row of the table cut at `owners`; "of" names it by its place in the bucket."""
    cuts = np.searchsorted(owner, owners)
    return _Stretches({"of": owner - np.repeat(owners[:-1], np.diff(cuts)), **table}, cuts)


def _sorted_subjects(chosen: Ints, subjects: Subjects) -> tuple[Ints, Ints]:
    held = subjects.held()
    slots = held[np.isin(subjects.bucket[held], chosen)]
    slots = slots[np.lexsort((*blocks.words(subjects.keys(slots)).T[::-1], subjects.bucket[slots]))]
    return slots, np.append(np.searchsorted(subjects.bucket[slots], chosen), len(slots))


def _subjects(slots: Ints, subjects: Subjects) -> Table:
    return (
        {"key": blocks.words(subjects.keys(slots))}
        | {name: getattr(subjects, name)[slots] for name in _PLAIN}
        | {name: getattr(subjects.baselines, name)[slots] for name in Baselines.COLUMNS}
        | {name: getattr(subjects.habits, name)[slots] for name in Habits.COLUMNS}
    )


def _views(place: Ints, owners: Ints, views: Views, sensors: Sensors) -> tuple[Ints, _Stretches]:
    """The views of the wanted subjects in their order, and the table of them; exporters by alphabetical order."""
    held = views.held()
    of = place[views.slot[held]]
    held, of = held[of >= 0], of[of >= 0]
    rank = sensors.ranks()[views.exporter[held]] if len(held) else held
    order = np.lexsort((views.vantage[held], rank, of))
    view = held[order]
    sketch = blocks.words(views.sketch[view].reshape(len(view), 8 * _SKETCH))
    columns = {name: getattr(views, name)[view] for name in _VIEW}
    return view, _stretches(of[order], owners, exporter=rank[order], sketch=sketch, **columns)


def _names(seen: _Stretches, sensors: Sensors) -> list[list[str]]:
    """Names of the exporters of each bucket; the column of them is made to be places in these lists."""
    ranks = sensors.ranks()
    ordered = [sensors.name(number) for number in np.argsort(ranks).tolist()] if len(seen.table["exporter"]) else []
    wide = max(len(ranks), 1)
    buckets = len(seen.cuts) - 1
    bucket = np.repeat(np.arange(buckets), np.diff(seen.cuts))
    pairs, place = np.unique(bucket * wide + seen.table["exporter"], return_inverse=True)
    starts = np.searchsorted(pairs, np.arange(buckets + 1) * wide)
    seen.table["exporter"] = place - starts[bucket]
    spoken = [ordered[rank] for rank in (pairs % wide).tolist()]
    return [spoken[low:high] for low, high in pairwise(starts.tolist())]


def _held(place: Ints, cuts: Ints, standings: Mapping[int, Standing]) -> dict[int, dict[int, Standing]]:
    """By number of the bucket: standings by place in it."""
    found: dict[int, dict[int, Standing]] = {}
    for at, slot in sorted((int(place[slot]), slot) for slot in standings):
        if at >= 0:
            number = int(np.searchsorted(cuts, at, side="right")) - 1
            found.setdefault(number, {})[at - int(cuts[number])] = standings[slot]
    return found


def _contributions(view: Ints, owners: Ints, views: Views) -> tuple[_Stretches, _Stretches]:
    """What these views still have in a window, and the peers of it."""
    lot = whole(views)
    back = np.full(len(views.slot), -1, np.int64)
    back[view] = np.arange(len(view))
    at = back[lot.view]
    mine = np.flatnonzero(at >= 0)
    ticks = np.where(lot.end > 0, lot.end - lot.start, 0)  # few, where ends are many
    mine = mine[_order(at[mine], lot.start[mine], ticks[mine])]
    amounts = {f"c{number}": column for number, column in lot.amounts.pick(mine).columns().items() if column.any()}
    lots = _stretches(
        at[mine], owners, start=lot.start[mine], end=lot.end[mine], first_ns=lot.first_ns[mine],
        learns=lot.learns[mine], **amounts,
    )  # fmt: skip
    told = np.bincount(lot.peer_of, minlength=len(lot))
    first, told = (np.cumsum(told) - told)[mine], told[mine]
    owner = np.repeat(np.arange(len(mine)), told)
    chosen = np.repeat(first - np.cumsum(told) + told, told) + np.arange(len(owner))
    peer = blocks.words(np.ascontiguousarray(lot.peer[chosen], "S16"))
    return lots, _stretches(owner, lots.cuts, peer=peer, peer_bytes=lot.peer_bytes[chosen])


def _order(*keys: Ints) -> Ints:
    """Where rows stand when sorted by keys, the first above the others; equal ones stay as they stood.

    Ticks and places are few: rows are counted by one key after the other, a tenth of the time of comparing them.
    """
    if not len(keys[0]):
        return np.zeros(0, np.int64)
    lows = [int(key.min()) for key in keys]
    wides = [int(key.max()) - low + 1 for key, low in zip(keys, lows, strict=True)]
    if max(wides) > _COUNTED + len(keys[0]):
        return np.lexsort(keys[::-1])
    found = np.arange(len(keys[0]))
    for key, low, wide in zip(keys[::-1], lows[::-1], wides[::-1], strict=True):
        found = found[by_row((key[found] - low).astype(np.int32), wide)]
    return found


def whole(views: Views) -> Lot:
    """Every contribution in a window as one lot; recent ones have end 0. `peer_of` ascends."""
    recent, lasting = list(views.recent), list(views.lasting.rests())
    if not recent and not lasting:
        return no_lot()
    lot = together([*recent, *lasting])
    end = np.where(np.arange(len(lot)) < sum(map(len, recent)), 0, lot.end)
    if (lot.peer_of[1:] >= lot.peer_of[:-1]).all():
        return replace(lot, end=end)
    order = np.argsort(lot.peer_of, kind="stable")
    return replace(lot, end=end, peer_of=lot.peer_of[order], peer=lot.peer[order], peer_bytes=lot.peer_bytes[order])


def read_buckets(raw: Mapping[int, bytes]) -> list[Bucket]:
    """Read the states of buckets. Raises BadInput."""
    states = []
    for bucket, one in sorted(raw.items()):
        try:
            state = _BUCKET.decode(one)
        except msgspec.MsgspecError as error:
            raise BadInput(f"state of bucket {bucket}: {error}") from None
        if state.version != VERSION:
            raise BadInput(f"state of bucket {bucket}: version {state.version} where {VERSION} is spoken")
        states.append(state)
    return states


def restore(
    states: Sequence[Bucket], subjects: Subjects, views: Views, sensors: Sensors, standings: dict[int, Standing]
) -> None:
    """Put buckets into empty tables. Raises BadInput."""
    alike: dict[bytes, list[Bucket]] = {}
    for state in states:
        alike.setdefault(bytes(state.layout), []).append(state)
    recent: dict[int, list[Lot]] = {}
    try:
        for layout, group in alike.items():
            _restore(_LAYOUT.decode(layout), group, subjects, views, sensors, standings, recent)
    except (ValueError, KeyError, IndexError, TypeError, msgspec.MsgspecError) as error:
        raise BadInput(f"state of buckets: {error}") from None
    for _, lots in sorted(recent.items()):
        views.put_recent(together(lots))


def _restore(
    layout: Sequence[Sequence[blocks.Column]],
    states: Sequence[Bucket],
    subjects: Subjects,
    views: Views,
    sensors: Sensors,
    standings: dict[int, Standing],
    recent: dict[int, list[Lot]],
) -> None:
    """Put buckets that were made together into the tables."""
    lengths = np.array([state.lengths for state in states], np.int64)
    whose, seen, lots, peers = (
        blocks.unpacked(columns, int(lengths[:, table].sum()), b"".join(state.rows[table] for state in states))
        for table, columns in zip(range(4), layout, strict=True)
    )
    keys = blocks.octets(blocks.joined(whose, "key", _KEY)).view(f"S{WIDTH}")[:, 0]
    slots = subjects.slots(keys)
    for owner, names in (
        (subjects, _PLAIN),
        (subjects.baselines, Baselines.COLUMNS),
        (subjects.habits, Habits.COLUMNS),
    ):
        _put(owner, names, slots, whose)
    first = np.cumsum(lengths[:, 0]) - lengths[:, 0]
    for start, state in zip(first.tolist(), states, strict=True):
        standings |= {int(slots[start + place]): standing for place, standing in state.standings.items()}
    numbers = np.array([sensors.number(name) for state in states for name in state.names], np.int64)
    spoken = np.array([len(state.names) for state in states], np.int64)
    exporters = numbers[_absolute(seen["exporter"], lengths[:, 1], spoken)]
    found = views.find(slots[_absolute(seen["of"], lengths[:, 1], lengths[:, 0])], exporters, seen["vantage"])
    _put(views, _VIEW, found, seen)
    sketch = blocks.octets(blocks.joined(seen, "sketch", _SKETCH))
    views.sketch[found] = sketch.reshape(-1, *views.sketch.shape[1:])
    lot = Lot(
        lots["start"],
        lots["end"],
        found[_absolute(lots["of"], lengths[:, 2], lengths[:, 1])].astype(np.int32),
        _counts(lots),
        lots["first_ns"],
        _absolute(peers["of"], lengths[:, 3], lengths[:, 2]).astype(np.int32),
        blocks.octets(blocks.joined(peers, "peer", _PEER)).view("S16")[:, 0],
        narrow(peers["peer_bytes"]),
        lots["learns"] > 0,
    )
    if ((lot.end != 0) & (lot.end <= lot.start)).any():
        raise ValueError("flows that end before they begin")
    lasting = np.flatnonzero(lot.end > 0)
    if len(lasting):
        views.put_lasting(lot.part(lasting))
    for start in np.unique(lot.start[lot.end == 0]).tolist():
        recent.setdefault(start, []).append(lot.part(np.flatnonzero((lot.end == 0) & (lot.start == start))))


def _put(owner: object, names: Sequence[str], places: Ints, table: Table) -> None:
    for name in names:
        column = blocks.joined(table, name, _ACROSS[name]) if name in _ACROSS else table[name]
        getattr(owner, name)[places] = column


def _absolute(places: Ints, lengths: Ints, owners: Ints) -> Ints:
    """Places in buckets as places among all that are read together; `lengths` rows of each name some of `owners`."""
    if ((places < 0) | (places >= np.repeat(owners, lengths))).any():
        raise ValueError("a row that belongs to none")
    found: Ints = places + np.repeat(np.cumsum(owners) - owners, lengths)
    return found


def _counts(table: Table) -> Counts:
    """The columns of counts among those of contributions."""
    columns = {int(name[1:]): narrow(column) for name, column in table.items() if name[0] == "c"}
    if any(number not in range(NCOL) for number in columns):
        raise ValueError("counts of nothing")
    return Counts.of(columns, len(table["of"]))
