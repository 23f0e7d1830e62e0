"""First lines of the texts that the platform has people and systems sign.

Services rely on them from opposite sides: identity writes them into challenges, callers into
confirmations, and signing refuses to sign any of them with a managed key. If the two differed, an
officer could have a managed key sign in as its organization.
"""

from __future__ import annotations

# How each of them begins.
PREFIX = "qagazsyz "
# tokens.proto, Challenge: a sign-in; the platform's name and a random part follow, a line each.
SIGN_IN = "qagazsyz sign-in v1"
# confirmation.proto: an act, which the other lines name.
CONFIRM = "qagazsyz confirm v1"
# phones.proto, Phone.challenge: a SIM shows its key; the platform's name, person, phone, card and a
# random part follow, a line each.
PHONE = "qagazsyz phone v1"
# request_texts.py: a provider approves a version of its public service; a person asks for the
# service, consents to an organization's look-ups, withdraws a consent. A JSON object follows.
MANDATE = "qagazsyz mandate v1"
REQUEST = "qagazsyz request v1"
CONSENT = "qagazsyz consent v1"
WITHDRAWAL = "qagazsyz withdrawal v1"
# service_requests.proto: an officer refuses a request, or decides an appeal. A JSON object follows.
REFUSAL = "qagazsyz refusal v1"
APPEAL = "qagazsyz appeal v1"
