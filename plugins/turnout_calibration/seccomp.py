"""The kernel's own fence around code that nobody has read: no network, no process, no change to any file.

Seccomp filters: https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html. The numbers are
those of the kernel's syscall tables (x86: ``arch/x86/entry/syscalls/syscall_64.tbl``; ARM:
``include/uapi/asm-generic/unistd.h``). Only the standard library, and no sibling: the fenced process loads
this file by its path.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Mapping, Sequence

_REFUSED_X86_64 = (
    # network
    41, 42, 49, 53,
    # processes, threads, programs
    56, 57, 58, 59, 322, 62, 200, 234, 129, 297, 101, 310, 311, 272, 308, 312,
    # other processes' priority, processor, pages, shared memory, semaphores, queues and locks
    141, 142, 144, 203, 251, 314, 256, 279, 29, 30, 31, 64, 65, 66, 220, 68, 69, 70, 71, 240, 241, 242, 243,
    244, 245, 73,
    # files: make, rename, remove, truncate, permissions, attributes, open by handle
    85, 82, 264, 316, 83, 258, 84, 86, 265, 87, 263, 88, 266, 133, 259, 76, 77, 285, 90, 91, 268,
    92, 93, 94, 260, 132, 235, 261, 280, 188, 189, 190, 197, 198, 199, 303, 304,
    # what ends the process with its parent, or in time: prctl, alarm, timers, another user
    157, 37, 38, 222, 223, 226, 105, 106, 113, 114, 116, 117, 119, 122, 123,
    # limits, and what goes round a filter
    160, 302, 319, 321, 298, 323, 248, 249, 250, 317, 161, 155, 165, 166,
)  # fmt: skip
_REFUSED_ARM64 = (
    198, 203, 200, 199,
    220, 221, 281, 129, 130, 131, 138, 240, 117, 270, 271, 97, 268, 272,
    140, 118, 119, 122, 30, 274, 238, 239, 194, 196, 195, 190, 193, 191, 192, 186, 189, 188, 187, 180, 181,
    182, 183, 184, 185, 32,
    38, 276, 34, 37, 35, 36, 33, 45, 46, 47, 52, 53, 54, 55, 88, 5, 6, 7, 14, 15, 16, 264, 265,
    167, 103, 107, 110, 111, 146, 144, 145, 143, 159, 147, 149, 151, 152,
    164, 261, 279, 280, 241, 282, 217, 218, 219, 277, 51, 41, 40, 39,
)  # fmt: skip
_NEWER = 424
"""From here on the numbers are the same everywhere, and none is needed: the C library takes older calls.

Refused as if the kernel did not have them: among them are ``io_uring``, ``clone3`` and ``openat2``, which
hide from a filter what they do, ``setxattrat``, and what kernels will have that are not written yet.
"""
_IOCTL = (0x5401, 0x802C542A, 0x5413, 0x5450, 0x5451, 0x5421, 0x541B)
"""``TCGETS`` and ``TCGETS2`` (is it a terminal?), ``TIOCGWINSZ``, ``FIONCLEX``, ``FIOCLEX``, ``FIONBIO`` and
``FIONREAD``."""
_FCNTL = (0, 1, 2, 3, 4, 1030)
"""Duplicating and flags; not ``F_SETOWN``, which has the kernel send signals."""
_REQUEST = 24

_ARCHITECTURES: Mapping[str, tuple[int, Sequence[int], Mapping[int, int], Mapping[int, Sequence[int]]]] = {
    # AUDIT_ARCH, refused, for each way to open a file where its flags are in the filter's data, and the only
    # requests of calls that have many
    "x86_64": (0xC000003E, _REFUSED_X86_64, {2: 24, 257: 32}, {16: _IOCTL, 72: _FCNTL}),
    "aarch64": (0xC00000B7, _REFUSED_ARM64, {56: 32}, {29: _IOCTL, 25: _FCNTL}),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_SET_PDEATHSIG, _FILTER = 38, 22, 1, 2
_CAPABILITIES_V3 = 0x20080522

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: one instruction of a classic BPF program."""


def program(machine: str) -> list[Instruction] | None:
    """Return the filter for *machine*, as ``platform.machine()`` names it; None where it is not known."""
    if machine not in _ARCHITECTURES:
        return None
    architecture, refused, opening, requests = _ARCHITECTURES[machine]
    made: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _NEWER),  # the calls of x32 too, from 0x40000000
        (_RETURN, 0, 0, _ERROR | _ENOSYS),
    ]
    for number in refused:
        made += (_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | _EPERM)
    for number, flags in opening.items():
        made += _reading(number, flags)
    for number, allowed in requests.items():
        made += _only(number, allowed)
    return [*made, (_RETURN, 0, 0, _ALLOW)]


def _reading(number: int, flags: int) -> Sequence[Instruction]:
    """Allow to open a file only to read it."""
    return (
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, flags),
        (_ANY_BIT, 0, 1, _WRITING),
        (_RETURN, 0, 0, _ERROR | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    )


def _only(number: int, requests: Sequence[int]) -> Sequence[Instruction]:
    """Allow the call *number* only with one of *requests* as its second argument."""
    count = len(requests)
    return (
        (_EQUAL, 0, count + 3, number),
        (_LOAD, 0, 0, _REQUEST),
        *((_EQUAL, count - n, 0, request) for n, request in enumerate(requests)),
        (_RETURN, 0, 0, _ERROR | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    )


def fence() -> bool:
    """Fence this process in for good, and let it die with its parent; whether the kernel does so."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return False
    filters = program(platform.machine())
    if filters is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    libc.capset(struct.pack("<Ii", _CAPABILITIES_V3, 0), bytes(24))  # root keeps its files, and nothing else
    return install(filters)


def install(filters: Sequence[Instruction]) -> bool:
    """Put this process and its children under a filter for good; whether the kernel does so."""
    libc = ctypes.CDLL(None, use_errno=True)
    packed = b"".join(struct.pack("<HBBI", *one) for one in filters)
    code = ctypes.create_string_buffer(packed, len(packed))
    described = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(filters), ctypes.addressof(code)))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _FILTER, described, 0, 0) == 0)
