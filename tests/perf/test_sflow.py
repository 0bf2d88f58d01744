"""How many sampled packets a CPU-second takes from datagrams to columns. Writes bench/sflow.json; asserts no speed."""

import json
import time
from ipaddress import ip_address
from pathlib import Path
from statistics import median

from controller.domain.address import packed
from streams.decode import received
from streams.decode.datagrams import frame
from streams.decode.flows import Trust
from tests.streams.sflow_cases import datagram, ethernet, ipv4, raw, sample, udp

SWITCH = "198.18.255.12"
SAMPLES = 6
SIZES = (20, 200, 2_000)
RUNS = 5
BENCH = Path(__file__).parents[2] / "bench"


def datagrams(count: int) -> list[bytes]:
    """Six samples each, of as many senders as there are samples, up to 65,536."""
    made = []
    for number in range(count):
        samples = []
        for at in range(SAMPLES):
            place = number * SAMPLES + at
            source = bytes([198, 18, place >> 8 & 255, place & 255])
            packet = ethernet(ipv4(udp(1_000 + place % 1_000, 53, 470), source=source))
            samples.append(sample(raw(packet), sequence=place + 1))
        made.append(datagram(*samples, sequence=number))
    return made


def test_sampled_packets_per_cpu_second() -> None:
    received.prepare()
    trust = Trust(frozenset({SWITCH}), "t", 0, 10**18)
    all_of_them = datagrams(max(SIZES))
    figures: dict[str, float] = {}
    for size in SIZES:
        value = frame([packed(ip_address(SWITCH))], [0] * size, [10**18] * size, all_of_them[:size])
        spent = []
        for _ in range(RUNS):
            start = time.process_time()
            flows = received.decode(value, trust)
            spent.append(time.process_time() - start)
            assert flows.columns is not None
            assert len(flows.columns) == size * SAMPLES
        figures[f"samples_per_cpu_s_in_frames_of_{size * SAMPLES}"] = round(size * SAMPLES / median(spent))
    BENCH.mkdir(exist_ok=True)
    (BENCH / "sflow.json").write_text(json.dumps(figures, indent=2) + "\n")
