/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Opening, parameters and the error codes of calls that are refused.
 */
#include "net.h"

static void test_open(void)
{
    static const struct {
        const char *name, *filter;
        int layer, priority;
        uint64_t flags;
        DWORD error; /* 0: must open */
    } cases[] = {
        {"open true", "true", LAYER_NETWORK, 0, FLAG_SNIFF, 0},
        {"open false send-only", "false", LAYER_NETWORK, 0, FLAG_SEND_ONLY, 0},
        {"open socket layer", "tcp", LAYER_SOCKET, 0, FLAG_SNIFF | FLAG_RECV_ONLY, 0},
        {"open highest priority", "false", LAYER_NETWORK, PRIORITY_LIMIT, 0, 0},
        {"open lowest priority", "false", LAYER_NETWORK, -PRIORITY_LIMIT, 0, 0},
        {"open syntax error", "tcp and", LAYER_NETWORK, 0, 0, 87},
        {"open processId on packets", "processId == 4", LAYER_NETWORK, 0, 0, 87},
        {"open unknown layer", "true", 5, 0, 0, 87},
        {"open unknown flag", "false", LAYER_NETWORK, 0, 0x8000, 87},
        {"open sniff with drop", "false", LAYER_NETWORK, 0, FLAG_SNIFF | FLAG_DROP, 87},
        {"open neither direction", "false", LAYER_NETWORK, 0, FLAG_RECV_ONLY | FLAG_SEND_ONLY, 87},
        {"open priority too high", "false", LAYER_NETWORK, PRIORITY_LIMIT + 1, 0, 87},
        {"open priority too low", "false", LAYER_NETWORK, -PRIORITY_LIMIT - 1, 0, 87},
        {"open socket layer for sending", "tcp", LAYER_SOCKET, 0, FLAG_SNIFF, 87},
        {"open flow layer without sniff", "tcp", LAYER_FLOW, 0, FLAG_RECV_ONLY, 87},
        {"open flow layer for sending", "tcp", LAYER_FLOW, 0, FLAG_SNIFF, 87},
        {"open reflect layer without sniff", "true", LAYER_REFLECT, 0, FLAG_RECV_ONLY, 87},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        HANDLE h = WinDivertOpen(cases[i].filter, cases[i].layer, (int16_t)cases[i].priority, cases[i].flags);
        bool opened = h != INVALID_HANDLE_VALUE && h != NULL;

        if (cases[i].error) {
            check_error(cases[i].name, opened, cases[i].error);
        } else {
            check_success(cases[i].name, opened);
        }
        if (opened) {
            WinDivertClose(h);
        }
    }
}

/* A filter that compiles to exactly n tests and matches nothing that exists. */
static char *filter_of(int n)
{
    char *text = malloc((size_t)n * 32), *at = text;

    for (int i = 0; i < n; i++) {
        at += sprintf(at, "%stcp.SrcPort == %d", i ? " or " : "", i + 1);
    }
    return text;
}

static void test_filter_limit(void)
{
    char *longest = filter_of(255), *too_long = filter_of(256);
    HANDLE h = WinDivertOpen(longest, LAYER_NETWORK, 0, FLAG_SNIFF);

    check_success("filter of 255 tests", h != INVALID_HANDLE_VALUE);
    WinDivertClose(h);
    check_success("filter of 256 tests compiles",
                  WinDivertHelperCompileFilter(too_long, LAYER_NETWORK, NULL, 0, NULL, NULL));
    h = WinDivertOpen(too_long, LAYER_NETWORK, 0, FLAG_SNIFF);
    check_error("filter of 256 tests does not open", h != INVALID_HANDLE_VALUE, 87);
    free(longest);
    free(too_long);
}

static void test_params(void)
{
    static const struct {
        const char *name;
        int param;
        uint64_t initial, minimum, maximum;
    } cases[] = {
        {"queue length", PARAM_QUEUE_LENGTH, 4096, 32, 16384},
        {"queue time", PARAM_QUEUE_TIME, 2000, 100, 16000},
        {"queue size", PARAM_QUEUE_SIZE, 4194304, 65535, 33554432},
    };
    HANDLE h = open_or_exit("false", LAYER_NETWORK, 0, 0);
    char name[80];
    uint64_t value;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int param = cases[i].param;
        const uint64_t limits[] = {cases[i].minimum, cases[i].maximum};
        const uint64_t outside[] = {cases[i].minimum - 1, cases[i].maximum + 1};

        value = 0;
        WinDivertGetParam(h, param, &value);
        sprintf(name, "%s default", cases[i].name);
        check_equal(name, value, cases[i].initial);
        for (int k = 0; k < 2; k++) {
            sprintf(name, "%s %s", cases[i].name, k ? "maximum" : "minimum");
            WinDivertSetParam(h, param, limits[k]);
            WinDivertGetParam(h, param, &value);
            check_equal(name, value, limits[k]);
            sprintf(name, "%s beyond %s", cases[i].name, k ? "maximum" : "minimum");
            check_error(name, WinDivertSetParam(h, param, outside[k]), 87);
        }
    }
    WinDivertGetParam(h, PARAM_VERSION_MAJOR, &value);
    check_equal("version major", value, 2);
    WinDivertGetParam(h, PARAM_VERSION_MINOR, &value);
    check_equal("version minor", value, 2);
    check_error("version is read-only", WinDivertSetParam(h, PARAM_VERSION_MAJOR, 2), 87);
    check_error("unknown parameter", WinDivertGetParam(h, 5, &value), 87);
    WinDivertClose(h);
}

