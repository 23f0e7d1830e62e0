"""KeyService: an organization's keys, and who may do what with them.

Anyone who is signed in reads a key: its public parts verify signatures for
everyone. An operator and the organization's own officers make, rotate, disable
and destroy it. Only the organization's officers sign with it. To an officer of
another organization a key that exists and one that does not look the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.common.v1 import access_pb2, signatures_pb2
from qagazsyz.signing.v1 import keys_pb2
from services.runtime import telemetry
from services.runtime.access import Caller
from services.runtime.clock import Clock, to_timestamp, uuid7
from services.runtime.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from services.runtime.paging import decode_token, encode_token, page_size
from services.runtime.server import Call
from services.runtime.status import status_of
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from services.signing.keys import store
from services.signing.keys.rules import (
    Key,
    KeyPair,
    KeyVersion,
    Signatory,
    State,
    check_algorithm,
    check_key_id,
    check_payload,
    generate,
    parse_key_name,
    parse_version_name,
    version_name,
)
from services.signing.keys.sealing import KeyVault, Sealed
from signatures.algorithms import Algorithm

Role = access_pb2.Role
T = TypeVar("T")
OrganizationExists = Callable[[str, Call], Awaitable[bool]]
HoldKeys = Callable[[list[bytes], Call], Awaitable[None]]

# The contract's limit.
BATCH_SIGN_LIMIT = 1_000
# A page ends early rather than be larger than a message may be: ML-DSA keys are long.
PAGE_LIMIT_BYTES = 8 * 1024 * 1024


class KeyService:
    """The servicer of qagazsyz.signing.v1.KeyService."""

    def __init__(
        self,
        *,
        database: Database,
        vault: KeyVault,
        organization_exists: OrganizationExists,
        hold_keys: HoldKeys,
        clock: Clock,
    ) -> None:
        self._database = database
        self._vault = vault
        self._organization_exists = organization_exists
        self._hold_keys = hold_keys
        self._clock = clock
        self._idempotency = IdempotencyStore(store.requests, database, clock)

    async def CreateKey(self, request: keys_pb2.CreateKeyRequest, call: Call) -> keys_pb2.Key:
        organization = request.key.organization
        _may_manage(call.caller, organization)
        algorithm = check_algorithm(request.key.algorithm, "key.algorithm")
        if request.key_id:
            check_key_id(request.key_id, "key_id")
        # An officer's own organization is in a token of identity's.
        if call.caller.organization != organization and not await self._organization_exists(
            organization, call
        ):
            raise InvalidArgument("key.organization", "no such organization")
        now = self._clock()
        pair = await self._generate(algorithm, call)
        key_id = request.key_id or str(uuid7(now))
        version = KeyVersion(key_id, 1, pair.public_key, State.ENABLED, now)
        key = Key(key_id, organization, algorithm, version.number, (version,), now)
        sealed = self._seal(pair, version)

        async def work(connection: AsyncConnection) -> keys_pb2.Key:
            await store.insert_key(connection, key, sealed)
            return _key_message(key)

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=keys_pb2.Key
        )

    async def GetKey(
        self,
        request: keys_pb2.GetKeyRequest,
        call: Call,  # noqa: ARG002 - whoever is signed in may
    ) -> keys_pb2.Key:
        key_id = parse_key_name(request.name, "name")
        async with self._database.reading() as connection:
            key = await store.find_key(connection, key_id)
        if key is None:
            raise NotFound("no such key")
        return _key_message(key)

    async def ListKeys(
        self, request: keys_pb2.ListKeysRequest, call: Call
    ) -> keys_pb2.ListKeysResponse:
        organization = request.organization
        if not call.caller.has(Role.ROLE_OPERATOR, Role.ROLE_AUDITOR):
            # An officer who names none asks for their own organization's.
            organization = organization or call.caller.organization
            if organization != call.caller.organization:
                raise PermissionDenied()
        size = page_size(request.page_size)
        this_list = f"ListKeys {organization}"
        after = decode_token(request.page_token, of=this_list, parts=1)
        async with self._database.reading() as connection:
            keys = await store.list_keys(
                connection, organization, after[0] if after else "", size + 1
            )
        response = keys_pb2.ListKeysResponse()
        length = 0
        for key in keys[:size]:
            message = _key_message(key)
            length += message.ByteSize()
            if response.keys and length > PAGE_LIMIT_BYTES:
                break
            response.keys.append(message)
        if len(response.keys) < len(keys):
            last = keys[len(response.keys) - 1].id
            response.next_page_token = encode_token([last], of=this_list)
        return response

    async def RotateKey(self, request: keys_pb2.RotateKeyRequest, call: Call) -> keys_pb2.Key:
        key_id = parse_key_name(request.name, "name")
        async with self._database.reading() as connection:
            found = await self._managed_key(connection, key_id, call.caller)
        now = self._clock()
        pair = await self._generate(found.algorithm, call)

        async def work(connection: AsyncConnection) -> keys_pb2.Key:
            key = await self._managed_key(connection, key_id, call.caller, for_update=True)
            version = KeyVersion(key_id, key.next_number(), pair.public_key, State.ENABLED, now)
            await store.insert_primary_version(connection, version, self._seal(pair, version))
            rotated = await store.find_key(connection, key_id)
            return _key_message(cast("Key", rotated))

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=keys_pb2.Key
        )

    async def DisableKeyVersion(
        self, request: keys_pb2.DisableKeyVersionRequest, call: Call
    ) -> keys_pb2.KeyVersion:
        return await self._change_state(request.name, State.DISABLED, call.caller)

    async def EnableKeyVersion(
        self, request: keys_pb2.EnableKeyVersionRequest, call: Call
    ) -> keys_pb2.KeyVersion:
        return await self._change_state(request.name, State.ENABLED, call.caller)

    async def DestroyKeyVersion(
        self, request: keys_pb2.DestroyKeyVersionRequest, call: Call
    ) -> keys_pb2.KeyVersion:
        return await self._change_state(request.name, State.DESTROYED, call.caller)

    async def CreateCertificateRequest(
        self, request: keys_pb2.CreateCertificateRequestRequest, call: Call
    ) -> keys_pb2.CreateCertificateRequestResponse:
        key_id, number = parse_version_name(request.name, "name")
        async with self._database.reading() as connection:
            key = await self._managed_key(connection, key_id, call.caller)
            sealed = await self._sealed(connection, _version_of(key, number))
        signatory = self._signatory(key, number, sealed)
        return keys_pb2.CreateCertificateRequestResponse(
            certificate_request=await _in_thread(signatory.certificate_request)
        )

    async def Sign(self, request: keys_pb2.SignRequest, call: Call) -> keys_pb2.SignResponse:
        key, sealed = await self._signing_key(request.key, call.caller)
        message, digest = _payload(request)
        check_payload(key.algorithm, message, digest)
        signatory = self._signatory(key, key.primary, sealed)
        signature = await _in_thread(lambda: signatory.sign(message, digest))
        return keys_pb2.SignResponse(signature=signature, key_version=key.primary_name)

    async def BatchSign(
        self, request: keys_pb2.BatchSignRequest, call: Call
    ) -> keys_pb2.BatchSignResponse:
        if len(request.items) > BATCH_SIGN_LIMIT:
            raise InvalidArgument("items", f"more than {BATCH_SIGN_LIMIT:,}")
        key, sealed = await self._signing_key(request.key, call.caller)
        signatory = self._signatory(key, key.primary, sealed)
        telemetry.annotate(items=len(request.items))
        results = await _in_thread(lambda: _sign_each(key, signatory, request.items))
        return keys_pb2.BatchSignResponse(results=results, key_version=key.primary_name)

    async def _generate(self, algorithm: Algorithm, call: Call) -> KeyPair:
        """A fresh pair that signs nobody in. Raises Unavailable or DeadlineExceeded."""
        pair = await _in_thread(lambda: generate(algorithm))
        # Before anybody can come to it: with a key that signs digests one could sign in.
        await self._hold_keys([pair.public_key], call)
        return pair

    async def _managed_key(
        self, connection: AsyncConnection, key_id: str, caller: Caller, *, for_update: bool = False
    ) -> Key:
        key = await store.find_key(connection, key_id, for_update=for_update)
        if key is None:
            if caller.has(Role.ROLE_OPERATOR):
                raise NotFound("no such key")
            raise PermissionDenied()
        _may_manage(caller, key.organization)
        return key

    async def _signing_key(self, name: str, caller: Caller) -> tuple[Key, Sealed]:
        key_id = parse_key_name(name, "key")
        async with self._database.reading() as connection:
            key = await store.find_key(connection, key_id)
            if key is None or not _is_officer_of(caller, key.organization):
                raise PermissionDenied()
            return key, await self._sealed(connection, _version_of(key, key.primary))

    async def _change_state(self, name: str, state: State, caller: Caller) -> keys_pb2.KeyVersion:
        key_id, number = parse_version_name(name, "name")

        async def work(connection: AsyncConnection) -> keys_pb2.KeyVersion:
            key = await self._managed_key(connection, key_id, caller, for_update=True)
            version = _version_of(key, number)
            if version.state is State.DESTROYED and state is not State.DESTROYED:
                raise FailedPrecondition("KEY_VERSION_DESTROYED", "the version is destroyed")
            if version.state is not state:
                await store.set_state(connection, key_id, number, state)
            message = _version_message(version)
            message.state = cast("keys_pb2.KeyVersionState", int(state))
            return message

        return await self._database.run(work)

    async def _sealed(self, connection: AsyncConnection, version: KeyVersion) -> Sealed:
        """The private part of a version that may sign. Raises FailedPrecondition."""
        if version.state is not State.ENABLED:
            raise FailedPrecondition(
                f"KEY_VERSION_{version.state.name}", f"the version is {version.state.name.lower()}"
            )
        sealed = await store.find_sealed(connection, version.key_id, version.number)
        if sealed is None:
            # Destroyed since its state was read.
            raise FailedPrecondition("KEY_VERSION_DESTROYED", "the version is destroyed")
        return sealed

    def _seal(self, pair: KeyPair, version: KeyVersion) -> Sealed:
        return self._vault.seal(pair.private_key, version=version.name)

    def _signatory(self, key: Key, number: int, sealed: Sealed) -> Signatory:
        private_key = self._vault.unseal(sealed, version=version_name(key.id, number))
        return Signatory(key.algorithm, private_key)


def _is_officer_of(caller: Caller, organization: str) -> bool:
    return caller.has(Role.ROLE_OFFICER) and caller.organization == organization != ""


def _may_manage(caller: Caller, organization: str) -> None:
    if not caller.has(Role.ROLE_OPERATOR) and not _is_officer_of(caller, organization):
        raise PermissionDenied()


def _version_of(key: Key, number: int) -> KeyVersion:
    version = key.version(number)
    if version is None:
        raise NotFound("no such version of the key")
    return version


def _payload(item: keys_pb2.SignRequest | keys_pb2.SignItem) -> tuple[bytes | None, bytes | None]:
    which = item.WhichOneof("payload")
    return (
        item.message if which == "message" else None,
        item.digest if which == "digest" else None,
    )


def _sign_each(
    key: Key, signatory: Signatory, items: Iterable[keys_pb2.SignItem]
) -> list[keys_pb2.SignResult]:
    results = []
    for item in items:
        message, digest = _payload(item)
        try:
            check_payload(key.algorithm, message, digest)
        except InvalidArgument as error:
            results.append(keys_pb2.SignResult(error=status_of(error)))
        else:
            results.append(keys_pb2.SignResult(signature=signatory.sign(message, digest)))
    return results


def _version_message(version: KeyVersion) -> keys_pb2.KeyVersion:
    return keys_pb2.KeyVersion(
        name=version.name,
        public_key=version.public_key,
        state=cast("keys_pb2.KeyVersionState", int(version.state)),
        create_time=to_timestamp(version.create_time),
    )


def _key_message(key: Key) -> keys_pb2.Key:
    return keys_pb2.Key(
        name=key.name,
        organization=key.organization,
        algorithm=cast("signatures_pb2.SignatureAlgorithm", int(key.algorithm)),
        primary_version=key.primary_name,
        versions=[_version_message(version) for version in key.versions],
        create_time=to_timestamp(key.create_time),
    )


async def _in_thread(work: Callable[[], T]) -> T:
    # The process's own pool, whose size main sets.
    return await asyncio.get_running_loop().run_in_executor(None, work)
