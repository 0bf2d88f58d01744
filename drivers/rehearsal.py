"""A session that can only ask. Dry-run is the same driver on such a session: nothing else differs."""

import re
from collections.abc import Sequence

from controller.domain.errors import Rehearsed
from controller.domain.fence import Transcript
from drivers.conversation import Query, Session


class Rehearsal:
    """Lets questions through to the session behind it, and nothing else.

    What is a question is the dialect's list of patterns (`talk.asks`), which no configuring line of the dialect may
    match; so a question that is none does not leave either.
    """

    def __init__(self, name: str, behind: Session, asks: Sequence[str]) -> None:
        self._name, self._behind = name, behind
        self._asks = tuple(re.compile(pattern) for pattern in asks)

    def ask(self, queries: Sequence[Query]) -> tuple[str, ...]:
        """The device's answers. Raises Rehearsed for what is not a question."""
        for query in queries:
            if "\n" in query.text or not any(pattern.match(query.text) for pattern in self._asks):
                raise Rehearsed(self._name, f"not a question: {query.text!r}")
        return self._behind.ask(queries)

    def configure(self, lines: Sequence[str], *, confirm_within_s: int) -> Transcript:
        """Raises Rehearsed, always: no configuring line leaves a rehearsal."""
        raise Rehearsed(self._name, f"{len(lines)} lines were not sent: this is a rehearsal")

    def confirm(self) -> Transcript:
        """Nothing can be pending."""
        return Transcript(self._name, ())

    def close(self) -> None:
        """End the session behind."""
        self._behind.close()
