/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The lab's fwpuclnt.dll: sessions of the filtering platform, with sublayers and filters that decide about injected packets.
 *
 * Theory of operation: Wine 8 has stubs, which open no session. This DLL checks what it is given as Microsoft's
 * documentation of the functions and structures has it, and hands it to the daemon (daemon/filters.c), over one
 * connection for each session; so a session ends with its process, too. What would be right on Windows and is not known
 * here is refused (ERROR_CALL_NOT_IMPLEMENTED) rather than misunderstood. All other exports are Wine's stubs still.
 */
#include <winsock2.h>

#include <fwpmu.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../windows/runtime/linux.h"
#include "filters_protocol.h"

/* Missing in mingw's headers. */
enum {
    SESSION_DYNAMIC = 0x1,
    SUBLAYER_PERSISTENT = 0x1,
    FILTER_PERSISTENT = 0x1,
    FILTER_BOOTTIME = 0x2,
    FILTER_CLEAR_ACTION_RIGHT = 0x8,
    FILTER_FLAGS = 0x7f, /* all that there are */
};
static const GUID layer_connect4 = {0xc38d57d1, 0x05a7, 0x4c33, {0x90, 0x4f, 0x7f, 0xbc, 0xee, 0xe6, 0x0e, 0x82}};
static const GUID layer_connect6 = {0x4a72393b, 0x319f, 0x44bc, {0x84, 0xc3, 0xba, 0x54, 0xdc, 0xb3, 0xb6, 0xb4}};
static const GUID condition_application = {
    0xd78e1e87, 0x8644, 0x4ea5, {0x94, 0x37, 0xd8, 0x09, 0xec, 0xef, 0xc9, 0x71}};
static const GUID condition_protocol = {0x3971ef2b, 0x623e, 0x4f9a, {0x8c, 0xb1, 0x6e, 0x79, 0xb8, 0x06, 0xb9, 0xa7}};
static const GUID condition_flags = {0x632ce23b, 0x5167, 0x435c, {0x86, 0xd7, 0xe9, 0x03, 0x68, 0x4a, 0xa8, 0x0c}};

enum { MAGIC = 0x53465057 };

struct session {
    uint32_t magic;
    int fd;
    bool dynamic;
};

static volatile LONG64 last_id;

static bool is(const GUID *left, const GUID *right)
{
    return !memcmp(left, right, sizeof(*left));
}

/* As BFE does for a key of zeroes. */
static void key_or_new(uint8_t to[16], const GUID *given)
{
    static const GUID none;
    LONG64 made[2];

    memcpy(to, given, 16);
    if (is(given, &none)) {
        made[0] = (LONG64)GetCurrentProcessId() << 32 | GetTickCount();
        made[1] = InterlockedIncrement64(&last_id);
        memcpy(to, made, 16);
    }
}

static DWORD ask(const struct session *session, const struct filters_request *request)
{
    struct filters_reply reply;

    if (linux_write(session->fd, request, sizeof(*request)) != sizeof(*request) ||
        linux_read(session->fd, &reply, sizeof(reply)) != sizeof(reply)) {
        return RPC_S_CALL_FAILED;
    }
    return reply.error;
}

static struct session *session_of(HANDLE engine)
{
    struct session *session = engine;

    return session && session != INVALID_HANDLE_VALUE && session->magic == MAGIC ? session : NULL;
}

DWORD WINAPI FwpmEngineOpen0(const wchar_t *server, UINT32 authentication, SEC_WINNT_AUTH_IDENTITY_W *identity,
                             const FWPM_SESSION0 *given, HANDLE *engine)
{
    struct filters_request request = {.what = FILTERS_OPEN};
    struct session *session;
    DWORD error;

    (void)identity;
    if (!engine) {
        return FWP_E_NULL_POINTER;
    }
    if (server || (authentication != RPC_C_AUTHN_WINNT && authentication != RPC_C_AUTHN_DEFAULT)) {
        return FWP_E_INVALID_PARAMETER;
    }
    if (given && given->flags & ~(UINT32)SESSION_DYNAMIC) {
        return FWP_E_INVALID_FLAGS;
    }
    session = calloc(1, sizeof(*session));
    if (!session) {
        return ERROR_OUTOFMEMORY;
    }
    session->magic = MAGIC;
    session->dynamic = given && given->flags & SESSION_DYNAMIC;
    session->fd = linux_connect(FILTERS_SOCKET_NAME, sizeof(FILTERS_SOCKET_NAME) - 1);
    if (session->fd < 0) {
        free(session);
        return EPT_S_NOT_REGISTERED; /* as if the Base Filtering Engine did not run */
    }
    request.dynamic = session->dynamic;
    error = ask(session, &request);
    if (error) {
        linux_close(session->fd);
        free(session);
        return error;
    }
    *engine = session;
    return ERROR_SUCCESS;
}

