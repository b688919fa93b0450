/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The REFLECT layer: "OPEN replayed for every existing non-REFLECT handle (once, at REFLECT open), then
 * live OPEN and CLOSE; REFLECT handles are never reported. Data is the serialised filter, NUL included"
 * and the same text as WinDivertHelperCompileFilter gives.
 */
#include "child.h"

static struct packet got;
static HANDLE reflections;

static void expect(const char *name, int event, int layer, int priority, uint64_t flags, const char *filter)
{
    static char text[65536];
    bool good = receive(reflections, &got, PATIENCE_MS);
    const struct windivert_address *a = &got.addr;

    require("compiling", WinDivertHelperCompileFilter(filter, layer, text, sizeof text, NULL, NULL));
    check(name,
          good && a->layer == LAYER_REFLECT && a->event == event && a->sniffed && a->reflect.layer == (uint32_t)layer &&
              a->reflect.priority == priority && a->reflect.flags == flags,
          "received %d event %u layer %u priority %d flags %llx", good, a->event, a->reflect.layer, a->reflect.priority,
          (unsigned long long)a->reflect.flags);
    check(name, got.len == strlen(text) + 1 && !memcmp(got.data, text, got.len), "%u bytes: %.100s, expected %s",
          got.len, (char *)got.data, text);
}

/* The text of every kind of argument. */
static void test_texts(void)
{
    static const char *const filters[] = {
        "true",
        "false",
        "outbound and ip and tcp.DstPort == 80",
        "(tcp ? outbound : inbound)",
        "ip.DstAddr >= 10.0.0.0 or ipv6.SrcAddr == 2001:db8::1",
        "packet[3] == 7 or packet32[-100] == 4294967295 or tcp.Payload16[2] != 30",
        "timestamp > -5 or localAddr == 10.0.0.1 or remoteAddr == ::1 or random16 < 1024",
        "udp and (udp.DstPort == 53 or udp.DstPort == 65535 or udp.DstPort == 31)",
    };

    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        HANDLE h = open_or_exit(filters[i], LAYER_NETWORK, (int16_t)i, FLAG_SNIFF | FLAG_RECV_ONLY);

        expect(filters[i], EVENT_REFLECT_OPEN, LAYER_NETWORK, (int)i, FLAG_SNIFF | FLAG_RECV_ONLY, filters[i]);
        WinDivertClose(h);
        expect(filters[i], EVENT_REFLECT_CLOSE, LAYER_NETWORK, (int)i, FLAG_SNIFF | FLAG_RECV_ONLY, filters[i]);
    }
}

/* A handle of its own until its input ends. */
static int role_open(void)
{
    HANDLE h = open_or_exit("tcp", LAYER_NETWORK, 7, FLAG_SNIFF);
    char byte;
    DWORD n;

    ReadFile(GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &n, NULL);
    WinDivertClose(h);
    return 0;
}

int main(int argc, char **argv)
{
    HANDLE before = open_or_exit("udp", LAYER_NETWORK, -300, FLAG_SNIFF), other, filtered;
    struct child c;

    net_start();
    child_program = argv[0];
    if (argc > 1 && !strcmp(argv[1], "open")) {
        WinDivertClose(before);
        return role_open();
    }
    reflections = open_or_exit("true", LAYER_REFLECT, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    expect("what was open before is told", EVENT_REFLECT_OPEN, LAYER_NETWORK, -300, FLAG_SNIFF, "udp");
    check_equal("with the process that opened it", got.addr.reflect.process_id, GetCurrentProcessId());
    check("and when", got.addr.reflect.timestamp > 0 && got.addr.reflect.timestamp < got.addr.timestamp,
          "%lld, told %lld", (long long)got.addr.reflect.timestamp, (long long)got.addr.timestamp);
    other = open_or_exit("true", LAYER_REFLECT, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    filtered = open_or_exit("event == CLOSE and priority == -300", LAYER_REFLECT, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    WinDivertClose(other);
    WinDivertClose(before);
    expect("closing is told, and of REFLECT handles nothing", EVENT_REFLECT_CLOSE, LAYER_NETWORK, -300, FLAG_SNIFF,
           "udp");
    before = open_or_exit("event == CONNECT", LAYER_SOCKET, 5, FLAG_SNIFF | FLAG_RECV_ONLY);
    expect("an event handle", EVENT_REFLECT_OPEN, LAYER_SOCKET, 5, FLAG_SNIFF | FLAG_RECV_ONLY, "event == CONNECT");
    WinDivertClose(before);
    expect("and its end", EVENT_REFLECT_CLOSE, LAYER_SOCKET, 5, FLAG_SNIFF | FLAG_RECV_ONLY, "event == CONNECT");
    test_texts();
    child_start(&c, "open");
    for (int i = 0; i < 2; i++) {
        require("the child's first handle", receive(reflections, &got, PATIENCE_MS));
    }
    expect("another process' handle", EVENT_REFLECT_OPEN, LAYER_NETWORK, 7, FLAG_SNIFF, "tcp");
    check_equal("names that process", got.addr.reflect.process_id, c.info.dwProcessId);
    child_end(&c);
    expect("also at its end", EVENT_REFLECT_CLOSE, LAYER_NETWORK, 7, FLAG_SNIFF, "tcp");
    check_nothing_queued("and that was all", reflections);
    check_success("a filter on reflections", receive(filtered, &got, PATIENCE_MS));
    check_equal("gets what it asks for", (uint16_t)got.addr.reflect.priority, (uint16_t)-300);
    WinDivertClose(filtered);
    return check_failures != 0;
}
