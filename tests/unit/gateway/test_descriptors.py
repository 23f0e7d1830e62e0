"""The contracts' methods as the gateway sees them."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import descriptors
from gateway.descriptors import MissingAccessOption
from services.runtime.descriptors import service_descriptors
from tests.unit.gateway.configuration import METHODS


def test_every_method_but_of_the_internal_services_is_served() -> None:
    assert {method.path for method in METHODS} == {
        f"/{service}/{method}"
        for service, descriptor in service_descriptors().items()
        if not service.startswith(descriptors.INTERNAL_PACKAGES)
        for method in descriptor.methods_by_name
    }


def test_every_exception_to_the_verbs_safety_is_a_method() -> None:
    named = descriptors.SAFE_POSTS | descriptors.GETS_THAT_LEAVE_A_RECORD
    assert named <= {method.full_name for method in METHODS}


def test_a_method_without_an_access_option_is_an_error() -> None:
    bare = FileDescriptorSet()
    bare.CopyFrom(descriptors.load())
    file = next(one for one in bare.file if one.name == "qagazsyz/signing/v1/keys.proto")
    file.service[0].method[0].ClearField("options")
    with pytest.raises(MissingAccessOption, match="CreateKey"):
        descriptors.methods(bare)
