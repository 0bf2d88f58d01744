"""The laboratory's own socket: traffic along paths, answers, refusals."""

import json
import socket

import msgspec
import pytest

from deploy.lab.control import Arrival, Burst, ControlError, Emulators
from deploy.lab.device import Packets
from deploy.lab.faults import Fault, Kind

PACKETS = Packets("", "02:00:00:00:00:07", "02:00:00:00:00:99", "10.0.0.7", "192.0.2.9", 17, 4000, 53, 100, 100_000)
THROUGH = Burst((("hv03", "veth7"), ("fw1", "eth1")), PACKETS)
LOCAL = Burst((("hv03", "veth7"),), PACKETS)


async def test_burst_goes_from_hop_to_hop(lab):
    arrivals = await lab.control(lambda e: e.forward([THROUGH, LOCAL], now=1000.0))
    assert arrivals == [Arrival(100, 100_000, None), Arrival(100, 100_000, 120)]


async def test_arrival_names_the_hop_that_stopped_it_and_why(lab):
    await lab.control(lambda e: e.edit("fw1", ["nft insert rule inet filter forward ip saddr 10.0.0.7 drop"]))
    await lab.control(lambda e: e.edit("hv03", ["ip link set veth9 down"]))
    from_below = Burst((("hv03", "veth9"), ("fw1", "eth1")), PACKETS)
    arrivals = await lab.control(lambda e: e.forward([THROUGH, from_below], now=1000.0))
    assert [(one.packets, one.stopped_by, one.why) for one in arrivals] == [
        (0, "fw1", "inet filter forward: ip saddr 10.0.0.7 drop"),
        (0, "hv03", "link veth9 is down"),
    ]


async def test_part_that_a_meter_holds_back_does_not_reach_the_next_hop(lab):
    await lab.control(
        lambda e: e.edit(
            "hv03",
            [
                "ovs-ofctl -O OpenFlow13 add-meter br0 meter=1,pktps,burst,band=type=drop,rate=40,burst_size=10",
                "ovs-ofctl -O OpenFlow13 add-flow br0 priority=9,in_port=1,actions=meter:1,NORMAL",
            ],
        )
    )
    (arrival,) = await lab.control(lambda e: e.forward([THROUGH], now=1000.0))
    assert arrival == Arrival(20, 20_000, None, "hv03", "meter 1 of 40 pktps")
    said = await lab.control(lambda e: e.edit("fw1", ["ip -j -s link show dev eth1"]))
    assert json.loads(said[0])[0]["stats64"]["rx"]["packets"] == 20


async def test_device_without_power_passes_nothing(lab):
    await lab.control(lambda e: e.power("fw1", seconds=60))
    (arrival,) = await lab.control(lambda e: e.forward([THROUGH], now=1000.0))
    assert (arrival.packets, arrival.stopped_by, arrival.why) == (0, "fw1", "no power")


async def test_requests_that_make_no_sense_are_refused_by_name(lab):
    nowhere = Burst((("sw99", "eth0"),), PACKETS)
    for work in (
        lambda e: e.forward([nowhere], now=0.0),
        lambda e: e.edit("sw99", ["hostname"]),
        lambda e: e.fault("sw99", Fault(Kind.DROP)),
    ):
        with pytest.raises(ControlError, match="sw99"):
            await lab.control(work)


async def test_garbage_on_the_socket_is_answered_with_an_error_and_the_line_lives_on(lab):
    def talk():
        answers = []
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(lab.run / "control.sock"))
            stream = raw.makefile("rwb")
            for line in (b"{", b'{"op": "frobnicate"}', b'{"op": "fault", "device": "hv03"}', b'{"op": "counters"}'):
                stream.write(line + b"\n")
                stream.flush()
                answers.append(msgspec.json.decode(stream.readline()))
            stream.close()
        return answers

    answers = await lab.control(lambda _: talk())
    assert ["error" in answer for answer in answers] == [True, True, True, False]


async def test_fault_with_a_broken_pattern_is_refused(lab):
    with pytest.raises(ValueError, match="pattern"):
        Fault(Kind.DROP, "(")
    assert await lab.control(Emulators.configurations)


async def test_configurations_are_those_of_all_devices(lab):
    configurations = await lab.control(Emulators.configurations)
    assert "port veth7 tag=120" in configurations["hv03"]
    assert "table inet filter {" in configurations["fw1"]


async def test_empty_path_and_empty_tick_cost_nothing(lab):
    assert await lab.control(lambda e: e.forward([], now=0.0)) == []
    assert await lab.control(lambda e: e.forward([Burst((), PACKETS)], now=0.0)) == [Arrival(100, 100_000)]
