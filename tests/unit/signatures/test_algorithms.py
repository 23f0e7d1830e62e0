"""Algorithms and verdicts bear the contract's names and numbers."""

from __future__ import annotations

from qagazsyz.common.v1 import signatures_pb2
from signatures.algorithms import SCHEMES, Algorithm, Verdict


def test_algorithms_are_those_of_the_contract_and_every_one_has_its_scheme() -> None:
    contract = {
        name.removeprefix("SIGNATURE_ALGORITHM_"): number
        for name, number in signatures_pb2.SignatureAlgorithm.items()
        if number
    }

    assert {algorithm.name: algorithm.value for algorithm in Algorithm} == contract
    assert set(SCHEMES) == set(Algorithm)


def test_verdicts_are_those_of_the_contract() -> None:
    contract = {
        name.removeprefix("VERDICT_"): number
        for name, number in signatures_pb2.Verdict.items()
        if number
    }

    assert {verdict.name: verdict.value for verdict in Verdict} == contract
