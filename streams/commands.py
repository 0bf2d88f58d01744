"""The streams' sub-commands. What they run stands in `__main__` and is loaded when it is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from controller.domain.errors import BrokerUnavailable
from streams.broker import CLUSTER, EMBEDDED, Tempo

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The processes between the wire and the verdicts.")

SiteFile = Annotated[Path, typer.Option("--site", help="site.toml: the network and its sources")]
PolicyFile = Annotated[Path, typer.Option("--policy", help="policy.toml: ticks, thresholds, detectors")]
Broker = Annotated[str, typer.Option("--broker", envvar="CORDON_BROKER", help="HOST:PORT, several with commas")]
BrokerFile = Annotated[
    Path | None,
    typer.Option("--broker-file", envvar="CORDON_BROKER_FILE", help="TOML with TLS, SASL, replication and times"),
]
Embedded = Annotated[bool, typer.Option("--embedded", help="keep to the times of the broker in the wheel")]
Partitions = Annotated[int, typer.Option("--partitions", min=1, help="of topics that are still to be created")]


@app.command()
def worker(
    site: SiteFile,
    policy: PolicyFile,
    data_dir: Annotated[Path, typer.Option("--data-dir", help="for empty folders that Faust insists on")],
    broker: Broker = "",
    broker_file: BrokerFile = None,
    embedded: Embedded = False,
    partitions: Partitions = 4,
    group: Annotated[str, typer.Option("--group", help="workers of one group share the partitions")] = "cordon-streams",
    name: Annotated[str, typer.Option("--name", help="of this worker in verdicts and heartbeats")] = "",
) -> None:
    """Combine records into activity and score it."""
    from streams.__main__ import Where, run_worker

    with _said_plainly():
        run_worker(
            Where(site, policy, broker, broker_file, _tempo(embedded=embedded), partitions),
            directory=data_dir,
            group=group,
            name=name,
        )


@app.command("compile")
def compile_() -> None:
    """Compile ahead what the first worker and listener would wait for: once after each installation."""
    from streams.compiling import compile_all
    from streams.listen import compiling as listening

    with _said_plainly():
        compile_all()
        listening.compile_all()


@app.command()
def clock(
    site: SiteFile,
    policy: PolicyFile,
    broker: Broker = "",
    broker_file: BrokerFile = None,
    embedded: Embedded = False,
    partitions: Partitions = 4,
) -> None:
    """Write clock marks to every partition of the source topics: without them no tick ever closes."""
    from streams.__main__ import Where, run_clock

    with _said_plainly():
        run_clock(Where(site, policy, broker, broker_file, _tempo(embedded=embedded), partitions))


@app.command()
def listen(
    site: SiteFile,
    policy: PolicyFile,
    broker: Broker = "",
    broker_file: BrokerFile = None,
    embedded: Embedded = False,
    partitions: Partitions = 4,
    name: Annotated[str, typer.Option("--name", help="of this listener in heartbeats")] = "",
    workers: Annotated[int, typer.Option("--workers", min=1, help="processes; at most one for each partition")] = 1,
) -> None:
    """Hear NetFlow, IPFIX, sFlow and syslog where the site's [[listeners]] say."""
    from streams.__main__ import Where
    from streams.listen.__main__ import run_listen

    with _said_plainly():
        where = Where(site, policy, broker, broker_file, _tempo(embedded=embedded), partitions)
        run_listen(where, name=name, workers=workers)


@app.command()
def access(
    site: SiteFile,
    policy: PolicyFile,
    broker: Broker = "",
    broker_file: BrokerFile = None,
    partitions: Partitions = 4,
    *,
    grant: Annotated[bool, typer.Option("--grant", help="first create topics and allow what is needed")] = False,
) -> None:
    """Say whom the broker allows too much or too little. Comes as an administrator; exit status 1 if anybody."""
    from streams import __main__ as root

    with _said_plainly():
        where = root.Where(site, policy, broker, broker_file, partitions=partitions)
        for one in root.grant_access(where) if grant else ():
            print(f"granted: {one}")
        lacking, beyond = root.access_amiss(where)
    for one in lacking:
        print(f"missing: {one}")
    for one in beyond:
        print(f"too much: {one}")
    if lacking or beyond:
        raise typer.Exit(1)
    print("nobody may do more or less than the table says")


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="NDJSON or log lines, .gz too; - for standard input")],
    site: SiteFile,
    policy: PolicyFile,
    source: Annotated[str, typer.Option("--source", help="topic of one of the site's [[sources]]")],
    broker: Broker = "",
    broker_file: BrokerFile = None,
    embedded: Embedded = False,
    partitions: Partitions = 4,
    marks: Annotated[str, typer.Option("--marks", help="wall, or none where a clock runs already")] = "wall",
    follow: Annotated[bool, typer.Option("--follow", help="go on as the file grows, until SIGTERM")] = False,
) -> None:
    """Publish records or log lines from a file, many to a message."""
    from streams import __main__ as root

    with _said_plainly():
        where = root.Where(site, policy, broker, broker_file, _tempo(embedded=embedded), partitions)
        sent = root.send(where, file=file, topic=source, marks=root.Marks(marks), follow=follow)
    print(f"{sent.records} records in {sent.frames} messages to {source}")
    if sent.lost:
        print(f"{sent.lost} messages lost: {sent.why}")
        raise typer.Exit(1)


def _tempo(*, embedded: bool) -> Tempo:
    return EMBEDDED if embedded else CLUSTER


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
    except (BrokerUnavailable, OSError, ValueError) as error:
        typer.echo(f"cordon: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, ValueError) else 1) from None
