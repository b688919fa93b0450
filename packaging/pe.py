# SPDX-License-Identifier: LGPL-3.0-or-later
"""As much of the PE format as a test needs to see what a linker and a resource compiler have put into a file."""
import struct

FIXED_SIGNATURE = struct.pack("<II", 0xFEEF04BD, 0x00010000)  # of VS_FIXEDFILEINFO, and its structure version


def timestamp(data):
    """The link time in the COFF header."""
    header, = struct.unpack_from("<I", data, 0x3C)
    if data[header:header + 4] != b"PE\0\0":
        raise ValueError("not a PE file")
    return struct.unpack_from("<I", data, header + 8)[0]


def fixed_versions(data):
    """(file version, product version) of the version resource, each "a.b.c.d"; None without one."""
    at = data.find(FIXED_SIGNATURE)
    if at < 0:
        return None
    file_high, file_low, product_high, product_low = struct.unpack_from("<4I", data, at + len(FIXED_SIGNATURE))
    return tuple(f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"
                 for high, low in ((file_high, file_low), (product_high, product_low)))


def version_string(data, key):
    """The text of one entry of the version resource's string table; None without it."""
    wide = (key + "\0").encode("utf-16-le")
    at = data.find(wide)
    if at < 0:
        return None
    text = data[at + len(wide):at + len(wide) + 512].decode("utf-16-le", "replace").lstrip("\0")
    return text.split("\0")[0]
