"""A session whose device is this machine: lines run in a shell here, in the environment given."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from controller.domain.errors import CommandRefused
from controller.domain.fence import Transcript
from drivers.conversation import Query


class LocalShell:
    """Questions and lines go to bash; an exit status other than 0 is a refusal."""

    def __init__(self, *, namespace: str, environment: Mapping[str, str] | None = None) -> None:
        self._prefix = ("ip", "netns", "exec", namespace, "bash", "-c")
        self._environment = {**os.environ, **(environment or {})}
        self.lines: list[str] = []

    def run(self, text: str) -> tuple[int, str]:
        done = subprocess.run(
            (*self._prefix, text), env=self._environment, capture_output=True, text=True, timeout=20, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def ask(self, queries: Sequence[Query]) -> tuple[str, ...]:
        answers = []
        for query in queries:
            status, answer = self.run(query.text)
            if status and not (query.absent and re.search(query.absent, answer, re.MULTILINE)):
                raise CommandRefused("here", line=query.text, answer=answer)
            answers.append("" if status else answer)
        return tuple(answers)

    def configure(self, lines: Sequence[str], *, confirm_within_s: int) -> Transcript:
        exchanges = []
        for line in lines:
            status, answer = self.run(line)
            self.lines.append(line)
            if status:
                raise CommandRefused("here", line=line, answer=answer)
            exchanges.append((line, answer))
        return Transcript("here", tuple(exchanges))

    def confirm(self) -> Transcript:
        return Transcript("here", ())

    def close(self) -> None:
        return
