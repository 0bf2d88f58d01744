"""Configuration mode of an EX switch: candidates, locks, commit and rollback.

Source: Junos OS CLI user guide (configure, configure private, configure exclusive, set, delete, edit, insert, rollback,
commit, commit confirmed). The shared candidate belongs to everybody: a plain commit takes along what others typed.
"""

from copy import deepcopy

from deploy.lab.device import Reply
from deploy.lab.junos_check import faults
from deploy.lab.junos_output import Output, configuration
from deploy.lab.junos_schema import Kind, Misread, Path, descend, read, split
from deploy.lab.junos_show import stamp
from deploy.lab.junos_switch import Editing, JunosSwitch
from deploy.lab.junos_tree import Tree, below, compare, drop, merge, move, put, same

LEAVING = "Exiting configuration mode\n"


class Refused(Exception):
    """The switch will not do it; the argument is what it prints."""


def enter(switch: JunosSwitch, user: str, number: int, kind: str, now: float) -> tuple[Editing, str]:
    """Begin to edit; raises Refused where somebody's lock or unfinished work forbids it."""
    owner = locked(switch)
    modified = not same(switch.candidate, switch.running)
    if kind != "shared" and owner:
        raise Refused(_locked_by(owner))
    if kind == "exclusive" and modified:
        raise Refused("error: configuration database modified\n")
    editing = Editing(user, kind, number, now)
    text = "Entering configuration mode\n"
    if kind != "shared":
        text = f"warning: uncommitted changes will be discarded on exit\n{text}"
    if kind == "private":
        editing.private, editing.base = deepcopy(switch.running), deepcopy(switch.running)
    elif switch.editing:
        text += "Users currently editing the configuration:\n" + "".join(_who(one) for one in switch.editing)
    if kind == "shared" and modified:
        text += "The configuration has been changed but not committed\n"
    switch.editing.append(editing)
    return editing, text


def locked(switch: JunosSwitch) -> Editing | None:
    """Who holds the configuration for himself."""
    return next((one for one in switch.editing if one.kind == "exclusive"), None)


def _who(editing: Editing) -> str:
    exclusive = "exclusive " if editing.kind == "exclusive" else ""
    path = "".join(f" {step}" for step in editing.path)
    head = f"  {editing.user} terminal p{editing.number} (pid {5000 + editing.number}) on since {stamp(editing.since)}"
    return f"{head}, idle 00:00:01\n      {exclusive}[edit{path}]\n"


def _locked_by(owner: Editing) -> str:
    return f"error: configuration database locked by:\n{_who(owner)}"


def release(switch: JunosSwitch, editing: Editing) -> None:
    """Stop editing: a private candidate is thrown away, an exclusive one rolled back, a shared one stays."""
    if editing in switch.editing:
        switch.editing.remove(editing)
        if editing.kind == "exclusive":
            switch.candidate = deepcopy(switch.running)


