"""Where a listener is put together: `python -m streams listen`, one process or several that share the ports."""

import gc
import logging
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from multiprocessing.process import BaseProcess

from controller.domain import wire
from controller.domain.errors import ConfigError
from streams.__main__ import Where, log_to_stderr, on_signals
from streams.listen.compiling import compile_all
from streams.listen.ears import Listener
from streams.listen.opening import Opened, Share, channels, connections, open_datagrams
from streams.listen.outlet import Outlet, keep_freed_memory
from streams.listen.running import Named, listen
from streams.marking import latenesses

log = logging.getLogger("cordon.streams")


def run_listen(where: Where, *, name: str = "", workers: int = 1) -> None:
    """Listen where the site's `[[listeners]]` say, and write frames and clock marks to their topics, until SIGTERM.

    For those topics nobody else may write either: what comes in here is in order only among itself. Partitions, and
    the senders that belong to them, are dealt out to so many processes. When one of them ends, all do, and the exit
    status is 1.
    """
    settings, way, file = where.settings(), where.access(), str(where.site)
    heard = dict.fromkeys(listener.topic for listener in settings.estate.site.listeners)
    if not heard:
        raise ConfigError(file=file, key="listeners", expected="at least one [[listeners]] table")
    topics = where.topics(settings, way, needs=(wire.HEALTH, *heard))
    fewest = min(topics[topic] for topic in heard)
    if workers > fewest:
        raise ConfigError(file="--workers", key="workers", expected=f"at most one for each partition: {fewest}")
    compile_all()  # before anything comes in that would have to wait for it
    opened = open_datagrams(settings.estate, partitions=topics, workers=workers, file=file)
    name = name or f"{socket.gethostname()}-{os.getpid()}"
    helpers = _helpers(where, topics, opened, name, workers)
    stop = on_signals()
    try:
        _listen(where, topics, opened, Share(0, workers), name, lambda: stop.is_set() or not _whole(helpers))
    finally:
        for helper in helpers:
            helper.terminate()
            helper.join()
    if not stop.is_set():
        log.error("listen: a part of this listener has ended by itself")
        raise SystemExit(1)


def _helpers(
    where: Where, topics: Mapping[str, int], opened: Sequence[Opened], name: str, workers: int
) -> list[BaseProcess]:
    spawn = multiprocessing.get_context("spawn")
    helpers: list[BaseProcess] = []
    for worker in range(1, workers):
        mine = tuple(one for one in opened if one.worker == worker)
        helper = spawn.Process(target=_help, args=(where, topics, mine, Share(worker, workers), f"{name}-{worker}"))
        helper.start()
        helpers.append(helper)
    return helpers


def _whole(helpers: Sequence[BaseProcess]) -> bool:
    return all(helper.is_alive() for helper in helpers)


def _help(where: Where, topics: Mapping[str, int], opened: Sequence[Opened], share: Share, name: str) -> None:
    log_to_stderr()
    stop, parent = on_signals(), multiprocessing.parent_process()
    _listen(where, topics, opened, share, name, lambda: stop.is_set() or parent is None or not parent.is_alive())


def _listen(
    where: Where,
    topics: Mapping[str, int],
    opened: Sequence[Opened],
    share: Share,
    name: str,
    told: Callable[[], bool],
) -> None:
    keep_freed_memory()
    compile_all()
    settings = where.settings()
    estate, rules, file = settings.estate, settings.rules.scoring, str(where.site)
    wall_ns = time.time_ns  # noqa: TID251 - the composition root hands the clock in
    late_ns = latenesses(estate.site.sources, usual_ms=rules.lateness_ms)
    mine = channels(estate, opened, partitions=topics, late_ns=late_ns, share=share, file=file)
    lines = connections(estate, mine, wall_ns=wall_ns)
    outlet = Outlet(where.access())
    listener = Listener(mine, outlet, tick_ns=rules.tick_ms * 1_000_000, wall_ns=wall_ns, nap=time.sleep)
    for channel in mine:
        log.warning("listen: %s by %d sockets, partitions %s", channel.topic, len(channel.ears), channel.owned)
    gc.collect()
    gc.freeze()  # what is loaded stays: collecting need not go through it
    listen(listener, lines, outlet, named=Named(name, version("cordon")), wall_ns=wall_ns, told=told)
