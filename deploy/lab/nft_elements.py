"""Elements of named sets: reading, adding, taking out. Source: nft(8), SETS; Linux 6.1 for what the kernel refuses."""

from dataclasses import replace

from deploy.lab.nft_ruleset import Element, Set
from deploy.lab.nft_values import Range, duration, merged, read
from deploy.lab.nft_words import NftError, Place, Words

Read = list[tuple[Place, Element]]


def elements(words: Words, members: Set) -> Read:
    """Read `{ a, b timeout 1h, … }` as elements with their places; `ends` then holds the seconds that are left."""
    words.expect("{")
    found: Read = []
    words.skip_newlines()
    while words.here.text != "}":
        word = words.here
        element = Element(read(words, members.kind), members.timeout)
        while option := words.accept("timeout", "expires", "comment"):
            if option.text == "timeout":
                element.timeout = duration(words)
            elif option.text == "expires":
                element.ends = float(duration(words))
            else:
                element.comment = words.take().text
        if element.value.low != element.value.high and "interval" not in members.flags:
            kind = "prefix" if "/" in word.text else "range"
            message = f"You must add 'flags interval' to your set declaration if you want to add {kind} elements"
            raise NftError(message, word.place)
        if element.timeout and "timeout" not in members.flags:
            raise NftError("Could not process rule: Invalid argument", word.place)
        found.append((word.place, element))
        while words.here.kind == "newline":
            words.take()
        if not words.accept(","):
            break
        words.skip_newlines()
    words.expect("}")
    _check_among(found, members)
    return found


def _check_among(found: Read, members: Set) -> None:
    if "interval" not in members.flags or members.auto_merge:
        return
    for index, (place, element) in enumerate(found):
        for earlier, other in found[:index]:
            if _overlap(element.value, other.value) and element.value != other.value:
                raise NftError("conflicting intervals specified", place, earlier)


def add_elements(members: Set, found: Read, *, now: float, create: bool) -> None:
    """Add elements. One that is there already stays as it is, its timer too: this kernel renews nothing."""
    members.settle(now=now)
    for place, given in found:
        left = given.ends if given.ends is not None else float(given.timeout)
        element = replace(given, ends=now + left if given.timeout or given.ends is not None else None)
        same = [other for other in members.elements if other.value == element.value]
        if same and create:
            raise NftError("Could not process rule: File exists", place)
        if same:
            continue
        if any(_overlap(element.value, other.value) for other in members.elements):
            if not members.auto_merge:
                raise NftError("interval overlaps with an existing one", place)
            joined = merged([element.value, *(other.value for other in members.elements)])
            members.elements = [Element(value) for value in joined]
            continue
        if members.size and len(members.elements) >= members.size:
            raise NftError("Could not process rule: Too many open files in system", place)
        members.elements.append(element)


def remove_elements(members: Set, found: Read) -> None:
    """Take elements out; each must be there as it is given."""
    for place, given in found:
        left = [element for element in members.elements if element.value != given.value]
        if len(left) == len(members.elements):
            interval = "interval" in members.flags
            message = "element does not exist" if interval else "Could not process rule: No such file or directory"
            raise NftError(message, place)
        members.elements = left


def _overlap(one: Range, other: Range) -> bool:
    return one.low in other or one.high in other or other.low in one
