"""Sends frames of JSON lines to a topic at a rate, as a collector would: a process of its own.

`python -m deploy.lab.rates.publisher KIND BROKER TOPIC PARTITIONS RECORDS_PER_S SECONDS FRAME_RECORDS` says on standard
output what it did, as JSON.
"""

import json
import sys
import time

from confluent_kafka import Producer

from deploy.lab.rates.lines import dated, frames

ROOM_KIB = 256 * 1024


def main() -> None:
    """Send at the rate for so long, and see all of it arrive; exits 1 where the broker refuses some."""
    kind, broker, topic = sys.argv[1:4]
    partitions, each = int(sys.argv[4]), int(sys.argv[7])
    rate, seconds = float(sys.argv[5]), float(sys.argv[6])
    made = frames(kind, records=each)
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 0, "queue.buffering.max.kbytes": ROOM_KIB})
    most = ROOM_KIB * 1024 // max(map(len, made)) // 2
    refused: list[str] = []
    wanted = max(1, int(rate * seconds / each))
    started = time.perf_counter()
    for number in range(wanted):
        frame = dated(made[number % len(made)], time.time_ns())  # noqa: TID251 - collectors date what they send
        while len(producer) >= most:  # who is faster than the broker waits, and is seen to be late
            producer.poll(0.1)
        producer.produce(
            topic,
            frame,
            partition=number % partitions,
            on_delivery=lambda error, _: refused.append(error.str()) if error else None,
        )
        producer.poll(0)
        ahead = (number + 1) * each / rate - (time.perf_counter() - started)
        if ahead > 0:
            time.sleep(ahead)
    took = time.perf_counter() - started
    producer.flush(30.0)
    if refused:
        sys.exit(f"{len(refused)} frames refused: {refused[0]}")
    json.dump({"datagrams": wanted, "records": wanted * each, "seconds": took}, sys.stdout)


if __name__ == "__main__":
    main()
