/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The filtering platform as programs have it (fwpuclnt.dll), and a firewall that blocks outbound connections:
 *
 *   api       what the functions refuse, transactions, sessions
 *   unseen    the firewall prevents this program's connection before the driver sees anything of it
 *   sent-on   which filters let a packet out that the driver has injected ("System", protocol 255), which do not
 */
#include "net.h"

#include <fwpmu.h>

enum { SESSION_DYNAMIC = 1, HARD = 8, INJECTED = 255, FIRST_HOPS = 100 };

static const GUID connect4 = {0xc38d57d1, 0x05a7, 0x4c33, {0x90, 0x4f, 0x7f, 0xbc, 0xee, 0xe6, 0x0e, 0x82}};
static const GUID connect6 = {0x4a72393b, 0x319f, 0x44bc, {0x84, 0xc3, 0xba, 0x54, 0xdc, 0xb3, 0xb6, 0xb4}};
static const GUID field_application = {0xd78e1e87, 0x8644, 0x4ea5, {0x94, 0x37, 0xd8, 0x09, 0xec, 0xef, 0xc9, 0x71}};
static const GUID field_protocol = {0x3971ef2b, 0x623e, 0x4f9a, {0x8c, 0xb1, 0x6e, 0x79, 0xb8, 0x06, 0xb9, 0xa7}};
static const GUID field_flags = {0x632ce23b, 0x5167, 0x435c, {0x86, 0xd7, 0xe9, 0x03, 0x68, 0x4a, 0xa8, 0x0c}};
static const GUID unknown = {1, 2, 3, {4}};

static DWORD(WINAPI *engine_open)(const wchar_t *, UINT32, SEC_WINNT_AUTH_IDENTITY_W *, const FWPM_SESSION0 *,
                                  HANDLE *);
static DWORD(WINAPI *engine_close)(HANDLE);
static DWORD(WINAPI *begin)(HANDLE, UINT32);
static DWORD(WINAPI *commit)(HANDLE);
static DWORD(WINAPI *abort_)(HANDLE);
static DWORD(WINAPI *sublayer_add)(HANDLE, const FWPM_SUBLAYER0 *, PSECURITY_DESCRIPTOR);
static DWORD(WINAPI *filter_add)(HANDLE, const FWPM_FILTER0 *, PSECURITY_DESCRIPTOR, UINT64 *);

