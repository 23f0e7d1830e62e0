"""The access option decides, for every method of every contract, through the gateway."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from qagazsyz.common.v1 import access_pb2
from services.runtime.access import access_rule
from services.runtime.descriptors import service_descriptors
from testing.enrolment import Actor
from testing.suite_process import RunningSuite
from tests.integration.world import TIMEOUT_SECONDS, World

Role = access_pb2.Role
METHODS = [method for service in service_descriptors().values() for method in service.methods]
# What an empty request to a method that one may call can be answered with.
FAIR = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}


def name_of(method: MethodDescriptor) -> str:
    return f"{method.containing_service.full_name}/{method.name}"


async def code_of(channel: grpc.aio.Channel, method: MethodDescriptor) -> grpc.StatusCode:
    """The code that an empty request is answered with."""
    request = message_factory.GetMessageClass(method.input_type)()
    make = channel.stream_stream if method.client_streaming else channel.unary_unary
    call = make(
        f"/{name_of(method)}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=bytes,
    )
    if method.client_streaming:
        stream = call(iter([request]), timeout=TIMEOUT_SECONDS)
        try:
            async for _ in stream:
                break
            stream.cancel()
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK
    try:
        await call(request, timeout=TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def assert_rules(world: World, actor: Actor, roles: set[int]) -> None:
    channel = world.client(actor).channel
    for method in METHODS:
        rule = access_rule(method)
        assert rule is not None
        may = rule.open or Role.ROLE_ANY in rule.roles or not roles.isdisjoint(rule.roles)
        code = await code_of(channel, method)
        if may:
            # An empty request may still be refused as not the caller's own.
            assert code in FAIR | {
                grpc.StatusCode.PERMISSION_DENIED,
                grpc.StatusCode.UNAUTHENTICATED,
            }
            assert code is not grpc.StatusCode.UNAUTHENTICATED or rule.open, name_of(method)
        else:
            assert code is grpc.StatusCode.PERMISSION_DENIED, name_of(method)


async def test_a_citizen_comes_only_where_citizens_may(world: World) -> None:
    await assert_rules(world, await world.citizen(), {Role.ROLE_CITIZEN})


async def test_an_officer_comes_only_where_officers_may(world: World) -> None:
    await assert_rules(world, await world.officer(), {Role.ROLE_OFFICER})


async def test_an_operator_comes_only_where_operators_and_citizens_may(world: World) -> None:
    await assert_rules(world, world.operator, {Role.ROLE_OPERATOR, Role.ROLE_CITIZEN})


def code_without_a_token(gateway: str, method: MethodDescriptor) -> grpc.StatusCode:
    """The code that an empty request is answered with.

    Not by grpc.aio: a stream is refused while its first request is still being written, and of
    that its client makes INTERNAL whatever the server said (grpc/grpc#36066).
    """
    request = message_factory.GetMessageClass(method.input_type)().SerializeToString()
    with grpc.insecure_channel(gateway) as channel:
        path = f"/{name_of(method)}"
        try:
            if method.client_streaming:
                next(channel.stream_stream(path)(iter([request]), timeout=TIMEOUT_SECONDS))
            else:
                channel.unary_unary(path)(request, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@pytest.mark.parametrize("method", METHODS, ids=name_of)
def test_without_a_token_only_open_methods_answer(
    suite: RunningSuite, method: MethodDescriptor
) -> None:
    rule = access_rule(method)
    assert rule is not None
    code = code_without_a_token(suite.gateway, method)
    if rule.open:
        assert code in FAIR
    else:
        assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_nobody_outside_gets_the_role_of_a_service(world: World) -> None:
    operator = await world.client(world.operator).token()
    officer = await world.client(await world.officer()).token()
    citizen = await world.client(await world.citizen()).token()
    assert set(operator.roles) == {Role.ROLE_CITIZEN, Role.ROLE_OPERATOR}
    assert list(officer.roles) == [Role.ROLE_OFFICER]
    assert list(citizen.roles) == [Role.ROLE_CITIZEN]
