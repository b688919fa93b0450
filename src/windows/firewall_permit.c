/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the permit is a few filters at the layers where connections are authorized (ALE_AUTH_CONNECT, for
 * IPv4 and IPv6), in a sublayer of their own, added by one transaction of a dynamic session: Windows deletes them when
 * the session ends, also because the process does.
 *
 * What they match is what a packet injected by a driver looks like there: application "System", protocol 255. Some
 * releases seem to see the protocol in the packet, TCP or UDP; that is permitted only for a raw endpoint, which no
 * connection of System itself has (file sharing, for instance): those are not permitted. Nothing narrower can be said: neither ports
 * nor addresses are known beforehand, and the layer does not tell which driver has injected a packet.
 *
 * A block in any sublayer wins over a permit, unless a sublayer of greater weight has given a permit that cannot be
 * overridden (CLEAR_ACTION_RIGHT, a "hard" permit). So ours has the greatest weight and gives such a permit; only a
 * callout can still veto it. A block in another sublayer of that weight may come first, and then stands.
 *
 * fwpuclnt.dll is resolved at run time, by its full path, as iphlpapi.dll is.
 */
#include "windows/firewall_permit_internal.h"
#include "windows/shared_thread.h"
#include "windows/text.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRANSACTION_WAIT_MS = 5000, /* for other sessions' transactions; 0 would be Windows' own time-out */
    SUBLAYER_WEIGHT = 0xffff,
    /* Missing in mingw's headers, as are the keys below: */
    SESSION_DYNAMIC = 0x1,    /* FWPM_SESSION_FLAG_DYNAMIC */
    FILTER_HARD_PERMIT = 0x8, /* FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT */
};

static const GUID layer_connect4 = {0xc38d57d1, 0x05a7, 0x4c33, {0x90, 0x4f, 0x7f, 0xbc, 0xee, 0xe6, 0x0e, 0x82}};
static const GUID layer_connect6 = {0x4a72393b, 0x319f, 0x44bc, {0x84, 0xc3, 0xba, 0x54, 0xdc, 0xb3, 0xb6, 0xb4}};
static const GUID condition_application = {
    0xd78e1e87, 0x8644, 0x4ea5, {0x94, 0x37, 0xd8, 0x09, 0xec, 0xef, 0xc9, 0x71}};
static const GUID condition_protocol = {0x3971ef2b, 0x623e, 0x4f9a, {0x8c, 0xb1, 0x6e, 0x79, 0xb8, 0x06, 0xb9, 0xa7}};
static const GUID condition_flags = {0x632ce23b, 0x5167, 0x435c, {0x86, 0xd7, 0xe9, 0x03, 0x68, 0x4a, 0xa8, 0x0c}};

/* As what Windows sees a packet that a driver has injected, besides System. */
static const struct seen_as {
    uint8_t protocol;
    bool raw; /* by a raw endpoint */
} injected[] = {{255, false}, {IPPROTO_TCP, true}, {IPPROTO_UDP, true}};

struct firewall_permit {
    struct firewall_api api;
    HMODULE module;
    struct shared_thread thread;
    HANDLE settled, end;     /* settled: set by the thread; end: set by the user */
    const char *failed_call; /* NULL: none. Written before `settled` is set */
    DWORD code;
};

static const struct {
    const char *name;
    size_t offset; /* in struct firewall_api */
} exports[] = {
    {"FwpmEngineOpen0", offsetof(struct firewall_api, open)},
    {"FwpmEngineClose0", offsetof(struct firewall_api, close)},
    {"FwpmTransactionBegin0", offsetof(struct firewall_api, begin)},
    {"FwpmTransactionCommit0", offsetof(struct firewall_api, commit)},
    {"FwpmSubLayerAdd0", offsetof(struct firewall_api, add_sublayer)},
    {"FwpmFilterAdd0", offsetof(struct firewall_api, add_filter)},
};

/* Notes what a call has returned. */
static bool done(struct firewall_permit *p, const char *call, DWORD code)
{
    if (code != ERROR_SUCCESS) {
        p->failed_call = call;
        p->code = code;
    }
    return code == ERROR_SUCCESS;
}

static bool resolve(struct firewall_permit *p)
{
    wchar_t *path = path_system_file(L"fwpuclnt.dll");
    if (path) {
        p->module = LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    }
    DWORD code = GetLastError();
    free(path);
    if (!p->module) {
        return done(p, "loading fwpuclnt.dll", code);
    }
    for (size_t i = 0; i < sizeof exports / sizeof *exports; i++) {
        FARPROC function = GetProcAddress(p->module, exports[i].name);
        if (!function) {
            return done(p, exports[i].name, ERROR_PROC_NOT_FOUND);
        }
        memcpy((char *)&p->api + exports[i].offset, &function, sizeof function);
    }
    return true;
}

/* No two sessions that exist at a time have the same: it is of this process, this moment, and this permit. */
static GUID sublayer_key(const struct firewall_permit *p)
{
    LARGE_INTEGER now;
    QueryPerformanceCounter(&now);
    uint32_t address = (uint32_t)((uintptr_t)p >> 4);
    GUID key = {GetCurrentProcessId(), (uint16_t)address, (uint16_t)(address >> 16), {0}};
    memcpy(key.Data4, &now, sizeof key.Data4);
    return key;
}