class Editor:
    """One user's work in configuration mode."""

    def __init__(self, switch: JunosSwitch, editing: Editing) -> None:
        """`editing` is registered with the switch; `release` ends it."""
        self._switch = switch
        self._editing = editing

    @property
    def editing(self) -> Editing:
        """The registration at the switch."""
        return self._editing

    @property
    def candidate(self) -> Tree:
        """The configuration that this user edits."""
        private = self._editing.private
        return self._switch.candidate if private is None else private

    @property
    def modified(self) -> bool:
        """True when leaving would leave something uncommitted behind."""
        base = self._editing.base
        return not same(self.candidate, self._switch.running if base is None else base)

    def _writable(self) -> None:
        owner = locked(self._switch)
        if owner and owner is not self._editing:
            raise Refused(_locked_by(owner))

    def set(self, words: list[str]) -> Reply:
        """Write statements into the candidate; raises Misread."""
        self._writable()
        found = read(words, self._editing.path)
        changed = False
        for path, node in found:
            lacking = node.kind is Kind.CONTAINER or (node.value and path[-1] in _keywords(path))
            if lacking or path == self._editing.path:
                raise Misread(len(words), missing=True)
            changed = put(self.candidate, path) or changed
        return Reply(configured=changed)

    def delete(self, words: list[str]) -> Reply:
        """Take statements out of the candidate; a statement that is not there is a warning, not a refusal."""
        self._writable()
        if not words and not self._editing.path:
            raise Misread(0, missing=True)
        gone = [drop(self.candidate, path) for path, _ in read(words, self._editing.path)]
        return Reply("" if all(gone) else "warning: statement not found\n", configured=any(gone))

    def insert(self, words: list[str]) -> Reply:
        """Move an ordered statement before or after another."""
        self._writable()
        at = max((place for place, word in enumerate(words) if word in ("before", "after")), default=0)
        if at == 0 or at + 3 != len(words):
            raise Misread(len(words), missing=True)
        ((path, _),) = read(words[:at], self._editing.path)
        if not move(self.candidate, path, words[at], " ".join(words[at + 1 :])):
            raise Refused("error: statement not found\n")
        return Reply(configured=True)

    def edit(self, words: list[str]) -> Reply:
        """Go down to a statement, which is created with the first one set below it."""
        ((path, node),) = read(words, self._editing.path)
        if not node.below or (node.value and path[-1] in _keywords(path)):
            raise Misread(len(words), missing=True)
        self._editing.path = path
        return Reply()

    def up(self, levels: int) -> Reply:
        """Go up so many levels, at most to the top."""
        self._editing.path = self._editing.path[: max(0, len(self._editing.path) - levels)]
        return Reply()

    def show(self, words: list[str]) -> Output:
        """The candidate below a path."""
        ((path, _),) = read(words, self._editing.path) if words else [(self._editing.path, descend(self._editing.path))]
        tree = below(self.candidate, path)
        return configuration(tree, path) if tree is not None else Output(())

    def compare(self, number: int) -> Output:
        """How the candidate differs from the active configuration, or from an earlier one."""
        if number >= len(self._switch.history):
            raise Refused(f"error: rollback {number}: no such configuration\n")
        old = self._switch.running if number == 0 else self._switch.history[number].tree
        return Output(tuple(compare(old, self.candidate)))

    def rollback(self, number: int) -> Reply:
        """Load an earlier configuration into the candidate; 0 is the active one."""
        self._writable()
        if number >= len(self._switch.history):
            raise Refused(f"error: rollback {number}: no such configuration\n")
        loaded = deepcopy(self._switch.running if number == 0 else self._switch.history[number].tree)
        changed = not same(loaded, self.candidate)
        if self._editing.private is None:
            self._switch.candidate = loaded
        else:
            self._editing.private = loaded
        return Reply("load complete\n", configured=changed)

    def check(self) -> str:
        """Verify what would be committed; a check also confirms a commit that waits for it."""
        lines = faults(self._merged())
        if lines:
            raise Refused("\n".join(lines) + "\n")
        self._switch.pending = None
        return "configuration check succeeds\n"

    def commit(self, now: float, comment: str, minutes: int | None) -> Reply:
        """Make the candidate active, for good or until `minutes` have passed without confirmation."""
        self._writable()
        tree = self._merged()
        lines = faults(tree)
        if lines:
            raise Refused("\n".join(lines) + "\n")
        changed = not same(tree, self._switch.running)
        text = "commit complete\n"
        if minutes is None:
            self._switch.commit(tree, self._editing.user, now, comment)
        else:
            text = f"commit confirmed will be automatically rolled back in {minutes} minutes unless confirmed\n{text}"
            self._switch.commit_confirmed(tree, self._editing.user, now, minutes, comment)
        self._switch.candidate = deepcopy(self._switch.running)
        if self._editing.private is not None:
            self._editing.private = deepcopy(self._switch.running)
            self._editing.base = deepcopy(self._switch.running)
        return Reply(text, configured=changed)

    def _merged(self) -> Tree:
        base, private = self._editing.base, self._editing.private
        if base is None or private is None:
            return self._switch.candidate
        if not same(self._switch.candidate, self._switch.running):
            raise Refused(
                "error: shared configuration database modified\n\n"
                "Please temporarily use 'configure shared' to commit\n"
                "outstanding changes in the shared database, exit,\n"
                "and return to configuration mode using 'configure private'\n"
            )
        return merge(base, private, self._switch.running)


def _keywords(path: Path) -> set[str]:
    return {key.split()[-1] for key in descend(path[:-1]).below}


def words_of(text: str) -> list[str]:
    """The words of a configuration line."""
    return [word for word, _ in split(text)]
