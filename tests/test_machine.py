"""Cores and memory are what affinity and control groups leave, wherever a limit is set."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licap.machine import ControlGroup, Memory, affinity_cpus, control_groups, cpu_quota, memory, usable_cpus

ROOT = Path(__file__).resolve().parent.parent
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
# As systemd mounts version 1: two controllers in one hierarchy.
V1_CPU = "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "32 23 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:10 - cgroup cgroup rw,memory"
UNLIMITED = "9223372036854771712\n"
GB = 1_000_000_000


def machine(root: Path, groups: str, mounts: str, files: Mapping[str, str]) -> Path:
    """A machine of 64 GB as `/proc` and `/sys` show it. files: contents by path below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups + "\n", encoding="utf-8")
    (root / "proc/self/mountinfo").write_text(f"23 1 8:1 / / rw - ext4 /dev/sda1 rw\n{mounts}\n", encoding="utf-8")
    (root / "proc/meminfo").write_text("MemTotal: 62500000 kB\nMemAvailable: 50000000 kB\n", encoding="ascii")
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "quota"),
    [
        pytest.param("0::/", V2, {"cpu.max": "250000 100000\n"}, 2.5, id="container with a view of its own"),
        pytest.param("0::/", V2, {"cpu.max": "max 100000\n"}, None, id="no limit"),
        pytest.param("0::/", V2, {"cgroup.procs": "1\n"}, None, id="the machine itself"),
        pytest.param(
            "0::/user.slice/job.scope",
            V2,
            {"user.slice/job.scope/cpu.max": "300000 50000\n", "user.slice/cpu.max": "max 100000\n"},
            6.0,
            id="own group",
        ),
        pytest.param(
            "0::/batch/job/step",
            V2,
            {
                "batch/job/step/cpu.max": "800000 100000\n",
                "batch/job/cpu.max": "350000 100000\n",
                "batch/cpu.max": "max 100000\n",
            },
            3.5,
            id="an ancestor grants less",
        ),
        pytest.param(
            "0::/kubepods/pod1/abc", V2, {"cpu.max": "400000 100000\n"}, 4.0, id="the host's path, in the container"
        ),
        pytest.param(
            "0::/docker/abc",
            "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw",
            {"cpu.max": "150000 100000\n"},
            1.5,
            id="a part is mounted",
        ),
        pytest.param(
            "0::/",
            "30 23 0:26 /../.. /sys/fs/cgroup ro - cgroup2 cgroup rw",
            {"cpu.max": "150000 100000\n"},
            1.5,
            id="mounted from outside",
        ),
        pytest.param(
            "0::/../neighbour",
            V2,
            {"cpu.max": "150000 100000\n", "../neighbour/cpu.max": "100000 100000\n"},
            1.5,
            id="moved out of its view",
        ),
        pytest.param(
            "4:cpuset:/a\n3:cpu,cpuacct:/a/b\n0::/x",
            f"{V1_CPU}\n{V1_MEMORY}",
            {
                "cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/a/cpu.cfs_quota_us": "120000\n",
                "cpu,cpuacct/a/cpu.cfs_period_us": "40000\n",
            },
            3.0,
            id="version 1, an ancestor",
        ),
        pytest.param(
            "3:cpuacct,cpu:/docker/abc",
            "31 23 0:27 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpuacct,cpu",
            {"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            0.5,
            id="version 1, a part is mounted",
        ),
        pytest.param(
            "3:cpuset:/a\n0::/",
            "31 23 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
            {"cpuset/a/cpu.cfs_quota_us": "50000\n", "cpuset/a/cpu.cfs_period_us": "100000\n"},
            None,
            id="another controller",
        ),
        pytest.param(
            "3:cpu:/a\n0::/a",
            "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
            "32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
            {
                "cpu/a/cpu.cfs_quota_us": "700000\n",
                "cpu/a/cpu.cfs_period_us": "100000\n",
                "unified/a/cgroup.procs": "1\n",
            },
            7.0,
            id="both versions",
        ),
        pytest.param(
            "0::/a",
            "30 23 0:26 /a /sys/fs/cgroup/part rw - cgroup2 cgroup2 rw\n"
            r"31 23 0:26 / /sys/fs/cgroup/all\040of\040it rw - cgroup2 cgroup2 rw",
            {"part/cpu.max": "900000 100000\n", "all of it/a/cpu.max": "900000 100000\n", "all of it/cpu.max": "2 1\n"},
            2.0,
            id="mounted twice",
        ),
        pytest.param("0::/", V2, {"cpu.max": "a lot\n"}, None, id="nonsense"),
        pytest.param("0::/", V2, {"cpu.max": "0 0\n"}, None, id="zeros"),
        pytest.param("nothing", "nothing - cgroup2", {}, None, id="no lines of the kind"),
    ],
)
def test_the_smallest_quota_on_the_way_to_the_root_decides(
    tmp_path: Path, groups: str, mounts: str, files: Mapping[str, str], quota: float | None
) -> None:
    assert cpu_quota(machine(tmp_path, groups, mounts, files)) == quota


def test_a_system_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    assert control_groups("cpu", tmp_path) == ()
    assert usable_cpus(tmp_path) == affinity_cpus()
    assert memory(tmp_path) is None