static void test_refused_receives(void)
{
    static struct packet p;
    static struct windivert_address addrs[BATCH_MAX + 1];
    HANDLE h = open_or_exit("false", LAYER_NETWORK, 0, 0);
    HANDLE sender = open_or_exit("false", LAYER_NETWORK, 0, FLAG_SEND_ONLY);
    unsigned addr_len = sizeof *addrs - 1;

    check_error("receive on a send-only handle", receive(sender, &p, PATIENCE_MS), 87);
    check_error("receive with a short address array",
                WinDivertRecvEx(h, p.data, sizeof p.data, NULL, 0, addrs, &addr_len, NULL), 87);
    addr_len = sizeof addrs;
    check_error("receive with 256 addresses",
                WinDivertRecvEx(h, p.data, sizeof p.data, NULL, 0, addrs, &addr_len, NULL), 87);
    addr_len = sizeof *addrs;
    check_error("receive with flags", WinDivertRecvEx(h, p.data, sizeof p.data, NULL, 1, addrs, &addr_len, NULL), 87);
    check_error("receive with a bad address pointer",
                WinDivertRecvEx(h, p.data, sizeof p.data, NULL, 0, (void *)(uintptr_t)0x10000008, &addr_len, NULL),
                998);
    WinDivertClose(h);
    WinDivertClose(sender);
}

static void test_refused_sends(void)
{
    static struct packet p, bad;
    static struct windivert_address addrs[BATCH_MAX + 1];
    HANDLE h = open_or_exit("false", LAYER_NETWORK, 0, 0);
    HANDLE reader = open_or_exit("false", LAYER_NETWORK, 0, FLAG_RECV_ONLY);
    HANDLE events = open_or_exit("false", LAYER_SOCKET, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    BOOL sent;
    DWORD error;

    net_segment(&p, CLIENT4, 40000, SERVER4, 9, 1, TCP_ACK);
    addrs[0] = addrs[1] = p.addr;
    check_error("send on a receive-only handle", net_send(reader, &p), 87);
    check_error("send on the socket layer", net_send(events, &p), 87);
    check_error("send with flags", WinDivertSendEx(h, p.data, p.len, NULL, 1, addrs, sizeof *addrs, NULL), 87);
    check_error("send with a short address array",
                WinDivertSendEx(h, p.data, p.len, NULL, 0, addrs, sizeof *addrs - 1, NULL), 87);
    check_error("send with 256 addresses", WinDivertSendEx(h, p.data, p.len, NULL, 0, addrs, sizeof addrs, NULL), 87);
    check_error("send with an address too many",
                WinDivertSendEx(h, p.data, p.len, NULL, 0, addrs, 2 * sizeof *addrs, NULL), 122);
    bad = p;
    bad.len--;
    check_error("send a truncated packet", net_send(h, &bad), 122);
    bad = p;
    bad.data[0] = 0x55;
    check_error("send a packet of version 5", net_send(h, &bad), 87);
    bad = p;
    bad.addr.impostor = 1;
    bad.data[8] = 1;
    WinDivertHelperCalcChecksums(bad.data, bad.len, &bad.addr, 0);
    sent = net_send(h, &bad);
    error = GetLastError();
    /* 1232 on Windows; Wine translates the driver's status to 317 */
    check("send an impostor with TTL 1", !sent && (error == 1232 || error == 317), "%s, error %lu",
          sent ? "sent" : "not sent", error);
    check_success("send a good packet", net_send(h, &p));
    WinDivertClose(h);
    WinDivertClose(reader);
    WinDivertClose(events);
}

int main(void)
{
    net_start();
    test_open();
    test_filter_limit();
    test_params();
    test_refused_receives();
    test_refused_sends();
    return check_failures != 0;
}
