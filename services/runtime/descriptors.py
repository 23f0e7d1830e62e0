"""Descriptors of the contracts: every service and its methods, by full name."""

from __future__ import annotations

from functools import cache

from google.protobuf.descriptor import ServiceDescriptor

from qagazsyz.identity.v1 import certificates_pb2, subjects_pb2, tokens_pb2
from qagazsyz.registry.v1 import consents_pb2, documents_pb2, log_pb2
from qagazsyz.signing.v1 import keys_pb2, verification_pb2

_FILES = (
    certificates_pb2,
    subjects_pb2,
    tokens_pb2,
    keys_pb2,
    verification_pb2,
    consents_pb2,
    documents_pb2,
    log_pb2,
)


@cache
def service_descriptors() -> dict[str, ServiceDescriptor]:
    """Return all services of the contracts by full name."""
    return {
        service.full_name: service
        for file in _FILES
        for service in file.DESCRIPTOR.services_by_name.values()
    }