DWORD WINAPI FwpmEngineClose0(HANDLE engine)
{
    struct filters_request request = {.what = FILTERS_CLOSE};
    struct session *session = session_of(engine);

    if (!session) {
        return FWP_E_INVALID_PARAMETER;
    }
    ask(session, &request);
    linux_close(session->fd);
    session->magic = 0;
    free(session);
    return ERROR_SUCCESS;
}

static DWORD transaction(HANDLE engine, enum filters_what what)
{
    struct filters_request request = {.what = what};
    struct session *session = session_of(engine);

    return session ? ask(session, &request) : (DWORD)FWP_E_INVALID_PARAMETER;
}

DWORD WINAPI FwpmTransactionBegin0(HANDLE engine, UINT32 flags)
{
    return flags & ~1u ? (DWORD)FWP_E_INVALID_FLAGS : transaction(engine, FILTERS_BEGIN); /* 1: reads only */
}

DWORD WINAPI FwpmTransactionCommit0(HANDLE engine)
{
    return transaction(engine, FILTERS_COMMIT);
}

DWORD WINAPI FwpmTransactionAbort0(HANDLE engine)
{
    return transaction(engine, FILTERS_ABORT);
}

DWORD WINAPI FwpmSubLayerAdd0(HANDLE engine, const FWPM_SUBLAYER0 *given, PSECURITY_DESCRIPTOR sd)
{
    struct filters_request request = {.what = FILTERS_ADD_SUBLAYER};
    struct session *session = session_of(engine);

    if (!session || sd) {
        return session ? (DWORD)ERROR_CALL_NOT_IMPLEMENTED : (DWORD)FWP_E_INVALID_PARAMETER;
    }
    if (!given) {
        return FWP_E_NULL_POINTER;
    }
    if (!given->displayData.name) {
        return FWP_E_NULL_DISPLAY_NAME;
    }
    if (given->flags & ~SUBLAYER_PERSISTENT) {
        return FWP_E_INVALID_FLAGS;
    }
    if (given->flags && session->dynamic) {
        return FWP_E_LIFETIME_MISMATCH;
    }
    if (given->providerKey) {
        return FWP_E_PROVIDER_NOT_FOUND; /* there are none here */
    }
    key_or_new(request.key, &given->subLayerKey);
    request.weight = given->weight;
    return ask(session, &request);
}

/* "System" with its NUL; paths are another program's. */
static DWORD take_application(struct filters_request *request, const FWPM_FILTER_CONDITION0 *condition)
{
    static const wchar_t system[] = L"System";
    const FWP_BYTE_BLOB *blob = condition->conditionValue.byteBlob;

    if (condition->conditionValue.type != FWP_BYTE_BLOB_TYPE) {
        return FWP_E_TYPE_MISMATCH;
    }
    if (!blob || !blob->data) {
        return FWP_E_NULL_POINTER;
    }
    request->application = blob->size == sizeof(system) && !memcmp(blob->data, system, sizeof(system))
                               ? FILTERS_SYSTEM
                               : FILTERS_OTHER_APPLICATION;
    return ERROR_SUCCESS;
}

static DWORD take_flags(struct filters_request *request, const FWPM_FILTER_CONDITION0 *condition)
{
    if (condition->matchType < FWP_MATCH_FLAGS_ALL_SET || condition->matchType > FWP_MATCH_FLAGS_NONE_SET) {
        return FWP_E_MATCH_TYPE_MISMATCH;
    }
    if (condition->conditionValue.type != FWP_UINT32) {
        return FWP_E_TYPE_MISMATCH;
    }
    if (condition->matchType != FWP_MATCH_FLAGS_ALL_SET || request->flags) {
        return ERROR_CALL_NOT_IMPLEMENTED;
    }
    request->flags = condition->conditionValue.uint32;
    return ERROR_SUCCESS;
}

