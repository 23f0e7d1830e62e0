"""The sources of a signer have the contract's field numbers."""

from __future__ import annotations

from qagazsyz.signing.v1 import verification_pb2
from signatures.backend import CERTIFICATE_SOURCE, KEY_VERSION_SOURCE, NO_SOURCE


def test_sources_are_the_contracts_fields() -> None:
    fields = verification_pb2.Signer.DESCRIPTOR.fields_by_name
    assert fields["certificate"].number == CERTIFICATE_SOURCE
    assert fields["key_version"].number == KEY_VERSION_SOURCE
    assert NO_SOURCE not in {field.number for field in fields.values()}
