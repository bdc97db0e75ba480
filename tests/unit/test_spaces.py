"""Work on CUDA goes through `spaces.GPU` where that package is present, and nothing else does."""

import importlib
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from engines.api import CancelToken, EngineContext, Span, Utterance
from engines.errors import DeadlineExceeded
from studio import spaces
from tests import fakes


@pytest.fixture
def lent(monkeypatch):
    """A stand-in for the `spaces` package that, like it, sends the arguments by pickle."""
    calls = []

    def gpu(function):
        def wrapped(*args, **kwargs):
            calls.append(function.__name__)
            args, kwargs = pickle.loads(pickle.dumps((args, kwargs)))
            yield from function(*args, **kwargs)

        return wrapped

    module = types.ModuleType("spaces")
    module.__spec__ = importlib.machinery.ModuleSpec("spaces", None)
    module.GPU = gpu
    monkeypatch.setitem(sys.modules, "spaces", module)
    importlib.reload(spaces)
    yield calls
    monkeypatch.undo()
    importlib.reload(spaces)


def sound(device: str) -> np.ndarray:
    engine = fakes.ToneEngine(EngineContext(Path(), Path(), None))
    utterance = Utterance((Span("one two", "one two"),), "en")
    chunks = spaces.speak(
        engine,
        utterance,
        engine.voices()[0],
        fakes.ToneControls(),
        device=device,
        seed=3,
        cancel=CancelToken(60),
    )
    return np.concatenate([chunk.samples for chunk in chunks])


def test_cuda_runs_in_a_lent_gpu(lent) -> None:
    assert sound("cuda:0").size == 2 * fakes.SECONDS_A_WORD * fakes.RATE
    assert lent == ["_speak_on_gpu"]


def test_the_cpu_does_not(lent) -> None:
    assert sound("cpu").size
    assert lent == []


def test_without_the_package_nothing_is_wrapped() -> None:
    assert np.array_equal(sound("cuda:0"), sound("cpu"))


def test_a_sent_cancel_token_keeps_its_deadline() -> None:
    copy = pickle.loads(pickle.dumps(CancelToken(0.0)))
    with pytest.raises(DeadlineExceeded):
        copy.raise_if_set()
    assert not pickle.loads(pickle.dumps(CancelToken())).is_set
