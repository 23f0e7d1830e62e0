"""Mutations of DER: what a stranger can make of a certificate, a list, an answer or a token.

A `Mutator` changes the tree of tags, lengths and values: parts are left out, repeated, exchanged,
nested, given another tag or a value that libraries are known to stumble over. What it makes follows
from the random numbers that it is given.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

from signatures.der import encode, encode_oid

CONSTRUCTED = 0x20
DEEP = 1_500
MANY = 400
# Bytes of what is made: about what a service takes.
LARGE = 40_000

_TIMES = (
    b"99991231235959Z",
    b"00000101000000Z",
    b"00010101000000Z",
    b"20260229000000Z",
    b"20260301120000",
    b"20260301120000+0600",
    b"20260301120000.123456789Z",
    b"\xff" * 15,
)
_VALUES = (
    b"",
    b"\x00",
    b"\xff",
    b"\x80" * 20,
    b"\x7f" + b"\xff" * 2_000,
    b"\xd8\x00",
    b"\xed\xa0\x80",
    b"\x00" * 16,
    b"\x04\x00",
    b"\x30\x80\x00\x00",
    "Ә".encode() * 300,
    encode_oid("2.999.1")[2:],
    *_TIMES,
)
# Universal types, and the context's own.
_TAGS = bytes.fromhex("01020304050609 0a0c13141617181c1e 3031 80818286 87a0a1a2a3a4")
_EXTENSIONS = tuple(
    encode_oid(oid)
    for oid in (
        *(f"2.5.29.{arc}" for arc in (14, 15, 17, 18, 19, 20, 21, 24, 27, 28, 29, 30, 31, 32, 33)),
        *(f"2.5.29.{arc}" for arc in (35, 36, 37, 46, 54, 60)),
        *(f"1.3.6.1.5.5.7.1.{arc}" for arc in (1, 3, 11, 24)),
        *(f"1.3.6.1.5.5.7.48.1.{arc}" for arc in (2, 3, 5, 6)),
        "1.2.398.99.1",
    )
)


@dataclass(slots=True)
class Node:
    """A value: its bytes, or its children if those are DER too."""

    tag: int
    content: bytes = b""
    children: list[Node] = field(default_factory=list)

    def encoded(self) -> bytes:
        """Return its DER."""
        inner = b"".join(child.encoded() for child in self.children) or self.content
        return encode(self.tag, inner)


def parse(der: bytes) -> list[Node]:
    """Return the values in the bytes. Raises ValueError for what is not DER."""
    found: list[Node] = []
    while der:
        tag, length, start = der[0], der[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[2:start], "big")
        if start + length > len(der) or tag & 0x1F == 0x1F:
            raise ValueError("not DER")
        found.append(_node(tag, der[start : start + length]))
        der = der[start + length :]
    return found


def _node(tag: int, content: bytes) -> Node:
    if tag & CONSTRUCTED:
        return Node(tag, b"", parse(content)) if content else Node(tag)
    if tag == 0x04 and content[:1] in (b"\x30", b"\x04", b"\x03"):
        try:
            return Node(tag, b"", parse(content))
        except (ValueError, IndexError):
            return Node(tag, content)
    return Node(tag, content)


class Mutator:
    """Makes other values out of DER."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def mutate(self, der: bytes) -> bytes:
        """Return the value with one to four changes."""
        (root,) = parse(der)
        for _ in range(self._random.choice((1, 1, 1, 2, 4))):
            parent = self._random.choice(_parents(root))
            self._change(parent, self._random.randrange(len(parent.children)))
            if not root.children or len(root.encoded()) > LARGE:
                break
        return root.encoded()

    def garble(self, der: bytes) -> bytes:
        """Return the bytes with some of them changed, or cut."""
        data = bytearray(der)
        for _ in range(self._random.choice((1, 1, 2, 8))):
            data[self._random.randrange(len(data))] = self._random.randrange(256)
        return bytes(data[: self._random.choice((len(data), len(data), len(data) - 1, 20))])

    def _change(self, parent: Node, place: int) -> None:
        node = parent.children[place]
        match self._random.randrange(11):
            case 0:
                del parent.children[place]
            case 1:
                parent.children.insert(place, node)
            case 2:
                times = min(self._random.choice((70, MANY)), LARGE // (len(node.encoded()) + 1))
                parent.children[place:place] = [node] * times
            case 3:
                self._random.shuffle(parent.children)
            case 4:
                parent.children[place] = deepcopy(self._random.choice(_all(parent)))
            case 5:
                parent.children[place] = Node(
                    self._random.choice(_TAGS), node.content, node.children
                )
            case 6:
                parent.children[place] = self._deep(node)
            case 7 | 8:
                parent.children[place] = Node(node.tag, self._random.choice(_VALUES))
            case 9:
                parent.children[place] = Node(
                    self._random.choice((0x17, 0x18)), self._random.choice(_TIMES)
                )
            case _:
                oid = self._random.choice(_EXTENSIONS)
                parent.children[place] = Node(oid[0], oid[2:])

    def _deep(self, node: Node) -> Node:
        tag = self._random.choice((0x30, 0x31, 0xA0, 0xA4))
        inner = node.encoded()
        for _ in range(self._random.choice((3, 40, DEEP))):
            inner = encode(tag, inner)
        return Node(tag, inner)


def _parents(node: Node) -> list[Node]:
    found = [node] if node.children else []
    for child in node.children:
        found += _parents(child)
    return found


def _all(node: Node) -> list[Node]:
    return [node, *(each for child in node.children for each in _all(child))]
