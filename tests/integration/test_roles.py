"""The access option decides by role who may call a method, through the gateway."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from gateway.descriptors import INTERNAL_PACKAGES
from qagazsyz.common.v1 import access_pb2
from services.runtime.access import access_rule
from services.runtime.descriptors import service_descriptors
from testing.enrolment import Actor
from testing.suite_process import RunningSuite
from tests.integration.world import TIMEOUT_SECONDS, World
from tests.raw_calls import NO_MESSAGE, name_of, refusal_of_bytes, send, send_blocking

Role = access_pb2.Role
METHODS = [method for service in service_descriptors().values() for method in service.methods]


async def assert_rules(world: World, actor: Actor, roles: set[int]) -> None:
    """Call every method with bytes that no message can be.

    A service authorizes before it parses, so a refusal of the bytes shows that the role may call
    the method. Ownership, which may refuse a caller with the right role, is checked after parsing.
    """
    channel = world.client(actor).channel
    for method in METHODS:
        rule = access_rule(method)
        assert rule is not None
        may = rule.open or Role.ROLE_ANY in rule.roles or not roles.isdisjoint(rule.roles)
        expected = refusal_of_bytes(method) if may else grpc.StatusCode.PERMISSION_DENIED
        if method.full_name.startswith(INTERNAL_PACKAGES):
            # No way leads there through the gateway.
            expected = grpc.StatusCode.UNIMPLEMENTED
        code = await send(channel, method, NO_MESSAGE, TIMEOUT_SECONDS)
        assert code is expected, name_of(method)


async def test_a_citizen_may_call_what_citizens_may_and_nothing_else(world: World) -> None:
    await assert_rules(world, await world.citizen(), {Role.ROLE_CITIZEN})


async def test_an_officer_may_call_what_officers_may_and_nothing_else(world: World) -> None:
    await assert_rules(world, await world.officer(), {Role.ROLE_OFFICER})


async def test_an_operator_may_call_what_operators_and_citizens_may_and_nothing_else(
    world: World,
) -> None:
    await assert_rules(world, world.operator, {Role.ROLE_OPERATOR, Role.ROLE_CITIZEN})


@pytest.mark.parametrize("method", METHODS, ids=name_of)
def test_without_a_token_only_open_methods_answer(
    suite: RunningSuite, method: MethodDescriptor
) -> None:
    rule = access_rule(method)
    assert rule is not None
    with grpc.insecure_channel(suite.gateway) as channel:
        code = send_blocking(channel, method, NO_MESSAGE, TIMEOUT_SECONDS)
    expected = refusal_of_bytes(method) if rule.open else grpc.StatusCode.UNAUTHENTICATED
    assert code is expected


async def test_nobody_outside_gets_the_role_of_a_service(world: World) -> None:
    operator = await world.client(world.operator).token()
    officer = await world.client(await world.officer()).token()
    citizen = await world.client(await world.citizen()).token()
    assert set(operator.roles) == {Role.ROLE_CITIZEN, Role.ROLE_OPERATOR}
    assert list(officer.roles) == [Role.ROLE_OFFICER]
    assert list(citizen.roles) == [Role.ROLE_CITIZEN]
