"""The pipe between the thread that encodes and the event loop that sends."""

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import Cancelled, EngineFailure
from server.pipe import GATHER_BYTES, BytePipe


def run(main, work, **options):
    """`main(pipe)` in an event loop while `work(pipe)` runs in a thread; returns main's result and
    what the thread raised."""
    raised = []

    def guarded(pipe: BytePipe) -> None:
        try:
            work(pipe)
        except Exception as error:
            raised.append(error)

    async def both():
        pipe = BytePipe(**options)
        thread = threading.Thread(target=guarded, args=(pipe,))
        thread.start()
        try:
            return await asyncio.wait_for(main(pipe), 20)
        finally:
            await asyncio.to_thread(thread.join, 20)
            assert not thread.is_alive()

    return asyncio.run(both()), raised


async def everything(pipe: BytePipe) -> list[bytes]:
    blocks = []
    while block := await pipe.get(gather=bool(blocks)):
        blocks.append(block)
    return blocks


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=40), st.integers(1, 500))
def test_every_byte_arrives_in_order_whatever_the_capacity(parts, capacity) -> None:
    def work(pipe: BytePipe) -> None:
        for part in parts:
            pipe.put(part)
        pipe.end()

    blocks, raised = run(everything, work, capacity=capacity)
    assert b"".join(blocks) == b"".join(parts)
    assert not raised


def test_the_first_byte_comes_at_once_and_the_rest_gathers() -> None:
    taken = threading.Event()

    def work(pipe: BytePipe) -> None:
        pipe.put(b"first")
        assert taken.wait(20)
        for _ in range(1000):
            pipe.put(b"x" * 100)
        pipe.end()

    async def main(pipe: BytePipe) -> list[bytes]:
        blocks = [await pipe.get()]
        taken.set()
        return blocks + await everything(pipe)

    blocks, raised = run(main, work)
    assert not raised
    assert blocks[0] == b"first"
    assert sum(map(len, blocks[1:])) == 100_000
    assert len(blocks) < 200, "small parts are to be joined"


def test_gathering_stops_early_when_there_is_enough_or_nothing_more_comes() -> None:
    def work(pipe: BytePipe) -> None:
        pipe.put(b"x" * GATHER_BYTES)
        pipe.put(b"y")
        pipe.end()

    async def main(pipe: BytePipe) -> bytes:
        return await pipe.get(gather=True) + await pipe.get(gather=True)

    assert run(main, work)[0].strip(b"x") == b"y"


def test_a_full_pipe_holds_the_thread_back() -> None:
    put = []

    def work(pipe: BytePipe) -> None:
        for number in range(10):
            pipe.put(b"x" * 100)
            put.append(number)
        pipe.end()

    async def main(pipe: BytePipe) -> tuple[int, int]:
        while len(put) < 3:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        held = len(put)
        return held, sum(map(len, await everything(pipe)))

    assert run(main, work, capacity=250)[0] == (3, 1000)


def test_an_error_comes_after_what_was_put_before_it() -> None:
    def work(pipe: BytePipe) -> None:
        pipe.put(b"a")
        pipe.end(EngineFailure("It broke."))

    async def main(pipe: BytePipe) -> list[bytes]:
        blocks = [await pipe.get()]
        with pytest.raises(EngineFailure, match="It broke"):
            blocks.append(await pipe.get())
        return blocks

    assert run(main, work)[0] == [b"a"]


def test_leaving_ends_a_thread_that_waits_and_one_that_comes_back() -> None:
    full = threading.Event()

    def work(pipe: BytePipe) -> None:
        pipe.put(b"x" * 100)
        full.set()
        try:
            pipe.put(b"y")
        except Cancelled:
            pipe.put(b"z")

    async def main(pipe: BytePipe) -> None:
        await asyncio.to_thread(full.wait, 20)
        await asyncio.sleep(0.05)
        pipe.leave()
        with pytest.raises(Cancelled):
            await pipe.get()

    _, raised = run(main, work, capacity=50)
    assert [type(error) for error in raised] == [Cancelled]


def test_leaving_after_the_end_takes_nothing_back() -> None:
    async def main(pipe: BytePipe) -> list[bytes]:
        blocks = await everything(pipe)
        pipe.leave()
        return blocks

    def work(pipe: BytePipe) -> None:
        pipe.put(b"a")
        pipe.end()

    assert run(main, work)[0] == [b"a"]


def test_a_listener_that_takes_nothing_is_given_up() -> None:
    def work(pipe: BytePipe) -> None:
        try:
            while True:
                pipe.put(b"x" * 100)
        except Cancelled as error:
            pipe.end(error)
            raise

    async def main(pipe: BytePipe) -> int:
        await asyncio.sleep(0.3)
        taken = len(await pipe.get())
        with pytest.raises(Cancelled, match="Nobody took"):
            await pipe.get()
        return taken

    taken, raised = run(main, work, capacity=100, patience=0.1)
    assert taken == 100
    assert isinstance(raised[0], Cancelled)
