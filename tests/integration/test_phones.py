"""A phone from the network's list to its end: the tool, two people, its SIM, the log; and what it
signs, through messaging and the simulated network, all of them processes."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.message import Message

from cli.operations.traces import read_spans
from cli.output import write_secret
from phones.subscribers import read_subscribers
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import events_pb2, phones_pb2, phones_pb2_grpc
from qagazsyz.receipts import verify_receipt
from qagazsyz.signing.v1 import mobile_signatures_pb2, mobile_signatures_pb2_grpc
from services.runtime.clients import InternalTokens, ServiceClient, open_channel
from signatures.x509 import is_signed_by_certificate
from testing.enrolment import Actor
from testing.phone_network import running_network, smpp_settings
from testing.suite_process import RunningSuite, running_suite
from tests.integration.phone_life import Life, RunningNetwork, live
from tests.integration.test_identity_events import seen
from tests.integration.test_phone_simulator import run as run_phones
from tests.integration.test_privacy import COMPANY, SOUGHT, secrets
from tests.integration.test_service_credentials import address_of_identity
from tests.integration.test_tool import ok, run
from tests.integration.world import TIMEOUT_SECONDS, World
from tests.unit.identity.phones.sims import Card

M = TypeVar("M", bound=Message)
PACKAGE = "qagazsyz.identity.v1"
# Numbers and texts of earlier tests, which the last one looks for.
PERSONAL: list[bytes] = []
# People's numbers, which identity's database has, and no log.
IINS: list[bytes] = []


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """The simulated network, as a process."""
    folder = tmp_path_factory.mktemp("network") / "phones"
    record = folder.with_name("record.jsonl")
    assert run_phones("new", folder, "--count", 3).returncode == 0
    with running_network(folder, "--record", record) as (port, process):
        yield RunningNetwork(folder, port, record, process)


@pytest.fixture(scope="module")
def suite(
    network: RunningNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningSuite]:
    """Run a suite with this network for this module alone, which the last test stops so that all is
    written."""
    environment = smpp_settings(network.folder, network.port)
    data = Path(tmp_path_factory.mktemp("phones")) / "data"
    with running_suite(data, environment=environment) as running:
        yield running


@dataclass
class Tool:
    """The tool, signed in as an actor."""

    world: World
    credential: Path

    def __call__(self, *arguments: object, of: str = "phone") -> str:
        return ok(of, *arguments, *self.options)

    def refused(self, *arguments: object) -> str:
        done = run("phone", *arguments, *self.options)
        assert done.returncode != 0
        return done.stderr

    @property
    def options(self) -> list[object]:
        return ["--credential", self.credential, "--gateway", self.world.suite.gateway]


@pytest.fixture
def tool(world: World, tmp_path: Path) -> Callable[[Actor], Tool]:
    def signed_in(actor: Actor) -> Tool:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.pem"
        write_secret(path, actor.credential.to_pem())
        return Tool(world, path)

    return signed_in


def write_list(path: Path, *cards: Card) -> Path:
    """A list of SIMs as a mobile network hands it over."""
    rows = [
        f"{card.number},{card.iccid},{base64.b64encode(card.public_key).decode()}" for card in cards
    ]
    path.write_text("\n".join(["number,iccid,public_key", *rows]) + "\n")
    return path


async def as_signing(world: World, method: str, request: Message, response: type[M]) -> M:
    """Call identity as the signing service does, with its credential."""
    async with open_channel(address_of_identity(world)) as channel:
        tokens = InternalTokens.load(channel, world.suite.data / "signing" / "credential.pem")
        client = ServiceClient(channel, tokens)
        return await client.call(f"{PACKAGE}.{method}", request, response)


async def complete(world: World, name: str, card: Card) -> phones_pb2.Phone:
    """The phone, whose SIM signed its challenge."""
    get = phones_pb2.GetPhoneRequest(name=name)
    phone = await as_signing(world, "PhoneService/GetPhone", get, phones_pb2.Phone)
    return await as_signing(
        world,
        "PhoneService/CompletePhone",
        phones_pb2.CompletePhoneRequest(name=name, signature=card.sign(phone.challenge)),
        phones_pb2.Phone,
    )


async def in_thread(tool: Tool, *arguments: object) -> Any:
    """The tool's answer in JSON; it has an event loop of its own."""
    return json.loads(await asyncio.to_thread(tool, *arguments, "--json"))


