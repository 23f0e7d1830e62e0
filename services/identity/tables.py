"""Identity's schema."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

from services.runtime.storage.database import UtcDateTime
from services.runtime.storage.idempotency import requests_table

metadata = MetaData()

subjects = Table(
    "subjects",
    metadata,
    # "subjects/{uuid}".
    Column("name", String(64), primary_key=True),
    Column("kind", String(12), nullable=False),
    Column("number", String(12), nullable=False, unique=True),
    Column("given_name", String, nullable=False, default=""),
    Column("family_name", String, nullable=False, default=""),
    Column("patronymic", String, nullable=False, default=""),
    Column("birth_date", Date),
    Column("display_name", String, nullable=False, default=""),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("organization", ForeignKey("subjects.name"), primary_key=True),
    Column("person", ForeignKey("subjects.name"), primary_key=True),
    Column("role", Integer, nullable=False),
    # When it was added or asked for, and from when it gives its role; null while it waits for a
    # second operator.
    Column("create_time", UtcDateTime, nullable=False),
    Column("begin_time", UtcDateTime),
    # Who added or asked for it, and who approved that: subjects, or "".
    Column("proposer", String(64), nullable=False, default=""),
    Column("approver", String(64), nullable=False, default=""),
    # Who asked for its removal and when, while that waits for a second operator.
    Column("remove_proposer", String(64), nullable=False, default=""),
    Column("remove_ask_time", UtcDateTime),
)
Index("memberships_by_person", memberships.c.person)

# Memberships that were in force and ended.
ended_memberships = Table(
    "ended_memberships",
    metadata,
    Column("organization", String(64), primary_key=True),
    Column("person", String(64), primary_key=True),
    Column("role", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("begin_time", UtcDateTime, nullable=False),
    Column("remove_time", UtcDateTime, primary_key=True),
)
Index("ended_memberships_by_person", ended_memberships.c.person)

certificates = Table(
    "certificates",
    metadata,
    # Lower-case hex SHA-256 of the DER.
    Column("fingerprint", String(64), primary_key=True),
    # Empty for the platform's own services.
    Column("subject", String(64), nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("serial_number", String(42), nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
    Column("usage", Integer, nullable=False),
    # The organization that an employee may sign for.
    Column("organization", String(64), nullable=False, default=""),
    # Issued by the platform's own authority.
    Column("own", Boolean, nullable=False),
    # The service whose credential it is.
    Column("service", String(32), nullable=False, default=""),
    # Of its key, as in certified_keys.
    Column("key", String(64), nullable=False, default=""),
    # Who asked for it, and who approved that: subjects, or "".
    Column("proposer", String(64), nullable=False, default=""),
    Column("approver", String(64), nullable=False, default=""),
    Column("revoke_time", UtcDateTime),
    Column("revocation_reason", Integer, nullable=False, default=0),
    Column("create_time", UtcDateTime, nullable=False),
    # From when on a service's credential signs in no more, once it was renewed.
    Column("sign_in_end_time", UtcDateTime),
)
Index("certificates_by_subject", certificates.c.subject, certificates.c.fingerprint)
Index("certificates_by_serial", certificates.c.serial_number)

used_challenges = Table(
    "used_challenges",
    metadata,
    # SHA-256 of the challenge, in hex.
    Column("challenge", String(64), primary_key=True),
    # Until when it is remembered: at least until it expires.
    Column("expire_time", UtcDateTime, nullable=False),
    # SHA-256 of what the act's confirmation signed; null for one that signed somebody in.
    Column("act", LargeBinary(32)),
)
# Each use deletes the expired ones.
Index("used_challenges_by_time", used_challenges.c.expire_time)

# What SIMs signed to confirm acts, for some minutes.
mobile_signatures = Table(
    "mobile_signatures",
    metadata,
    # "mobileSignatures/{id}", signing's.
    Column("name", String(64), primary_key=True),
    Column("algorithm", Integer, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
)
# Each one that comes deletes the expired ones.
Index("mobile_signatures_by_time", mobile_signatures.c.expire_time)

# Keys that the signing service manages: they cannot be used to sign in.
managed_keys = Table(
    "held_keys",
    metadata,
    # Lower-case hex SHA-256 of the SubjectPublicKeyInfo, as managed_keys.py encodes it.
    Column("fingerprint", String(64), primary_key=True),
    Column("create_time", UtcDateTime, nullable=False),
)

# Whose each certified key is: a key is certified for one subject only. That of a SIM moves with its
# card.
certified_keys = Table(
    "certified_keys",
    metadata,
    # Lower-case hex SHA-256, as managed_keys.py makes it.
    Column("fingerprint", String(64), primary_key=True),
    # A subject, or "services/{service}".
    Column("holder", String(64), nullable=False),
)

# Certificates that wait, or waited, for a second person.
certificate_requests = Table(
    "certificate_requests",
    metadata,
    # UUIDv7: in the order of creation.
    Column("id", String(36), primary_key=True),
    Column("subject", String(64), nullable=False),
    Column("organization", String(64), nullable=False),
    Column("usage", Integer, nullable=False),
    # What is to be issued, PKCS#10; empty where a certificate is to be registered.
    Column("request", LargeBinary, nullable=False),
    Column("der", LargeBinary, nullable=False),
    # The issuers that came with it, one behind the other.
    Column("chain", LargeBinary, nullable=False),
    # Of its key, as in certified_keys.
    Column("key", String(64), nullable=False),
    Column("proposer", String(64), nullable=False),
    Column("proposer_role", Integer, nullable=False),
    Column("proposer_organization", String(64), nullable=False),
    Column("proposer_certificate", String(64), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("state", Integer, nullable=False),
    Column("decider", String(64), nullable=False, default=""),
    Column("decide_time", UtcDateTime),
)
Index("certificate_requests_by_state", certificate_requests.c.state, certificate_requests.c.id)
Index("certificate_requests_by_key", certificate_requests.c.key)

# The mobile network's list: which number has which card.
sims = Table(
    "sims",
    metadata,
    # UUIDv7; a number that gets another card or key gets another id.
    Column("id", String(36), primary_key=True),
    # Keyed hashes, as numbers.py makes them.
    Column("number_hash", String(64), nullable=False, unique=True),
    Column("card_hash", String(64), nullable=False, unique=True),
    # SubjectPublicKeyInfo, DER.
    Column("public_key", LargeBinary, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
)

phones = Table(
    "phones",
    metadata,
    # UUIDv7: in the order of creation.
    Column("id", String(36), primary_key=True),
    Column("subject", String(64), nullable=False),
    # Keyed hash, and encrypted, as numbers.py makes them.
    Column("number_hash", String(64), nullable=False),
    Column("number", LargeBinary, nullable=False),
    # Of the card that it was asked for with.
    Column("sim", String(36), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("language", String(2), nullable=False),
    Column("state", Integer, nullable=False),
    # Who asked, in which role, with which certificate; who approved that, with which.
    Column("proposer", String(64), nullable=False),
    Column("proposer_role", Integer, nullable=False),
    Column("proposer_certificate", String(64), nullable=False),
    Column("approver", String(64), nullable=False, default=""),
    Column("approver_certificate", String(64), nullable=False, default=""),
    # What the SIM has to sign; empty while it waits for a second person.
    Column("challenge", LargeBinary, nullable=False),
    # Fingerprint of the SIM's certificate; empty if it never was active.
    Column("certificate", String(64), nullable=False, default=""),
    Column("create_time", UtcDateTime, nullable=False),
    # When its SIM signed, to the day.
    Column("seen_time", UtcDateTime),
    Column("end_time", UtcDateTime),
)
Index("phones_by_subject", phones.c.subject, phones.c.id)
Index("phones_by_number", phones.c.number_hash, phones.c.state)
Index("phones_by_state", phones.c.state, phones.c.create_time)
Index("phones_by_seen_time", phones.c.state, phones.c.seen_time)
Index("phones_by_certificate", phones.c.certificate)
Index("phones_by_proposer", phones.c.proposer, phones.c.create_time)

# What signing is to do and to tell about phones; deleted once it has.
phone_notices = Table(
    "phone_notices",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Integer, nullable=False),
    Column("time", UtcDateTime, nullable=False),
    # "subjects/{uuid}/phones/{uuid}".
    Column("phone", String(96), nullable=False),
    # A list of pairs of a phone and its language, JSON.
    Column("recipients", String, nullable=False),
)

# One row: the newest notice's number, locked by each transaction that adds one.
last_phone_notice = Table(
    "last_phone_notice", metadata, Column("number", BigInteger, nullable=False)
)

# What happened to certificates, memberships and phones, for the transparency log.
identity_events = Table(
    "identity_events",
    metadata,
    # From 1, without a gap.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Integer, nullable=False),
    Column("basis", Integer, nullable=False),
    Column("time", UtcDateTime, nullable=False),
    # A subject, or "services/{service}".
    Column("subject", String(64), nullable=False),
    Column("organization", String(64), nullable=False),
    # SHA-256 of the certificate's DER, or empty.
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("role", Integer, nullable=False),
    # A list of subjects, JSON.
    Column("officers", String, nullable=False),
    # One behind the other.
    Column("salts", LargeBinary, nullable=False),
)

# One row: the newest event's number, locked by each transaction that adds one.
last_event = Table("last_event", metadata, Column("number", BigInteger, nullable=False))

# Up to which number each reader keeps the events.
event_readers = Table(
    "event_readers",
    metadata,
    Column("reader", String(32), primary_key=True),
    Column("through", BigInteger, nullable=False),
)

# Values that exist once, by the names in store.py.
singletons = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String, nullable=False),
)

requests = requests_table(metadata)
