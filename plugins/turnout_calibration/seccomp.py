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
    56, 57, 58, 59, 322, 62, 200, 234, 129, 297, 101, 310, 311, 424, 434, 438, 272, 308,
    # files: make, rename, remove, truncate, permissions, attributes
    85, 82, 264, 316, 83, 258, 84, 86, 265, 87, 263, 88, 266, 133, 259, 76, 77, 285, 90, 91, 268, 452,
    92, 93, 94, 260, 132, 235, 261, 280, 188, 189, 190, 197, 198, 199,
    # limits, and what goes round a filter
    160, 302, 319, 321, 298, 323, 248, 249, 250, 425, 426, 427, 29, 64, 68, 161, 155, 165, 166,
)  # fmt: skip
_REFUSED_ARM64 = (
    198, 203, 200, 199,
    220, 221, 281, 129, 130, 131, 138, 240, 117, 270, 271, 424, 434, 438, 97, 268,
    38, 276, 34, 37, 35, 36, 33, 45, 46, 47, 52, 53, 452, 54, 55, 88, 5, 6, 7, 14, 15, 16,
    164, 261, 279, 280, 241, 282, 217, 218, 219, 425, 426, 427, 194, 190, 186, 51, 41, 40, 39,
)  # fmt: skip
_MISSING = (435, 437)
"""``clone3`` and ``openat2`` hide their flags from a filter; without them the C library takes older ones."""

_ARCHITECTURES: Mapping[str, tuple[int, Sequence[int], Mapping[int, int]]] = {
    # AUDIT_ARCH, refused, and for each way to open a file where its flags are in the filter's data
    "x86_64": (0xC000003E, _REFUSED_X86_64, {2: 24, 257: 32}),
    "aarch64": (0xC00000B7, _REFUSED_ARM64, {56: 32}),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_X32 = 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_SET_PDEATHSIG, _FILTER = 38, 22, 1, 2
_CAPABILITIES_V3 = 0x20080522

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: one instruction of a classic BPF program."""


def program(machine: str) -> list[Instruction] | None:
    """Return the filter for *machine*, as ``platform.machine()`` names it; None where it is not known."""
    if machine not in _ARCHITECTURES:
        return None
    architecture, refused, opening = _ARCHITECTURES[machine]
    made: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _ERROR | _EPERM),
    ]
    for number in refused:
        made += (_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | _EPERM)
    for number in _MISSING:
        made += (_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERROR | _ENOSYS)
    for number, flags in opening.items():
        made += (
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, flags),
            (_ANY_BIT, 0, 1, _WRITING),
            (_RETURN, 0, 0, _ERROR | _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        )
    return [*made, (_RETURN, 0, 0, _ALLOW)]


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
    packed = b"".join(struct.pack("<HBBI", *one) for one in filters)
    code = ctypes.create_string_buffer(packed, len(packed))
    described = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(filters), ctypes.addressof(code)))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _FILTER, described, 0, 0) == 0)
