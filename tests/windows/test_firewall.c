/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The permit for packets that are sent on, with a filtering platform of the test's own: what it is asked, each of its
 * calls failing in turn, and one that does not answer. And the firewall's settings in the registry.
 */
#include <winsock2.h>

#include "check.h"
#include "windows/firewall_permit_internal.h"
#include "windows/firewall_profiles.h"

#include <stdatomic.h>
#include <string.h>

/* How the platform does, and what it has been asked. */
enum { FILTERS = 6 };
enum call { CALL_OPEN, CALL_BEGIN, CALL_SUBLAYER, CALL_FILTER, CALL_COMMIT = CALL_FILTER + FILTERS, CALL_CLOSE, CALLS };
static int fails = -1; /* enum call; -1: none */
static atomic_int calls[CALLS], sessions;
static HANDLE answers; /* not NULL: each call waits for it */
static struct {
    FWPM_SESSION0 session;
    FWPM_SUBLAYER0 sublayer;
    int count;
    struct {
        FWPM_FILTER0 filter;
        wchar_t application[8];
        UINT8 protocol;
        UINT32 flags;
    } filters[FILTERS];
} asked;

static const GUID connect4 = {0xc38d57d1, 0x05a7, 0x4c33, {0x90, 0x4f, 0x7f, 0xbc, 0xee, 0xe6, 0x0e, 0x82}};
static const GUID connect6 = {0x4a72393b, 0x319f, 0x44bc, {0x84, 0xc3, 0xba, 0x54, 0xdc, 0xb3, 0xb6, 0xb4}};
static const GUID field_application = {0xd78e1e87, 0x8644, 0x4ea5, {0x94, 0x37, 0xd8, 0x09, 0xec, 0xef, 0xc9, 0x71}};
static const GUID field_protocol = {0x3971ef2b, 0x623e, 0x4f9a, {0x8c, 0xb1, 0x6e, 0x79, 0xb8, 0x06, 0xb9, 0xa7}};
static const GUID field_flags = {0x632ce23b, 0x5167, 0x435c, {0x86, 0xd7, 0xe9, 0x03, 0x68, 0x4a, 0xa8, 0x0c}};

static DWORD result_of(enum call call)
{
    atomic_fetch_add(&calls[call], 1);
    if (answers) {
        WaitForSingleObject(answers, INFINITE);
    }
    return fails == (int)call ? ERROR_ACCESS_DENIED : ERROR_SUCCESS;
}

static DWORD WINAPI fake_open(const wchar_t *server, UINT32 authentication, SEC_WINNT_AUTH_IDENTITY_W *identity,
                              const FWPM_SESSION0 *session, HANDLE *engine)
{
    CHECK(!server && authentication == RPC_C_AUTHN_WINNT && !identity && session->displayData.name);
    asked.session = *session;
    DWORD result = result_of(CALL_OPEN);
    if (!result) {
        atomic_fetch_add(&sessions, 1);
        *engine = &sessions;
    }
    return result;
}

static DWORD WINAPI fake_close(HANDLE engine)
{
    CHECK(engine == &sessions);
    atomic_fetch_sub(&sessions, 1);
    return result_of(CALL_CLOSE);
}

static DWORD WINAPI fake_begin(HANDLE engine, UINT32 flags)
{
    CHECK(engine == &sessions && !flags);
    return result_of(CALL_BEGIN);
}

static DWORD WINAPI fake_commit(HANDLE engine)
{
    CHECK(engine == &sessions);
    return result_of(CALL_COMMIT);
}

static DWORD WINAPI fake_sublayer(HANDLE engine, const FWPM_SUBLAYER0 *sublayer, PSECURITY_DESCRIPTOR sd)
{
    UINT32 flags; /* have 32 bits on Windows, in mingw's header 16 and a gap */
    memcpy(&flags, &sublayer->flags, sizeof flags);
    CHECK(engine == &sessions && !sd && sublayer->displayData.name && !flags);
    asked.sublayer = *sublayer;
    return result_of(CALL_SUBLAYER);
}

static DWORD WINAPI fake_filter(HANDLE engine, const FWPM_FILTER0 *filter, PSECURITY_DESCRIPTOR sd, UINT64 *id)
{
    int i = asked.count++;
    CHECK(engine == &sessions && !sd && !id && filter->displayData.name && i < FILTERS);
    asked.filters[i].filter = *filter;
    for (UINT32 n = 0; n < filter->numFilterConditions; n++) {
        const FWPM_FILTER_CONDITION0 *condition = &filter->filterCondition[n];
        const FWP_CONDITION_VALUE0 *value = &condition->conditionValue;
        if (!memcmp(&condition->fieldKey, &field_application, sizeof field_application)) {
            CHECK(condition->matchType == FWP_MATCH_EQUAL && value->type == FWP_BYTE_BLOB_TYPE);
            CHECK(value->byteBlob->size == sizeof L"System");
            memcpy(asked.filters[i].application, value->byteBlob->data, sizeof L"System");
        } else if (!memcmp(&condition->fieldKey, &field_flags, sizeof field_flags)) {
            CHECK(condition->matchType == FWP_MATCH_FLAGS_ALL_SET && value->type == FWP_UINT32);
            asked.filters[i].flags = value->uint32;
        } else {
            CHECK(!memcmp(&condition->fieldKey, &field_protocol, sizeof field_protocol));
            CHECK(condition->matchType == FWP_MATCH_EQUAL && value->type == FWP_UINT8);
            asked.filters[i].protocol = value->uint8;
        }
    }
    return result_of(CALL_FILTER + i);
}

