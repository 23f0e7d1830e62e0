"""Qagazsyz's client, and the formats that clients and services share.

It is two things in one package, because the second must not drift from the first:

- The SDK that other teams install: gRPC stubs, a channel that signs in (client.py, credentials.py),
  signed registrations (documents.py), and offline verification of receipts (receipts.py).
- The shared library of the services: generated contracts, signed notes (notes.py), Merkle proofs
  (merkle.py), log entries (receipts.py), and the first lines of signed texts (signed_texts.py).

It imports nothing of the services, and no database.
"""
