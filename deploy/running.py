"""`cordon up`: everything that Cordon consists of, started in order and kept running."""

import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from controller.domain import wire
from controller.domain.estate import Site
from controller.domain.toml import read
from deploy import parts
from deploy.parts import Layout
from deploy.ports import free_port
from deploy.supervisor import Supervisor
from streams.broker import CLUSTER, EMBEDDED, access
from streams.publish import create_topics


def up(
    layout: Layout, *, host: str, port: int, say: Callable[[str], None], until: Callable[[Callable[[], None]], None]
) -> None:
    """Start everything, then hand over to `until`, which looks after it until it has had enough."""
    with raised(layout, host=host, port=port, say=say) as supervisor:
        until(supervisor.tend)


@contextmanager
def raised(layout: Layout, *, host: str, port: int, say: Callable[[str], None]) -> Iterator[Supervisor]:
    """Everything started, in order; all of it is stopped in the end."""
    with Supervisor(layout.run / "logs", say=say) as supervisor:
        if layout.embedded:
            chosen = free_port()
            supervisor.start(parts.broker(chosen))
            layout = replace(layout, broker=f"127.0.0.1:{chosen}")
            say(f"broker: embedded, in memory, 127.0.0.1:{chosen}; what it holds is gone when it stops")
        site = read(layout.site.read_text(), Site, file=str(layout.site))
        _topics(layout, site)
        layout.connection.unlink(missing_ok=True)
        supervisor.launch(parts.worker(layout, ready=lambda: True))
        supervisor.launch(parts.clock(layout))
        if site.listeners:
            supervisor.launch(parts.listener(layout))
        supervisor.start(parts.api(layout, host=host, port=port, ready=lambda: connected(layout.connection)))
        supervisor.launch(parts.controller(layout, ready=lambda: True))
        say(f"the API answers; {layout.connection} tells the other commands where. Ctrl-C ends everything")
        yield supervisor


def connected(connection: Path) -> bool:
    """True when the API has written where it answers."""
    try:
        return bool(tomllib.loads(connection.read_text())["url"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return False


def _topics(layout: Layout, site: Site) -> None:
    reach = access(
        layout.broker,
        file=layout.broker_file,
        environment=os.environ,
        tempo=EMBEDDED if layout.embedded else CLUSTER,
    )
    sources = tuple(source.topic for source in site.sources)
    create_topics(reach, wire.topics(sources, partitions=layout.partitions))
