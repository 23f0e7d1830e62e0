"""Requests about tokens, parsed and checked for their form."""

from __future__ import annotations

import re

from qagazsyz.identity.v1 import tokens_pb2 as pb
from services.identity.tokens.store import MobileSignature
from services.runtime.errors import InvalidArgument

_NAME = re.compile(r"mobileSignatures/[0-9a-z-]{1,40}")


def to_mobile_signature(request: pb.KeepMobileSignatureRequest) -> MobileSignature:
    """Return the signature that is to be kept. Raises InvalidArgument."""
    if not _NAME.fullmatch(request.name):
        raise InvalidArgument("name", 'not of the form "mobileSignatures/{id}"')
    return MobileSignature(request.name, int(request.algorithm), request.signature)
