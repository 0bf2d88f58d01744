"""`cordon demo`, `cordon up` and `cordon replay`."""

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer


def demo(
    *,
    mode: Annotated[str, typer.Option(help="enforce, approve or dry-run")] = "enforce",
    scenario: Annotated[list[int] | None, typer.Option(help="1, 2 or 3; repeat for several")] = None,
    seed: Annotated[int, typer.Option(help="places offenders, devices, addresses and noise anew")] = 1,
    wait: Annotated[float, typer.Option(help="seconds to wait for `cordon approve`")] = 600.0,
    auto_approve: Annotated[bool, typer.Option(help="approve what is proposed")] = False,
    summary: Annotated[Path | None, typer.Option(help="write what happened as JSON")] = None,
    journal: Annotated[Path | None, typer.Option(help="folder for every line that each device heard")] = None,
    keep: Annotated[bool, typer.Option(help="stay up until Ctrl-C")] = False,
    no_warm_up: Annotated[bool, typer.Option(help="leave out the normal day before: nobody has a baseline")] = False,
    broker: Annotated[str, typer.Option(help="`apache`, or HOST:PORT of a Kafka of yours; else one is embedded")] = "",
    broker_file: Annotated[Path | None, typer.Option(help="TOML with TLS and SASL settings")] = None,
    home: Annotated[Path, typer.Option(help="folder for all that the run keeps")] = Path(".cordon"),
) -> None:
    """Show two offenders among 400 hosts being found and isolated over real SSH, at emulated devices."""
    from controller.domain.rulebook import MODES
    from deploy.lab.board import board
    from deploy.lab.demo import Options, perform
    from deploy.supervisor import DidNotStart

    if mode not in MODES:
        raise typer.BadParameter(f"one of {', '.join(MODES)}", param_hint="--mode")
    options = Options(
        mode=mode,
        scenarios=tuple(dict.fromkeys(scenario or (1, 2))),
        seed=seed,
        wait_s=wait,
        approves_itself=auto_approve,
        with_a_past=not no_warm_up,
        broker=broker,
        broker_file=broker_file,
        journal=journal,
        home=home,
    )
    shown = board(sys.stdout)

    def linger(tend: Callable[[], None]) -> None:
        if keep:
            shown.event("staying up; Ctrl-C ends it")
            until_interrupted(tend)

    with interrupts() as until_interrupted:
        try:
            judgement = perform(options, shown, linger=linger)
        except KeyboardInterrupt:
            shown.close()
            sys.stderr.write("interrupted; everything is stopped\n")
            raise typer.Exit(130) from None
        except (DidNotStart, TimeoutError) as error:
            shown.close()
            sys.stderr.write(f"cordon demo: {error}\n")
            raise typer.Exit(1) from None
        finally:
            shown.close()
    if summary:
        summary.write_text(json.dumps(judgement.document, indent=2) + "\n")
    for reason in judgement.reasons:
        sys.stdout.write(f"  {reason}\n")
    sys.stdout.write(f"{judgement.document['exit']}\n")
    raise typer.Exit(0 if judgement.ok else 1)


def replay(
    files: Annotated[
        list[Path], typer.Argument(help="flow records or log lines, .gz too", exists=True, dir_okay=False)
    ],
    *,
    site: Annotated[Path | None, typer.Option(help="site.toml of the network that the records are of")] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="policy.toml; else, in mode enforce, Cordon's own figures with --site, those for captures with --ours"
        ),
    ] = None,
    ours: Annotated[
        list[str] | None, typer.Option(help="instead of --site: address or prefix that is ours; repeat for several")
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="goflow2-json, pmacct-json or syslog; else detected")] = "",
    teller: Annotated[str, typer.Option("--from", help="with --ours: address that the log lines were sent from")] = "",
    emulate: Annotated[bool, typer.Option(help="carry the decisions out, at emulated devices")] = False,
    through_kafka: Annotated[bool, typer.Option(help="send it through topics and a worker of its own")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the whole report as JSON")] = False,
) -> None:
    """Score recorded traffic, and say who would have been fenced and why. Nothing real is touched."""
    from deploy.rerun import Request, rerun, tell

    request = Request(
        files=tuple(files),
        site=site,
        policy=policy,
        ours=tuple(ours or ()),
        format=kind,
        teller=teller,
        emulate=emulate,
        through_kafka=through_kafka,
    )
    with _progress() as advance:
        report = rerun(request, advance=advance)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        tell(report, sys.stdout)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """A bar on standard error, where that is a terminal; takes the share that is done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("replaying", total=1.0)
        yield lambda share: bar.update(task, completed=share)


def up(
    site: Annotated[Path, typer.Option(help="site.toml: the network as its owner describes it")],
    policy: Annotated[Path, typer.Option(help="policy.toml: thresholds, limits, fences")],
    *,
    broker: Annotated[str, typer.Option(envvar="CORDON_BROKER", help="HOST:PORT; else one is embedded")] = "",
    broker_file: Annotated[
        Path | None, typer.Option(envvar="CORDON_BROKER_FILE", help="TOML with TLS, SASL and times")
    ] = None,
    ledger: Annotated[str, typer.Option(envvar="CORDON_LEDGER", help="database URL; else a file in --home")] = "",
    known_hosts: Annotated[Path, typer.Option(help="host keys of the devices")] = Path("~/.ssh/known_hosts"),
    host: Annotated[str, typer.Option(help="address that the API listens on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port of the API; 0 takes a free one")] = 8421,
    mode: Annotated[str, typer.Option(help="stricter than the policy's: approve or dry-run")] = "",
    home: Annotated[Path, typer.Option(help="folder for logs, ledger and connection.toml")] = Path(".cordon"),
    partitions: Annotated[
        int, typer.Option(min=1, help="of topics that are still to be created: for so many workers in the end")
    ] = 4,
    listeners: Annotated[
        int, typer.Option(min=1, help="processes that share what comes in; at most one for each partition")
    ] = 1,
) -> None:
    """Run worker, clock, controller, API and, unless --broker names one, a broker; until Ctrl-C."""
    from deploy import running
    from deploy.parts import Layout
    from deploy.supervisor import DidNotStart

    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    layout = Layout(
        run=home.resolve(),
        site=site,
        policy=policy,
        broker=broker,
        ledger=ledger or f"sqlite:///{home.resolve() / 'ledger.sqlite3'}",
        known_hosts=known_hosts.expanduser(),
        mode=mode,
        broker_file=broker_file,
        embedded=not (broker or broker_file),
        partitions=partitions if broker or broker_file else 1,  # whom else should the broker in memory serve
        listeners=listeners,
    )

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    with interrupts() as until_interrupted:
        try:
            running.up(layout, host=host, port=port, say=say, until=until_interrupted)
        except KeyboardInterrupt:
            say("everything is stopped")
        except DidNotStart as error:
            sys.stderr.write(f"cordon up: {error}\n")
            raise typer.Exit(1) from None


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[Callable[[], None]], None]]:
    """SIGTERM and SIGHUP end the run as Ctrl-C does: with every process stopped. Gives a wait for any of the three.

    What whoever started us had ignored, as nohup does, stays ignored. Python drops an exception that is raised inside
    a weak reference's callback, and a signal may strike there: so the wait looks whether one came, too.
    """
    told = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        told.set()
        raise KeyboardInterrupt

    def until_interrupted(tend: Callable[[], None]) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            while not told.is_set():
                tend()
                told.wait(0.5)

    heard = [one for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield until_interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