static const struct firewall_api fake = {fake_open, fake_close, fake_begin, fake_commit, fake_sublayer, fake_filter};

static struct firewall_permit *begin(void)
{
    memset(&asked, 0, sizeof asked);
    for (int i = 0; i < CALLS; i++) {
        atomic_store(&calls[i], 0);
    }
    return firewall_permit_begin_with(&fake);
}

static void permits_packets_that_are_sent_on_and_nothing_else(void)
{
    struct firewall_permit *p = begin();
    CHECK(firewall_permit_wait(p, INFINITE) == FIREWALL_PERMIT_HOLDS);
    CHECK(asked.session.flags == 1); /* dynamic: it goes with the session */
    CHECK(asked.session.txnWaitTimeoutInMSec);
    CHECK(asked.sublayer.weight == 0xffff && !asked.sublayer.flags && !asked.sublayer.providerKey);
    CHECK(asked.count == FILTERS);
    for (int i = 0; i < FILTERS; i++) {
        const FWPM_FILTER0 *filter = &asked.filters[i].filter;
        bool raw = i >= 2; /* which only raw endpoints may: not the connections of System itself */
        CHECK(!memcmp(&filter->layerKey, i % 2 ? &connect6 : &connect4, sizeof filter->layerKey));
        CHECK(filter->action.type == FWP_ACTION_PERMIT);
        CHECK(filter->flags == 0x8); /* hard: a firewall with less weight cannot override it */
        CHECK(filter->numFilterConditions == (raw ? 3 : 2));
        CHECK(!wcscmp(asked.filters[i].application, L"System"));
        CHECK(asked.filters[i].protocol == (i >= 4 ? 17 : raw ? 6 : 255));
        CHECK(asked.filters[i].flags == (raw ? 0x10 : 0));
        CHECK(!memcmp(&filter->subLayerKey, &asked.sublayer.subLayerKey, sizeof filter->subLayerKey));
    }
    CHECK(calls[CALL_BEGIN] == 1 && calls[CALL_COMMIT] == 1 && calls[CALL_CLOSE] == 0);
    firewall_permit_end(p, INFINITE);
    CHECK(sessions == 0 && calls[CALL_CLOSE] == 1);
}

static void two_permits_have_sublayers_of_their_own(void)
{
    struct firewall_permit *first = begin();
    CHECK(firewall_permit_wait(first, INFINITE) == FIREWALL_PERMIT_HOLDS);
    GUID key = asked.sublayer.subLayerKey;
    struct firewall_permit *second = begin();
    CHECK(firewall_permit_wait(second, INFINITE) == FIREWALL_PERMIT_HOLDS);
    CHECK(memcmp(&key, &asked.sublayer.subLayerKey, sizeof key));
    firewall_permit_end(first, INFINITE);
    CHECK(sessions == 1 && firewall_permit_wait(second, 0) == FIREWALL_PERMIT_HOLDS);
    firewall_permit_end(second, INFINITE);
    CHECK(sessions == 0);
}

static void says_which_call_failed_and_leaves_nothing_open(void)
{
    static const char *const names[] = {
        "FwpmEngineOpen0", "FwpmTransactionBegin0", "FwpmSubLayerAdd0", "FwpmFilterAdd0", "FwpmFilterAdd0",
        "FwpmFilterAdd0",  "FwpmFilterAdd0",        "FwpmFilterAdd0",   "FwpmFilterAdd0", "FwpmTransactionCommit0"};
    for (fails = 0; fails < CALL_CLOSE; fails++) {
        uint32_t code = 0;
        struct firewall_permit *p = begin();
        CHECK(firewall_permit_wait(p, INFINITE) == FIREWALL_PERMIT_FAILED);
        CHECK(!strcmp(firewall_permit_failure(p, &code), names[fails]));
        CHECK(code == ERROR_ACCESS_DENIED);
        CHECK(sessions == 0 && calls[CALL_CLOSE] == (fails != CALL_OPEN));
        CHECK(fails == CALL_COMMIT || calls[CALL_COMMIT] == 0);
        firewall_permit_end(p, INFINITE);
    }
    fails = -1;
}

