"""`cordon demo`, `cordon up` and `cordon replay`."""

import contextlib
import json
import signal
import sys
import time
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
    broker: Annotated[str, typer.Option(help="HOST:PORT of a Kafka of yours; else one is embedded")] = "",
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
            _until_interrupted(tend)

    with _signals_as_interrupts():
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


def _until_interrupted(tend: Callable[[], None]) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            tend()
            time.sleep(0.5)


@contextlib.contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP end the run as Ctrl-C does: with every process stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
