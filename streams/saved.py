"""Buckets and meta of a scorer as bytes, and back. Private to streams, and versioned.

A bucket holds its subjects whole: baseline, standing, views, and every contribution that is still in a window. Sums are
not kept: they follow from the contributions. Everything stands in the order of keys and names, so that equal scorers
give equal bytes however their subjects came in.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from controller.domain.errors import BadInput
from streams.baseline import Baselines, Shape
from streams.habits import HABITS, Habits
from streams.keys import key_array
from streams.lots import Counts, Lot, no_lot, together
from streams.rows import NCOL
from streams.sensors import Sensors
from streams.standing import Standing
from streams.subjects import Subjects
from streams.windows import Ints, Views

VERSION = 3
Column = tuple[str, bytes]

_SUBJECT = ("last_tick", "tainted")
_VIEW = ("vantage", "flags", "interface", "mac", "second", "learned", "sketch")
_SHAPES = {
    "mean": (3,),
    "variance": (3,),
    "learned": (3,),
    "sketch": (2, 64),
    "habit": (len(HABITS),),
}


class Bucket(msgspec.Struct, array_like=True):
    """One bucket."""

    version: int
    keys: list[bytes]
    names: list[str]  # exporters
    subjects: dict[str, Column]
    standings: dict[int, Standing]  # by place in `keys`
    views: dict[str, Column]
    lots: dict[str, Column]


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


def meta(value: Meta) -> bytes:
    """Meta as bytes."""
    return zlib.compress(_ENCODER.encode(value), 1)


def read_meta(raw: bytes) -> Meta:
    """Read `meta`. Raises BadInput."""
    try:
        found = _META.decode(zlib.decompress(raw))
    except (msgspec.MsgspecError, zlib.error) as error:
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
    held = subjects.held()
    slots = held[np.isin(subjects.bucket[held], chosen)]
    slots = slots[np.lexsort((subjects.keys(slots), subjects.bucket[slots]))]
    bounds = (
        np.searchsorted(subjects.bucket[slots], [chosen, chosen + 1]) if len(slots) else np.zeros((2, len(chosen)), int)
    )
    gathered = _Gathered(slots, subjects, views, sensors)
    return [
        (bucket, gathered.bucket(int(low), int(high), standings))
        for bucket, low, high in zip(chosen.tolist(), bounds[0], bounds[1], strict=True)
    ]


class _Gathered:
    """Everything of the wanted subjects, sorted once, so that a bucket is a slice."""

    def __init__(self, slots: Ints, subjects: Subjects, views: Views, sensors: Sensors) -> None:
        self._slots, self._subjects, self._views, self._sensors = slots, subjects, views, sensors
        place = np.full(subjects.size + 1, -1, np.int64)
        place[slots] = np.arange(len(slots))
        held = views.held()
        of = place[views.slot[held]]
        held, of = held[of >= 0], of[of >= 0]
        ranks = sensors.ranks()
        order = np.lexsort((views.vantage[held], ranks[views.exporter[held]] if len(held) else held, of))
        self._view, self._of = held[order], of[order]
        lot = whole(views)
        back = np.full(len(views.slot), -1, np.int64)
        back[self._view] = np.arange(len(self._view))
        at = back[lot.view]
        mine = np.flatnonzero(at >= 0)
        mine = mine[np.lexsort((lot.end[mine], lot.start[mine], at[mine]))]
        self._lot, self._at = lot, at
        self._mine, self._mine_at = mine, at[mine]
        self._peer_place = np.full(len(lot.view), -1, np.int64)

    def bucket(self, low: int, high: int, standings: Mapping[int, Standing]) -> bytes:
        """One bucket: subjects `low` to `high`."""
        slots, subjects = self._slots[low:high], self._subjects
        first, last = np.searchsorted(self._of, [low, high])
        views, of = self._view[first:last], self._of[first:last] - low
        numbers = self._views.exporter[views]
        names = sorted({self._sensors.name(number) for number in numbers.tolist()})
        places = {name: index for index, name in enumerate(names)}
        exporter = np.array([places[self._sensors.name(number)] for number in numbers.tolist()], np.int64)
        state = Bucket(
            VERSION,
            subjects.keys(slots).tolist(),
            names,
            {name: _packed(getattr(subjects, name)[slots]) for name in _SUBJECT}
            | {name: _packed(getattr(subjects.baselines, name)[slots]) for name in Baselines.COLUMNS}
            | {name: _packed(getattr(subjects.habits, name)[slots]) for name in Habits.COLUMNS},
            {index: standings[slot] for index, slot in enumerate(slots.tolist()) if slot in standings},
            {"of": _packed(of), "exporter": _packed(exporter)}
            | {name: _packed(getattr(self._views, name)[views]) for name in _VIEW},
            self._lots(int(first), int(last)),
        )
        return zlib.compress(_ENCODER.encode(state), 1)

    def _lots(self, first: int, last: int) -> dict[str, Column]:
        low, high = np.searchsorted(self._mine_at, [first, last])
        rows, lot = self._mine[low:high], self._lot
        self._peer_place[rows] = np.arange(len(rows))
        peers = _peers_of(lot, rows, self._peer_place)
        self._peer_place[rows] = -1
        peer_of, peer, octets = peers
        return {
            "view": _packed(self._at[rows] - first),
            "start": _packed(lot.start[rows]),
            "end": _packed(lot.end[rows]),
            "first_ns": _packed(lot.first_ns[rows]),
            "learns": _packed(lot.learns[rows].astype(np.int64)),
            **{
                f"c{number}": _packed(column)
                for number, column in lot.amounts.pick(rows).columns.items()
                if column.any()
            },
            "peer_of": _packed(peer_of),
            "peer": _packed(peer),
            "peer_bytes": _packed(octets),
        }


def _peers_of(lot: Lot, rows: Ints, place: Ints) -> tuple[Ints, NDArray[np.bytes_], Ints]:
    """Peers of these contributions, in their order. `lot.peer_of` is sorted."""
    low = np.searchsorted(lot.peer_of, rows, side="left")
    high = np.searchsorted(lot.peer_of, rows, side="right")
    counts = high - low
    chosen = (
        np.repeat(low - np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64), counts)
        + np.arange(int(counts.sum()))
        if len(rows)
        else np.zeros(0, np.int64)
    )
    return place[lot.peer_of[chosen]], lot.peer[chosen], lot.peer_bytes[chosen]


def whole(views: Views) -> Lot:
    """Every contribution in a window as one lot; recent ones have end 0. `peer_of` ascends."""
    recent, lasting = list(views.recent), [lot for _, lots in sorted(views.lasting.items()) for lot in lots]
    if not recent and not lasting:
        return no_lot()
    lot = together([*recent, *lasting])
    lot.end[: sum(map(len, recent))] = 0
    order = np.argsort(lot.peer_of, kind="stable")
    lot.peer_of, lot.peer, lot.peer_bytes = lot.peer_of[order], lot.peer[order], lot.peer_bytes[order]
    return lot


def _packed(column: NDArray[Any]) -> Column:
    if column.dtype.kind in "iu":
        low, high = (int(column.min()), int(column.max())) if column.size else (0, 0)
        kinds = ("u1", "<u2", "<u4") if low >= 0 else ()
        kind = next((one for one in kinds if high <= np.iinfo(one).max), "<i8")
        if column.dtype.itemsize > np.dtype(kind).itemsize:
            column = column.astype(kind)
    return column.dtype.str, column.tobytes()


def _unpacked(name: str, column: Column) -> NDArray[Any]:
    kind, raw = column
    if np.dtype(kind).kind not in "iufS":
        raise ValueError(f"{name} holds neither numbers nor addresses")
    array = np.frombuffer(raw, kind)
    array = array.astype(np.int64) if array.dtype.kind in "iu" else array
    return array.reshape(-1, *_SHAPES[name]) if name in _SHAPES else array


def read_buckets(raw: Mapping[int, bytes]) -> list[Bucket]:
    """Read the states of buckets. Raises BadInput."""
    states = []
    for bucket, one in sorted(raw.items()):
        try:
            state = _BUCKET.decode(zlib.decompress(one))
        except (msgspec.MsgspecError, zlib.error) as error:
            raise BadInput(f"state of bucket {bucket}: {error}") from None
        if state.version != VERSION:
            raise BadInput(f"state of bucket {bucket}: version {state.version} where {VERSION} is spoken")
        states.append(state)
    return states


def restore(
    states: Sequence[Bucket], subjects: Subjects, views: Views, sensors: Sensors, standings: dict[int, Standing]
) -> None:
    """Put buckets into empty tables. Raises BadInput."""
    recent: dict[int, list[Lot]] = {}
    for state in states:
        try:
            _restore(state, subjects, views, sensors, standings, recent)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise BadInput(f"state of a bucket: {error}") from None
    for _, lots in sorted(recent.items()):
        views.put_recent(together(lots))


def _restore(
    state: Bucket,
    subjects: Subjects,
    views: Views,
    sensors: Sensors,
    standings: dict[int, Standing],
    recent: dict[int, list[Lot]],
) -> None:
    slots = subjects.slots(key_array(state.keys))
    if not len(slots):
        return
    for name in _SUBJECT:
        getattr(subjects, name)[slots] = _unpacked(name, state.subjects[name])
    for name in Baselines.COLUMNS:
        getattr(subjects.baselines, name)[slots] = _unpacked(name, state.subjects[name])
    for name in Habits.COLUMNS:
        getattr(subjects.habits, name)[slots] = _unpacked(name, state.subjects[name])
    standings |= {int(slots[place]): standing for place, standing in state.standings.items()}
    columns = {name: _unpacked(name, column) for name, column in state.views.items()}
    numbers = np.array([sensors.number(name) for name in state.names], np.int64)
    if not len(columns["of"]):
        return
    found = views.find(slots[columns["of"]], numbers[columns["exporter"]], columns["vantage"])
    for name in _VIEW:
        getattr(views, name)[found] = columns[name]
    parts = {name: _unpacked(name, column) for name, column in state.lots.items()}
    lot = Lot(
        parts["start"], parts["end"], found[parts["view"]].astype(np.int32), _counts(parts), parts["first_ns"],
        parts["peer_of"], parts["peer"], parts["peer_bytes"], parts["learns"] > 0,
    )  # fmt: skip
    lasting = np.flatnonzero(lot.end > 0)
    if len(lasting):
        views.put_lasting(lot.part(lasting))
    for start in np.unique(lot.start[lot.end == 0]).tolist():
        recent.setdefault(start, []).append(lot.part(np.flatnonzero((lot.end == 0) & (lot.start == start))))


def _counts(parts: Mapping[str, NDArray[Any]]) -> Counts:
    """The columns of counts among those of a bucket's contributions."""
    columns = {int(name[1:]): column for name, column in parts.items() if name[0] == "c"}
    if any(number not in range(NCOL) or len(column) != len(parts["view"]) for number, column in columns.items()):
        raise ValueError("counts that belong to no contribution")
    return Counts(len(parts["view"]), columns)
