"""CRLs are downloaded once for all of their certificates, and again before they expire."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from services.identity.validation.crl_cache import CRLS_KEPT
from services.identity.validation.interface import CertificateStatus
from tests.unit.identity.authorities import BEFORE, CRL, HOUR, External, revocation_list
from tests.unit.identity.chains import NOW


async def test_an_unused_list_is_not_downloaded_for_ever(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    external.publishes(next_update=NOW + timedelta(days=365))
    assert await external.status(leaf) == "GOOD"
    for _ in range(30):
        external.clock.move(hours=1)
        await external.validator.renew()
    assert 24 <= len(external.network.asked) <= 26


async def test_a_list_is_downloaded_once_for_all_its_certificates(external: External) -> None:
    external.publishes()
    leaves = [external.leaf(crls=[CRL]) for _ in range(40)]
    answers = await external.validator.validate_many(
        {str(index): leaf.der for index, leaf in enumerate(leaves)}, at=NOW
    )
    assert {answer.status for answer in answers.values()} == {CertificateStatus.GOOD}
    assert external.network.asked == [CRL]


async def test_an_expired_list_is_never_good(external: External) -> None:
    external.publishes(next_update=NOW + timedelta(minutes=30))
    leaf = external.leaf(crls=[CRL])
    assert await external.status(leaf) == "GOOD"
    del external.network.crls[CRL]
    external.clock.move(minutes=29)
    assert await external.status(leaf) == "GOOD", "valid until its nextUpdate"
    external.clock.move(minutes=1)
    assert await external.status(leaf) == "UNKNOWN"


async def test_an_answer_is_fresh_no_longer_than_its_list(external: External) -> None:
    external.publishes(next_update=NOW + timedelta(minutes=2))
    result = await external.validate(external.leaf(crls=[CRL]))
    assert result.fresh_until == NOW + timedelta(minutes=2)


async def test_a_list_is_downloaded_again_before_it_expires(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    external.publishes(this_update=NOW, next_update=NOW + timedelta(minutes=40))
    assert await external.status(leaf) == "GOOD"
    external.publishes((leaf, BEFORE), this_update=NOW + HOUR / 2)
    external.clock.move(minutes=31)
    await external.validator.renew()
    assert external.network.asked == [CRL, CRL]
    assert await external.status(leaf) == "REVOKED"


async def test_an_older_list_does_not_replace_a_newer_one(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    external.publishes((leaf, BEFORE), this_update=NOW, next_update=NOW + timedelta(hours=48))
    assert await external.status(leaf) == "REVOKED"
    external.publishes(this_update=NOW - timedelta(minutes=30), next_update=NOW + 48 * HOUR)
    external.clock.move(hours=2)
    await external.validator.renew()
    assert len(external.network.asked) == 2
    assert await external.status(leaf) == "REVOKED"


async def test_a_full_cache_drops_the_least_recently_used_list_only(external: External) -> None:
    urls = [f"http://authority.example/{index}.crl" for index in range(CRLS_KEPT + 1)]
    for url in urls:
        external.network.crls[url] = revocation_list(external.authority)

    async def look_up(url: str) -> None:
        assert await external.status(external.leaf(crls=[url])) == "GOOD"

    for url in urls[:-1]:
        await look_up(url)
    await look_up(urls[0])
    await look_up(urls[-1])
    assert external.network.asked == urls, "each is downloaded once"
    await look_up(urls[0])
    assert external.network.asked == urls, "it was used again"
    await look_up(urls[1])
    assert external.network.asked == [*urls, urls[1]], "it was the least recently used"


async def test_a_download_that_fails_in_the_background_is_tried_again(external: External) -> None:
    leaf = external.leaf(crls=[CRL])
    external.publishes(this_update=NOW, next_update=NOW + timedelta(minutes=40))
    assert await external.status(leaf) == "GOOD"
    published = external.network.crls.pop(CRL)
    external.clock.move(minutes=31)
    await external.validator.renew()
    assert await external.status(leaf) == "GOOD", "the old list is valid still"
    external.network.crls[CRL] = published
    external.clock.move(minutes=2)
    await external.validator.renew()
    assert external.network.asked == [CRL] * 3


async def test_a_caller_that_gives_up_does_not_end_the_download(external: External) -> None:
    external.publishes()
    external.network.gate = asyncio.Event()
    first = asyncio.create_task(external.status(external.leaf(crls=[CRL])))
    await external.network.reached.wait()
    first.cancel()
    second = asyncio.create_task(external.status(external.leaf(crls=[CRL])))
    external.network.gate.set()
    assert await second == "GOOD"
    assert external.network.asked == [CRL]
