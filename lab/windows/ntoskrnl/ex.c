/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: ExUuidCreate gives a random (version 4) UUID. Wine's goes to rpcrt4, which asks the
 * registry; the driver makes 24 of them for each handle.
 */
#include "ntoskrnl.h"

#include "../runtime/linux.h"

NTSTATUS NTAPI lab_ExUuidCreate(GUID *uuid)
{
    if (linux_call(LINUX_GETRANDOM, (int64_t)uuid, sizeof(*uuid), 0, 0) != sizeof(*uuid)) {
        return STATUS_RETRY;
    }
    uuid->Data3 = (uuid->Data3 & 0x0fffu) | 0x4000u;
    uuid->Data4[0] = (uuid->Data4[0] & 0x3fu) | 0x80u;
    return STATUS_SUCCESS;
}
