"""The bucket that meters and limits measure with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.lab.bucket import Bucket


def test_full_bucket_lets_its_capacity_pass_at_once_and_then_its_rate():
    bucket = Bucket(rate=100, capacity=50)
    assert bucket.take(1000, now=0.0, seconds=0.0) == pytest.approx(0.05)
    assert bucket.take(1000, now=1.0, seconds=0.0) == pytest.approx(0.05)
    assert bucket.take(1000, now=1.1, seconds=0.0) == pytest.approx(0.01)


def test_burst_that_is_spread_gets_what_flows_in_meanwhile():
    assert Bucket(rate=100, capacity=10).take(1000, now=0.0, seconds=1.0) == pytest.approx(0.11)


def test_bursts_of_the_same_moment_share_what_flows_in():
    bucket = Bucket(rate=100, capacity=0)
    passed = [bucket.take(100, now=0.0, seconds=1.0) for _ in range(3)]
    assert sum(passed) == pytest.approx(1.0)


def test_nothing_takes_nothing():
    bucket = Bucket(rate=1, capacity=1)
    assert bucket.take(0, now=0.0, seconds=0.25) == 1.0
    assert bucket.take(1, now=0.0, seconds=0.0) == 1.0


@given(
    rate=st.floats(1, 1e9),
    capacity=st.floats(0, 1e9),
    bursts=st.lists(st.tuples(st.floats(0, 10), st.floats(1, 1e9)), min_size=1, max_size=30),
)
def test_never_passes_more_than_the_capacity_and_the_rate_allow(rate, capacity, bursts):
    bucket = Bucket(rate, capacity)
    now, passed = 0.0, 0.0
    for pause, units in bursts:
        now += pause
        share = bucket.take(units, now=now, seconds=0.25)
        assert 0.0 <= share <= 1.0
        passed += share * units
    assert passed <= (capacity + rate * (now + 0.25)) * (1 + 1e-9) + 1e-6