async def test_a_phone_takes_two_people_and_its_sim_and_ends_with_a_swap(
    world: World, tool: Callable[[Actor], Tool], tmp_path: Path
) -> None:
    operator, second = tool(world.operator), tool(await world.second_operator())
    citizen = await world.citizen()
    holder, card = tool(citizen), Card()
    listed = write_list(tmp_path / "sims.csv", card, Card())
    assert "imported: 2" in await asyncio.to_thread(operator, "import", listed)

    # The first operator made the second one, who so asks, and the first one approves.
    asked = await in_thread(second, "bind", citizen.subject, "--number", card.number)
    assert asked["state"] == "PHONE_STATE_PENDING_APPROVAL"
    assert asked["number"] == card.number[-2:]
    assert "PERMISSION_DENIED" in await asyncio.to_thread(second.refused, "approve", asked["name"])
    approved = await in_thread(operator, "approve", asked["name"])
    assert approved["state"] == "PHONE_STATE_PENDING"
    phone = await complete(world, asked["name"], card)
    assert phone.state == phones_pb2.PHONE_STATE_ACTIVE

    shown = await asyncio.to_thread(holder, "list", citizen.subject, "--json")
    (row,) = [json.loads(line) for line in shown.splitlines()]
    assert (row["number"], row["state"]) == (card.number, "active")

    # The SIM's key signs in, and the citizen sees in the log who bound it.
    async with world.http() as web:
        answer = await web.get(f"/v1/{phone.certificate}", headers=await world.headers(citizen))
        key = (await web.get("/log/key")).text
    der = base64.b64decode(answer.json()["der"])
    mobile = Actor(citizen.subject, Credential(der, card.key))
    token = await world.token(mobile)
    assert token
    event = await seen(world, citizen, events_pb2.IDENTITY_EVENT_KIND_PHONE_ACTIVATED, der)
    assert len(event.officers) == 2
    proved = verify_receipt(event.receipt, key)
    assert (proved.entry["event"], proved.entry["by"]) == ("phone_activated", "approved")
    assert card.number[1:] not in event.receipt.entry.decode()

    numbers = tmp_path / "swapped.txt"
    numbers.write_text(f"{card.number}\n{Card().number}\n")
    assert "reported: 2" in await asyncio.to_thread(operator, "swap", numbers)
    assert not await asyncio.to_thread(holder, "list", citizen.subject, "--json")
    await seen(world, citizen, events_pb2.IDENTITY_EVENT_KIND_PHONE_ENDED, der)
    # What it signed in for before confirms nothing any more, and it signs in no more.
    stub = phones_pb2_grpc.PhoneServiceStub(world.client(mobile).channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.BindPhone(
            phones_pb2.BindPhoneRequest(subject=citizen.subject, number=card.number),
            timeout=TIMEOUT_SECONDS,
        )
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_citizen_binds_and_unbinds_alone(
    world: World, tool: Callable[[Actor], Tool], tmp_path: Path
) -> None:
    citizen, card = await world.citizen(), Card()
    operator, holder = tool(world.operator), tool(citizen)
    await asyncio.to_thread(operator, "import", write_list(tmp_path / "sims.csv", card))
    asked = await in_thread(holder, "bind", citizen.subject, "--number", card.number)
    assert (asked["state"], asked["number"]) == ("PHONE_STATE_PENDING", card.number)
    await complete(world, asked["name"], card)
    ended = await in_thread(holder, "unbind", asked["name"])
    assert ended["state"] == "PHONE_STATE_ENDED"


async def test_a_person_binds_a_phone_and_signs_on_it(
    world: World,
    network: RunningNetwork,
    tool: Callable[[Actor], Tool],
    tmp_path: Path,
) -> None:
    folder = network.folder
    listed = read_subscribers((folder / "subscribers.json").read_bytes())
    number = network.subscribers()[0].number
    citizen = await world.citizen()
    operator, holder = tool(world.operator), tool(citizen)
    for command, name in (("import", "sims-1.json"), ("import-keys", "sim-keys-1.json")):
        imported = await asyncio.to_thread(operator, command, folder / name)
        assert imported == f"imported: {len(listed)}\n"
    bound = await in_thread(holder, "bind", citizen.subject, "--number", number)
    # The platform asks by itself as well; whichever is first, the phone is bound.
    arguments = ("phone", "confirm", bound["name"], *holder.options)
    confirmed = await asyncio.to_thread(run, *arguments)
    assert confirmed.returncode == 0 or "nothing to sign" in confirmed.stderr, confirmed.stderr
    shown = await asyncio.to_thread(holder, "list", citizen.subject, "--json")
    assert json.loads(shown)["state"] == "active"

    contract, signature = tmp_path / "contract", tmp_path / "signature"
    contract.write_bytes(b"contract 17")
    arguments = ("sign", contract, "--subject", citizen.subject, "--text", "contract 17")
    answer = await asyncio.to_thread(holder, *arguments, "--out", signature, "--json", of="mobile")
    signed = json.loads(answer)
    assert signed["displayText"] == "Qagazsyz: contract 17"
    der = base64.b64decode(signed["certificate"])
    algorithm = signatures_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256_P1363
    assert is_signed_by_certificate(der, algorithm, b"contract 17", signature.read_bytes())

    # The same by a stream that shows each state.
    channel = world.client(citizen).channel
    stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel)
    created = await stub.CreateMobileSignature(
        mobile_signatures_pb2.CreateMobileSignatureRequest(
            subject=citizen.subject, message=b"contract 18", display_text="contract 18"
        ),
        timeout=TIMEOUT_SECONDS,
    )
    watch = mobile_signatures_pb2.WatchMobileSignatureRequest(name=created.name)
    watching = stub.WatchMobileSignature(watch, timeout=TIMEOUT_SECONDS)
    states = [each.state async for each in watching]
    assert states[-1] == mobile_signatures_pb2.MOBILE_SIGNATURE_STATE_SIGNED
    listing = await asyncio.to_thread(holder, "list", citizen.subject, "--json", of="mobile")
    rows = [json.loads(line) for line in listing.splitlines()]
    assert [row["state"] for row in rows] == ["signed"] * 3
    PERSONAL.extend([number[1:].encode(), b"contract 1"])


