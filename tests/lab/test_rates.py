"""What bench-streams sends is what exporters send, and what it tells of its steps is what it measured."""

import json
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

import numpy as np
import pytest

from controller.domain import toml
from controller.domain.address import packed
from controller.domain.estate import Estate, Site, Source, SourceFormat
from deploy.lab.rates import figures, meter
from deploy.lab.rates.crowd import EXPORTERS, HOSTS, LONGEST_MS, NEAR_PORTS, NETWORK, SHARE, UPLINK, addresses, talk
from deploy.lab.rates.estate import SOURCES, policy_text, site_text
from deploy.lab.rates.figures import Step
from deploy.lab.rates.lines import dated, frames
from deploy.lab.rates.peers import sshd_lines
from deploy.lab.rates.sender import BATCH, Exporter
from deploy.lab.rates.stencils import CULPRITS, DRAWN, RECORDS, SAMPLING, Stencil, five_from, stencils
from streams.decode import goflow2, pmacct, received
from streams.decode.columns import Columns, Flows
from streams.decode.datagrams import frame
from streams.decode.flows import Trust
from streams.decode.logs import LogReader, ranges
from streams.decode.templates import Templates
from streams.listen.steering import fold

NOW_S = 1_700_000_000
NOW = NOW_S * 1_000_000_000
TRUST = Trust(frozenset(EXPORTERS), "t", NOW, 10**18)
POOL = 64
DATAGRAMS = ("netflow5", "netflow9", "ipfix", "sflow")


