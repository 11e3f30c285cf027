"""A value is encoded once and decoded once on each way, and an array is copied no more often than the codec must.

How copies are counted: `tracemalloc` sees every block that the encoder, the connection and the decoder take; the
peak of a step, in sizes of the array, is the number of copies it makes. The encoder reserves twice what it fills. What
the system and hiredis hold while bytes arrive is not seen.
"""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

import msgpack
import numpy
import pytest
import redis

from pullet.future import Future
from pullet.resolve import resolve
from pullet_broker import codec
from pullet_broker.address import Address
from pullet_broker.codec import decode_call, encode, encode_call
from pullet_broker.job import Job
from pullet_broker.link import Link
from pullet_broker.moves.submit import submit
from pullet_broker.reply import pack_reply
from pullet_broker.settings import Limits, Queue
from tests.support.workers import Kit, calling, running

T = TypeVar("T")

ARRAY = numpy.random.default_rng(1).random(2 << 20)
SIZE = ARRAY.nbytes
LIMIT = 2 * SIZE
QUEUE = Queue(name="q", limits=Limits(args_bytes=LIMIT, result_bytes=LIMIT))


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often something was packed and unpacked."""
    found = {"packed": 0, "unpacked": 0}
    pack = codec._pack

    def counted_pack(value: Any) -> Any:
        found["packed"] += 1
        return pack(value)

    def counted_unpack(*args: Any, **kwargs: Any) -> Any:
        found["unpacked"] += 1
        return msgpack.unpackb(*args, **kwargs)

    monkeypatch.setattr(codec, "_pack", counted_pack)
    monkeypatch.setattr(codec, "msgpack", SimpleNamespace(**{**vars(msgpack), "unpackb": counted_unpack}))
    return found


@pytest.mark.parametrize("value", [7, {"board": [(1, 2)]}, b"x" * 200_000, numpy.arange(100_000)])
def test_each_value_is_packed_once_and_unpacked_once(
    value: Any, queue: Queue, address: Address, counts: dict[str, int]
) -> None:
    with running(queue, address, Kit), calling(queue, address) as client:
        for jobs in range(1, 4):
            back = client.submit(Kit.echo, value).result(20)
            assert counts == {"packed": 2 * jobs, "unpacked": 2 * jobs}, "the arguments and the result, on two sides"
            assert type(back) is type(value)


def test_an_error_is_packed_once_too(queue: Queue, address: Address, counts: dict[str, int]) -> None:
    with running(queue, address, Kit), calling(queue, address) as client:
        assert isinstance(client.submit(Kit.boom).exception(20), ValueError)
    assert counts == {"packed": 2, "unpacked": 2}


def copies(step: Callable[[], T]) -> tuple[float, T]:
    """The peak of what a step takes, in sizes of the array, and its result."""
    tracemalloc.start()
    try:
        result = step()
        return tracemalloc.get_traced_memory()[1] / SIZE, result
    finally:
        tracemalloc.stop()


def test_an_array_in_arguments_is_copied_three_times(queue: Queue, address: Address, link: Link) -> None:
    link.open()
    reserved, payload = copies(lambda: encode_call((ARRAY,), {}, limit=LIMIT))
    assert reserved < 2.1, "1: into the packer's buffer, of which it fills a half"
    call = submit(queue, "me", 1, 1, [Job("job", "echo", payload)])
    link.bring([call.script])
    sent, _ = copies(lambda: link.run(call))
    assert sent < 0.1, "0: written from there"
    received, (blob,) = copies(lambda: link.execute("MGET", queue.keys.blob("job")))
    assert received < 1.1, "2: what the connection has read"
    decoded, (args, _) = copies(lambda: decode_call(blob, limit=LIMIT))
    assert decoded < 1.1, "3: out of the packed value; the array is a view of that"
    assert (args[0] == ARRAY).all()
    assert not args[0].flags.owndata
    assert not args[0].flags.writeable


def test_an_array_in_a_result_is_copied_three_times(queue: Queue, link: Link) -> None:
    link.open()
    reserved, payload = copies(lambda: encode(ARRAY, limit=LIMIT))
    assert reserved < 2.1, "1: into the packer's buffer, of which it fills a half"
    packed, reply = copies(lambda: pack_reply("ok", 1, "worker", 5, payload))
    assert packed < 0.1, "0: the head stands beside it"
    key = queue.keys.reply("job")
    sent, _ = copies(lambda: link.execute("SET", key, reply, "PX", 60_000))
    assert sent < 0.1, "0: written from there"
    received, raw = copies(lambda: link.execute("GET", key))
    assert received < 1.1, "2: what the connection has read"
    future: Future[Any] = Future("job", lambda job: None)
    resolved, _ = copies(lambda: resolve(future, raw, QUEUE))
    assert resolved < 1.1, "3: out of the packed value; the array is a view of that"
    assert (future.result() == ARRAY).all()
    assert not future.result().flags.owndata


def test_a_caller_may_write_to_its_array_once_it_is_submitted(queue: Queue, address: Address) -> None:
    array = numpy.zeros(1 << 20)
    with running(queue, address, Kit), calling(queue, address) as client:
        future = client.submit(Kit.echo, array)
        array[:] = 1
        assert not future.result(20).any()


@pytest.fixture
def plain(address: Address) -> Iterator[redis.Redis]:
    connected = redis.Redis.from_url(address.url, **address.credentials())
    yield connected
    connected.close()


def test_an_array_is_copied_less_often_than_pickled(link: Link, queue: Queue, plain: redis.Redis) -> None:
    """That decides which is faster: `make bench-payload` measures both, as a test cannot on a machine that is busy."""
    key = queue.keys.blob("job")
    reserved, payload = copies(lambda: encode_call((ARRAY,), {}, limit=LIMIT))
    sent, _ = copies(lambda: link.execute("SET", key, (payload,)))
    received, blob = copies(lambda: link.execute("GET", key))
    decoded, (args, _) = copies(lambda: decode_call(blob, limit=LIMIT))
    assert (args[0] == ARRAY).all()
    ours = [int(reserved / 2), int(sent), int(received), int(decoded)]

    dumped, pickled = copies(lambda: pickle.dumps(((ARRAY,), {}), protocol=5))
    sent, _ = copies(lambda: plain.set(key, pickled))
    received, blob = copies(lambda: plain.get(key))
    loaded, (args, _) = copies(lambda: pickle.loads(blob))
    assert (args[0] == ARRAY).all()
    theirs = [int(dumped), int(sent), int(received), int(loaded)]

    plain.delete(key)
    assert sum(ours) < sum(theirs), f"packed, sent, received, unpacked: {ours}, pickled {theirs}"