async def test_a_person_with_a_phone_alone_signs_in_confirms_and_signs_a_document(
    world: World,
    network: RunningNetwork,
    tool: Callable[[Actor], Tool],
    tmp_path: Path,
) -> None:
    folder = network.folder
    number = network.subscribers()[1].number
    organization = await world.organization()
    citizen = await world.citizen()
    await world.enrolment().add_member(organization, citizen.subject, "ROLE_OFFICER")
    operator, holder = tool(world.operator), tool(citizen)
    for command, name in (("import", "sims-1.json"), ("import-keys", "sim-keys-1.json")):
        await asyncio.to_thread(operator, command, folder / name)
    bound = await in_thread(holder, "bind", citizen.subject, "--number", number)
    confirmed = await asyncio.to_thread(run, "phone", "confirm", bound["name"], *holder.options)
    assert confirmed.returncode == 0 or "nothing to sign" in confirmed.stderr, confirmed.stderr
    shown = json.loads(
        await asyncio.to_thread(operator, "get", citizen.subject, "--json", of="subject")
    )
    iin = shown["person"]["iin"]
    PERSONAL.append(number[1:].encode())
    IINS.append(iin.encode())

    # From here on the person uses the phone alone.
    saved = tmp_path / "phone.json"
    gateway = ("--gateway", world.suite.gateway)
    by_phone = ("token", "--phone", number, "--iin", iin, *gateway)
    signed_in = await asyncio.to_thread(run, *by_phone, "--save", saved)
    assert signed_in.returncode == 0, signed_in.stderr
    assert "Compare the code" in signed_in.stderr
    assert saved.stat().st_mode & 0o777 == 0o600
    card = Card()
    await asyncio.to_thread(operator, "import", write_list(tmp_path / "sims.csv", card))
    to_bind = ("phone", "bind", citizen.subject, "--number", card.number, "--json")
    asked = await asyncio.to_thread(run, *to_bind, "--credential", saved, *gateway)
    assert asked.returncode == 0, asked.stderr
    assert "Compare the code" in asked.stderr
    assert json.loads(asked.stdout)["state"] == "PHONE_STATE_PENDING"

    contract = tmp_path / "contract.txt"
    contract.write_bytes(b"contract 19")
    document_type = await world.document_type(organization)
    as_officer = await asyncio.to_thread(run, *by_phone, "--organization", organization)
    assert as_officer.returncode == 0, as_officer.stderr
    arguments = ("register", contract, "--type", document_type, "--subject", citizen.subject)
    phone_of = ("--phone-of", citizen.subject, "--display-text", "contract 19", "--json")
    to_register = (*arguments, *phone_of, "--organization", organization)
    registered = await asyncio.to_thread(holder, *to_register, of="document")
    (signature,) = json.loads(registered)["signatures"]
    assert signature["signer"] == citizen.subject
    assert signature["algorithm"] == "SIGNATURE_ALGORITHM_ECDSA_P256_SHA256_P1363"

    # With another's IIN it is a sign-in like any other, to anybody who asks.
    async with world.http() as web:
        pair = {"number": Card().number, "iin": iin}
        started = await web.post("/v1/phoneSignIns", json=pair)
        assert (started.status_code, started.json()["state"]) == (
            200,
            "MOBILE_SIGNATURE_STATE_WAITING",
        )
        again = await web.post("/v1/phoneSignIns", json=pair)
        assert again.status_code == 429
        named = {"name": started.json()["name"]}
        waiting = await web.post("/v1/phoneSignIns:get", json=named)
        assert waiting.json() == started.json()


