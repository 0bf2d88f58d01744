"""The controller's sub-commands. What they need is loaded when they are run, so that help is quick."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from controller.domain.errors import BrokerUnavailable, ConfigError, CordonError, LedgerUnavailable

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The process that decides and fences.")

SiteFile = Annotated[Path, typer.Option("--site", help="site.toml: the network as its owner describes it")]
PolicyFile = Annotated[Path, typer.Option("--policy", help="policy.toml: thresholds, limits, fences")]
LedgerUrl = Annotated[
    str, typer.Option("--ledger", envvar="CORDON_LEDGER", help="sqlite:////file or postgresql://user@host/name")
]
KnownHosts = Annotated[Path, typer.Option("--known-hosts", help="host keys of the devices; others are refused")]
RunDir = Annotated[Path, typer.Option("--run-dir", help="where the undo sheet is kept")]
KNOWN_HOSTS = Path("~/.ssh/known_hosts")
RUN_DIR = Path(".cordon")


@app.command()
def run(
    site: SiteFile,
    policy: PolicyFile,
    ledger: LedgerUrl,
    broker: Annotated[
        str, typer.Option("--broker", envvar="CORDON_BROKER", help="HOST:PORT, several with commas")
    ] = "",
    broker_file: Annotated[
        Path | None, typer.Option("--broker-file", envvar="CORDON_BROKER_FILE", help="TOML with TLS, SASL and times")
    ] = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="keep to the times of the broker in the wheel")] = False,
    mode: Annotated[str, typer.Option("--mode", help="stricter than the policy's: approve or dry-run")] = "",
    known_hosts: KnownHosts = KNOWN_HOSTS,
    run_dir: RunDir = RUN_DIR,
) -> None:
    """Decide on verdicts and carry the decisions out, until SIGTERM; SIGUSR1 turns the kill switch on."""
    from controller.__main__ import Options, log_to_stderr
    from controller.__main__ import run as serve
    from controller.settings import EMBEDDED, access, load

    log_to_stderr()
    with _said_plainly():
        settings = load(site, policy, mode=mode)
        way = access(broker, file=broker_file, environment=os.environ, tempo=EMBEDDED if embedded else None)
        serve(Options(settings, way, ledger, known_hosts.expanduser(), run_dir))


@app.command()
def plan(
    host: Annotated[str, typer.Argument(help="an address of ours")],
    site: SiteFile,
    policy: PolicyFile,
) -> None:
    """Show which fences there would be against a host, best first, and what speaks for each; asks no device."""
    from controller.domain.address import subject_of
    from controller.domain.verdict import Finding, Level, Rates, Verdict
    from controller.locating import locate
    from controller.planning import Need, candidates
    from controller.settings import load
    from drivers.devices import Devices

    with _said_plainly():
        settings = load(site, policy)
        network = Devices(settings.estate, known_hosts=Path(os.devnull), secrets={}, rehearse=lambda _: True)
        verdict = Verdict(subject_of(host), 0, 100.0, Level.ISOLATE, Finding.OFFENDER, (), Rates())
        who = locate(verdict, settings.estate)
        typer.echo(f"{who.host or 'unknown host'} of {who.tenant or 'unknown tenant'}: {who.how}")
        for fence in candidates(who, Need(), settings.estate, settings.rules, network.holds):
            where = ", ".join(str(leg.slot) for leg in fence.legs)
            beside = f"; also touches {', '.join(fence.collateral)}" if fence.collateral else ""
            typer.echo(f"  {fence.kind} on {where}: {fence.why}{beside}")


@app.command()
def check(
    site: SiteFile,
    policy: PolicyFile,
    known_hosts: KnownHosts = KNOWN_HOSTS,
    ledger: Annotated[str, typer.Option("--ledger", envvar="CORDON_LEDGER", help="to see what was heard lately")] = "",
    offline: Annotated[bool, typer.Option("--offline", help="log in to no device")] = False,
) -> None:
    """Check site, policy and dialects, log in to every device, and say which sources can show fragments."""
    from controller.checking import devices, sources
    from controller.settings import load

    with _said_plainly():
        settings = load(site, policy)
        estate = settings.estate
        typer.echo(
            f"{site}: {len(estate.hosts)} hosts, {len(estate.devices)} devices, {len(estate.interfaces)} interfaces"
        )
        typer.echo(f"{policy}: mode {settings.rules.mode}, SHA-256 {settings.policy_digest[:12]}")
        for line in sources(estate, ledger):
            typer.echo(line)
        bad = 0
        for good, line in devices(settings, known_hosts.expanduser(), os.environ, ledger=ledger, ask=not offline):
            typer.echo(line)
            bad += not good
        if bad:
            raise typer.Exit(1)


@app.command()
def audit(ledger: LedgerUrl) -> None:
    """Verify the chain of all moves: none changed, none missing, none put in later."""
    from controller.domain.decision import first_break
    from controller.ledger import Ledger

    with _said_plainly():
        book = Ledger.open(ledger)
        moves = book.moves()
        book.close()
        broken = first_break(moves)
        if broken is not None:
            typer.echo(f"the chain breaks at move {broken} of {len(moves)}")
            raise typer.Exit(1)
        typer.echo(f"{len(moves)} moves, the chain is whole; last hash {moves[-1].hash if moves else 'none'}")


@app.command("undo-sheet")
def undo_sheet(run_dir: RunDir = RUN_DIR) -> None:
    """Print how to take every live fence down by hand. Needs no database, broker or API."""
    file = run_dir / "undo-sheet.txt"
    try:
        typer.echo(file.read_text(encoding="utf-8"), nl=False)
    except OSError as error:
        typer.echo(f"{file}: {error.strerror}; name the controller's --run-dir", err=True)
        raise typer.Exit(2) from None


@contextmanager
def _said_plainly() -> Iterator[None]:
    """One line and an exit status for what is wrong: 2 for files and options, 3 for what does not answer, else 1."""
    try:
        yield
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except (BrokerUnavailable, LedgerUnavailable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(3) from None
    except CordonError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
