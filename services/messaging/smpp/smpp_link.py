"""The link by SMPP 3.4: a thread of its own that holds one session and makes it again.

smpplib is synchronous, so everything on the socket happens in the thread, and everything on the
database on the event loop. The thread waits for the socket and for a pipe on which submit() wakes
it. A message that comes in is acknowledged once Events.received has returned: while it is stored,
the thread waits, and the SMSC holds the next one back.

A session ends, and the next begins after a pause that doubles up to a minute, where the SMSC closes
it, sends nothing after an enquire_link, or leaves a submission unanswered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from smpplib import smpp
from smpplib.exceptions import ConnectionError as SmppConnectionError
from smpplib.pdu import PDU

from services.messaging.smpp.addresses import destination_of, phone_of, source_of
from services.messaging.smpp.link import (
    Answer,
    Events,
    Incoming,
    Step,
    Submission,
    Verdict,
    no_step,
)
from services.messaging.smpp.session import HEADER_BYTES, Account, Lost, Raw, Session
from services.messaging.sms.receipts import Receipt, bare, read_receipt
from services.messaging.sms.user_data import Concatenation, read_user_data

log = logging.getLogger(__name__)

# SMPP 3.4, section 5.1.3.
ESME_RINVMSGLEN, ESME_RINVCMDID, ESME_RX_T_APPN = 0x01, 0x03, 0x64
ESME_RMSGQFUL, ESME_RTHROTTLED = 0x14, 0x58
# What is wrong with the message itself and stays so: its length, source, destination, class, their
# types, its times and parameters.
REFUSALS = frozenset(
    {0x01, 0x0A, 0x0B, 0x33, 0x40, 0x43, 0x48, 0x49, 0x50, 0x51, 0x61, 0x62, 0xC0, 0xC1, 0xC2, 0xC4}
)
# esm_class, SMPP 3.4, section 5.2.12: header indicator, and the type of a delivery receipt.
UDHI, TYPE_BITS, DELIVERY_RECEIPT = 0x40, 0x3C, 0x04
RECEIPT_WANTED = 0x01
# How long storing a message may take before the SMSC is asked to send it again.
STORE_SECONDS = 10.0
# How long stop() waits for answers.
DRAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of a link, in seconds."""

    # Between reconnections: doubled from the first up to the last, with up to as much again at
    # random, so that many platforms do not come back at once.
    first_pause: float = 1.0
    last_pause: float = 60.0
    # An enquire_link goes after such a silence, and the session ends after such another.
    enquire_link: float = 30.0
    # For the answer to a submission.
    answer: float = 30.0