def sent(stencil: Stencil, batches: int, *, before: int = 0) -> list[bytes]:
    """What arrives of an exporter's batches."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5.0)
        with closing(Exporter(EXPORTERS[3], int(ear.getsockname()[1]), stencil, before=before)) as exporter:
            return [ear.recv(2_048) for _ in range(batches) for _ in range(exporter.send(NOW_S))]


def framed(datagrams: list[bytes]) -> bytes:
    return frame([packed(ip_address(EXPORTERS[3]))], [0] * len(datagrams), [NOW] * len(datagrams), datagrams)


def columns(flows: Flows) -> Columns:
    assert flows.rejects == ()
    assert flows.columns is not None
    return flows.columns


@pytest.mark.parametrize("kind", DATAGRAMS)
def test_datagrams_are_decoded_to_what_the_crowd_says(kind: str) -> None:
    stencil = stencils(kind, 4, pool=POOL)[3]
    found = columns(received.decode(framed(sent(stencil, POOL // BATCH)), TRUST, Templates()))
    said = talk(3, POOL * DRAWN[kind].records)
    assert len(found) == len(said)
    for column, wanted in (("src_port", said.src_port), ("dst_port", said.dst_port), ("in_if", said.entry)):
        assert np.array_equal(getattr(found, column), wanted), column
    assert np.array_equal(found.protocol, said.protocol)
    assert not found.malformed.any()
    assert not found.skewed.any()
    if kind == "sflow":
        assert set(found.sampling.tolist()) == {SAMPLING}
    else:
        assert np.array_equal(found.bytes, said.octets)
        assert np.array_equal(found.packets, said.packets)
        assert np.array_equal(found.duration_ns // 1_000_000, said.duration_ms)


@pytest.mark.parametrize(
    ("kind", "place", "step"), [("netflow5", 16, RECORDS), ("netflow9", 12, 1), ("ipfix", 8, RECORDS), ("sflow", 16, 1)]
)
def test_numbers_go_on_from_what_was_sent_before(kind: str, place: int, step: int) -> None:
    stencil = stencils(kind, 1, pool=POOL)[0]
    numbers = [int.from_bytes(one[place : place + 4], "big") for one in sent(stencil, 3, before=POOL - BATCH)]
    assert numbers == [step * (POOL - BATCH + at) for at in range(3 * BATCH)]


@pytest.mark.parametrize("kind", ["netflow5", "netflow9", "ipfix"])
def test_each_round_is_of_other_flows_between_the_same_hosts_and_services(kind: str) -> None:
    stencil = stencils(kind, 4, pool=POOL)[3]
    said = talk(3, POOL * RECORDS)
    found = columns(received.decode(framed(sent(stencil, POOL // BATCH, before=7 * POOL)), TRUST, Templates()))
    out = said.exit == UPLINK
    near, far = np.where(out, found.src_port, found.dst_port), np.where(out, found.dst_port, found.src_port)
    before = np.where(out, said.src_port, said.dst_port)
    assert np.array_equal(near, (before - NEAR_PORTS.start + 7) % len(NEAR_PORTS) + NEAR_PORTS.start)
    assert np.array_equal(far, np.where(out, said.dst_port, said.src_port))
    again = columns(received.decode(framed(sent(replace(stencil, near=None), 1, before=8 * POOL)), TRUST, Templates()))
    assert np.array_equal(again.src_port, found.src_port[: len(again)])


def test_templates_are_repeated_but_not_in_every_datagram() -> None:
    for kind in ("netflow9", "ipfix"):
        lengths = stencils(kind, 1, pool=POOL)[0].lengths
        assert 0 < int((lengths > lengths.min()).sum()) < POOL // 8


def test_half_of_the_lines_are_of_sshd_and_each_sixteenth_accuses_one_of_a_few_hosts() -> None:
    frame = framed(sent(stencils("syslog", 4, pool=256)[3], 256 // BATCH))
    everybody, ours = LogReader(), LogReader(ours=ranges([NETWORK]))
    assert sum(claim.count for claim in everybody.frame(frame, kafka_ns=NOW).claims) == 256 // 2
    logs = ours.frame(frame, kafka_ns=NOW)
    assert logs.rejects == ()
    assert {claim.count for claim in logs.claims} == {256 // 16 / CULPRITS}
    assert len(logs.claims) == CULPRITS
    assert sum(b"sshd[" in line for line in sshd_lines(100)) == 100


@pytest.mark.parametrize(("kind", "decode"), [("goflow2_json", goflow2.decode), ("pmacct_json", pmacct.decode)])
def test_lines_of_collectors_are_decoded_to_what_the_crowd_says(
    kind: str, decode: Callable[[bytes, Trust], Flows]
) -> None:
    made = frames(kind, records=50, pool=1)
    found, said = columns(decode(dated(made[5], NOW), TRUST)), talk(5, 50, seed=5)
    assert np.array_equal(found.src_port, said.src_port)
    assert np.array_equal(found.bytes, said.octets)
    assert np.array_equal(found.in_if, said.entry)
    assert set(found.duration_ns.tolist()) == {LONGEST_MS * 500_000}
    assert found.exporters == (EXPORTERS[5],)
    assert not found.skewed.any()


def test_a_full_frame_of_lines_fits_a_message_of_kafka() -> None:
    assert max(map(len, frames("goflow2_json", pool=1))) < 1_000_000


def test_hosts_of_five_from_are_told_apart_by_address_and_port() -> None:
    hosts = np.arange(RECORDS, dtype=np.int64)
    octets = five_from(hosts + int(NETWORK.network_address), hosts + 1, seconds=NOW_S)
    found = columns(received.decode(framed([row.tobytes() for row in octets]), TRUST))
    assert found.in_if.tolist() == list(range(1, RECORDS + 1))
    assert len(np.unique(found.src)) == RECORDS


def test_every_host_stands_behind_its_exporter_in_the_site() -> None:
    source = Source("t", SourceFormat.DATAGRAMS)
    estate = Estate(toml.read(site_text(source, port=9), Site, file="site.toml"))
    assert len(estate.hosts) == HOSTS == SHARE * len(EXPORTERS)
    said = talk(2, 200)
    out = said.entry != UPLINK
    for text, port in zip(addresses(said.src[out]), said.entry[out].tolist(), strict=True):
        interface = estate.by_if_index[ip_address(EXPORTERS[2]), port]
        host = next(one for one in estate.hosts.values() if ip_address(text) in one.addresses)
        assert host.ports[0].interface == interface.name
    assert set(SOURCES) == {*DRAWN, "goflow2_json", "pmacct_json"}
    assert "version = 1" in policy_text()


def test_exporters_are_dealt_out_to_four_partitions_evenly() -> None:
    homes = [fold(packed(ip_address(one))) % 4 for one in EXPORTERS]
    assert sorted(homes) == [0, 0, 1, 1, 2, 2, 3, 3]


# figures


def step(rate: float, *, capacity: float = 1e9) -> Step:
    """A second at this rate, of which a worker can do so much."""
    cpu = {"listener": rate / 4e6, "worker": rate / 1e6, "broker": 0.1}
    behind = 0.5 if rate <= capacity else 5.0
    return Step(rate, rate, int(rate), int(rate), int(rate), lost=0, behind_s=behind, cpu_s=cpu)


def test_a_ramp_ends_close_to_the_highest_rate_that_is_held() -> None:
    for capacity in (30_000.0, 430_000.0, 1_100_000.0):
        steps = figures.ramp(partial(step, capacity=capacity), first=100_000.0, most=20)
        held = figures.best(steps)
        assert held is not None
        assert capacity / 1.2 < held.sent_per_s <= capacity


def test_a_ramp_ends_with_its_steps_and_where_the_sender_can_do_no_more() -> None:
    assert len(figures.ramp(step, first=100.0, most=3)) == 3
    slow = figures.ramp(lambda rate: replace(step(min(rate, 500.0)), asked_per_s=rate), first=400.0, most=9)
    assert [one.sent_per_s for one in slow] == [400.0, 500.0]


def test_a_ramp_ends_where_a_backlog_is_left() -> None:
    steps = figures.ramp(lambda rate: replace(step(rate), scored=1), first=100.0, most=9)
    assert len(steps) == 1
    assert figures.best(steps) is None


def test_what_was_lost_is_no_backlog_and_a_ramp_goes_on_below_it() -> None:
    def measure(rate: float) -> Step:
        one = step(rate)
        lost = max(0, one.sent - 430)
        return replace(one, scored=one.sent - lost, lost=lost)

    steps = figures.ramp(measure, first=100.0, most=9)
    held = figures.best(steps)
    assert held is not None
    assert 430 / 1.2 < held.sent_per_s <= 430
    assert any(one.lost for one in steps)


@pytest.mark.parametrize("amiss", [{"received": 1}, {"scored": 1}, {"lost": 1}, {"behind_s": 2.1}])
def test_what_is_lost_or_piles_up_is_not_held(amiss: dict[str, float]) -> None:
    assert step(100.0).held
    assert not replace(step(100.0), **amiss).held  # type: ignore[arg-type]  # some are whole, one is not


def test_a_pace_is_told_of_the_time_in_which_there_was_work_left() -> None:
    second = 10**9
    assert figures.pace([(0, 0), (second, 5), (2 * second, 10), (9 * second, 12)], wanted=12) == 5.0
    assert figures.pace([(0, 0), (4 * second, 12)], wanted=12) == 3.0
    assert figures.pace([(0, 0), (0, 0)], wanted=12) is None


def test_stages_in_a_row_add_their_costs() -> None:
    assert figures.summed(4_000_000, 1_000_000) == 800_000
    assert figures.summed(None, 1_000_000) == 1_000_000
    assert figures.summed(None, None) is None


def test_a_format_is_told_with_the_keys_that_are_asked_for() -> None:
    told = figures.of_steps([step(100_000.0), step(900_000.0, capacity=1.0)])
    assert told["records_per_cpu_s"] == 800_000
    assert told["listener_records_per_cpu_s"] == 4_000_000
    assert told["worker_records_per_cpu_s"] == 1_000_000
    assert told["loss_free_records_per_s"] == 100_000
    assert json.loads(json.dumps(told)) == told
    assert figures.of_steps([step(9.0, capacity=1.0)])["loss_free_records_per_s"] is None


def test_shares_of_cpu_are_those_of_the_step_that_was_held_with_the_least() -> None:
    dear, lost = replace(step(900_000.0), cpu_s={"listener": 1.0, "worker": 2.0, "broker": 0.1}), step(950_000.0)
    told = figures.of_steps([step(100_000.0), dear, replace(lost, lost=1, cpu_s=dict.fromkeys(lost.cpu_s, 0.001))])
    assert told["loss_free_records_per_s"] == 900_000
    assert told["worker_records_per_cpu_s"] == 1_000_000


# meters


def test_cpu_time_is_read_behind_a_name_that_holds_blanks_and_brackets() -> None:
    fields = " ".join(str(number) for number in range(4, 50))
    spent = meter.spent_s(f"77 (a) b) S {fields}")
    assert spent == pytest.approx((14 + 15) * meter.TICK_S)


def test_losses_of_all_sockets_at_a_port_are_summed() -> None:
    line = "  {0}: 0100007F:{1:04X} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 {2}\n"
    table = "head\n" + line.format(1, 2055, 3) + line.format(2, 2055, 4) + line.format(3, 6343, 9)
    assert meter.lost_at(2055, table) == 7
    assert meter.lost_at(514, table) is None
