"""Isolation of a process from the rest of the machine, by kernel namespaces and resource limits.

This module runs inside the isolated process, and imports only the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

_NEW_MOUNTS, _NEW_UTS, _NEW_IPC = 0x00020000, 0x04000000, 0x08000000
_NEW_USERS, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE, _DETACH = 32, 4096, 16384, 1 << 18, 2
_SET_PARENT_DEATH_SIGNAL, _DROP_FROM_BOUNDS, _NO_NEW_PRIVILEGES = 1, 24, 38
_ADOPT_ORPHANS, _SET_DUMPABLE = 36, 4
_CAPABILITIES_VERSION = 0x20080522
_SET_SECCOMP, _SECCOMP_FILTER = 22, 2
_MOUNT_FLAGS = {"nosuid": _NO_SUID, "nodev": _NO_DEVICES, "noexec": _NO_EXEC}
_DEVICES = ("null", "zero", "full", "random", "urandom")
_NOBODY = 65534
SCRATCH = "/scratch"
"""Folder to which an isolated process may write, in a file system of its own."""
_ROOT = "/tmp"
"""Mount point at which the isolated file system is assembled."""

# By architecture: its audit identifier, and the numbers of the system calls that allocate memory
# outside a process's limits (shmget, msgget, memfd_create, memfd_secret) or use the user's keyrings
# (add_key, request_key, keyctl).
_REFUSED = {
    "x86_64": (0xC000003E, (29, 68, 319, 447, 248, 249, 250)),
    "aarch64": (0xC00000B7, (194, 186, 279, 447, 217, 218, 219)),
}

_libc = ctypes.CDLL(None, use_errno=True)


def python_paths() -> list[str]:
    """Return the existing folders and files that Python and its libraries need."""
    system = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/nix/store", "/opt")
    single = ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives")
    own = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    return [path for path in (*system, *sorted(own), *single) if Path(path).exists()]


def system_paths() -> list[str]:
    """Return all top-level paths except virtual and temporary file systems."""
    left_out = {"proc", "sys", "dev", "tmp", "run"}
    return [str(path) for path in sorted(Path("/").iterdir()) if path.name not in left_out]


def enter(shown: Iterable[str]) -> None:
    """Enter namespaces without a network, and with only the shown files, read-only.

    Args:
        shown: folders and files.

    Raises:
        OSError: if the system does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    kept = _NEW_USERS | _NEW_MOUNTS | _NEW_NETWORK | _NEW_IPC | _NEW_UTS
    mapped = user == 0 and _as_root(kept)
    if user != 0:
        _call("unshare", kept)
    if not mapped:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    _new_root(list(shown))


def _as_root(kept: int) -> bool:
    """Enter the namespaces as root and map a second user that can run programs.

    The second user is needed because the kernel does not limit root's number of processes.

    Returns:
        Whether both users are mapped.
    """
    left, entered = os.pipe()
    told, tells = os.pipe()
    parent = os.getpid()
    helper = os.fork()
    if helper == 0:
        # Only a process outside a user namespace can map two users into it.
        done = b"n"
        with contextlib.suppress(OSError):
            os.read(left, 1)
            for kind in ("uid_map", "gid_map"):
                Path(f"/proc/{parent}/{kind}").write_text(f"0 0 1\n{_NOBODY} {_NOBODY} 1")
            done = b"y"
        os.write(tells, done)
        os._exit(0)
    try:
        _call("unshare", kept)
    finally:
        os.write(entered, b"x")
        mapped = os.read(told, 1) == b"y"
        os.waitpid(helper, 0)
        for descriptor in (left, entered, told, tells):
            os.close(descriptor)
    return mapped


def _new_root(shown: list[str]) -> None:
    """Assemble a file system of the shown paths, and make it the root."""
    opened: dict[str, int] = {}
    links = {}
    for path in [*shown, *(f"/dev/{name}" for name in _DEVICES)]:
        real = os.path.realpath(path)
        if real not in opened:
            opened[real] = os.open(real, os.O_PATH)
        if real != path:
            links[path] = real
    _mount("tmpfs", _ROOT, "tmpfs", _NO_SUID, "size=1m,mode=755")
    made: list[str] = []
    for place in sorted(opened, key=len):
        if any(place.startswith(f"{path}/") for path in made):
            continue
        made.append(place)
        source, target = Path(f"/proc/self/fd/{opened[place]}"), Path(_ROOT + place)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        _mount(str(source), str(target), None, _BIND | _RECURSIVE)
    for path, real in links.items():
        link = Path(_ROOT + path)
        if not os.path.lexists(link):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(real)
    for descriptor in opened.values():
        os.close(descriptor)
    Path(_ROOT + SCRATCH).mkdir()
    if not os.path.lexists(_ROOT + "/tmp"):
        Path(_ROOT + "/tmp").symlink_to(SCRATCH)
    # All mounts below must be read-only, including those inside the shown paths.
    points = [
        (fields[4].encode().decode("unicode_escape").encode("latin-1").decode(), fields[5])
        for fields in map(str.split, Path("/proc/self/mountinfo").read_text().splitlines())
    ]
    for point, options in points:
        if point == _ROOT or point.startswith(f"{_ROOT}/"):
            locked = sum(_MOUNT_FLAGS.get(option, 0) for option in options.split(","))
            _mount(None, point, None, _REMOUNT | _BIND | _READ_ONLY | _NO_SUID | locked)
    os.chdir(_ROOT)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", _DETACH)
    os.chdir("/")