@given(quotas=st.lists(st.one_of(st.none(), st.integers(1_000, 10_000_000)), min_size=1, max_size=5))
def test_cores_are_whole_cpus_of_the_quota_within_the_affinity(
    tmp_path_factory: pytest.TempPathFactory, quotas: list[int | None]
) -> None:
    path, files = "", {}
    for quota in quotas:
        path += "/job"
        files[f"{path[1:]}/cpu.max"] = f"{'max' if quota is None else quota} 100000\n"
    root = machine(tmp_path_factory.mktemp("machine"), f"0::{path}", V2, files)
    limits = [quota for quota in quotas if quota is not None]
    expected = min([affinity_cpus(), *(max(1, quota // 100_000) for quota in limits)])
    assert usable_cpus(root) == expected >= 1


def test_affinity_bounds_cores_where_the_quota_grants_more(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/", V2, {"cpu.max": "6400000 100000\n"})
    program = (
        "import os, sys; from pathlib import Path; from licap.machine import usable_cpus; "
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(usable_cpus(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", program, root], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        pytest.param(
            "0::/",
            {"memory.max": f"{8 * GB}\n", "memory.current": f"{7.9 * GB:.0f}\n", "memory.high": "max\n"}
            | {"memory.stat": f"anon 300000000\nfile 7600000000\ninactive_file {7.6 * GB:.0f}\nactive_file 0\n"},
            Memory(8 * GB, int(7.7 * GB)),
            id="page cache is free",
        ),
        pytest.param(
            "0::/",
            {"memory.max": f"{8 * GB}\n", "memory.high": f"{6 * GB}\n", "memory.current": f"{2 * GB}\n"},
            Memory(6 * GB, 4 * GB),
            id="slowed before it is killed",
        ),
        pytest.param(
            "0::/batch/job",
            {
                "batch/job/memory.max": f"{20 * GB}\n",
                "batch/job/memory.current": f"{1 * GB}\n",
                "batch/memory.max": f"{30 * GB}\n",
                "batch/memory.current": f"{28 * GB}\n",
                "batch/memory.stat": f"inactive_file {3 * GB}\n",
            },
            Memory(20 * GB, 5 * GB),
            id="neighbours take from the ancestor",
        ),
        pytest.param(
            "0::/", {"memory.max": "max\n", "memory.current": "5\n"}, Memory(64 * GB, 51_200_000_000), id="max"
        ),
        pytest.param(
            "5:memory:/a/b\n0::/",
            {
                "memory/a/b/memory.limit_in_bytes": UNLIMITED,
                "memory/a/b/memory.usage_in_bytes": f"{9 * GB}\n",
                "memory/a/memory.limit_in_bytes": f"{16 * GB}\n",
                "memory/a/memory.usage_in_bytes": f"{15 * GB}\n",
                "memory/a/memory.stat": f"inactive_file 7\ntotal_cache {11 * GB}\ntotal_inactive_file {10 * GB}\n",
            },
            Memory(16 * GB, 11 * GB),
            id="version 1, an ancestor",
        ),
        pytest.param(
            "0::/",
            {"memory.max": f"{8 * GB}\n", "memory.current": f"{9 * GB}\n", "memory.stat": "inactive_file none\n"},
            Memory(8 * GB, 0),
            id="over its limit, without statistics",
        ),
    ],
)
def test_memory_is_what_the_tightest_group_leaves(
    tmp_path: Path, groups: str, files: Mapping[str, str], expected: Memory
) -> None:
    assert memory(machine(tmp_path, groups, f"{V2}\n{V1_MEMORY}", files)) == expected


def test_the_nearest_group_comes_first(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/a/gone/b", V2, {"a/memory.events": "oom_kill 1\n"})
    top = root / "sys/fs/cgroup"
    assert control_groups("memory", root) == (ControlGroup(top / "a", 2), ControlGroup(top, 2))


@pytest.fixture
def granted() -> Iterator[Path]:
    """A real control group of this machine that grants 1.5 CPUs to the groups below it."""
    group = next((each for each in control_groups("cpu") if each.number("cpu.cfs_quota_us") is not None), None)
    if group is None or affinity_cpus() < 2:
        pytest.skip("needs the cpu controller of version 1 and two cores")
    folder = group.folder / f"licap-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here ({error.strerror})")
    try:
        (folder / "cpu.cfs_period_us").write_text("100000", encoding="ascii")
        (folder / "cpu.cfs_quota_us").write_text("150000", encoding="ascii")
        (folder / "inner").mkdir()
        yield folder / "inner"
    finally:
        for each in (folder / "inner", folder):
            if each.exists():
                each.rmdir()


def test_slots_and_threads_follow_a_real_quota(granted: Path) -> None:
    program = """
import os, sys
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
import torch
from licap.reproducibility import set_threads
from search.engine.resources import this_machine
machine = this_machine(look_for_gpus=False)
set_threads(None)
print(machine.cpus, machine.cpu_quota, torch.get_num_threads())
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    for words, threads in (({}, 1), ({"OMP_NUM_THREADS": "2"}, 2)):
        done = subprocess.run(
            [sys.executable, "-c", program, granted],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=environment | words,
        )
        assert done.stdout == f"1 1.5 {threads}\n"
