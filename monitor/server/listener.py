"""Stops a listening socket without resetting clients that are connecting."""

import contextlib
import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26  # from asm-generic/socket.h
_INSTRUCTION = struct.Struct("HBBI")

# Classic BPF, see the kernel's networking/filter.rst. It reads from the start of the TCP header.
_WITHOUT_SYN = b"".join(
    _INSTRUCTION.pack(*each)
    for each in (
        (0x30, 0, 0, 13),  # load the byte with the flags
        (0x54, 0, 0, 0x12),  # keep SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone?
        (0x06, 0, 0, 0),  # drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # accept it
    )
)


def refuse_silently(listener: socket.socket) -> None:
    """Ignores clients that begin to connect, but lets those finish that are connecting. TCP tries
    again after a second, and reaches another socket that listens on the address, if there is one.

    Affects all processes that share the socket. Does nothing where the kernel has no such filters.
    """
    code = ctypes.create_string_buffer(_WITHOUT_SYN, len(_WITHOUT_SYN))
    count = len(_WITHOUT_SYN) // _INSTRUCTION.size
    program = struct.pack("HP", count, ctypes.addressof(code))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
