"""How messages get to phones and from them, and what becomes of a request on the way.

The network knows whose phone is on; a phone gives secured packets to its SIM and shows texts. What
a number's last three digits ask for happens here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from phones.clock import NetworkClock
from phones.dialogues import Dialogue, Step, WrongKey
from phones.handset import Asked, Delivery, Phone, ToPhone
from phones.outcomes import Outcome
from phones.record import Record
from phones.screens import SCREENS
from phones.sim import Sim, sign_digest
from phones.subscribers import Subscriber
from sms.alphabets import Alphabet, NotInAlphabet, decode
from sms.applet import NONCE_OCTETS, Answer, MalformedData, Status, read_request
from sms.parts import (
    COMMAND_PACKET,
    OCTETS_LIMIT,
    RESPONSE_PACKET,
    SIM_PROTOCOL_ID,
    MalformedMessage,
    ShortMessage,
    WholeMessage,
    read_part,
    split_packet,
    split_text,
)
from sms.secured_packets import PacketRefused

# Each way, for a phone abroad.
ROAMING_SECONDS = 8.0
# A toolkit's "no response from user": then the screen is free again, and nothing is answered.
DIALOGUE_SECONDS = 180.0
# After the end of the request that it answers.
LATE_SECONDS = 60.0

# Takes a phone's message for the platform: number, destination, message.
FromPhone = Callable[[str, str, ShortMessage], None]


def _nowhere(_number: str, _destination: str, _message: ShortMessage) -> None:
    """Drop a message: no SMSC is connected."""


class NoSuchPhone(KeyError):
    """A number that is not in the file of subscribers."""


class Network:
    """All phones. think_seconds: how long a person takes who answers by themselves."""

    def __init__(
        self,
        subscribers: Sequence[Subscriber],
        clock: NetworkClock,
        record: Record,
        *,
        think_seconds: float = 0.0,
    ) -> None:
        self.clock = clock
        self.phones = {each.number: Phone(each) for each in subscribers}
        self._record = record
        self._think_seconds = think_seconds
        self._send: FromPhone = _nowhere

    def connect(self, send: FromPhone) -> None:
        """Set where phones' messages go."""
        self._send = send

    def phone(self, number: str) -> Phone:
        """Return a subscriber's phone. Raises NoSuchPhone."""
        try:
            return self.phones[number]
        except KeyError:
            raise NoSuchPhone(number) from None

    # --- to a phone -------------------------------------------------------------------------------

    def deliver(self, message: ToPhone) -> None:
        """Bring a message to its phone, at once or when it is on; report what became of it."""
        phone = self.phones.get(message.number)
        is_for_sim = message.message.protocol_id == SIM_PROTOCOL_ID
        if phone is None or (phone.subscriber.outcome is Outcome.LOST and is_for_sim):
            message.report(Delivery.UNDELIVERABLE)
        elif phone.subscriber.power == "roaming":
            self.clock.call_after(ROAMING_SECONDS, lambda: self._arrive(phone, message))
        else:
            self._arrive(phone, message)

    def _keep(self, phone: Phone, message: ToPhone) -> None:
        phone.waiting.append(message)

        def expire() -> None:
            if message in phone.waiting:
                phone.waiting.remove(message)
                message.report(Delivery.EXPIRED)

        left = (message.expire_time - self.clock.now()).total_seconds()
        self.clock.call_after(left, expire)

    def _arrive(self, phone: Phone, message: ToPhone) -> None:
        if self.clock.now() >= message.expire_time:
            message.report(Delivery.EXPIRED)
            return
        if phone.subscriber.power == "off":
            self._keep(phone, message)
            return
        message.report(Delivery.DELIVERED)
        try:
            whole = phone.take_part(message.source, read_part(message.message))
            if whole is not None:
                self._read(phone, message, whole)
        except (MalformedMessage, NotInAlphabet):
            # A handset drops what it cannot read.
            return

    def _read(self, phone: Phone, message: ToPhone, whole: WholeMessage) -> None:
        if whole.packet == COMMAND_PACKET:
            self._ask(phone, message, whole.data)
        elif whole.alphabet is not Alphabet.BINARY:
            phone.texts.append((message.source, decode(whole.data, whole.alphabet)))
            phone.changed()

    def switch(self, number: str, power: str) -> None:
        """Turn a phone "on", "off" or "roaming"; what waited for it comes, and off ends its
        dialogue."""
        phone = self.phone(number)
        phone.subscriber.power = power
        if power == "off":
            phone.clear()
            return
        waiting, phone.waiting = phone.waiting, []
        for message in waiting:
            self.deliver(message)

    def swap_sim(self, number: str, sim: Sim) -> None:
        """Put another card into a phone; the old one's dialogue ends without an answer."""
        phone = self.phone(number)
        phone.subscriber.sim = sim
        phone.clear()

    # --- a request of the platform ----------------------------------------------------------------

    def _ask(self, phone: Phone, message: ToPhone, packet: bytes) -> None:
        sim = phone.subscriber.sim
        try:
            command = sim.accept(packet)
        except PacketRefused as refused:
            self._answer_with(phone, message.source, sim.refusal(refused))
            return
        try:
            request = read_request(command.data)
        except MalformedData:
            answer = Answer(Status.MALFORMED, bytes(NONCE_OCTETS))
            self._answer_with(phone, message.source, sim.answer(command.counter, answer))
            return
        asked = Asked(message.source, command.counter, request, message.expire_time)
        refusal = self._refusal(phone)
        if refusal is not None:
            self._finish(phone, asked, refusal)
            return
        dialogue = Dialogue(
            request,
            sim,
            language=phone.subscriber.language,
            alphabet=phone.subscriber.alphabet,
            screen=SCREENS[phone.subscriber.screen],
        )
        if dialogue.status is not None:
            self._finish(phone, asked, dialogue.status)
            return
        self._show(phone, asked, dialogue)

    @staticmethod
    def _refusal(phone: Phone) -> Status | None:
        """What the card says before anything is shown, None if it shows the request."""
        outcome = phone.subscriber.outcome
        if phone.dialogue is not None or outcome is Outcome.BUSY:
            return Status.BUSY
        if outcome is Outcome.CARD_BLOCKED:
            return Status.CARD_BLOCKED
        return Status.NO_KEY if outcome is Outcome.NO_KEY else None

    def _show(self, phone: Phone, asked: Asked, dialogue: Dialogue) -> None:
        phone.dialogue, phone.asked = dialogue, asked
        phone.changed()

        def give_up() -> None:
            if phone.dialogue is dialogue:
                phone.clear()

        self.clock.call_after(DIALOGUE_SECONDS, give_up)
        if phone.subscriber.answers == "by themselves":
            self.clock.call_after(self._think_seconds, lambda: self._act(phone, dialogue))

    def _act(self, phone: Phone, dialogue: Dialogue) -> None:
        """Do what this number's person does."""
        outcome = phone.subscriber.outcome
        if phone.dialogue is not dialogue or outcome is Outcome.SILENT:
            return
        if outcome is Outcome.CANCELS:
            self.press(phone, Dialogue.cancel)
            return
        while dialogue.step is Step.READING:
            self.press(phone, Dialogue.ok)
        pin = phone.subscriber.sim.pin
        if outcome is Outcome.BLOCKS_PIN:
            wrong = f"{(int(pin) + 1) % 10**4:04d}"
            while dialogue.step is Step.PIN:
                self.press(phone, lambda each: each.enter_pin(wrong))
            return
        self.press(phone, lambda each: each.enter_pin(pin))
        if dialogue.step is Step.QUESTION:
            choice = Status.POSTPONED if outcome is Outcome.POSTPONES else Status.SIGNED
            self.press(phone, lambda each: each.choose(choice))

    def press(self, phone: Phone, key: Callable[[Dialogue], None]) -> None:
        """Press a key of the phone's dialogue; once it has ended the SIM answers.

        Raises WrongKey for a key that is not taken, or without a dialogue.
        """
        dialogue, asked = phone.dialogue, phone.asked
        if dialogue is None or asked is None:
            raise WrongKey("nothing is on the screen")
        key(dialogue)
        if dialogue.status is not None:
            phone.dialogue = phone.asked = None
            self._finish(phone, asked, dialogue.status)
        phone.changed()

    # --- the answer -------------------------------------------------------------------------------

    def _finish(self, phone: Phone, asked: Asked, status: Status) -> None:
        sim, outcome = phone.subscriber.sim, phone.subscriber.outcome
        signature = b""
        if status is Status.SIGNED:
            digest, key = asked.request.digest, sim.key
            if outcome is Outcome.SIGNS_ANOTHER_DIGEST:
                digest = bytes(each ^ 0xFF for each in digest)
            if outcome is Outcome.SIGNS_WITH_ANOTHER_KEY:
                key = ec.generate_private_key(ec.SECP256R1())
            signature = sign_digest(key, digest)
        counter = asked.counter - (outcome is Outcome.REPLAYS_COUNTER)
        self._record.add("answered", number=phone.subscriber.number, status=status.name)
        packet = sim.answer(counter, Answer(status, asked.request.nonce, signature))
        late = 0.0
        if outcome is Outcome.ANSWERS_LATE:
            late = (asked.expire_time - self.clock.now()).total_seconds() + LATE_SECONDS
        self.clock.call_after(late, lambda: self._answer_with(phone, asked.source, packet))

    def _answer_with(self, phone: Phone, destination: str, packet: bytes) -> None:
        outcome = phone.subscriber.outcome
        # An answer fits one message; to have parts to swap, it is split where none is needed.
        limit = OCTETS_LIMIT // 2 if outcome is Outcome.SWAPS_PARTS else OCTETS_LIMIT
        messages = split_packet(packet, RESPONSE_PACKET, phone.next_reference(), limit=limit)
        if outcome is Outcome.SWAPS_PARTS:
            messages.reverse()
        for message in messages * (2 if outcome is Outcome.ANSWERS_TWICE else 1):
            self._leave(phone, destination, message)

    def send_text(self, number: str, destination: str, text: str) -> None:
        """Send a text from a phone. Raises NoSuchPhone, NotInAlphabet, WrongKey if it is off."""
        phone = self.phone(number)
        if phone.subscriber.power == "off":
            raise WrongKey("the phone is off")
        for message in split_text(text, phone.next_reference()):
            self._leave(phone, destination, message)

    def _leave(self, phone: Phone, destination: str, message: ShortMessage) -> None:
        delay = ROAMING_SECONDS if phone.subscriber.power == "roaming" else 0.0
        number = phone.subscriber.number
        self.clock.call_after(delay, lambda: self._send(number, destination, message))