class SmppLink:
    """A Link (link.py) to one SMSC."""

    def __init__(
        self,
        account: Account,
        events: Events,
        *,
        loop: asyncio.AbstractEventLoop,
        pace: Pace,
        step: Step = no_step,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._events = events
        self._loop = loop
        self._pace = pace
        self._step = step
        self._monotonic = monotonic
        self._queue: deque[Submission] = deque()
        # By sequence number: the submission's key, and when it was sent.
        self._unanswered: dict[int, tuple[int, float]] = {}
        self._stopping = threading.Event()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._thread = threading.Thread(target=self._run, name="smpp", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        """Hand over a part; exactly one of Events.answered and disconnected follows."""
        self._queue.append(submission)
        self._wake_up()

    async def stop(self) -> None:
        """Wait DRAIN_SECONDS at most for answers, unbind, and end the thread."""
        self._stopping.set()
        self._wake_up()
        await asyncio.to_thread(self._thread.join)
        os.close(self._woken)
        os.close(self._wake)
        # What was submitted after the thread had looked for the last time.
        self._events.disconnected([], [submission.key for submission in self._queue])
        self._queue.clear()

    def _wake_up(self) -> None:
        # A full pipe wakes as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"\0")

    def _run(self) -> None:
        pause = self._pace.first_pause
        while not self._stopping.is_set():
            try:
                session = Session.open(self._account)
            except Lost as reason:
                log.warning("no connection to the SMSC", extra={"reason": str(reason)})
            else:
                pause = self._pace.first_pause
                try:
                    self._tell(self._events.connected)
                    self._serve(session)
                except (Lost, SmppConnectionError, OSError) as reason:
                    text = str(reason) if isinstance(reason, Lost) else type(reason).__name__
                    log.warning("the connection to the SMSC is lost", extra={"reason": text})
                except Exception as error:  # a defect must not end the thread, and with it the link
                    log.error("the link failed", extra={"exception": type(error).__name__})
                finally:
                    session.close()
                    self._report_loss()
            # Not a secret: it spreads reconnections.
            self._stopping.wait(pause * (1 + random.random()))  # noqa: S311
            pause = min(2 * pause, self._pace.last_pause)

    def _report_loss(self) -> None:
        unanswered = [key for key, _ in self._unanswered.values()]
        self._unanswered.clear()
        unsent = []
        while self._queue:
            unsent.append(self._queue.popleft().key)
        self._tell(self._events.disconnected, unanswered, unsent)

    def _serve(self, session: Session) -> None:
        """Serve the session until stop(), or until Lost is raised."""
        heard = self._monotonic()
        enquired = False
        stop_at: float | None = None
        while True:
            # First: a message may have come together with the answer to bind.
            for raw in session.pdus():
                heard, enquired = self._monotonic(), False
                self._handle(session, raw)
            while self._queue and stop_at is None:
                self._send(session, self._queue.popleft())
            now = self._monotonic()
            if self._stopping.is_set():
                stop_at = stop_at or now + DRAIN_SECONDS
                if not self._unanswered or now >= stop_at:
                    self._unbind(session)
                    return
            if any(now - sent > self._pace.answer for _, sent in self._unanswered.values()):
                raise Lost("a submission was not answered")
            silence = self._pace.enquire_link
            wait = min(heard + silence * (2 if enquired else 1) - now, 1.0)
            ready, _, _ = select.select([session.fileno(), self._woken], [], [], max(wait, 0.0))
            if self._woken in ready:
                os.read(self._woken, 4096)
            if session.fileno() in ready:
                session.receive()
                continue
            now = self._monotonic()
            if now - heard >= 2 * silence:
                raise Lost("the SMSC is silent")
            if now - heard >= silence and not enquired:
                session.send_pdu(smpp.make_pdu("enquire_link", client=session))
                enquired = True

    def _unbind(self, session: Session) -> None:
        # Its answer is not waited for: nothing depends on it.
        with contextlib.suppress(SmppConnectionError, OSError):
            session.send_pdu(smpp.make_pdu("unbind", client=session))

    def _send(self, session: Session, submission: Submission) -> None:
        part = submission.part
        source_ton, source_npi, source = source_of(submission.source)
        ton, npi, destination = destination_of(submission.phone)
        pdu = smpp.make_pdu(
            "submit_sm",
            client=session,
            service_type="",
            source_addr_ton=source_ton,
            source_addr_npi=source_npi,
            source_addr=source,
            dest_addr_ton=ton,
            dest_addr_npi=npi,
            destination_addr=destination,
            esm_class=UDHI if part.has_header else 0,
            protocol_id=part.protocol_id,
            schedule_delivery_time="",
            validity_period=submission.validity_period,
            registered_delivery=RECEIPT_WANTED,
            data_coding=part.data_coding,
            short_message=part.user_data,
        )
        # Before a byte of it goes: whatever happens then, it may have been taken.
        self._unanswered[pdu.sequence] = (submission.key, self._monotonic())
        self._step("handed over")
        session.send_pdu(pdu)
        self._step("submitted")

    def _handle(self, session: Session, raw: Raw) -> None:
        match raw.name:
            case "submit_sm_resp" | "generic_nack":
                self._answered(raw)
            case "deliver_sm":
                self._delivered(session, raw)
            case "enquire_link":
                session.answer("enquire_link_resp", raw)
            case "unbind":
                session.answer("unbind_resp", raw)
                raise Lost("the SMSC unbound")
            case "enquire_link_resp" | "unbind_resp" | "alert_notification":
                pass
            case _:
                if not raw.command & 0x80000000:
                    session.answer("generic_nack", raw, ESME_RINVCMDID)

    def _answered(self, raw: Raw) -> None:
        found = self._unanswered.pop(raw.sequence, None)
        if found is None:
            return
        self._step("answered")
        key, _ = found
        if raw.status == 0 and raw.name == "submit_sm_resp":
            body = raw.data[HEADER_BYTES:].partition(b"\0")[0]
            answer = Answer(key, Verdict.TAKEN, bare(body.decode("latin-1"))[:64])
        elif raw.status in (ESME_RTHROTTLED, ESME_RMSGQFUL):
            answer = Answer(key, Verdict.THROTTLED)
        else:
            refused = raw.status in REFUSALS and raw.name == "submit_sm_resp"
            log.warning("the SMSC refused a part", extra={"status": raw.status})
            answer = Answer(key, Verdict.REFUSED if refused else Verdict.FAILED)
        self._tell(self._events.answered, answer)

    def _delivered(self, session: Session, raw: Raw) -> None:
        """Have a message or receipt stored, then acknowledge it."""
        try:
            pdu = session.parse(raw)
        except ValueError:
            # It will be no better the next time.
            session.answer("deliver_sm_resp", raw, ESME_RINVMSGLEN)
            return
        receipt = receipt_in(pdu)
        if receipt is not None:
            work = self._events.reported(phone_of(pdu), receipt)
        else:
            work = self._events.received(incoming_of(pdu))
        self._step("received")
        is_stored = self._wait_for(work)
        self._step("stored")
        session.answer("deliver_sm_resp", raw, 0 if is_stored else ESME_RX_T_APPN)
        self._step("acknowledged")

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run work on the event loop; return whether it succeeded in time."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result(STORE_SECONDS)
        except FutureTimeout:
            future.cancel()
            log.warning("a message was not stored in time")
            return False
        except Exception as error:  # its text may hold personal data
            log.warning("a message was not stored", extra={"exception": type(error).__name__})
            return False
        return True

    def _tell(self, event: Callable[..., None], *arguments: object) -> None:
        # After the loop's end nobody is told: the next start finds what was unanswered.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(event, *arguments)


def receipt_in(pdu: PDU) -> Receipt | None:
    """Return the delivery receipt that a deliver_sm is, or None if it is a message."""
    if pdu.esm_class & TYPE_BITS != DELIVERY_RECEIPT:
        return None
    text = pdu.short_message or pdu.message_payload or b""
    given = (pdu.receipted_message_id or b"").decode("latin-1")
    # One that names no part changes nothing, and is acknowledged.
    return read_receipt(text, network_id=given, state=pdu.message_state) or Receipt("", None)


def incoming_of(pdu: PDU) -> Incoming:
    """Return the message that a deliver_sm is."""
    octets = pdu.short_message or pdu.message_payload or b""
    data = read_user_data(octets, has_header=bool(pdu.esm_class & UDHI))
    concatenation = data.concatenation
    if concatenation is None and pdu.sar_msg_ref_num is not None and pdu.sar_total_segments:
        segment = Concatenation(
            pdu.sar_msg_ref_num, pdu.sar_total_segments, pdu.sar_segment_seqnum or 0
        )
        concatenation = segment if segment.is_valid else None
    return Incoming(
        phone_of(pdu),
        (pdu.destination_addr or b"").decode("latin-1")[:21],
        data.content,
        pdu.data_coding,
        concatenation,
        data.is_sim_response,
    )
