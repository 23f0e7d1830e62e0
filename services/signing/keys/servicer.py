"""KeyService: an organization's managed keys, and who may do what with them.

Every caller with a token reads a key, because its public part verifies signatures. An operator and
the organization's own officers create, rotate, disable and destroy it. Only the organization's
officers sign with it. To other officers a key that exists and one that does not look the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.common.v1 import access_pb2, signatures_pb2
from qagazsyz.signing.v1 import keys_pb2
from services.runtime import telemetry
from services.runtime.access import Caller
from services.runtime.clock import Clock, uuid7
from services.runtime.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
)
from services.runtime.sealing import Sealed, Vault
from services.runtime.server import Call
from services.runtime.status import status_of
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore
from services.signing.keys import store
from services.signing.keys.delegation import check_order, check_signers, parse_order
from services.signing.keys.generation import KeyGenerator
from services.signing.keys.messages import key_message, key_messages, version_message
from services.signing.keys.private_keys import KeyPair, SigningKey
from services.signing.keys.requests import check_batch_sign, parse_create_key, parse_payload
from services.signing.keys.rules import (
    Key,
    KeyVersion,
    KeyVersionState,
    check_may_sign,
    check_payload,
    check_transition,
    own_key_id,
    parse_key_name,
    parse_version_name,
    version_name,
)
from services.signing.tables import requests
from services.signing.worker_pools import SIGNING
from signatures.algorithms import Algorithm

Role = access_pb2.Role
OrganizationExists = Callable[[str, Call], Awaitable[bool]]
AnnounceKeys = Callable[[list[bytes], Call], Awaitable[None]]
SignersOf = Callable[[Sequence[signatures_pb2.SignedText], Call], Awaitable[list[str]]]
FindOfficers = Callable[[str, Sequence[str], Call], Awaitable[Collection[str]]]

# A page ends early before it exceeds the limit of a message: ML-DSA keys are long.
PAGE_LIMIT_BYTES = 8 * 1024 * 1024


class KeyServicer:
    """Serves qagazsyz.signing.v1.KeyService."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        organization_exists: OrganizationExists,
        announce_keys: AnnounceKeys,
        signers_of: SignersOf,
        find_officers: FindOfficers,
        platform: str,
        clock: Clock,
        keys_per_organization: int,
        generator: KeyGenerator | None = None,
    ) -> None:
        """announce_keys: makes identity refuse sign-ins with these keys; see announcing.py.
        signers_of: verifies signed texts. find_officers: those of the people who are an
        organization's officers. platform: its name in signed texts.
        keys_per_organization: the quota. generator: one of its own if unset."""
        self._database = database
        self._vault = vault
        self._organization_exists = organization_exists
        self._announce_keys = announce_keys
        self._signers_of = signers_of
        self._find_officers = find_officers
        self._platform = platform
        self._clock = clock
        self._keys_per_organization = keys_per_organization
        self._generator = generator or KeyGenerator()
        self._idempotency = IdempotencyStore(requests, database, clock)

    async def CreateKey(self, request: keys_pb2.CreateKeyRequest, call: Call) -> keys_pb2.Key:
        _authorize_manager(call.caller, request.key.organization)
        parsed = parse_create_key(request)
        # Identity has checked the organization of the caller's own token.
        if call.caller.organization != parsed.organization and not await self._organization_exists(
            parsed.organization, call
        ):
            raise InvalidArgument("key.organization", "no such organization")
        scope = call.caller.scope
        async with self._database.reading() as connection:
            kept = await self._idempotency.find(
                connection, request=request, scope=scope, response_type=keys_pb2.Key
            )
            if kept is not None:
                return kept
            await self._check_quota(connection, parsed.organization)
        now = self._clock()
        pair = await self._generate(parsed.algorithm, call)
        key_id = (
            own_key_id(parsed.key_id, parsed.organization) if parsed.key_id else str(uuid7(now))
        )
        version = KeyVersion(key_id, 1, pair.public_key, KeyVersionState.ENABLED, now)
        key = Key(key_id, parsed.organization, parsed.algorithm, version.number, (version,), now)
        sealed = self._seal(pair, version)

        async def work(connection: AsyncConnection) -> keys_pb2.Key:
            # Again, since others were created meanwhile.
            await self._check_quota(connection, key.organization, for_insert=True)
            await store.insert_key(connection, key, sealed)
            return key_message(key)

        return await self._idempotency.run_once(
            work, request=request, scope=scope, response_type=keys_pb2.Key
        )

    async def GetKey(self, request: keys_pb2.GetKeyRequest, _call: Call) -> keys_pb2.Key:
        key_id = parse_key_name(request.name, "name")
        async with self._database.reading() as connection:
            key = await store.find_key(connection, key_id)
        if key is None:
            raise NotFound("no such key")
        return key_message(key)

    async def ListKeys(
        self, request: keys_pb2.ListKeysRequest, call: Call
    ) -> keys_pb2.ListKeysResponse:
        organization = request.organization
        if not call.caller.has(Role.ROLE_OPERATOR, Role.ROLE_AUDITOR):
            # An officer lists their own organization's keys, named or not.
            organization = organization or call.caller.organization
            if organization != call.caller.organization:
                raise PermissionDenied()
        page = call.page(request, organization)
        async with self._database.reading() as connection:
            keys = await store.list_keys(connection, organization, page.after, page.limit)
        messages = key_messages(keys[: page.size], limit_bytes=PAGE_LIMIT_BYTES)
        _, next_page_token = replace(page, size=len(messages)).cut(keys, key=lambda key: key.id)
        return keys_pb2.ListKeysResponse(keys=messages, next_page_token=next_page_token)

    async def RotateKey(self, request: keys_pb2.RotateKeyRequest, call: Call) -> keys_pb2.Key:
        key_id = parse_key_name(request.name, "name")
        async with self._database.reading() as connection:
            found = await self._authorized_key(connection, key_id, call.caller)
            kept = await self._idempotency.find(
                connection, request=request, scope=call.caller.scope, response_type=keys_pb2.Key
            )
            if kept is not None:
                return kept
            # Before a pair is made that could not be added.
            found.next_number()
        now = self._clock()
        pair = await self._generate(found.algorithm, call)

        async def work(connection: AsyncConnection) -> keys_pb2.Key:
            key = await self._authorized_key(connection, key_id, call.caller, for_update=True)
            number = key.next_number()
            version = KeyVersion(key_id, number, pair.public_key, KeyVersionState.ENABLED, now)
            await store.insert_primary_version(connection, version, self._seal(pair, version))
            rotated = await store.find_key(connection, key_id)
            return key_message(cast("Key", rotated))

        return await self._idempotency.run_once(
            work, request=request, scope=call.caller.scope, response_type=keys_pb2.Key
        )

    async def DisableKeyVersion(
        self, request: keys_pb2.DisableKeyVersionRequest, call: Call
    ) -> keys_pb2.KeyVersion:
        return await self._change_state(request.name, KeyVersionState.DISABLED, call.caller)

    async def EnableKeyVersion(
        self, request: keys_pb2.EnableKeyVersionRequest, call: Call
    ) -> keys_pb2.KeyVersion:
        return await self._change_state(request.name, KeyVersionState.ENABLED, call.caller)

    async def DestroyKeyVersion(
        self, request: keys_pb2.DestroyKeyVersionRequest, call: Call
    ) -> keys_pb2.KeyVersion:
        return await self._change_state(request.name, KeyVersionState.DESTROYED, call.caller)

    async def CreateCertificateRequest(
        self, request: keys_pb2.CreateCertificateRequestRequest, call: Call
    ) -> keys_pb2.CreateCertificateRequestResponse:
        key_id, number = parse_version_name(request.name, "name")
        async with self._database.reading() as connection:
            key = await self._authorized_key(connection, key_id, call.caller)
            sealed = await self._sealed(connection, _version_of(key, number))
        signing_key = self._unseal(key, number, sealed)
        return keys_pb2.CreateCertificateRequestResponse(
            certificate_request=await SIGNING.run(signing_key.certificate_request)
        )

    async def Sign(self, request: keys_pb2.SignRequest, call: Call) -> keys_pb2.SignResponse:
        key, sealed = await self._own_key(request.key, call.caller)
        message, digest = parse_payload(request)
        check_payload(key.algorithm, message, digest)
        signing_key = self._unseal(key, key.primary, sealed)
        signature = await SIGNING.run(signing_key.sign, message, digest)
        return keys_pb2.SignResponse(signature=signature, key_version=key.primary_name)

    async def BatchSign(
        self, request: keys_pb2.BatchSignRequest, call: Call
    ) -> keys_pb2.BatchSignResponse:
        check_batch_sign(request)
        key, sealed = await self._own_key(request.key, call.caller)
        signing_key = self._unseal(key, key.primary, sealed)
        telemetry.annotate(items=len(request.items))
        results = await SIGNING.map(partial(_sign_item, key, signing_key), request.items)
        return keys_pb2.BatchSignResponse(results=results, key_version=key.primary_name)

    async def SignStatement(
        self, request: keys_pb2.SignStatementRequest, call: Call
    ) -> keys_pb2.SignStatementResponse:
        mandate, statement = request.delegation.mandate, request.delegation.statement
        order = parse_order(request.statement, mandate.text, statement.text)
        check_order(order, platform=self._platform, now=self._clock())
        approver, applicant = await self._signers_of([mandate, statement], call)
        officers = await self._find_officers(order.mandate.provider, [approver, applicant], call)
        check_signers(order, approver, applicant, officers)
        key, sealed = await self._key_of(order.mandate.key, order.mandate.provider)
        signing_key = self._unseal(key, key.primary, sealed)
        signature = await SIGNING.run(signing_key.sign, order.document, None)
        return keys_pb2.SignStatementResponse(
            signature=signature,
            algorithm=cast("signatures_pb2.SignatureAlgorithm", int(key.algorithm)),
            key_version=key.primary_name,
        )

    async def _generate(self, algorithm: Algorithm, call: Call) -> KeyPair:
        """Generate a key pair and announce it. Raises ResourceExhausted, Unavailable or
        DeadlineExceeded."""
        pair = await self._generator.generate(algorithm, owner=call.caller.scope)
        # Before the key can be used: it could sign a digest of a sign-in challenge.
        await self._announce_keys([pair.public_key], call)
        return pair

    async def _check_quota(
        self, connection: AsyncConnection, organization: str, *, for_insert: bool = False
    ) -> None:
        """Raise QuotaExceeded if the organization has as many keys as it may."""
        count = await store.count_keys(connection, organization, for_insert=for_insert)
        if count >= self._keys_per_organization:
            raise QuotaExceeded(
                organization,
                f"an organization has at most {self._keys_per_organization} keys: rotate one",
            )

    async def _authorized_key(
        self, connection: AsyncConnection, key_id: str, caller: Caller, *, for_update: bool = False
    ) -> Key:
        """Return a key that the caller manages. Raises PermissionDenied, and NotFound to operators
        alone."""
        key = await store.find_key(connection, key_id, for_update=for_update)
        if key is None:
            if caller.has(Role.ROLE_OPERATOR):
                raise NotFound("no such key")
            raise PermissionDenied()
        _authorize_manager(caller, key.organization)
        return key

    async def _own_key(self, name: str, caller: Caller) -> tuple[Key, Sealed]:
        """Return the key of the caller's organization, and its primary version's private key."""
        if not caller.has(Role.ROLE_OFFICER):
            raise PermissionDenied()
        return await self._key_of(name, caller.organization)

    async def _key_of(self, name: str, organization: str) -> tuple[Key, Sealed]:
        """Return the organization's key, and its primary version's private key. Raises
        InvalidArgument, PermissionDenied and FailedPrecondition."""
        key_id = parse_key_name(name, "key")
        async with self._database.reading() as connection:
            key = await store.find_key(connection, key_id)
            if key is None or key.organization != organization or not organization:
                raise PermissionDenied()
            return key, await self._sealed(connection, _version_of(key, key.primary))

    async def _change_state(
        self, name: str, state: KeyVersionState, caller: Caller
    ) -> keys_pb2.KeyVersion:
        key_id, number = parse_version_name(name, "name")

        async def work(connection: AsyncConnection) -> keys_pb2.KeyVersion:
            key = await self._authorized_key(connection, key_id, caller, for_update=True)
            version = _version_of(key, number)
            check_transition(version, state)
            if version.state is not state:
                await store.set_state(connection, key_id, number, state)
            return version_message(replace(version, state=state))

        return await self._database.run(work)

    async def _sealed(self, connection: AsyncConnection, version: KeyVersion) -> Sealed:
        """Return the sealed private key of an enabled version. Raises FailedPrecondition."""
        check_may_sign(version)
        sealed = await store.find_sealed(connection, version.key_id, version.number)
        if sealed is None:
            # Destroyed after its state was read.
            raise FailedPrecondition("KEY_VERSION_DESTROYED", "the version is destroyed")
        return sealed

    def _seal(self, pair: KeyPair, version: KeyVersion) -> Sealed:
        return self._vault.seal(pair.private_key, record=version.name)

    def _unseal(self, key: Key, number: int, sealed: Sealed) -> SigningKey:
        private_key = self._vault.unseal(sealed, record=version_name(key.id, number))
        return SigningKey(key.algorithm, private_key)


def _is_officer_of(caller: Caller, organization: str) -> bool:
    return caller.has(Role.ROLE_OFFICER) and caller.organization == organization != ""


def _authorize_manager(caller: Caller, organization: str) -> None:
    if not caller.has(Role.ROLE_OPERATOR) and not _is_officer_of(caller, organization):
        raise PermissionDenied()


def _version_of(key: Key, number: int) -> KeyVersion:
    version = key.version(number)
    if version is None:
        raise NotFound("no such version of the key")
    return version


def _sign_item(key: Key, signing_key: SigningKey, item: keys_pb2.SignItem) -> keys_pb2.SignResult:
    message, digest = parse_payload(item)
    try:
        check_payload(key.algorithm, message, digest)
    except InvalidArgument as error:
        return keys_pb2.SignResult(error=status_of(error))
    return keys_pb2.SignResult(signature=signing_key.sign(message, digest))
