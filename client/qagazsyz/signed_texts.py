"""First lines of the texts that the platform has people and systems sign.

Two services rely on them from opposite sides: identity writes them into challenges, and signing
refuses to sign them with a managed key. If the two differed, an officer could have a managed key
sign in as its organization.
"""

from __future__ import annotations

# tokens.proto, Challenge: a sign-in; the platform's name and a random part follow, a line each.
SIGN_IN = "qagazsyz sign-in v1"
