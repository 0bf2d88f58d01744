"""Declarations of chains and sets, alone and within the braces of a table. Source: nft(8)."""

from dataclasses import dataclass, field

from deploy.lab.nft_elements import Read, add_elements, elements
from deploy.lab.nft_rule import RuleReader
from deploy.lab.nft_ruleset import HOOKS, PRIORITIES, Base, Chain, Rule, Set, Table
from deploy.lab.nft_values import SET_TYPES, Type, duration
from deploy.lab.nft_words import NftError, Place, Words

EXISTS = "Could not process rule: File exists"
CHAIN_TYPES = ("filter", "nat", "route")
SET_FLAGS = ("constant", "dynamic", "interval", "timeout")


_UNTYPED = Type("", "", 0)


@dataclass(slots=True)
class _Declared:
    """A chain or set as it stands in a block, before it has a handle."""

    chains: list[tuple[Chain, Place]] = field(default_factory=list)
    sets: list[tuple[Set, Place, Read]] = field(default_factory=list)
    rules: list[tuple[str, int]] = field(default_factory=list)  # chain, and where in the words its rule begins


@dataclass(slots=True)
class BlockReader:
    """Reads what belongs to one table. Handles are given as the kernel gives them: chains, then sets, then rules."""

    words: Words
    owner: Table
    now: float

    def body(self) -> None:
        """Read the body of `table … {` up to its closing brace."""
        words, declared = self.words, _Declared()
        words.skip_newlines()
        while not words.accept("}"):
            what = words.here
            if what.text not in ("chain", "set", "comment", "flags"):
                words.unexpected()
            words.take()
            if what.text == "chain":
                self._chain(declared, create=False)
            elif what.text == "set":
                self._set(declared, create=False)
            else:
                self.owner.comment = words.take().text
            words.skip_newlines()
        self._settle(declared)

    def declare(self, what: str, *, create: bool) -> None:
        """Read one chain or set after its keyword and its table."""
        declared = _Declared()
        if what == "chain":
            self._chain(declared, create=create)
        else:
            self._set(declared, create=create)
        self._settle(declared)

    def _settle(self, declared: _Declared) -> None:
        for chain, spot in declared.chains:
            self._settle_chain(chain, spot)
        for members, spot, found in declared.sets:
            old = self.owner.sets.get(members.name)
            if old is None:
                members.handle = self.owner.next_handle()
                self.owner.sets[members.name] = old = members
            elif (old.kind, old.flags) != (members.kind, members.flags):
                raise NftError(EXISTS, spot)
            add_elements(old, found, now=self.now, create=False)
        end = self.words.at
        for name, start in declared.rules:
            self.words.at = start
            self.add_rule(self.owner.chains[name])
        self.words.at = end

    def _settle_chain(self, chain: Chain, spot: Place) -> None:
        old = self.owner.chains.get(chain.name)
        if old is None:
            chain.handle = self.owner.next_handle()
            self.owner.chains[chain.name] = chain
        elif chain.base and old.base != chain.base:
            raise NftError("Could not process rule: Operation not supported", self._whole(spot))
        elif chain.base:
            old.policy = chain.policy

    def _whole(self, spot: Place) -> Place:
        """The command that something stands in, up to where reading has come."""
        last = self.words.look(-1).place
        return Place(spot.line, 1, last.column + last.length if last.line == spot.line else spot.column)

    def add_rule(self, chain: Chain, *, handle: int | None = None) -> Rule:
        """Read a rule to its end and give it a handle; it is appended unless it replaces `handle`."""
        reader = RuleReader(self.words, self.owner, self.owner.family)
        parts, comment = reader.read()
        for name, spot in reader.targets:
            if name not in self.owner.chains:
                raise NftError("Could not process rule: No such file or directory", spot)
        for part in parts:
            if getattr(part, "braces", False):
                self.owner.next_handle()
        rule = Rule(self.owner.next_handle() if handle is None else handle, parts, comment)
        if handle is None:
            chain.rules.append(rule)
        return rule

    def _chain(self, declared: _Declared, *, create: bool) -> None:
        words = self.words
        spot = words.here.place
        chain = Chain(words.name().text, 0)
        if create and chain.name in self.owner.chains:
            raise NftError(EXISTS, spot)
        declared.chains.append((chain, spot))
        if not words.accept("{"):
            return
        words.skip_newlines()
        while not words.accept("}"):
            if words.here.text == "type" and words.here.kind == "word":
                self._base(chain)
            elif words.accept("policy"):
                chain.policy = self._policy()
            elif words.here.text == "comment" and words.look(1).kind == "string" and not chain.rules:
                words.take()
                chain.comment = words.take().text
            else:
                declared.rules.append((chain.name, words.at))
                self._skip_rule()
            if not words.at_end:
                words.unexpected()
            words.skip_newlines()

    def _skip_rule(self) -> None:
        depth = 0
        while depth or not self.words.at_end:
            word = self.words.take()
            if word.kind == "end":
                self.words.unexpected()
            depth += {"{": 1, "}": -1}.get(word.text, 0) if word.kind == "sign" else 0

    def _policy(self) -> str:
        word = self.words.here
        if word.text not in ("accept", "drop"):
            self.words.unexpected()
        return self.words.take().text

    def _base(self, chain: Chain) -> None:
        words = self.words
        words.expect("type")
        kind = words.take()
        if kind.text not in CHAIN_TYPES:
            raise NftError("unknown chain type", kind.place)
        words.expect("hook")
        hook = words.take()
        if hook.text not in HOOKS:
            raise NftError("unknown chain hook", hook.place)
        device = words.take().text if words.accept("device") else ""
        words.expect("priority")
        chain.base = Base(kind.text, hook.text, self._priority(), device)

    def _priority(self) -> int:
        words = self.words
        word = words.take()
        if word.text in PRIORITIES:
            value = PRIORITIES[word.text]
            sign = words.accept("+", "-")
            if sign:
                amount = words.take()
                value += int(amount.text) * (1 if sign.text == "+" else -1)
            return value
        try:
            return int(word.text)
        except ValueError:
            raise NftError(f"priority '{word.text}' is invalid in this context.", word.place) from None

    def _set(self, declared: _Declared, *, create: bool) -> None:
        words = self.words
        spot = words.here.place
        name = words.name().text
        if create and name in self.owner.sets:
            raise NftError(EXISTS, spot)
        members = Set(name, _UNTYPED, 0)
        found: Read = []
        words.expect("{")
        words.skip_newlines()
        while not words.accept("}"):
            if words.accept("elements"):
                words.expect("=")
                found = elements(words, members)
            else:
                self._set_option(members)
            if not words.at_end:
                words.unexpected()
            words.skip_newlines()
        if members.kind is _UNTYPED:
            raise NftError("set definition does not specify key", spot)
        declared.sets.append((members, spot, found))

    def _set_option(self, members: Set) -> None:
        words = self.words
        word = words.take()
        match word.text:
            case "type":
                kind = words.take()
                if kind.text not in SET_TYPES:
                    raise NftError("unknown datatype " + kind.text, kind.place)
                members.kind = SET_TYPES[kind.text]
            case "flags":
                members.flags = self._flags()
            case "timeout":
                members.timeout = duration(words)
                members.flags = tuple(sorted({*members.flags, "timeout"}))
            case "size":
                members.size = int(words.take().text)
            case "auto-merge":
                members.auto_merge = True
            case "comment":
                members.comment = words.take().text
            case "policy" | "gc-interval":
                words.take()
            case _:
                words.at -= word.kind != "end"
                words.unexpected()

    def _flags(self) -> tuple[str, ...]:
        flags = []
        while True:
            word = self.words.here
            if word.text not in SET_FLAGS:
                self.words.unexpected()
            flags.append(self.words.take().text)
            if not self.words.accept(","):
                return tuple(sorted(flags, key=SET_FLAGS.index))