static void load(void)
{
    HMODULE module = LoadLibraryExW(L"C:\\windows\\system32\\fwpuclnt.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC found;

    require("fwpuclnt.dll", module != NULL);
#define FUNCTION(name, pointer)                                                                                        \
    found = GetProcAddress(module, name);                                                                              \
    require(name, found != NULL);                                                                                      \
    memcpy(&(pointer), &found, sizeof found)
    FUNCTION("FwpmEngineOpen0", engine_open);
    FUNCTION("FwpmEngineClose0", engine_close);
    FUNCTION("FwpmTransactionBegin0", begin);
    FUNCTION("FwpmTransactionCommit0", commit);
    FUNCTION("FwpmTransactionAbort0", abort_);
    FUNCTION("FwpmSubLayerAdd0", sublayer_add);
    FUNCTION("FwpmFilterAdd0", filter_add);
#undef FUNCTION
}

/* What a function has returned; the constants of the platform's errors are signed. */
static void check_code(const char *name, DWORD got, DWORD want)
{
    check_equal(name, got, want);
}

static HANDLE session(UINT32 flags)
{
    FWPM_SESSION0 given = {.flags = flags};
    HANDLE engine = NULL;

    check_code("a session opens", engine_open(NULL, RPC_C_AUTHN_WINNT, NULL, &given, &engine), 0);
    return engine;
}

static FWPM_SUBLAYER0 sublayer_of(unsigned long key, UINT16 weight)
{
    return (FWPM_SUBLAYER0){.subLayerKey = {key}, .displayData.name = L"test", .weight = weight};
}

/* A hard permit for what a driver injects. Its parts stay valid until the next. */
static FWPM_FILTER0 filter_of(unsigned long sublayer)
{
    static wchar_t system[] = L"System";
    static FWP_BYTE_BLOB blob;
    static FWPM_FILTER_CONDITION0 conditions[2];

    blob = (FWP_BYTE_BLOB){sizeof system, (UINT8 *)system};
    conditions[0] = (FWPM_FILTER_CONDITION0){.fieldKey = field_application,
                                             .conditionValue = {.type = FWP_BYTE_BLOB_TYPE, .byteBlob = &blob}};
    conditions[1] =
        (FWPM_FILTER_CONDITION0){.fieldKey = field_protocol, .conditionValue = {.type = FWP_UINT8, .uint8 = INJECTED}};
    return (FWPM_FILTER0){
        .displayData.name = L"test",
        .flags = HARD,
        .layerKey = connect4,
        .subLayerKey = {sublayer},
        .numFilterConditions = 2,
        .filterCondition = conditions,
        .action.type = FWP_ACTION_PERMIT,
    };
}

static void refused_filter(const char *why, HANDLE engine, const FWPM_FILTER0 *filter, DWORD error)
{
    check_code(why, filter_add(engine, filter, NULL, NULL), error);
}

static void check_filter_refusals(HANDLE engine)
{
    FWPM_FILTER0 filter = filter_of(1);
    UINT64 id = 0;

    check_code("a filter is added", filter_add(engine, &filter, NULL, &id), 0);
    check("it has a number", id != 0, "none");
    check_code("a second one, too: both get keys", filter_add(engine, &filter, NULL, NULL), 0);
    filter.filterKey = (GUID){7, 0, 0, {0}};
    check_code("one with a key", filter_add(engine, &filter, NULL, NULL), 0);
    refused_filter("the same key again", engine, &filter, FWP_E_ALREADY_EXISTS);
    refused_filter("no filter", engine, NULL, FWP_E_NULL_POINTER);
    refused_filter("no session", NULL, &filter, FWP_E_INVALID_PARAMETER);
#define CHANGED(why, change, error)                                                                                    \
    filter = filter_of(1);                                                                                             \
    change;                                                                                                            \
    refused_filter(why, engine, &filter, error)
    CHANGED("no name", filter.displayData.name = NULL, FWP_E_NULL_DISPLAY_NAME);
    CHANGED("no such layer", filter.layerKey = unknown, FWP_E_LAYER_NOT_FOUND);
    CHANGED("no such sublayer", filter.subLayerKey = unknown, FWP_E_SUBLAYER_NOT_FOUND);
    CHANGED("no such action", filter.action.type = 99, FWP_E_INVALID_ACTION_TYPE);
    CHANGED("unknown flags", filter.flags = 0x80000000, FWP_E_INVALID_FLAGS);
    CHANGED("persistent in a dynamic session", filter.flags = 1, FWP_E_LIFETIME_MISMATCH);
    CHANGED("a weight range above 15", (filter.weight.type = FWP_UINT8, filter.weight.uint8 = 16),
            FWP_E_INVALID_WEIGHT);
    CHANGED("a weight of another type", filter.weight.type = FWP_UINT32, FWP_E_INVALID_WEIGHT);
    CHANGED("no conditions where there should be", filter.filterCondition = NULL, FWP_E_NULL_POINTER);
    CHANGED("an unknown field", filter.filterCondition[0].fieldKey = unknown, FWP_E_CONDITION_NOT_FOUND);
    CHANGED("a protocol of 16 bits", filter.filterCondition[1].conditionValue.type = FWP_UINT16, FWP_E_TYPE_MISMATCH);
    CHANGED("an application that is no blob", filter.filterCondition[0].conditionValue.type = FWP_UINT8,
            FWP_E_TYPE_MISMATCH);
    CHANGED("no blob", filter.filterCondition[0].conditionValue.byteBlob = NULL, FWP_E_NULL_POINTER);
    CHANGED("flags that are equal, not set", (filter.filterCondition[1].fieldKey = field_flags),
            FWP_E_MATCH_TYPE_MISMATCH);
    CHANGED("flags of 8 bits",
            (filter.filterCondition[1].fieldKey = field_flags,
             filter.filterCondition[1].matchType = FWP_MATCH_FLAGS_ALL_SET),
            FWP_E_TYPE_MISMATCH);
    CHANGED("no such match", filter.filterCondition[0].matchType = FWP_MATCH_TYPE_MAX, FWP_E_MATCH_TYPE_MISMATCH);
#undef CHANGED
}

static void test_api(void)
{
    FWPM_SUBLAYER0 sublayer = sublayer_of(1, 0xffff);
    FWPM_SESSION0 wrong = {.flags = 2};
    HANDLE engine = NULL, other;

    check_code("no place for the handle", engine_open(NULL, RPC_C_AUTHN_WINNT, NULL, NULL, NULL), FWP_E_NULL_POINTER);
    check_code("another authentication", engine_open(NULL, 77, NULL, NULL, &engine), FWP_E_INVALID_PARAMETER);
    check_code("another machine", engine_open(L"x", RPC_C_AUTHN_WINNT, NULL, NULL, &engine), FWP_E_INVALID_PARAMETER);
    check_code("unknown flags of a session", engine_open(NULL, RPC_C_AUTHN_WINNT, NULL, &wrong, &engine),
               FWP_E_INVALID_FLAGS);
    check_code("closing nothing", engine_close(NULL), FWP_E_INVALID_PARAMETER);
    engine = session(SESSION_DYNAMIC);
    check_code("commit without begin", commit(engine), FWP_E_NO_TXN_IN_PROGRESS);
    check_code("begin", begin(engine, 0), 0);
    check_code("begin again", begin(engine, 0), FWP_E_TXN_IN_PROGRESS);
    check_code("a sublayer", sublayer_add(engine, &sublayer, NULL), 0);
    check_code("abort", abort_(engine), 0);
    check_code("the sublayer again", sublayer_add(engine, &sublayer, NULL), 0);
    check_code("and again", sublayer_add(engine, &sublayer, NULL), FWP_E_ALREADY_EXISTS);
    sublayer.displayData.name = NULL;
    check_code("one without a name", sublayer_add(engine, &sublayer, NULL), FWP_E_NULL_DISPLAY_NAME);
    sublayer = sublayer_of(2, 0);
    sublayer.flags = 1;
    check_code("a persistent one in a dynamic session", sublayer_add(engine, &sublayer, NULL), FWP_E_LIFETIME_MISMATCH);
    check_filter_refusals(engine);
    other = session(SESSION_DYNAMIC);
    sublayer = sublayer_of(1, 0xffff);
    check_code("another session cannot have its key", sublayer_add(other, &sublayer, NULL), FWP_E_ALREADY_EXISTS);
    check_code("close", engine_close(engine), 0);
    check_code("it went with its session", sublayer_add(other, &sublayer, NULL), 0);
    engine_close(other);
}

/* ---- what the firewall does */

static struct packet got;

static void test_unseen(const char *server)
{
    HANDLE sniff = open_or_exit("tcp and event == CONNECT", LAYER_SOCKET, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    struct sockaddr_storage a;
    int len = net_address(server, ECHO_PORT, &a), result;
    SOCKET s = socket(a.ss_family, SOCK_STREAM, 0);

    result = connect(s, (void *)&a, len);
    check("the connection is prevented", result && WSAGetLastError() == WSAEACCES, "error %d", WSAGetLastError());
    closesocket(s);
    check_nothing_queued("and the driver has seen nothing of it", sniff);
    WinDivertClose(sniff);
}

struct variant {
    const char *name;
    UINT16 weight; /* of the sublayer; 0: no filter at all */
    UINT32 flags;  /* of the filter */
    UINT8 protocol;
    bool system, block, leaves;
};

/* With the filter of the variant in force. NULL: there is none. */
static HANDLE put(const struct variant *v, bool ipv6)
{
    static wchar_t other[] = L"\\device\\harddiskvolume1\\other.exe";
    FWPM_SUBLAYER0 sublayer = sublayer_of(1, v->weight);
    FWPM_FILTER0 filter = filter_of(1);
    HANDLE engine;

    if (!v->weight) {
        return NULL;
    }
    engine = session(SESSION_DYNAMIC);
    filter.layerKey = ipv6 ? connect6 : connect4;
    filter.flags = v->flags;
    filter.action.type = v->block ? FWP_ACTION_BLOCK : FWP_ACTION_PERMIT;
    filter.filterCondition[1].conditionValue.uint8 = v->protocol;
    if (!v->system) {
        *filter.filterCondition[0].conditionValue.byteBlob = (FWP_BYTE_BLOB){sizeof other, (UINT8 *)other};
    }
    check_code("begin", begin(engine, 0), 0);
    check_code("sublayer", sublayer_add(engine, &sublayer, NULL), 0);
    check_code("filter", filter_add(engine, &filter, NULL, NULL), 0);
    check_code("commit", commit(engine), 0);
    return engine;
}

/* One SYN is sent on under each variant; a handle below sees those that the firewall lets by, in order. */
static void test_sent_on(const char *server, bool ipv6)
{
    static const struct variant variants[] = {
        {"without a filter", 0, 0, 0, false, false, false},
        {"a soft permit", 0xffff, 0, INJECTED, true, false, false},
        {"a permit for TCP", 0xffff, HARD, IPPROTO_TCP, true, false, false},
        {"a permit for another program", 0xffff, HARD, INJECTED, false, false, false},
        {"a permit beneath the firewall", 1, HARD, INJECTED, true, false, false},
        {"a block", 0xffff, HARD, INJECTED, true, true, false},
        {"a hard permit above it", 0xffff, HARD, INJECTED, true, false, true},
    };
    const char *syn = "outbound and tcp.Syn and not tcp.Ack and tcp.DstPort == 8000";
    HANDLE h = open_or_exit(syn, LAYER_NETWORK, 0, 0), low = open_or_exit(syn, LAYER_NETWORK, -10, FLAG_SNIFF), engine;
    SOCKET s = net_connect_begin(server, ECHO_PORT);

    require("the SYN", receive(h, &got, PATIENCE_MS));
    WinDivertShutdown(h, SHUTDOWN_RECV); /* its repetitions are nobody's */
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        struct packet packet = got;

        engine = put(&variants[i], ipv6);
        packet.data[ipv6 ? 7 : 8] = (uint8_t)(FIRST_HOPS + i); /* hop limit: tells which one it is */
        packet.addr.ip_checksum = 0;
        check_success(variants[i].name, WinDivertSend(h, packet.data, packet.len, NULL, &packet.addr));
        if (variants[i].leaves) {
            do {
                require("what was let by", receive(low, &packet, PATIENCE_MS));
            } while (packet.data[ipv6 ? 7 : 8] < FIRST_HOPS); /* the system's own repetitions */
            check_equal("it is the first that was let by", packet.data[ipv6 ? 7 : 8], FIRST_HOPS + i);
        }
        if (engine) {
            engine_close(engine);
        }
    }
    closesocket(s);
    WinDivertClose(low);
    WinDivertClose(h);
}

int main(int argc, char **argv)
{
    const char *role = argc > 1 ? argv[1] : "";

    net_start();
    load();
    if (!strcmp(role, "api")) {
        test_api();
    } else if (!strcmp(role, "unseen")) {
        test_unseen(SERVER4);
        test_unseen(SERVER6);
    } else if (!strcmp(role, "sent-on")) {
        test_sent_on(SERVER4, false);
        test_sent_on(SERVER6, true);
    } else {
        printf("FAIL role: api, unseen or sent-on\n");
    }
    return check_failures != 0;
}
