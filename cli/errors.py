"""Report errors as one line for people and an exit code for scripts.

0  done
1  verified as invalid (a signature, a receipt, a document)
2  usage error, or a file that cannot be read
3  not authenticated, or not authorized
4  refused (not found, exists already, an invalid field)
5  unreachable, too busy or out of time; the same command may succeed later
70 a defect
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cli.terminal import say

if TYPE_CHECKING:
    from pydantic import ValidationError

CHECK_FAILED = 1
WRONG_USE = 2
NOT_ALLOWED = 3
REFUSED = 4
UNREACHABLE = 5
DEFECT = 70

_EXIT_CODES = {
    "UNAUTHENTICATED": NOT_ALLOWED,
    "PERMISSION_DENIED": NOT_ALLOWED,
    "INVALID_ARGUMENT": REFUSED,
    "NOT_FOUND": REFUSED,
    "ALREADY_EXISTS": REFUSED,
    "FAILED_PRECONDITION": REFUSED,
    "ABORTED": REFUSED,
    "OUT_OF_RANGE": REFUSED,
    "UNIMPLEMENTED": REFUSED,
    "UNAVAILABLE": UNREACHABLE,
    "DEADLINE_EXCEEDED": UNREACHABLE,
    "RESOURCE_EXHAUSTED": UNREACHABLE,
    "CANCELLED": UNREACHABLE,
}


class Failure(Exception):
    """A command fails: with a line for people and an exit code for scripts."""

    def __init__(self, message: str, exit_code: int = WRONG_USE) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def explain(error: Exception) -> Failure | None:
    """Return the Failure to report for an exception, None if it is a defect of the tool."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, OSError) and error.strerror:
        name = f": {error.filename}" if error.filename else ""
        return Failure(f"{error.strerror}{name}")
    import grpc

    if isinstance(error, grpc.RpcError) and hasattr(error, "code"):
        code = error.code().name
        details = getattr(error, "details", str)() or ""
        if code == "UNAVAILABLE" and "connect" in details.lower():
            details = "the gateway cannot be reached"
        said = f": {details}" if details else ""
        return Failure(f"{code}{said}", _EXIT_CODES.get(code, DEFECT))
    from pydantic import ValidationError

    from qagazsyz.credentials import CredentialError
    from qagazsyz.phone import PhoneRefused, PhoneSignInEnded
    from services.runtime.settings import CannotStart

    if isinstance(error, PhoneRefused | PhoneSignInEnded):
        return Failure(str(error), NOT_ALLOWED)
    if isinstance(error, CredentialError):
        return Failure(f"the credential cannot be used: {error}")
    if isinstance(error, CannotStart):
        return Failure(str(error))
    if isinstance(error, ValidationError):
        return Failure(_wrong_settings(error))
    return None


def _wrong_settings(error: ValidationError) -> str:
    """Name each wrong setting by the variable that sets it, without its value."""
    prefix = "QAGAZSYZ_GATEWAY_" if error.title == "GatewaySettings" else "QAGAZSYZ_"
    return "; ".join(
        f"{prefix}{str(one['loc'][0]).upper()}: {one['msg'].removeprefix('Value error, ')}"
        for one in error.errors(include_input=False, include_url=False)
    )


def report(failure: Failure) -> int:
    """Print the failure's line to stderr; return its exit code."""
    say(f"qagazsyz: {failure.message}", to=sys.stderr)
    return failure.exit_code
