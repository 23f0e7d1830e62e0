"""First lines of the texts that the platform has people and systems sign.

They stand here, in the contract's package, because two services rely on them from opposite sides:
identity writes them into challenges, and signing refuses to sign them with a managed key. Were the
two to differ, an officer could have a managed key sign in as its organization.
"""

from __future__ import annotations

# tokens.proto, Challenge: a sign-in; the platform's name and a random part follow, a line each.
SIGN_IN = "qagazsyz sign-in v1"
