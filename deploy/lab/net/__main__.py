"""Keeps one lab up until told to stop: `python -m deploy.lab.net [--containers N] [--sampling N] [--mode MODE]`.

It prints the lab's folder when everything answers; SIGTERM, SIGINT or SIGHUP take everything down.
"""

import argparse
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from deploy.lab.net.lab import Lab, Wishes
from deploy.lab.net.namespaces import LabError

ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """Put a lab up, wait, take it down; 1 when it cannot be put up."""
    usual = Wishes()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--containers", type=int, default=usual.containers)
    parser.add_argument("--sampling", type=int, default=usual.sampling)
    parser.add_argument("--mode", default=usual.mode)
    asked = parser.parse_args()
    told = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        """The first ending is heard, wherever it strikes; others shall not disturb the taking down."""
        for one in ENDINGS:
            signal.signal(one, signal.SIG_IGN)
        told.set()
        raise KeyboardInterrupt

    for number in ENDINGS:
        signal.signal(number, interrupt)
    try:
        with Lab(Wishes(containers=asked.containers, sampling=asked.sampling, mode=asked.mode)) as lab:
            sys.stdout.write(f"{lab.folder}\n")
            sys.stdout.flush()
            told.wait()
            return 0
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