def new_processes(alone: bool = False) -> None:
    """Put the next child into a new PID namespace; when that child ends, its descendants end too.

    Args:
        alone: whether to create only a PID namespace, and keep this process's mounts and shared
            memory.

    Raises:
        OSError: if the system does not allow it.
    """
    _call("unshare", _NEW_PROCESSES if alone else _NEW_PROCESSES | _NEW_MOUNTS | _NEW_IPC)


def new_folder(most_bytes: int) -> None:
    """Mount an empty writable folder, in memory, and change to it."""
    _mount("tmpfs", SCRATCH, "tmpfs", _NO_SUID | _NO_DEVICES, f"size={most_bytes},nr_inodes=10k")
    Path(SCRATCH).chmod(0o1777)
    os.chdir(SCRATCH)


def drop_privileges(other_user: bool = True) -> None:
    """Give up all capabilities in the namespace permanently.

    Args:
        other_user: whether root becomes another user.
    """
    if other_user and os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    for capability in range(64):
        _libc.prctl(_DROP_FROM_BOUNDS, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    _libc.capset(header, (ctypes.c_uint32 * 6)())
    _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def limit(
    cpu_seconds: float | None, memory_bytes: int, file_bytes: int, processes: int | None = None
) -> None:
    """Limit the resources of this process and of each of its children."""
    wanted: list[tuple[int, int]] = [
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ]
    if cpu_seconds is not None:
        wanted.append((resource.RLIMIT_CPU, int(cpu_seconds) + 1))
    if processes is not None:
        wanted.append((resource.RLIMIT_NPROC, processes))
    for kind, value in wanted:
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # Some systems do not allow every limit to be set.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def refuse_calls() -> None:
    """Refuse system calls that allocate memory outside the limits or read the user's keyrings.

    This has no effect if the kernel has no seccomp filter, or on an architecture not in `_REFUSED`.
    """
    if os.uname().machine not in _REFUSED or sys.maxsize < 2**32:
        return
    mark, numbers = _REFUSED[os.uname().machine]
    load, equal, at_least, reply = 0x20, 0x15, 0x35, 0x06
    last = len(numbers) + 4
    # System calls of other architectures, and of x32, have other numbers: all of them are refused.
    steps = [(load, 0, 0, 4), (equal, 0, last - 1, mark), (load, 0, 0, 0)]
    steps.append((at_least, last - 3, 0, 0x40000000))
    steps += [(equal, last - 4 - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(reply, 0, 0, 0x7FFF0000), (reply, 0, 0, 0x00050000 | errno.EPERM)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _libc.prctl(_SET_SECCOMP, _SECCOMP_FILTER, program, 0, 0)


def cpu_seconds(process: int) -> float:
    """Return the CPU seconds that a process has used, 0 if the system does not report them."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(process, ctypes.byref(clock)) != 0:
        return 0.0
    with contextlib.suppress(OSError):
        return time.clock_gettime(clock.value)
    return 0.0


def hide_memory() -> None:
    """Keep other processes of the same user from reading this process's memory."""
    _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that `end_children` finds them."""
    _libc.prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)


def end_children() -> None:
    """Kill all descendants of this process, if no PID namespace does."""
    for _ in range(1_000):
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError):
                parents[int(entry.parent.name)] = int(
                    entry.read_text().rpartition(")")[2].split()[1]
                )
        found = [child for child, parent in parents.items() if parent == os.getpid()]
        for child in found:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, 0)[0]:
                pass
        except ChildProcessError:
            return


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts: Sequence[bytes | None] = [
        None if text is None else os.fsencode(text) for text in (source, target, kind, options)
    ]
    _call("mount", texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library that returns 0.

    Raises:
        OSError: if it returns anything else.
    """
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
