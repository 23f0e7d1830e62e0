"""Verify and BatchVerify through the gateway, for locust.

locust's model is closed: each user waits for its answer. Here each starts a call a second, so that
the offered load is the number of users for as long as answers come within a second; beyond, it is
less, and percentiles leave out the calls that were never made. verification.js has no such limit.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import grpc
import grpc.experimental.gevent
from locust import User, constant_throughput, task

# gRPC's own threads would stop every other user while one waits.
grpc.experimental.gevent.init_gevent()

PAYLOADS = Path(os.environ["PAYLOADS"])
METADATA = tuple(json.loads((PAYLOADS / "metadata.json").read_text()).items())
TIMEOUT_SECONDS = 30.0


def _requests(name: str) -> Iterator[bytes]:
    return itertools.cycle([path.read_bytes() for path in sorted((PAYLOADS / name).glob("*.bin"))])


class _Caller(User):
    """A connection of its own, and a call a second. locust --host is the gateway, HOST:PORT."""

    abstract = True
    wait_time = constant_throughput(1)

    def on_start(self) -> None:
        alone = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(self.host, options=alone)
        # Users who start together would call together, each second anew.
        gevent.sleep(random.random())

    def on_stop(self) -> None:
        self.channel.close()

    def send(self, method: str, request: bytes) -> None:
        began, response, failure = time.perf_counter(), b"", None
        try:
            call = self.channel.unary_unary(method)
            response = call(request, metadata=METADATA, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            # By its code: locust counts failures of one text together.
            failure = RuntimeError(error.code().name)
        self.environment.events.request.fire(
            request_type="gRPC",
            name=method.rpartition("/")[2],
            response_time=(time.perf_counter() - began) * 1_000,
            response_length=len(response),
            exception=failure,
        )


class VerifyUser(_Caller):
    """Asks about one signature. Nine users of ten."""

    weight = 9
    requests = _requests("verify")

    @task
    def verify(self) -> None:
        self.send("/qagazsyz.signing.v1.VerificationService/Verify", next(self.requests))


class BatchVerifyUser(_Caller):
    """Asks about many signatures. One user of ten."""

    requests = _requests("batch-verify")

    @task
    def batch_verify(self) -> None:
        self.send("/qagazsyz.signing.v1.VerificationService/BatchVerify", next(self.requests))
