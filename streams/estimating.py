"""Rates a second and their lower bounds, of each view and column, from what its windows hold; compiled."""

import numpy as np
from numpy.typing import NDArray

from streams.amounts import MILLI
from streams.decode.compiled import compiled, inlined
from streams.reading import CONFIDENCE, Floats
from streams.rows import Col
from streams.windows import Ints, Views

_PACKETS, _VARIANCE, _RECEIVED = int(Col.PACKETS), int(Col.VARIANCE), int(Col.BYTES_IN)
_CLASSES = np.isin(list(Col), (Col.FRAGMENTS, Col.MALFORMED, Col.ODD, Col.MAIL, Col.SYN_ONLY, Col.PROBES))
_ENOUGH = float(CONFIDENCE / np.sqrt(30.0))


def rates(views: Views, active: Ints, tick: int, *, burst: float) -> tuple[Floats, Floats]:
    """Best estimate and lower bound a second, of each view and column.

    Both are of the last second; where few packets were sampled in it, of the last four if they bound the rate higher.
    The last tick bounds a rate as well, but it has to be `burst` times as loud for it: a healthy host may be loud for
    a moment. What began within the last second is estimated by the last tick, if enough was sampled in it or it bounds
    the rate: the second would say a part of what is sent.
    """
    tick_s = views.tick_ms / 1000
    windows = views.sums(active, tick)
    lengths = (tick_s, views.fast_ticks * tick_s, views.slow_ticks * tick_s)
    found: tuple[Floats, Floats] = _estimated(*windows, *lengths, views.lasting.rate, views.lane, active, float(burst))
    return found


@compiled
def _estimated(
    now: Ints,
    fast: Ints,
    slow: Ints,
    now_s: float,
    fast_s: float,
    slow_s: float,
    lasting: Ints,
    lane: NDArray[np.int32],
    active: Ints,
    burst: float,
) -> tuple[Floats, Floats]:
    rate, low = np.empty(now.shape, np.float64), np.empty(now.shape, np.float64)
    for row in range(len(active)):
        lasts = lasting[lane[active[row]]]
        packets, variance = lasts[_PACKETS] / MILLI, lasts[_VARIANCE] / MILLI
        now_error = _error(now[row, _PACKETS], now[row, _VARIANCE], packets, variance, now_s)
        fast_error = _error(fast[row, _PACKETS], fast[row, _VARIANCE], packets, variance, fast_s)
        slow_error = _error(slow[row, _PACKETS], slow[row, _VARIANCE], packets, variance, slow_s)
        now_packets = now[row, _PACKETS] / now_s + packets
        fast_packets = fast[row, _PACKETS] / fast_s + packets
        slow_packets = slow[row, _PACKETS] / slow_s + packets
        fast_low, slow_low = fast_packets * max(1.0 - fast_error, 0.0), slow_packets * max(1.0 - slow_error, 0.0)
        longer = fast_error > _ENOUGH and slow_low > fast_low
        window, seconds, error = (slow, slow_s, slow_error) if longer else (fast, fast_s, fast_error)
        sent, bound = (slow_packets, slow_low) if longer else (fast_packets, fast_low)
        bounds = now_error <= _ENOUGH or now_packets * max(1.0 - now_error, 0.0) / burst > bound
        rising = bounds and now_packets > sent
        for column in range(now.shape[1]):
            last = lasts[column] / MILLI
            whole, moment = window[row, column] / seconds + last, now[row, column] / now_s + last
            rate[row, column] = moment if rising else whole
            if column >= _RECEIVED:
                # What comes in was sampled like what goes out, but its own variance is not kept: it accuses nobody.
                low[row, column] = whole
            else:
                among = _bounded(moment, now_packets, now_error, _CLASSES[column]) / burst
                low[row, column] = max(_bounded(whole, sent, error, _CLASSES[column]), among)
    return rate, low


@inlined
def _error(counted: int, variance: int, lasting: float, varying: float, seconds: float) -> float:
    """Relative error of the packets in a window: 1.96·sqrt(variance) of them."""
    packets = counted + lasting * seconds
    spread = variance + varying * seconds * seconds
    error = 0.0
    if packets > 0:
        error = CONFIDENCE * np.sqrt(max(spread, 0.0)) / packets
    return error


@inlined
def _bounded(rate: float, packets: float, error: float, of_a_class: bool) -> float:
    """A lower bound. Of a class of packets fewer were sampled, so that its error is larger."""
    wider = error
    if of_a_class:
        share = 1.0
        if packets > 0:
            share = rate / packets
        wider = error / np.sqrt(min(max(share, 1e-6), 1.0))
    return rate * max(1.0 - wider, 0.0)