async def test_the_gateway_answers_alike_whether_or_not_a_number_has_a_holder(
    world: World, tool: Callable[[Actor], Tool], tmp_path: Path
) -> None:
    """Body for body, but for the phone's own name and time."""
    first, other = await world.citizen(), await world.citizen()
    held, free = Card(), Card()
    operator, owner = tool(world.operator), tool(first)
    await asyncio.to_thread(operator, "import", write_list(tmp_path / "sims.csv", held, free))
    asked = await in_thread(owner, "bind", first.subject, "--number", held.number)
    await complete(world, asked["name"], held)
    answers = []
    for card in (held, free):
        answer = await in_thread(tool(other), "bind", other.subject, "--number", card.number)
        assert answer.pop("number") == card.number
        assert re.fullmatch(r"subjects/[^/]+/phones/[^/]+", answer.pop("name"))
        answer.pop("createTime")
        answers.append(answer)
    assert answers[0] == answers[1]
    reported = []
    async with world.http() as web:
        for number in (held.number, free.number, Card().number):
            answered = await web.post(
                "/v1/phones:reportSimSwap",
                json={"numbers": [number]},
                headers=await world.headers(world.operator),
            )
            reported.append((answered.status_code, answered.content))
    assert reported == [(200, b"{}")] * 3


def test_a_list_that_cannot_be_read_names_its_line_only(
    suite: RunningSuite, tmp_path: Path
) -> None:
    path = tmp_path / "sims.csv"
    operator = suite.data / "credentials" / "operator.pem"
    for text, expected in (
        ("number;iccid\n", "the first line is not number,iccid,public_key"),
        ("number,iccid,public_key\n+77019999999,1,***\n", "line 2: not a SIM"),
        ("number,iccid,public_key\n+77019999999,1\n", "line 2: not a SIM"),
    ):
        path.write_text(text)
        options = ("--credential", operator, "--gateway", suite.gateway)
        done = run("phone", "import", path, *options)
        assert done.returncode == 2
        assert expected in done.stderr
        assert "+7701" not in done.stderr


async def test_no_number_no_text_and_no_name_is_in_a_file_of_the_suite(
    world: World, network: RunningNetwork, tool: Callable[[Actor], Tool], tmp_path: Path
) -> None:
    """Not in a log, a span, an entry of the log or a database, after all that a phone is used for,
    and after calls that were refused. Names and IINs stand in identity's database alone."""
    citizen, card = await world.enrolment().citizen(SOUGHT), Card()
    officer = await world.officer(await world.enrolment().organization(COMPANY))
    operator, holder = tool(world.operator), tool(citizen)
    await asyncio.to_thread(operator, "import", write_list(tmp_path / "sims.csv", card))
    for command, name in (("import", "sims-1.json"), ("import-keys", "sim-keys-1.json")):
        await asyncio.to_thread(operator, command, network.folder / name)
    lived = await live(Life(world, network, citizen), officer)
    sought = [*PERSONAL, card.iccid.encode(), *lived]
    unknown = Card()
    for number in (unknown.number, f"{card.number}x"):
        await asyncio.to_thread(holder.refused, "bind", citizen.subject, "--number", number)
        sought.append(number[1:].encode())
    data = world.suite.data
    await world.close()
    world.suite.stop()
    assert len(read_spans(data / "traces")) > 10
    searched = [world.suite.log, *(path for path in data.rglob("*") if path.is_file())]
    assert [path.name for path in searched if path.suffix == ".db"]
    for path in searched:
        content = path.read_bytes()
        assert not [each for each in sought if each in content], path
        if path.suffix not in (".db", ".db-wal"):
            assert not [each for each in (*IINS, *secrets()) if each in content], path
