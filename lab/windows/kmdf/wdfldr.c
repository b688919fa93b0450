/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * WDFLDR.SYS: the framework's loader, which a driver is linked with, and the module's entry point.
 *
 * Theory of operation: the stub in the driver calls WdfVersionBind with a table (an array of its own) that is
 * to be filled with the framework's functions. Those that the driver calls are ours; any other says its
 * index in the log and returns an error. The same call is the first moment at which we run beside the loaded
 * driver, so it also puts our functions into the driver's import table in memory, for those that Wine's
 * ntoskrnl.exe, ndis.sys and our empty fwpkclnt.sys do not have, or not well. The file is not touched.
 *
 * The driver must be the one that the offsets of requests/driver_context.h were read from: the checksum that
 * its linker put into its header is looked at. (That the file is unmodified is seen before it is loaded, by
 * its SHA-256.)
 */
#include "functions.h"

#include "../requests/driver_context.h"

/* Missing in mingw's headers for drivers. */
NTSTATUS NTAPI NtProtectVirtualMemory(HANDLE process, void **base, SIZE_T *size, ULONG protection, ULONG *old);

enum { PAGE_WRITABLE = PAGE_READWRITE, COMPONENT_MAJOR = 1, COMPONENT_MINOR_MAX = 9 };

struct wdf_bind_info { /* WDF_BIND_INFO */
    ULONG size;
    const WCHAR *component;
    ULONG major, minor, build;
    ULONG function_count;
    void **functions;
    void *module;
};

struct image {
    uint8_t *base;
    const uint8_t *headers; /* "PE\0\0" */
};

struct import_descriptor {
    uint32_t names, time, forwarder, module, addresses; /* relative to the image */
};

_Static_assert(sizeof(struct wdf_bind_info) == 0x30, "as in wdfldr.h");
_Static_assert(offsetof(struct wdf_globals, displace_unload) == 0x30, "as in wdfglobals.h");

static struct wdf_globals globals;

/* Each of these says which it is and goes to the same place. */
__asm__(".text\n"
        ".balign 16\n"
        "kmdf_missing_functions:\n"
        ".set kmdf_index, 0\n"
        ".rept 396\n"
        "    movl $kmdf_index, %ecx\n"
        "    jmp kmdf_missing\n"
        "    .balign 16\n"
        "    .set kmdf_index, kmdf_index + 1\n"
        ".endr\n");
extern char kmdf_missing_functions[];
enum { MISSING_SIZE = 16 };
_Static_assert(KMDF_FUNCTIONS == 396, "as many as in the .rept above");

__attribute__((used)) NTSTATUS NTAPI kmdf_missing(uint32_t index)
{
    lab_log("framework: the driver calls function %u, which is not there", index);
    wire_flush();
    return STATUS_NOT_SUPPORTED;
}

static void fill_table(void **functions, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        functions[i] = kmdf_missing_functions + i * MISSING_SIZE;
    }
#define X(index, name)                                                                                                 \
    if ((index) < count)                                                                                               \
        functions[index] = (void *)(name);
    KMDF_FUNCTION_LIST(X)
#undef X
}

static uint32_t read_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static bool image_of(DRIVER_OBJECT *driver, struct image *image)
{
    enum { OFFSET_OF_PE = 0x3c, PE_SIGNATURE = 0x4550, SIZE_OF_IMAGE = 0x50, CHECKSUM = 0x58 };

    image->base = driver->DriverStart;
    if (!image->base) {
        return false;
    }
    image->headers = image->base + read_u32(image->base + OFFSET_OF_PE);
    return read_u32(image->headers) == PE_SIGNATURE &&
           read_u32(image->headers + SIZE_OF_IMAGE) == DRIVER_SIZE_OF_IMAGE &&
           read_u32(image->headers + CHECKSUM) == DRIVER_CHECKSUM;
}

static void *replacement(const char *name)
{
    static const struct import *const lists[] = {ntoskrnl_imports, fwpkclnt_imports, ndis_imports};

    for (unsigned i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        for (const struct import *import = lists[i]; import->name; import++) {
            unsigned at = 0;

            while (name[at] && name[at] == import->name[at]) {
                at++;
            }
            if (name[at] == import->name[at]) {
                return import->function;
            }
        }
    }
    return NULL;
}

