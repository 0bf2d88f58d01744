"""Read TOML into frozen dataclasses, with errors that name file, key and what is expected.

Understands what the site, policy and dialect files are made of: dataclasses, tuples, dicts with text keys, optional
values, enums, numbers, booleans, text, and the address nouns. Unknown keys are errors: a misspelt limit is no limit.
"""

import dataclasses
import difflib
import tomllib
import types
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from controller.domain.address import Mac, Port, Vlan, address_of, mac_of, prefix_of, vlan_of
from controller.domain.errors import BadInput, ConfigError

T = TypeVar("T")

_ADDRESS = frozenset({IPv4Address, IPv6Address})
_PREFIX = frozenset({IPv4Network, IPv6Network})


def read(text: str, kind: type[T], *, file: str) -> T:
    """Parse `text` as TOML and build a `kind`. Raises ConfigError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file=file, key="(the whole file)", expected="valid TOML", got=str(error)) from None
    return build(document, kind, file=file)


def build(value: object, kind: type[T], *, file: str, key: str = "") -> T:
    """Build a `kind` from parsed TOML. Raises ConfigError."""
    return cast("T", _value(value, kind, file=file, key=key))


def _value(value: object, kind: Any, *, file: str, key: str) -> object:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union(value, kind, file=file, key=key)
    if dataclasses.is_dataclass(kind) and kind is not Port:
        return _table(value, cast("type", kind), file=file, key=key)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(file=file, key=key, expected="a list", got=repr(value))
        return tuple(_value(one, get_args(kind)[0], file=file, key=f"{key}[{i}]") for i, one in enumerate(value))
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise ConfigError(file=file, key=key, expected="a table", got=repr(value))
        return {name: _value(one, get_args(kind)[1], file=file, key=_join(key, name)) for name, one in value.items()}
    return _scalar(value, kind, file=file, key=key)


def _union(value: object, kind: Any, *, file: str, key: str) -> object:
    choices = [choice for choice in get_args(kind) if choice is not types.NoneType]
    if set(choices) == _ADDRESS:
        return _read(value, address_of, "an IP address", file=file, key=key)
    if set(choices) == _PREFIX:
        return _read(value, prefix_of, "an IP prefix with host bits zero", file=file, key=key)
    if set(choices) >= _ADDRESS:
        return _read(value, address_of, "an IP address", file=file, key=key)
    return _value(value, choices[0], file=file, key=key)


def _table(value: object, kind: type, *, file: str, key: str) -> object:
    if not isinstance(value, dict):
        raise ConfigError(file=file, key=key or "(the whole file)", expected="a table", got=repr(value))
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in value:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"{near[0]!r} perhaps" if near else "one of " + ", ".join(sorted(fields))
            raise ConfigError(file=file, key=_join(key, name), expected=hint, got="an unknown key")
    for name, field in fields.items():
        bare = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if bare and name not in value:
            raise ConfigError(file=file, key=_join(key, name), expected=_words(hints[name]), got="nothing")
    made = {name: _value(one, hints[name], file=file, key=_join(key, name)) for name, one in value.items()}
    try:
        return kind(**made)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(file=file, key=key or "(the whole file)", expected=str(error)) from None


def _scalar(value: object, kind: Any, *, file: str, key: str) -> object:
    readers: dict[Any, tuple[Callable[[Any], object], str]] = {
        Mac: (mac_of, "a MAC address"),
        Port: (_port, "device/interface"),
    }
    if kind in readers:
        read, words = readers[kind]
        return _read(value, read, words, file=file, key=key)
    if kind is Vlan:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError(file=file, key=key, expected="a VLAN id from 1 to 4094", got=repr(value))
        try:
            return vlan_of(value)
        except BadInput:
            raise ConfigError(file=file, key=key, expected="a VLAN id from 1 to 4094", got=repr(value)) from None
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            choices = ", ".join(repr(one.value) for one in kind)
            raise ConfigError(file=file, key=key, expected=f"one of {choices}", got=repr(value)) from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(file=file, key=key, expected=_words(kind), got=repr(value))
    return value


def _read(value: object, reader: Callable[[str], object], words: str, *, file: str, key: str) -> object:
    if not isinstance(value, str):
        raise ConfigError(file=file, key=key, expected=words, got=repr(value))
    try:
        return reader(value)
    except BadInput:
        raise ConfigError(file=file, key=key, expected=words, got=repr(value)) from None


def _port(text: str) -> Port:
    device, slash, interface = text.partition("/")
    if not slash or not device or not interface:
        raise BadInput(f"not device/interface: {text!r}")
    return Port(device, interface)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _words(kind: Any) -> str:
    plain = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    if kind in plain:
        return plain[kind]
    return {tuple: "a list", dict: "a table"}.get(get_origin(kind) or kind, getattr(kind, "__name__", str(kind)))
