"""Thread counts: set before any library starts, never against the user's own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from engines.errors import InvalidRequest
from engines.runtime import threads

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = (*threads.COUNT_VARIABLES, threads.WAIT_POLICY)

SHOW = f"""
import json, os, sys
from engines.runtime import threads
before = set(sys.modules)
count = threads.configure({{argument}})
again = threads.configure({{argument}})
heavy = sorted({{{{"torch", "numpy", "onnxruntime"}}}} & set(sys.modules))
environment = {{{{name: os.environ.get(name) for name in {VARIABLES!r}}}}}
print(json.dumps([count, again, threads.count(), environment, heavy]))
"""


def configured(argument: str = "", **environment: str) -> tuple[int, dict[str, str]]:
    """What `configure` does in a fresh process with this environment."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    run = subprocess.run(
        [sys.executable, "-c", SHOW.format(argument=argument)],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    count, again, kept, after, heavy = json.loads(run.stdout)
    assert count == again == kept
    assert heavy == []
    return count, after


def test_by_default_all_cores_and_threads_that_sleep() -> None:
    count, environment = configured()
    assert count == threads.usable_cores()
    assert environment.pop("OMP_WAIT_POLICY") == "PASSIVE"
    assert set(environment.values()) == {str(count)}


def test_a_given_count_holds_for_all() -> None:
    count, environment = configured("3")
    assert count == 3
    assert {environment[name] for name in threads.COUNT_VARIABLES} == {"3"}


def test_the_users_own_environment_stays() -> None:
    count, environment = configured(
        OMP_WAIT_POLICY="ACTIVE", OMP_NUM_THREADS="5", MKL_NUM_THREADS="7"
    )
    assert count == 5
    assert environment["OMP_WAIT_POLICY"] == "ACTIVE"
    assert environment["OMP_NUM_THREADS"] == "5"
    assert environment["MKL_NUM_THREADS"] == "7"
    assert environment["OPENBLAS_NUM_THREADS"] == "5"


def test_a_given_count_beside_the_users_environment() -> None:
    count, environment = configured("3", OMP_NUM_THREADS="5")
    assert count == 3
    assert environment["OMP_NUM_THREADS"] == "5"
    assert environment["MKL_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("value", "expected"), [("4,2", 4), (" 6 ", 6)])
def test_forms_of_the_users_count(value: str, expected: int) -> None:
    assert configured(OMP_NUM_THREADS=value)[0] == expected


@pytest.mark.parametrize("value", ["", "0", "-2", "many", ","])
def test_a_users_count_that_is_none(value: str) -> None:
    count, environment = configured(OMP_NUM_THREADS=value)
    assert count == threads.usable_cores()
    assert environment["OMP_NUM_THREADS"] == value


def test_a_second_call_changes_what_the_first_one_set(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)
    assert threads.configure(3) == 3
    assert threads.configure(2) == 2
    assert os.environ["MKL_NUM_THREADS"] == "2"
    assert threads.configure() == threads.usable_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    assert threads.configure() == 9


def isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which nothing was configured yet; torch's own count is left alone."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is restored afterwards
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "_ours", {})
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_one(count: int) -> None:
    with pytest.raises(InvalidRequest, match=f"threads was {count}"):
        threads.configure(count)


def test_torch_that_is_there_already_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)
    told: list[int] = []
    torch = types.SimpleNamespace(set_num_threads=told.append)
    monkeypatch.setitem(sys.modules, "torch", torch)
    threads.configure(3)
    assert told == [3]


def test_torch_that_comes_later_obeys() -> None:
    code = (
        "from engines.runtime import threads; threads.configure(1); import torch; "
        "assert torch.get_num_threads() == 1, torch.get_num_threads()"
    )
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=clean, check=True)


def test_affinity_and_quota_limit_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert threads.usable_cores(tmp_path) == 8
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    quota = tmp_path / "sys/fs/cgroup/cpu.max"
    for text, expected in (("350000 100000", 3), ("50000 100000", 1), ("max 100000", 8)):
        quota.write_text(f"{text}\n")
        assert threads.usable_cores(tmp_path) == expected
    quota.write_text("1600000 100000\n")
    assert threads.usable_cores(tmp_path) == 8


def test_without_affinity_the_systems_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert threads.usable_cores(tmp_path) == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.usable_cores(tmp_path) == 1


def test_onnxruntime_takes_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    isolate(monkeypatch)
    threads.configure(3)
    options = threads.onnx_session_options()
    session = onnxruntime.SessionOptions()
    session.intra_op_num_threads = options.intra_op_num_threads
    session.inter_op_num_threads = options.inter_op_num_threads
    for name, value in options.config.items():
        session.add_session_config_entry(name, value)
    assert session.intra_op_num_threads == 3
    assert session.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_the_count_is_decided_when_first_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)
    assert threads.onnx_session_options().intra_op_num_threads == threads.usable_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
