"""Hash with the functions of signatures and time-stamps; Streebog by the kernel if it is installed.

Streebog in pure Python takes two microseconds a byte and holds the GIL; the kernel takes less than
a hundredth of that, and does not.
"""

from __future__ import annotations

import hashlib

from signatures.algorithms import Hash

try:
    from qagazsyz_kernel import streebog256, streebog512
except ImportError:
    from signatures.gost.streebog import streebog256, streebog512

    STREEBOG_IN_PYTHON = True
else:
    STREEBOG_IN_PYTHON = False

_STREEBOG = {Hash.STREEBOG256: streebog256, Hash.STREEBOG512: streebog512}
_SHA = {Hash.SHA256: "sha256", Hash.SHA384: "sha384", Hash.SHA512: "sha512"}


def digest(function: Hash, data: bytes) -> bytes:
    """Return the data's digest, in the order of files and certificates."""
    if function in _STREEBOG:
        return _STREEBOG[function](data)
    return hashlib.new(_SHA[function], data).digest()


def is_in_python(function: Hash) -> bool:
    """Return whether digest is pure Python for this function."""
    return STREEBOG_IN_PYTHON and function in _STREEBOG
