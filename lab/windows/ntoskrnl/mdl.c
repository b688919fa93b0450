/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: in winedevice, a buffer described by an MDL is mapped where it is: Wine copies the
 * caller's memory into its own. So mapping an MDL gives the address that it was built from, and building
 * one for non-paged pool notes that address, where the macros of the driver kit look for it.
 */
#include "ntoskrnl.h"

static void *mdl_address(const MDL *mdl)
{
    return (char *)mdl->StartVa + mdl->ByteOffset;
}

PVOID NTAPI lab_MmMapLockedPagesSpecifyCache(MDL *mdl, KPROCESSOR_MODE mode, MEMORY_CACHING_TYPE caching, PVOID base,
                                             ULONG bug_check, ULONG priority)
{
    (void)mode;
    (void)caching;
    (void)base;
    (void)bug_check;
    (void)priority;
    mdl->MappedSystemVa = mdl_address(mdl);
    mdl->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    return mdl->MappedSystemVa;
}

VOID NTAPI lab_MmBuildMdlForNonPagedPool(MDL *mdl)
{
    mdl->MappedSystemVa = mdl_address(mdl);
    mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
}