/* The calls hang one after the other; nobody waits for them, and the session is closed once they return. */
static void a_platform_that_does_not_answer_holds_up_nobody(void)
{
    answers = CreateEventW(NULL, FALSE, FALSE, NULL);
    struct firewall_permit *p = begin();
    CHECK(firewall_permit_wait(p, 20) == FIREWALL_PERMIT_WAITS);
    firewall_permit_end(p, 0); /* left to its thread, of which nobody can ask any more */
    while (!calls[CALL_CLOSE]) {
        SetEvent(answers);
        Sleep(0);
    }
    CHECK(calls[CALL_COMMIT] == 1 && sessions == 0);
    SetEvent(answers); /* for the close itself */

    p = begin();
    while (firewall_permit_wait(p, 0) == FIREWALL_PERMIT_WAITS) { /* late, but it comes */
        SetEvent(answers);
        Sleep(0);
    }
    CHECK(firewall_permit_wait(p, 0) == FIREWALL_PERMIT_HOLDS);
    firewall_permit_end(p, 20); /* the close hangs */
    while (!calls[CALL_CLOSE]) {
        Sleep(0);
    }
    CHECK(sessions == 0);
    SetEvent(answers);
    answers = NULL;
}

/*
 * run.sh has put a DLL of the name, with none of its functions, beside this program. Those of the system are found; Wine's
 * refuse to open a session.
 */
static void planted_fwpuclnt_is_not_loaded(void)
{
    wchar_t path[MAX_PATH] = L"", system[MAX_PATH];
    uint32_t code = 0;
    struct firewall_permit *p = firewall_permit_begin();
    if (firewall_permit_wait(p, INFINITE) == FIREWALL_PERMIT_FAILED) {
        CHECK(!strcmp(firewall_permit_failure(p, &code), "FwpmEngineOpen0"));
        CHECK(code != ERROR_PROC_NOT_FOUND);
    }
    UINT length = GetSystemDirectoryW(system, MAX_PATH);
    GetModuleFileNameW(GetModuleHandleW(L"fwpuclnt.dll"), path, MAX_PATH);
    CHECK(_wcsnicmp(path, system, length) == 0 && path[length] == L'\\');
    firewall_permit_end(p, INFINITE);
    firewall_permit_end(NULL, 0);
}

/* ---- profiles */

#define LOCAL L"SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\"
#define POLICY L"SOFTWARE\\Policies\\Microsoft\\WindowsFirewall"

static void set(const wchar_t *key, const wchar_t *name, DWORD value)
{
    CHECK(RegSetKeyValueW(HKEY_LOCAL_MACHINE, key, name, REG_DWORD, &value, sizeof value) == ERROR_SUCCESS);
}

static void forget(void)
{
    RegDeleteTreeW(HKEY_LOCAL_MACHINE, POLICY);
    RegDeleteTreeW(HKEY_LOCAL_MACHINE, LOCAL L"DomainProfile");
    RegDeleteTreeW(HKEY_LOCAL_MACHINE, LOCAL L"StandardProfile");
    RegDeleteTreeW(HKEY_LOCAL_MACHINE, LOCAL L"PublicProfile");
}

static bool profile_is(int i, const char *name, bool on, bool blocks, bool by_policy)
{
    struct firewall_profile all[FIREWALL_PROFILES];
    firewall_profiles_read(all);
    return !strcmp(all[i].name, name) && all[i].on == on && all[i].blocks_outbound == blocks &&
           all[i].by_policy == by_policy;
}

static void reads_the_profiles(void)
{
    forget();
    CHECK(profile_is(0, "domain", true, false, false)); /* as Windows begins */
    set(LOCAL L"StandardProfile", L"DefaultOutboundAction", 1);
    CHECK(profile_is(1, "private", true, true, false));
    set(LOCAL L"StandardProfile", L"EnableFirewall", 0);
    CHECK(profile_is(1, "private", false, false, false)); /* off, it blocks nothing */
    set(POLICY L"\\PrivateProfile", L"EnableFirewall", 1);
    CHECK(profile_is(1, "private", true, true, false));
    set(POLICY L"\\PublicProfile", L"DefaultOutboundAction", 1);
    CHECK(profile_is(2, "public", true, true, true));
    set(LOCAL L"DomainProfile", L"DefaultOutboundAction", 1);
    set(POLICY L"\\DomainProfile", L"DefaultOutboundAction", 0);
    CHECK(profile_is(0, "domain", true, false, false)); /* policy wins */
    set(POLICY L"\\StandardProfile", L"DefaultOutboundAction", 0);
    CHECK(profile_is(1, "private", true, false, false)); /* one that was written for Windows XP */
    forget();
}

int main(void)
{
    RUN(permits_packets_that_are_sent_on_and_nothing_else);
    RUN(two_permits_have_sublayers_of_their_own);
    RUN(says_which_call_failed_and_leaves_nothing_open);
    RUN(a_platform_that_does_not_answer_holds_up_nobody);
    RUN(planted_fwpuclnt_is_not_loaded);
    RUN(reads_the_profiles);
    return checks_done();
}
