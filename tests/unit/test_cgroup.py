"""Control groups of both versions, as files in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.runtime.cgroup import MemoryLimit, cpu_limit, memory_limit, whole_cores


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_memory_limit_of_version_2_is_the_tightest_above_us(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/user/app"
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user/app",
            f"{group}/memory.max": "max",
            f"{group}/memory.current": "500",
            "sys/fs/cgroup/user/memory.max": "1000",
            "sys/fs/cgroup/user/memory.current": "700",
            "sys/fs/cgroup/user/memory.stat": "anon 400\ninactive_file 300",
        },
    )
    assert memory_limit(root) == MemoryLimit(limit=1000, used=400)
    tree(tmp_path, {f"{group}/memory.max": "800"})
    assert memory_limit(root) == MemoryLimit(limit=800, used=500)


def test_memory_limit_in_a_container_of_version_1(tmp_path: Path) -> None:
    """The path is the host's, but what is mounted is the container's own group."""
    mount = "sys/fs/cgroup/memory"
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/docker/0123\n4:cpu,cpuacct:/docker/0123\n0::/",
            f"{mount}/memory.limit_in_bytes": "1000",
            f"{mount}/memory.usage_in_bytes": "600",
            f"{mount}/memory.stat": "inactive_file 10\ntotal_inactive_file 20",
        },
    )
    assert memory_limit(root) == MemoryLimit(limit=1000, used=590)
    tree(tmp_path, {f"{mount}/memory.limit_in_bytes": "9223372036854771712"})
    assert memory_limit(root) is None


@pytest.mark.parametrize("quota", ["max 100000", "", "nonsense"])
def test_no_limits(tmp_path: Path, quota: str) -> None:
    assert memory_limit(tmp_path) is None
    assert cpu_limit(tmp_path) is None
    root = tree(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": quota})
    assert cpu_limit(root) is None


def test_cpu_quotas(tmp_path: Path) -> None:
    two = tree(
        tmp_path / "2",
        {
            "proc/self/cgroup": "0::/app",
            "sys/fs/cgroup/app/cpu.max": "250000 100000",
            "sys/fs/cgroup/cpu.max": "max 100000",
        },
    )
    assert cpu_limit(two) == 2.5
    one = tree(
        tmp_path / "1",
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/x",
            "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert cpu_limit(one) == 0.5


def test_whole_cores() -> None:
    assert [whole_cores(limit) for limit in (0.1, 1.0, 1.9, 2.0, 7.5)] == [1, 1, 1, 2, 7]
