/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a bug check is told to the daemon before Wine ends the process.
 */
#include "ntoskrnl.h"

VOID NTAPI lab_KeBugCheckEx(ULONG code, ULONG_PTR one, ULONG_PTR two, ULONG_PTR three, ULONG_PTR four)
{
    lab_log("bug check %x (%llx %llx %llx %llx)", code, one, two, three, four);
    wire_flush();
    KeBugCheckEx(code, one, two, three, four);
}
