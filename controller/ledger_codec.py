"""Domain values as JSON text and back: what stands in the ledger's document columns.

The shape follows the dataclasses' own fields, read from their annotations; a field that a document lacks takes its
default, one that the code no longer knows is passed over. So an older ledger stays readable when a noun grows.
"""

import dataclasses
import json
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, NewType, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from controller.domain.address import address_of, prefix_of

T = TypeVar("T")

Document: TypeAlias = Any  # what json.dumps takes: dict, list, text, number, boolean or None
Reader: TypeAlias = Callable[[Document], Any]

_ADDRESSES = (IPv4Address, IPv6Address)
_PREFIXES = (IPv4Network, IPv6Network)
_PLAIN = (str, int, float, bool)


def to_text(value: object) -> str:
    """Canonical JSON of a domain value: equal values give equal text. Raises ValueError for NaN and infinities."""
    return json.dumps(to_document(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_text(text: str, kind: type[T]) -> T:
    """Read what `to_text` wrote. Raises ValueError, TypeError or KeyError for text that is not a `kind`."""
    return from_document(json.loads(text), kind)


def to_document(value: object) -> Document:
    """A domain value as dicts, lists, text and numbers; sets in a fixed order."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, _PLAIN):
        return value
    if dataclasses.is_dataclass(value):
        return {field.name: to_document(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, _ADDRESSES + _PREFIXES):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): to_document(one) for key, one in value.items()}
    if isinstance(value, frozenset):
        return sorted((to_document(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    if isinstance(value, tuple):
        return [to_document(one) for one in value]
    raise TypeError(f"{type(value).__name__} has no place in a document")


def from_document(document: Document, kind: type[T]) -> T:
    """Build a `kind` from what `to_document` gave."""
    key: Any = kind
    return cast("T", _reader(key)(document))


@cache
def _reader(kind: Any) -> Reader:
    if isinstance(kind, NewType):
        return _reader(kind.__supertype__)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union(get_args(kind))
    if origin in (tuple, frozenset):
        return _collection(origin, _reader(get_args(kind)[0]), get_args(kind))
    if origin in (dict, Mapping) or origin is get_origin(Mapping[str, str]):
        of_value = _reader(get_args(kind)[1])
        return lambda document: {key: of_value(one) for key, one in document.items()}
    if dataclasses.is_dataclass(kind):
        return _record(cast("type", kind))
    if kind in _ADDRESSES:
        return address_of
    if kind in _PREFIXES:
        return prefix_of
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if kind is float:
        return float
    return _exactly(kind)


def _exactly(kind: type) -> Reader:
    def read(document: Document) -> object:
        if type(document) is not kind:
            raise TypeError(f"expected {kind.__name__}, found {document!r:.60}")
        return document

    return read


def _collection(origin: type, of_item: Reader, arguments: tuple[Any, ...]) -> Reader:
    if origin is tuple and Ellipsis not in arguments:
        readers = tuple(_reader(one) for one in arguments)
        return lambda document: tuple(read(one) for read, one in zip(readers, document, strict=True))
    return lambda document: origin(of_item(one) for one in document)


def _record(kind: type) -> Reader:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind)}

    def read(document: Document) -> object:
        return kind(**{name: readers[name](one) for name, one in document.items() if name in readers})

    return read


def _union(choices: tuple[Any, ...]) -> Reader:
    """Unions of the domain: an optional value, both families of an address, or a fact (plain value or texts)."""
    rest = tuple(choice for choice in choices if choice is not types.NoneType)
    if set(rest) <= set(_ADDRESSES):
        of_value: Reader = address_of
    elif set(rest) <= set(_PREFIXES):
        of_value = prefix_of
    elif len(rest) == 1:
        of_value = _reader(rest[0])
    else:
        of_value = _fact
    if len(rest) == len(choices):
        return of_value
    return lambda document: None if document is None else of_value(document)


def _fact(document: Document) -> object:
    return tuple(document) if isinstance(document, list) else document
