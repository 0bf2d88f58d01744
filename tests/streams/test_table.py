"""A table of keys behaves as a dictionary would, whatever is added, dropped and added again."""

from ipaddress import ip_address

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from streams import keys
from streams.table import KeyTable
from streams.windows import Views

POOL = keys.key_array(keys.attachment_key(ip_address("10.0.0.1"), number) for number in range(3000))

batches = some.lists(some.tuples(some.booleans(), some.integers(0, 2900), some.integers(1, 2000)), max_size=12)


@given(batches)
def test_a_key_is_found_from_when_it_is_added_until_it_is_dropped(steps: list[tuple[bool, int, int]]) -> None:
    table, told = KeyTable(), dict[bytes, int]()
    for adds, first, count in steps:
        chosen = POOL[first : first + count]
        known = np.array([bytes(key) in told for key in chosen], np.bool_)
        if adds:
            told |= zip(chosen[~known].tolist(), table.add(chosen[~known]).tolist(), strict=True)
        else:
            table.drop(np.array([told.pop(key) for key in chosen[known].tolist()], np.int64))
    assert table.find(POOL).tolist() == [told.get(key, -1) for key in POOL.tolist()]
    assert len(table) == len(told) == len(set(told.values()))
    assert table.held().tolist() == sorted(told.values())
    assert dict(zip(table.keys(table.held()).tolist(), table.held().tolist(), strict=True)) == told


def test_slots_of_dropped_keys_are_given_again() -> None:
    table = KeyTable()
    for first in range(0, 3000, 100):
        table.drop(table.add(POOL[first : first + 100]))
    assert table.size == 100


def test_each_exporter_and_vantage_has_a_view_of_its_own_of_each_subject() -> None:
    views = Views(250)
    triples = np.array([[slot, exporter, vantage] for slot in (0, 7, 900) for exporter in (0, 3) for vantage in (0, 2)])
    found = views.find(*triples.T)
    assert len(set(found.tolist())) == len(triples)
    assert views.find(*triples[::-1].T).tolist() == found[::-1].tolist()
    assert (
        np.stack((views.slot[found], views.exporter[found], views.vantage[found]), axis=1).tolist() == triples.tolist()
    )