static DWORD take_condition(struct filters_request *request, const FWPM_FILTER_CONDITION0 *condition)
{
    bool application = is(&condition->fieldKey, &condition_application);

    if (is(&condition->fieldKey, &condition_flags)) {
        return take_flags(request, condition);
    }
    if (!application && !is(&condition->fieldKey, &condition_protocol)) {
        return FWP_E_CONDITION_NOT_FOUND; /* or one that is not known here */
    }
    if (condition->matchType >= FWP_MATCH_TYPE_MAX) {
        return FWP_E_MATCH_TYPE_MISMATCH;
    }
    if (condition->matchType != FWP_MATCH_EQUAL ||
        (application ? request->application != FILTERS_ANY_APPLICATION : request->protocol != FILTERS_ANY_PROTOCOL)) {
        return ERROR_CALL_NOT_IMPLEMENTED; /* twice the same field: either value matches */
    }
    if (application) {
        return take_application(request, condition);
    }
    if (condition->conditionValue.type != FWP_UINT8) {
        return FWP_E_TYPE_MISMATCH;
    }
    request->protocol = condition->conditionValue.uint8;
    return ERROR_SUCCESS;
}

/* Of its own, or of a range in which, as without any, more conditions weigh more. */
static DWORD take_weight(struct filters_request *request, const FWPM_FILTER0 *given)
{
    request->weight = given->numFilterConditions;
    switch (given->weight.type) {
    case FWP_EMPTY:
        return ERROR_SUCCESS;
    case FWP_UINT8:
        request->weight |= (uint64_t)given->weight.uint8 << 60;
        return given->weight.uint8 > 15 ? (DWORD)FWP_E_INVALID_WEIGHT : (DWORD)ERROR_SUCCESS;
    case FWP_UINT64:
        if (!given->weight.uint64) {
            return FWP_E_NULL_POINTER;
        }
        request->weight = *given->weight.uint64;
        return ERROR_SUCCESS;
    default:
        return FWP_E_INVALID_WEIGHT;
    }
}

static DWORD take_filter(struct filters_request *request, const FWPM_FILTER0 *given)
{
    DWORD error = take_weight(request, given);

    if (!given->displayData.name) {
        return FWP_E_NULL_DISPLAY_NAME;
    }
    if (is(&given->layerKey, &layer_connect4) || is(&given->layerKey, &layer_connect6)) {
        request->layers = is(&given->layerKey, &layer_connect4) ? FILTERS_CONNECT_V4 : FILTERS_CONNECT_V6;
    } else {
        return FWP_E_LAYER_NOT_FOUND; /* or one in which nothing is judged here */
    }
    if (given->action.type != FWP_ACTION_BLOCK && given->action.type != FWP_ACTION_PERMIT) {
        return FWP_E_INVALID_ACTION_TYPE; /* callouts are the kernel's */
    }
    if (given->numFilterConditions && !given->filterCondition) {
        return FWP_E_NULL_POINTER;
    }
    for (UINT32 i = 0; !error && i < given->numFilterConditions; i++) {
        error = take_condition(request, &given->filterCondition[i]);
    }
    return error;
}

DWORD WINAPI FwpmFilterAdd0(HANDLE engine, const FWPM_FILTER0 *given, PSECURITY_DESCRIPTOR sd, UINT64 *id)
{
    struct filters_request request = {.what = FILTERS_ADD_FILTER, .protocol = FILTERS_ANY_PROTOCOL};
    struct session *session = session_of(engine);
    DWORD error;

    if (!session || sd) {
        return session ? (DWORD)ERROR_CALL_NOT_IMPLEMENTED : (DWORD)FWP_E_INVALID_PARAMETER;
    }
    if (!given) {
        return FWP_E_NULL_POINTER;
    }
    if (given->flags & ~(UINT32)FILTER_FLAGS) {
        return FWP_E_INVALID_FLAGS;
    }
    if (given->flags & (FILTER_PERSISTENT | FILTER_BOOTTIME) && session->dynamic) {
        return FWP_E_LIFETIME_MISMATCH;
    }
    if (given->providerKey) {
        return FWP_E_PROVIDER_NOT_FOUND;
    }
    error = take_filter(&request, given);
    if (error) {
        return error;
    }
    key_or_new(request.key, &given->filterKey);
    memcpy(request.sublayer, &given->subLayerKey, sizeof(request.sublayer));
    request.block = given->action.type == FWP_ACTION_BLOCK;
    request.hard = (given->flags & FILTER_CLEAR_ACTION_RIGHT) != 0;
    error = ask(session, &request);
    if (!error && id) {
        *id = (UINT64)InterlockedIncrement64(&last_id);
    }
    return error;
}
