# SPDX-License-Identifier: LGPL-3.0-or-later
"""The program of a process."""
import ctypes
import sys
from typing import Optional

QUERY_LIMITED_INFORMATION = 0x1000
PATH_UNITS = 32768


def program_of(pid: int) -> Optional[str]:
    """The full path of the program that a process runs; None: it has ended, or Windows does not tell."""
    if sys.platform != "win32":
        return None
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    kernel.OpenProcess.argtypes = [ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32]
    kernel.QueryFullProcessImageNameW.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_wchar_p,
                                                  ctypes.POINTER(ctypes.c_uint32)]
    kernel.CloseHandle.argtypes = [ctypes.c_void_p]
    process = kernel.OpenProcess(QUERY_LIMITED_INFORMATION, 0, pid)
    if not process:
        return None
    path, units = ctypes.create_unicode_buffer(PATH_UNITS), ctypes.c_uint32(PATH_UNITS)
    told = kernel.QueryFullProcessImageNameW(process, 0, path, ctypes.byref(units))
    kernel.CloseHandle(process)
    return path.value if told else None
