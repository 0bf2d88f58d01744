"""Keys of hosts and attachments as fixed-width bytes, and the bucket and partition that each belongs to.

A key is 32 bytes: 16 of address (the exporter's for an attachment), 4 of interface, 6 of MAC, 5 of a digest of the
scope, and a last byte that is never zero and says the kind. NumPy keeps them as S32, which loses trailing zeros only.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import Address, AttachmentKey, HostKey, SubjectKey, mac_of, packed, unpacked
from controller.domain.errors import BadInput
from streams.decode.compiled import compiled

WIDTH = 32
HOST, ATTACHMENT = b"H", b"A"

_MIX_FIRST, _MIX_LAST = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def scope_digest(scope: str) -> bytes:
    """Five bytes that stand for a scope; zeros for none."""
    return hashlib.blake2b(scope.encode(), digest_size=5).digest() if scope else bytes(5)


def host_key(address: bytes, scope: bytes = bytes(5)) -> bytes:
    """Key of a host from its packed address and its scope's digest."""
    return address + bytes(10) + scope + HOST


def attachment_key(exporter: Address, interface: int, mac: int = 0) -> bytes:
    """Key of an attachment; `mac` 0 where none is known."""
    return packed(exporter) + interface.to_bytes(4, "big") + mac.to_bytes(6, "big") + bytes(5) + ATTACHMENT


def subject_of_key(key: bytes, scopes: dict[bytes, str]) -> SubjectKey:
    """The subject of a key. Raises BadInput for a key that none of the functions above made."""
    if len(key) != WIDTH:
        raise BadInput("key of a wrong length")
    address, kind = unpacked(key[:16]), key[-1:]
    if kind == HOST:
        return HostKey(address, scopes.get(key[26:31], key[26:31].hex() if any(key[26:31]) else ""))
    if kind == ATTACHMENT:
        return AttachmentKey(address, int.from_bytes(key[16:20], "big"), mac_text(int.from_bytes(key[20:26], "big")))
    raise BadInput("key of an unknown kind")


def key_of_subject(subject: SubjectKey) -> bytes:
    """The key of a subject."""
    if isinstance(subject, HostKey):
        return host_key(packed(subject.address), scope_digest(subject.scope))
    mac = int(mac_of(subject.mac).replace(":", ""), 16) if subject.mac else 0
    return attachment_key(subject.exporter, subject.interface, mac)


def mac_text(mac: int) -> str:
    """A MAC in the domain's spelling; "" for 0."""
    digits = f"{mac:012x}"
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2)) if mac else ""


def key_array(keys: Iterable[bytes]) -> NDArray[np.bytes_]:
    """Keys as an array of S32."""
    return np.array(list(keys), dtype=f"S{WIDTH}")


def hash_words(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One 64-bit hash for each row of words, equal in every process (finaliser of splitmix64, Steele et al. 2014)."""
    return _hashed(words.copy())  # compiled once, for arrays of one layout that may be written


@compiled
def _hashed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    made = np.empty(len(words), np.uint64)
    for row in range(len(words)):
        state = np.uint64(0)
        for column in range(words.shape[1]):
            state = (state ^ words[row, column]) + _STEP
            state = (state ^ (state >> np.uint64(30))) * _MIX_FIRST
            state = (state ^ (state >> np.uint64(27))) * _MIX_LAST
            state = state ^ (state >> np.uint64(31))
        made[row] = state
    return made


def buckets_of(keys: NDArray[np.bytes_], buckets: int) -> NDArray[np.int64]:
    """The bucket of each key; `bucket % partitions` is its activity partition."""
    words = np.frombuffer(keys.tobytes(), dtype="<u8").reshape(-1, WIDTH // 8)
    return (hash_words(words) % np.uint64(buckets)).astype(np.int64)


def bucket_of(key: bytes, buckets: int) -> int:
    """The bucket of one key."""
    return int(buckets_of(key_array([key]), buckets)[0])
