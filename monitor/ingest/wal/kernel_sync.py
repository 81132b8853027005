"""Syncs of files that the kernel runs, without a thread of this process: Linux AIO, io_submit(2).

A thread of Python that waits for each sync takes the interpreter's lock twice for each. With many
heartbeats a second, that costs more than the syncs themselves.
"""

import ctypes
import errno
import os
import platform
import struct
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, NamedTuple


class _Calls(NamedTuple):
    """Numbers of system calls; the C library has no functions for them."""

    setup: int
    destroy: int
    getevents: int
    submit: int


_CALLS = {"x86_64": _Calls(206, 207, 208, 209), "aarch64": _Calls(0, 1, 4, 2)}
_REQUEST = struct.Struct("=QIiHhIQQqQII")  # struct iocb from linux/aio_abi.h
_EVENT = struct.Struct("=QQqq")  # struct io_event
_FDATASYNC = 3  # IOCB_CMD_FDSYNC
_NOTIFY = 1  # IOCB_FLAG_RESFD

Done = Callable[[OSError | None], None]
"""Called with the error if the sync failed."""


class KernelSync:
    """One sync at a time. Used on its event loop only."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        """Raises OSError if the system has no such syncs, or does not allow them."""
        calls = _CALLS.get(platform.machine()) if platform.system() == "Linux" else None
        if calls is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._calls, self._loop = calls, loop
        # The calls return at once, so they keep the interpreter's lock.
        self._libc = ctypes.PyDLL(None, use_errno=True)
        self._context = ctypes.c_ulong(0)
        self._call(calls.setup, 1, ctypes.byref(self._context))
        self._request = ctypes.create_string_buffer(_REQUEST.size)
        self._requests = (ctypes.c_void_p * 1)(ctypes.addressof(self._request))
        self._event = ctypes.create_string_buffer(_EVENT.size)
        self._done: Done | None = None
        self._notice = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.add_reader(self._notice, self._finish)

    def begin(self, file: int, done: Done) -> None:
        """Begins to sync the data of a file. The file may be closed meanwhile. Raises OSError."""
        _REQUEST.pack_into(
            self._request, 0, 0, 0, 0, _FDATASYNC, 0, file, 0, 0, 0, 0, _NOTIFY, self._notice
        )
        self._call(self._calls.submit, self._context, 1, self._requests)
        self._done = done

    def _finish(self) -> None:
        """Called by the loop when a sync has ended."""
        os.eventfd_read(self._notice)
        self._collect()

    def _collect(self) -> None:
        """Waits for the end of the sync."""
        self._call(self._calls.getevents, self._context, 1, 1, self._event, None)
        result = _EVENT.unpack(self._event)[2]
        done, self._done = self._done, None
        if done is not None:
            done(OSError(-result, os.strerror(-result)) if result < 0 else None)

    def close(self) -> None:
        """Waits for a sync that is running."""
        self._loop.remove_reader(self._notice)
        while self._done is not None:
            self._collect()
        os.close(self._notice)
        self._call(self._calls.destroy, self._context)

    def _call(self, number: int, *arguments: Any) -> None:
        while self._libc.syscall(ctypes.c_long(number), *arguments) < 0:
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code))
