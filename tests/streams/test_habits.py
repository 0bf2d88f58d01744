"""What is done slowly: passwords guessed every few seconds, replies that nobody asked for, knocks nobody answers."""

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.rulebook import Detectors, LoginBurst, OneSided, Rulebook
from controller.domain.verdict import Level, Verdict
from tests.streams.world import OUTSIDE, SECOND, START, TICK, Bench, inbound, of, record

CAREFUL = replace(
    Rulebook(1),
    detectors=Detectors(
        one_sided=OneSided(weight=0.9, replies=20, knocks=20), login_burst=LoginBurst(weight=0.9, sessions=8)
    ),
)
HOST = "198.18.0.7"
SYN, SYN_ACK, RST, DATA = 2, 18, 4, 24


def every(seconds: float, times: int, **over: Any) -> list[dict[str, Any]]:
    """One packet of the host every so many seconds."""
    return [record(START + round(n * seconds * SECOND), HOST, **{"bytes": 60} | over) for n in range(times)]


def back(seconds: float, times: int, **over: Any) -> list[dict[str, Any]]:
    """One packet to the host every so many seconds, a little after what it sent."""
    return [inbound(START + round(n * seconds * SECOND) + TICK, HOST, **{"bytes": 60} | over) for n in range(times)]


def said(records: list[dict[str, Any]], rules: Rulebook = CAREFUL) -> list[Verdict]:
    last = max(one["time_received_ns"] for one in records)
    return of(Bench(rules=rules).run(records, until_ns=last + 3 * SECOND), HOST)


def worst(verdicts: list[Verdict]) -> tuple[Level, set[str]]:
    loud = [one for one in verdicts if one.level >= Level.WATCH]
    return max((one.level for one in loud), default=Level.CLEAR), {e.detector for one in loud for e in one.evidence}


def test_a_password_guessed_every_six_seconds_adds_up() -> None:
    logins = [
        one
        for n in range(12)
        for one in every(6, 1, dst_port=22, proto="TCP", tcp_flags=SYN, time_received_ns=START + n * 6 * SECOND)
    ]
    verdicts = said([*logins, *back(6, 12, proto="TCP", tcp_flags=SYN_ACK, src_port=22)])
    assert worst(verdicts) == (Level.ISOLATE, {"login_burst"})
    assert "at ports where people log in" in verdicts[-1].evidence[0].text
    assert verdicts[-1].evidence[0].facts["to"] == OUTSIDE


def test_few_logins_are_people() -> None:
    assert worst(said(every(20, 6, dst_port=22, proto="TCP", tcp_flags=SYN))) == (Level.CLEAR, set())


@pytest.mark.parametrize(
    "reply",
    [
        {"proto": "TCP", "tcp_flags": SYN_ACK, "src_port": 21},
        {"proto": "UDP", "src_port": 4500, "dst_port": 31337, "bytes": 232},
        {"proto": "UDP", "src_port": 161, "dst_port": 80, "bytes": 1400},
    ],
)
def test_replies_that_nobody_asked_for_name_the_reflector(reply: dict[str, Any]) -> None:
    verdicts = said(every(2, 60, **reply))
    assert worst(verdicts) == (Level.ISOLATE, {"one_sided"})
    assert "0 packets asked or answered it" in verdicts[-1].evidence[0].text


def test_a_server_that_answers_forged_syn_is_no_reflector() -> None:
    answers = every(2, 60, proto="TCP", tcp_flags=SYN_ACK, src_port=443)
    asked = back(2, 60, proto="TCP", tcp_flags=SYN, dst_port=443)
    resent = every(2, 60, proto="TCP", tcp_flags=SYN_ACK, src_port=443)
    assert worst(said([*answers, *asked, *resent])) == (Level.CLEAR, set())


def test_syn_that_nobody_answers_adds_up_and_refusals_are_no_answer() -> None:
    knocks = every(1, 60, proto="TCP", tcp_flags=SYN, dst_port=9069)
    assert worst(said(knocks)) == (Level.ISOLATE, {"one_sided"})
    assert worst(said([*knocks, *back(1, 60, proto="TCP", tcp_flags=RST, src_port=9069)]))[0] is Level.ISOLATE


def test_a_flow_without_flags_and_without_room_for_data_is_a_knock() -> None:
    mute = every(1, 60, proto="TCP", tcp_flags=0, packets=1, bytes=44, type="NETFLOW_V5")
    assert worst(said(mute))[0] is Level.ISOLATE
    told = every(1, 60, proto="TCP", tcp_flags=0, packets=9, bytes=4000, type="NETFLOW_V5")
    assert worst(said(told))[0] is Level.CLEAR


def test_a_conversation_excuses_its_knocks() -> None:
    talk = [*every(1, 60, proto="TCP", tcp_flags=SYN), *back(1, 60, proto="TCP", tcp_flags=SYN_ACK)]
    assert worst(said([*talk, *every(1, 60, proto="TCP", tcp_flags=DATA)])) == (Level.CLEAR, set())


def test_pings_that_are_answered_are_no_flood() -> None:
    pings = every(1, 60, proto="ICMP", icmp_type=8)
    assert worst(said([*pings, *back(1, 60, proto="ICMP", icmp_type=0)])) == (Level.CLEAR, set())
    assert worst(said(pings))[0] is Level.ISOLATE


def test_by_cordons_own_figures_what_is_done_slowly_leads_to_no_fence() -> None:
    records = every(2, 60, proto="TCP", tcp_flags=SYN_ACK, src_port=21)
    assert worst(said(records, Rulebook(1))) == (Level.CLEAR, set())
    assert 100 * Rulebook(1).detectors.one_sided.weight < Rulebook(1).scoring.watch
    assert 100 * Rulebook(1).detectors.login_burst.weight < Rulebook(1).scoring.isolate


def test_samples_prove_less_than_packets() -> None:
    few = every(2, 2, proto="TCP", tcp_flags=SYN_ACK, src_port=21, sampling_rate=1000, type="SFLOW_5")
    assert worst(said(few)) == (Level.CLEAR, set())


def test_what_was_done_of_late_outlives_a_restart() -> None:
    records = every(2, 60, proto="TCP", tcp_flags=SYN_ACK, src_port=21)
    whole, first = Bench(rules=CAREFUL), Bench(rules=CAREFUL)
    middle = START + 12 * SECOND
    until = START + 123 * SECOND
    early = [one for one in records if one["time_received_ns"] < middle]
    late = [one for one in records if one["time_received_ns"] >= middle]
    expected = whole.run(early, until_ns=middle) + whole.run(late, until_ns=until)
    first.run(early, until_ns=middle)
    second = Bench(rules=CAREFUL).become(first.saved())
    assert first.verdicts + second.run(late, until_ns=until) == expected
    assert worst(of(expected, HOST))[0] is Level.ISOLATE
