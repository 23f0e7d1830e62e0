"""Verify Ed25519 by the rules of signatures/README.md: canonical encodings, no key of small order,
the equation with the cofactor.

ed25519-zebra verifies by ZIP 215, which accepts more encodings than we do. The checks here look at
the bytes and refuse those before it is called.
"""

from __future__ import annotations

P = 2**255 - 19
# The order of the base point.
L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, P) % P
_SIGN = 1 << 255

KEY_LENGTH = 32
SIGNATURE_LENGTH = 64

# The y of the points of order 8; of order 1, 2 and 4 it is 1, -1 and 0.
_Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_Y_OF_SMALL_ORDER = frozenset({0, 1, P - 1, _Y_OF_ORDER_8, P - _Y_OF_ORDER_8})


def is_canonical(encoded: bytes) -> bool:
    """Return whether y < p, and x = 0 has no sign bit; the point may still be off the curve."""
    number = int.from_bytes(encoded, "little")
    y = number & (_SIGN - 1)
    return y < P and not (number & _SIGN and y in (1, P - 1))


def is_on_curve(encoded: bytes) -> bool:
    """Return whether a point of the curve has this y: (y² - 1) / (dy² + 1) is a square."""
    y = int.from_bytes(encoded, "little") & (_SIGN - 1)
    square = y * y % P
    # u/v is a square if uv is one; v is never 0, because -1/d is not a square.
    return pow((square - 1) * (_D * square + 1), (P - 1) // 2, P) != P - 1


def is_key(encoded: bytes) -> bool:
    """Return whether 32 bytes are a public key: canonical, on the curve, not of small order."""
    y = int.from_bytes(encoded, "little") & (_SIGN - 1)
    return is_canonical(encoded) and y not in _Y_OF_SMALL_ORDER and is_on_curve(encoded)


def is_signature(signature: bytes) -> bool:
    """Return whether the bytes have a signature's form; R may still be off the curve."""
    return (
        len(signature) == SIGNATURE_LENGTH
        and int.from_bytes(signature[32:], "little") < L
        and is_canonical(signature[:32])
    )


def holds(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether 8sB = 8R + 8kA, for a key and a signature that passed the checks above.

    Raises ImportError without ed25519-zebra, which is installed only where the kernel is not.
    """
    import ed25519_zebra  # type: ignore[import-untyped]

    return bool(ed25519_zebra.ed_verify(signature, message, key))