static NTSTATUS set_address(void **address, void *function)
{
    void *page = address;
    SIZE_T size = sizeof(*address);
    ULONG old;
    NTSTATUS status = NtProtectVirtualMemory((HANDLE)-1, &page, &size, PAGE_WRITABLE, &old);

    if (!NT_SUCCESS(status)) {
        return status;
    }
    *address = function;
    return NtProtectVirtualMemory((HANDLE)-1, &page, &size, old, &old);
}

static bool same_letters(const char *name, const char *lower_case)
{
    for (; *name && (*name | 0x20) == *lower_case; name++, lower_case++) {
        ;
    }
    return *name == *lower_case;
}

/* fwpkclnt.sys and ndis.sys have nothing of their own here. */
static bool must_be_replaced(const char *module)
{
    return same_letters(module, "fwpkclnt.sys") || same_letters(module, "ndis.sys");
}

static NTSTATUS bind_module(const struct image *image, const struct import_descriptor *descriptor)
{
    const char *module = (const char *)image->base + descriptor->module;
    const uint64_t *names = (const uint64_t *)(image->base + descriptor->names);
    void **addresses = (void **)(image->base + descriptor->addresses);

    for (; *names; names++, addresses++) {
        const char *name = (const char *)image->base + (uint32_t)*names + sizeof(uint16_t);
        void *function = replacement(name);
        NTSTATUS status = STATUS_SUCCESS;

        if (function) {
            status = set_address(addresses, function);
        } else if (must_be_replaced(module)) {
            wire_open();
            lab_log("loader: %s!%s is not there", module, name);
            status = STATUS_PROCEDURE_NOT_FOUND;
        }
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    return STATUS_SUCCESS;
}

static NTSTATUS bind_imports(const struct image *image)
{
    enum { IMPORT_DIRECTORY = 0x90 }; /* from "PE\0\0" */
    const struct import_descriptor *descriptor =
        (const struct import_descriptor *)(image->base + read_u32(image->headers + IMPORT_DIRECTORY));

    for (; descriptor->module; descriptor++) {
        NTSTATUS status = bind_module(image, descriptor);

        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    return STATUS_SUCCESS;
}

/* What is logged before the wire is open is lost, so whoever has something to say opens it. */
static NTSTATUS refuse(NTSTATUS status)
{
    wire_flush();
    return status;
}

__declspec(dllexport) NTSTATUS NTAPI WdfVersionBind(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path,
                                                    struct wdf_bind_info *info, struct wdf_globals **bound)
{
    struct image image;
    NTSTATUS status;

    (void)registry_path;
    if (!image_of(driver, &image)) {
        wire_open();
        lab_log("loader: the driver is not WinDivert64.sys 2.2.2");
        return refuse(STATUS_INVALID_IMAGE_FORMAT);
    }
    if (info->major != COMPONENT_MAJOR || info->minor > COMPONENT_MINOR_MAX || info->function_count > KMDF_FUNCTIONS) {
        wire_open();
        lab_log("loader: framework %u.%u with %u functions is not there", info->major, info->minor,
                info->function_count);
        return refuse(STATUS_REVISION_MISMATCH);
    }
    status = bind_imports(&image);
    if (!NT_SUCCESS(status)) {
        return refuse(status);
    }
    fill_table(info->functions, info->function_count);
    driver_context_bind(image.base);
    globals.displace_unload = TRUE; /* the stub calls the driver's unload routine, then WdfVersionUnbind */
    *bound = &globals;
    return STATUS_SUCCESS;
}

__declspec(dllexport) NTSTATUS NTAPI
    WdfVersionUnbind(UNICODE_STRING *registry_path, struct wdf_bind_info *info, struct wdf_globals *bound)
{
    (void)registry_path;
    (void)info;
    (void)bound;
    kmdf_unbind();
    driver_context_bind(NULL);
    return STATUS_SUCCESS;
}

/* There are no class extensions to bind. */
__declspec(dllexport) NTSTATUS NTAPI WdfVersionBindClass(struct wdf_bind_info *info, void **bound, void *class_info)
{
    (void)info;
    (void)bound;
    (void)class_info;
    return STATUS_SUCCESS;
}

__declspec(dllexport) void NTAPI WdfVersionUnbindClass(struct wdf_bind_info *info, void **bound, void *class_info)
{
    (void)info;
    (void)bound;
    (void)class_info;
}

/* Wine loads an imported module as it does a DLL, and takes 0 for "does not want to". */
NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    (void)driver;
    (void)registry_path;
    return TRUE;
}
