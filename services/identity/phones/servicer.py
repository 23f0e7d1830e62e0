"""PhoneService: which phone is whose, and which key its SIM holds; RPC in, RPC out."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from qagazsyz.identity.v1 import phones_pb2 as pb
from services.identity.certificates.issuance import Issuance
from services.identity.events.notice import PhoneNoticeKind
from services.identity.events.recorder import EventRecorder
from services.identity.phones import store
from services.identity.phones.binding import PhoneBinding
from services.identity.phones.ending import PhoneEnding
from services.identity.phones.messages import shown_number, to_numberless_phone, to_phone
from services.identity.phones.numbers import NumberVault, check_number
from services.identity.phones.requests import (
    check_iin,
    phone_key,
    to_card_hashes,
    to_listed_sims,
    to_number_hashes,
    to_wanted_phone,
    without_number,
)
from services.identity.phones.rules import (
    Phone,
    PhoneState,
    check_may_read,
    check_may_report,
    check_may_unbind,
    match_phone,
)
from services.identity.phones.sim_lists import SimLists
from services.identity.subjects.rules import check_subject_name
from services.identity.subjects.store import resolve_numbers
from services.identity.worker_pools import INSPECTION
from services.identity.x509.issuing import CertificateAuthority
from services.runtime import telemetry
from services.runtime.clock import Clock, Randomness
from services.runtime.errors import NotFound
from services.runtime.server import Call
from services.runtime.storage.database import Database
from services.runtime.storage.idempotency import IdempotencyStore


class PhoneServicer:
    """Lists of SIMs, and the phones that are bound to people."""

    def __init__(
        self,
        *,
        database: Database,
        idempotency: IdempotencyStore,
        authority: CertificateAuthority,
        events: EventRecorder,
        ending: PhoneEnding,
        numbers: NumberVault,
        platform: str,
        swap_reporters: Collection[str],
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        """platform: the platform's name in challenges; swap_reporters: organizations whose
        information systems may report SIM swaps."""
        self._database = database
        self._idempotency = idempotency
        self._ending = ending
        self._numbers = numbers
        self._swap_reporters = swap_reporters
        self._clock = clock
        self._lists = SimLists(ending=ending, clock=clock, randomness=randomness)
        self._binding = PhoneBinding(
            database=database,
            issuance=Issuance(authority=authority, clock=clock, randomness=randomness),
            events=events,
            ending=ending,
            platform=platform,
            clock=clock,
            randomness=randomness,
        )

    async def ImportSims(self, request: pb.ImportSimsRequest, call: Call) -> pb.ImportSimsResponse:
        telemetry.annotate(sims=len(request.sims))
        listed = await INSPECTION.run(to_listed_sims, request, self._numbers)

        async def work(connection: AsyncConnection) -> pb.ImportSimsResponse:
            await self._lists.take(connection, listed, call.caller)
            return pb.ImportSimsResponse(imported_count=len(listed))

        return await self._database.run(work)

    async def BindPhone(self, request: pb.BindPhoneRequest, call: Call) -> pb.Phone:
        wanted = to_wanted_phone(request, self._numbers)

        async def work(connection: AsyncConnection) -> pb.Phone:
            phone = await self._binding.ask(connection, wanted, call.caller)
            return to_numberless_phone(phone, self._clock())

        # Neither what is kept of the request nor its kept answer tells the number.
        bound = await self._idempotency.run_once(
            work,
            request=without_number(request, wanted.number_hash),
            scope=call.caller.scope,
            response_type=pb.Phone,
        )
        bound.number = shown_number(request.number, wanted.subject, call.caller)
        return bound

    async def ApprovePhone(self, request: pb.ApprovePhoneRequest, call: Call) -> pb.Phone:
        key = phone_key(request.name)

        async def work(connection: AsyncConnection) -> Phone:
            return await self._binding.approve(connection, *key, call.caller)

        return self._to_phone(await self._database.run(work), call)

    async def CompletePhone(self, request: pb.CompletePhoneRequest, call: Call) -> pb.Phone:
        key = phone_key(request.name)
        prepared, certificate = await self._binding.prepare_completion(*key, request.signature)

        async def work(connection: AsyncConnection) -> Phone:
            if certificate is None:
                return await self._binding.confirm_unseen(connection, prepared)
            return await self._binding.commit_completion(connection, prepared, certificate)

        return self._to_phone(await self._database.run(work), call)

    async def GetPhone(self, request: pb.GetPhoneRequest, call: Call) -> pb.Phone:
        subject, phone_id = phone_key(request.name)
        check_may_read(call.caller, subject)
        async with self._database.reading() as connection:
            phone = await store.get_phone(connection, subject, phone_id)
        if phone is None:
            raise NotFound("the phone does not exist")
        return self._to_phone(phone, call)

    async def ListPhones(self, request: pb.ListPhonesRequest, call: Call) -> pb.ListPhonesResponse:
        subject = check_subject_name(request.subject, "subject")
        check_may_read(call.caller, subject)
        async with self._database.reading() as connection:
            phones = await store.list_phones(connection, subject)
        now = self._clock()
        return pb.ListPhonesResponse(
            phones=[
                self._to_phone(phone, call)
                for phone in phones
                if phone.state_at(now) is not PhoneState.ENDED
            ]
        )

    async def UnbindPhone(self, request: pb.UnbindPhoneRequest, call: Call) -> pb.Phone:
        subject, phone_id = phone_key(request.name)

        async def work(connection: AsyncConnection) -> Phone:
            found = await store.get_phone(connection, subject, phone_id)
            phone = check_may_unbind(call.caller, found)
            how = PhoneNoticeKind.UNBOUND
            await self._ending.end(connection, [phone], how, call.caller.subject)
            ended = await store.get_phone(connection, subject, phone_id)
            assert ended is not None  # noqa: S101 - it was there in this transaction
            return ended

        return self._to_phone(await self._database.run(work), call)

    async def ReportSimSwap(
        self, request: pb.ReportSimSwapRequest, call: Call
    ) -> pb.ReportSimSwapResponse:
        check_may_report(call.caller, self._swap_reporters)
        telemetry.annotate(numbers=len(request.numbers))
        hashes = to_number_hashes(request, self._numbers.hash_number)

        async def work(connection: AsyncConnection) -> pb.ReportSimSwapResponse:
            await self._lists.report_swap(connection, hashes, call.caller)
            return pb.ReportSimSwapResponse()

        return await self._database.run(work)

    async def ResolveSims(
        self, request: pb.ResolveSimsRequest, _call: Call
    ) -> pb.ResolveSimsResponse:
        hashes = to_card_hashes(request, self._numbers)
        async with self._database.reading() as connection:
            found = await store.find_sims(connection, hashes)
        return pb.ResolveSimsResponse(
            sims=[f"sims/{found[each]}" if each in found else "" for each in hashes]
        )

    async def ResolvePhone(self, request: pb.ResolvePhoneRequest, call: Call) -> pb.Phone:
        number_hash = self._numbers.hash_number(check_number(request.number, "number"))
        async with self._database.reading() as connection:
            phones = await store.list_by_numbers(connection, [number_hash], is_bound=True)
        now = self._clock()
        for phone in phones:
            if phone.state_at(now) is PhoneState.ACTIVE:
                return self._to_phone(phone, call)
        raise NotFound("no phone has the number")

    async def MatchPhone(self, request: pb.MatchPhoneRequest, call: Call) -> pb.MatchPhoneResponse:
        number_hash = self._numbers.hash_number(check_number(request.number, "number"))
        iin = check_iin(request.iin, "iin")
        async with self._database.reading() as connection:
            # Both are read, whatever the first one says: the time tells nothing.
            holders = await resolve_numbers(connection, [iin])
            phones = await store.list_by_numbers(connection, [number_hash], is_bound=True)
        matched = match_phone(phones, holders.get(iin), self._clock())
        phone = None if matched is None else self._to_phone(matched, call)
        return pb.MatchPhoneResponse(number_key=number_hash, phone=phone)

    async def ReportPhoneSeen(
        self, request: pb.ReportPhoneSeenRequest, _call: Call
    ) -> pb.ReportPhoneSeenResponse:
        subject, phone_id = phone_key(request.name)

        async def work(connection: AsyncConnection) -> pb.ReportPhoneSeenResponse:
            await store.set_seen(connection, subject, phone_id, self._clock())
            return pb.ReportPhoneSeenResponse()

        return await self._database.run(work)

    def _to_phone(self, phone: Phone, call: Call) -> pb.Phone:
        return to_phone(phone, call.caller, self._numbers, self._clock())
