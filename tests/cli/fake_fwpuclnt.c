/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A filtering platform with the rows that a test wants: FAKE_WFP names a file of lines "kind|layer|name|callout|
 * provider|service" (kind: filter or permit; layer: 4 or 6, bind4 or bind6), empty where there is none. Before them come many
 * filters of another layer. Without FAKE_WFP there is nothing; with FAKE_WFP_DENIES it cannot be opened.
 */
#include <winsock2.h>
#include <windows.h>

#include <fwpmu.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 64, OTHERS = 300, FIELDS = 6, UNITS = 200 };

#define EXPORT __declspec(dllexport) DWORD WINAPI

static const GUID redirect[] = {
    {0xC6E63C8C, 0xB784, 0x4562, {0xAA, 0x7D, 0x0A, 0x67, 0xCF, 0xCA, 0xF9, 0xA3}},
    {0x587E54A7, 0x8046, 0x42BA, {0xA0, 0xAA, 0xB7, 0x16, 0x25, 0x0F, 0xC7, 0xFD}},
    {0x66978CAD, 0xC704, 0x42AC, {0x86, 0xAC, 0x7C, 0x1A, 0x23, 0x1B, 0xD2, 0x53}},
    {0xBEF02C9C, 0x606B, 0x4536, {0x8C, 0x26, 0x1C, 0x2F, 0xC7, 0xB6, 0x31, 0xD4}},
};
static const wchar_t *const layer_names[] = {L"4", L"6", L"bind4", L"bind6"};

static struct {
    wchar_t fields[FIELDS][UNITS];
} rows[ROWS_MAX];
static UINT32 row_count;

struct list {
    UINT32 next;
};

static void read_rows(const char *path)
{
    char line[FIELDS * UNITS];
    FILE *file = path ? fopen(path, "rb") : NULL;
    row_count = 0;
    while (file && row_count < ROWS_MAX && fgets(line, sizeof line, file)) {
        char *at = line;
        line[strcspn(line, "\r\n")] = '\0';
        for (int i = 0; i < FIELDS; i++) {
            size_t length = strcspn(at, "|");
            bool more = at[length] == '|';
            at[length] = '\0';
            MultiByteToWideChar(CP_UTF8, 0, at, -1, rows[row_count].fields[i], UNITS);
            at += length + more;
        }
        row_count++;
    }
    if (file) {
        fclose(file);
    }
}

EXPORT FwpmEngineOpen0(const wchar_t *server, UINT32 service, SEC_WINNT_AUTH_IDENTITY_W *identity,
                       const FWPM_SESSION0 *session, HANDLE *engine)
{
    (void)server, (void)service, (void)identity, (void)session;
    if (getenv("FAKE_WFP_DENIES")) {
        return ERROR_ACCESS_DENIED;
    }
    read_rows(getenv("FAKE_WFP"));
    *engine = (HANDLE)rows;
    return ERROR_SUCCESS;
}

EXPORT FwpmEngineClose0(HANDLE engine)
{
    return engine == (HANDLE)rows ? ERROR_SUCCESS : ERROR_INVALID_HANDLE;
}

EXPORT FwpmFilterCreateEnumHandle0(HANDLE engine, const FWPM_FILTER_ENUM_TEMPLATE0 *template, HANDLE *out)
{
    (void)engine, (void)template;
    *out = calloc(1, sizeof(struct list));
    return ERROR_SUCCESS;
}

EXPORT FwpmFilterDestroyEnumHandle0(HANDLE engine, HANDLE list)
{
    (void)engine;
    free(list);
    return ERROR_SUCCESS;
}

static bool is(UINT32 row, const wchar_t *kind)
{
    return wcscmp(rows[row].fields[0], kind) == 0;
}

static const GUID *layer(UINT32 row)
{
    int i = 3;
    while (i && wcscmp(layer_names[i], rows[row].fields[1]) != 0) {
        i--;
    }
    return &redirect[i];
}

/* A list is a block of pointers with what they point to behind them, freed as one, as Windows does. */
EXPORT FwpmFilterEnum0(HANDLE engine, HANDLE list, UINT32 wanted, FWPM_FILTER0 ***out, UINT32 *count)
{
    struct list *l = list;
    size_t each = sizeof(FWPM_FILTER0 *) + sizeof(FWPM_FILTER0) + sizeof(GUID);
    FWPM_FILTER0 **pointers = calloc(wanted, each);
    FWPM_FILTER0 *filters = (FWPM_FILTER0 *)(pointers + wanted);
    GUID *keys = (GUID *)(filters + wanted);
    (void)engine;
    *count = 0;
    for (; l->next < OTHERS + row_count && *count < wanted; l->next++) {
        UINT32 row = l->next - OTHERS;
        FWPM_FILTER0 *f = &filters[*count];
        pointers[*count] = f;
        f->displayData.name = L"of another layer";
        f->action.type = FWP_ACTION_CALLOUT_UNKNOWN;
        if (l->next >= OTHERS) {
            f->layerKey = *layer(row);
            f->displayData.name = rows[row].fields[2];
            f->action.type = is(row, L"permit") ? FWP_ACTION_PERMIT : FWP_ACTION_CALLOUT_TERMINATING;
            f->action.calloutKey.Data1 = row + 1;
            keys[*count].Data1 = row + 1;
            f->providerKey = rows[row].fields[4][0] ? &keys[*count] : NULL;
        }
        ++*count;
    }
    *out = pointers;
    return ERROR_SUCCESS;
}

EXPORT FwpmCalloutGetByKey0(HANDLE engine, const GUID *key, FWPM_CALLOUT0 **out)
{
    (void)engine;
    if (!key->Data1 || key->Data1 > row_count || !rows[key->Data1 - 1].fields[3][0]) {
        return (DWORD)FWP_E_CALLOUT_NOT_FOUND;
    }
    *out = calloc(1, sizeof **out);
    (*out)->displayData.name = rows[key->Data1 - 1].fields[3];
    return ERROR_SUCCESS;
}

EXPORT FwpmProviderGetByKey0(HANDLE engine, const GUID *key, FWPM_PROVIDER0 **out)
{
    (void)engine;
    if (!key->Data1 || key->Data1 > row_count) {
        return (DWORD)FWP_E_PROVIDER_NOT_FOUND;
    }
    *out = calloc(1, sizeof **out);
    (*out)->displayData.name = rows[key->Data1 - 1].fields[4];
    (*out)->serviceName = rows[key->Data1 - 1].fields[5];
    return ERROR_SUCCESS;
}

__declspec(dllexport) void WINAPI FwpmFreeMemory0(void **p)
{
    free(*p);
    *p = NULL;
}