static bool add_filter(struct firewall_permit *p, HANDLE engine, const GUID *layer, const GUID *sublayer,
                       const struct seen_as *seen)
{
    static wchar_t system[] = L"System", name[] = L"windows-redirector: packets that are sent on";
    FWP_BYTE_BLOB application = {sizeof system, (UINT8 *)system};
    FWPM_FILTER_CONDITION0 conditions[] = {
        {.fieldKey = condition_application,
         .matchType = FWP_MATCH_EQUAL,
         .conditionValue = {.type = FWP_BYTE_BLOB_TYPE, .byteBlob = &application}},
        {.fieldKey = condition_protocol,
         .matchType = FWP_MATCH_EQUAL,
         .conditionValue = {.type = FWP_UINT8, .uint8 = seen->protocol}},
        {.fieldKey = condition_flags,
         .matchType = FWP_MATCH_FLAGS_ALL_SET,
         .conditionValue = {.type = FWP_UINT32, .uint32 = FWP_CONDITION_FLAG_IS_RAW_ENDPOINT}},
    };
    FWPM_FILTER0 filter = {
        .displayData.name = name,
        .flags = FILTER_HARD_PERMIT,
        .layerKey = *layer,
        .subLayerKey = *sublayer,
        .weight.type = FWP_EMPTY, /* all of the sublayer permit */
        .numFilterConditions = seen->raw ? 3 : 2,
        .filterCondition = conditions,
        .action.type = FWP_ACTION_PERMIT,
    };
    return done(p, "FwpmFilterAdd0", p->api.add_filter(engine, &filter, NULL, NULL));
}

static bool add_all(struct firewall_permit *p, HANDLE engine)
{
    static wchar_t name[] = L"windows-redirector";
    FWPM_SUBLAYER0 sublayer;
    memset(&sublayer, 0, sizeof sublayer); /* with its gaps: Windows' flags have 32 bits, mingw's 16 */
    sublayer.subLayerKey = sublayer_key(p);
    sublayer.displayData.name = name;
    sublayer.weight = SUBLAYER_WEIGHT;
    if (!done(p, "FwpmTransactionBegin0", p->api.begin(engine, 0)) ||
        !done(p, "FwpmSubLayerAdd0", p->api.add_sublayer(engine, &sublayer, NULL))) {
        return false;
    }
    for (size_t i = 0; i < sizeof injected / sizeof *injected; i++) {
        if (!add_filter(p, engine, &layer_connect4, &sublayer.subLayerKey, &injected[i]) ||
            !add_filter(p, engine, &layer_connect6, &sublayer.subLayerKey, &injected[i])) {
            return false;
        }
    }
    return done(p, "FwpmTransactionCommit0", p->api.commit(engine));
}

/* The session, with everything in force; NULL: nothing is. */
static HANDLE open_session(struct firewall_permit *p)
{
    static wchar_t name[] = L"windows-redirector";
    FWPM_SESSION0 session = {
        .displayData.name = name,
        .flags = SESSION_DYNAMIC,
        .txnWaitTimeoutInMSec = TRANSACTION_WAIT_MS,
    };
    HANDLE engine = NULL;
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the table of names has found all of them */
    if (!done(p, "FwpmEngineOpen0", p->api.open(NULL, RPC_C_AUTHN_WINNT, NULL, &session, &engine))) {
        return NULL;
    }
    if (!add_all(p, engine)) {
        p->api.close(engine); /* a transaction that was not committed goes with it */
        return NULL;
    }
    return engine;
}

static void permit_free(void *permit)
{
    struct firewall_permit *p = permit;
    shared_thread_close_event(p->settled);
    shared_thread_close_event(p->end);
    if (p->module) {
        FreeLibrary(p->module);
    }
    free(p);
}

static void permit_run(void *permit)
{
    struct firewall_permit *p = permit;
    HANDLE engine = p->api.open || resolve(p) ? open_session(p) : NULL;
    SetEvent(p->settled);
    if (engine) {
        WaitForSingleObject(p->end, INFINITE);
        p->api.close(engine);
    }
}

struct firewall_permit *firewall_permit_begin_with(const struct firewall_api *api)
{
    struct firewall_permit *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    if (api) {
        p->api = *api;
    }
    p->settled = CreateEventW(NULL, TRUE, FALSE, NULL);
    p->end = CreateEventW(NULL, TRUE, FALSE, NULL);
    bool ready = p->settled && p->end;
    return shared_thread_start(&p->thread, ready, THREAD_PRIORITY_NORMAL, p, permit_run, permit_free) ? p : NULL;
}

struct firewall_permit *firewall_permit_begin(void)
{
    return firewall_permit_begin_with(NULL);
}

enum firewall_permit_state firewall_permit_wait(const struct firewall_permit *p, uint32_t wait_ms)
{
    if (WaitForSingleObject(p->settled, wait_ms) != WAIT_OBJECT_0) {
        return FIREWALL_PERMIT_WAITS;
    }
    return p->failed_call ? FIREWALL_PERMIT_FAILED : FIREWALL_PERMIT_HOLDS;
}

const char *firewall_permit_failure(const struct firewall_permit *p, uint32_t *os_error)
{
    *os_error = p->code;
    return p->failed_call;
}

void firewall_permit_end(struct firewall_permit *p, uint32_t wait_ms)
{
    if (!p) {
        return;
    }
    SetEvent(p->end);
    shared_thread_leave(&p->thread, wait_ms);
}
