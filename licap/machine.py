"""What a process may use of its machine: CPU cores and memory, within its affinity and its control groups.

Control groups limit containers, batch jobs and services. A limit holds for everything below it, so the limits of the
process's own group and of all its ancestors apply, and the smallest decides. Sources: the kernel's documentation,
admin-guide/cgroup-v2 (version 2), scheduler/sched-bwc and admin-guide/cgroup-v1/memory (version 1), and the manual
pages cgroups(7) and proc(5).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


@dataclass(frozen=True)
class ControlGroup:
    """One group as a folder of the file system. version: 1 or 2; the names of its files depend on it."""

    folder: Path
    version: int

    def number(self, name: str) -> int | None:
        """The number in one of its files; None where there is no such file, or `max` in it."""
        words = self._words(name)
        return words[0] if words else None

    @property
    def cpu_quota(self) -> float | None:
        """CPUs' worth of time that it grants; None where it sets no limit."""
        if self.version == 2:
            quota, period = (*self._words("cpu.max"), None, None)[:2]
        else:
            quota, period = self.number("cpu.cfs_quota_us"), self.number("cpu.cfs_period_us")
        # Version 1 writes -1 for no limit.
        return quota / period if quota and period and min(quota, period) > 0 else None

    @property
    def memory_limit(self) -> int | None:
        """Bytes above which processes are killed, or slowed until they free some; None where there is no limit."""
        names = ("memory.max", "memory.high") if self.version == 2 else ("memory.limit_in_bytes",)
        limits = [limit for name in names if (limit := self.number(name)) is not None]
        return min(limits, default=None)

    @property
    def memory_used(self) -> int:
        """Bytes in use, without page cache that the kernel gives up as soon as somebody needs memory.

        That is the cache of files not read lately (`inactive_file`), as container runtimes reckon it too.
        """
        used = self.number("memory.current" if self.version == 2 else "memory.usage_in_bytes") or 0
        reclaimable = "inactive_file" if self.version == 2 else "total_inactive_file"
        lines = _lines(self.folder / "memory.stat")
        cache = next((words[1] for words in map(str.split, lines) if len(words) == 2 and words[0] == reclaimable), "0")
        return max(0, used - (int(cache) if cache.isdecimal() else 0))

    def _words(self, name: str) -> list[int]:
        """The numbers of a file's first line; none where it holds anything else."""
        try:
            return [int(word) for word in next(iter(_lines(self.folder / name)), "").split()]
        except ValueError:
            return []


@dataclass(frozen=True)
class Memory:
    """Bytes that a machine, or the control group that a process is in, has in all, and how many nobody has taken."""

    total: int
    free: int


def control_groups(controller: str, root: Path = _ROOT) -> tuple[ControlGroup, ...]:
    """This process's groups of a controller (`cpu`, `memory`), each followed by its ancestors; of versions 1 and 2.

    A container may see its path as the host has it while it has only its own part mounted: what is not there is left
    out, up to the root of the mount. root: where `/proc` and the mounts lie, for tests.
    """
    found: list[ControlGroup] = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        version = 1 if controllers else 2
        if version == 2 or controller in controllers.split(","):
            mounts = _mounts(root, controller if version == 1 else None)
            found += [ControlGroup(folder, version) for folder in _folders(mounts, PurePosixPath(path))]
    return tuple(found)


def _folders(mounts: Sequence[tuple[Path, PurePosixPath]], path: PurePosixPath) -> list[Path]:
    """The folders of a group and of its ancestors, the nearest first. mounts: each with the group that is its root."""
    for mount, top in mounts:
        inside = path.relative_to(top) if top == path or top in path.parents else None
        if inside is not None and ".." not in inside.parts:
            return [each for each in (mount / inside, *(mount / up for up in inside.parents)) if each.is_dir()]
    # Mounted from outside of what the process sees: nothing tells where in it the process is.
    return [mount for mount, _ in mounts]


def cpu_quota(root: Path = _ROOT) -> float | None:
    """CPUs' worth of time that the control groups grant this process; None where they set no limit."""
    return min((quota for each in control_groups("cpu", root) if (quota := each.cpu_quota) is not None), default=None)


def affinity_cpus() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cpus(root: Path = _ROOT) -> int:
    """Cores that this process may keep busy: those of its affinity, and whole CPUs of its quota; 1 at least."""
    quota = cpu_quota(root)
    return affinity_cpus() if quota is None else max(1, min(affinity_cpus(), int(quota)))


def memory(root: Path = _ROOT) -> Memory | None:
    """What Linux says of the machine, within the limits of this process's control groups; None elsewhere."""
    try:
        pairs = (line.partition(":") for line in _lines(root / "proc/meminfo"))
        stated = {name: int(rest.split()[0]) * 1024 for name, _, rest in pairs}
        found = Memory(stated["MemTotal"], stated["MemAvailable"])
    except (ValueError, LookupError):
        return None
    for group in control_groups("memory", root):
        limit = group.memory_limit
        if limit is not None:
            found = Memory(min(found.total, limit), min(found.free, max(0, limit - group.memory_used)))
    return found


def _mounts(root: Path, controller: str | None) -> list[tuple[Path, PurePosixPath]]:
    """Where a hierarchy is mounted, and which group is the root there. controller: None: that of version 2."""
    found = []
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), (*after.split(), "", "", "")[:3]
        fits = kind == "cgroup2" if controller is None else kind == "cgroup" and controller in options.split(",")
        if fits and len(fields) > 4:
            found.append((root / _unescaped(fields[4]).lstrip("/"), PurePosixPath(_unescaped(fields[3]))))
    # Of several mounts that show a group, the one that shows most of its ancestors comes first.
    return sorted(found, key=lambda mount: len(mount[1].parts))


def _unescaped(field: str) -> str:
    """A path of mountinfo, in which blanks, tabs, line ends and backslashes are written as octal numbers."""
    for code in ("\\040", "\\011", "\\012", "\\134"):
        field = field.replace(code, chr(int(code[1:], 8)))
    return field


def _lines(path: Path) -> list[str]:
    """A file's lines; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
