/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Replacing a handle by another while traffic runs, thousands of times, loses and doubles nothing. A
 * handle's filter is immutable, so this is how a program changes what it diverts: open the new one,
 * SHUTDOWN the old one for receiving, read it to ERROR_NO_DATA, close it.
 *
 *   "Handles of higher priority are served first"; a handle that takes a packet ends its way
 *   "an injected packet is seen by handles of strictly lower priority" than its injector's
 *   "SHUTDOWN: new traffic is no longer matched; what is queued stays readable, then 232"
 *   "CLOSE: what is queued and was not read is re-injected"
 *
 * Numbered segments are the traffic: a sniffer below all handles sees each exactly once, with however
 * many handles it met on its way. TCP itself would repair losses, so that its connection comes out
 * identical proves less; it must, too.
 */
#include "pump.h"

#define SWAPS 2000
#define SWAPS_WITH_TRANSFERS 100 /* of them; then numbered segments alone, which is faster */
#define NUMBERED_PORT 4700
#define NUMBERED_MAX 65536
#define WINDOW 16 /* numbered segments on their way at a time: no queue overflows */
#define RANGES 100
#define FILTER_TEXT 16384

static LONG volatile injected, arrived, stop, stop_transfers;
static uint8_t seen[NUMBERED_MAX];
static HANDLE room; /* counts down from WINDOW */

/*
 * Sorted ranges `ports[2 i]` to `ports[2 i + 1]` as a tree of conditionals: two tests and about ten
 * tokens a range. The limits are 255 tests in a filter and some 1270 tokens in its text.
 */
static char *range_tree(char *at, const int *ports, int count)
{
    const int *middle = ports + 2 * (count / 2);

    if (count == 1) {
        return at + sprintf(at, "(tcp.DstPort >= %d and tcp.DstPort <= %d)", ports[0], ports[1]);
    }
    at += sprintf(at, "(tcp.DstPort < %d ? ", middle[0]);
    at = range_tree(at, ports, count / 2);
    at += sprintf(at, " : tcp.DstPort <= %d", middle[1]);
    if (count > 2) {
        at += sprintf(at, " or ");
        at = range_tree(at, middle + 2, count - count / 2 - 1);
    }
    return at + sprintf(at, ")");
}

/* Outgoing segments to 100 ranges of ports, those of this test among them. */
static const char *many_ranges(void)
{
    static char text[FILTER_TEXT];
    char *at = text + sprintf(text, "outbound and tcp and ");
    int ports[2 * RANGES];

    for (int i = 0; i < RANGES; i++) {
        ports[2 * i] = NUMBERED_PORT + 33 * (i - RANGES / 2);
        ports[2 * i + 1] = ports[2 * i] + 4;
    }
    ports[2 * RANGES - 2] = ports[2 * RANGES - 1] = ECHO_PORT;
    range_tree(at, ports, RANGES);
    return text;
}

static DWORD WINAPI inject_numbered(void *arg)
{
    HANDLE injector = arg;
    static struct packet p;

    while (!stop && injected < NUMBERED_MAX && WaitForSingleObject(room, PATIENCE_MS) == WAIT_OBJECT_0) {
        net_segment(&p, CLIENT4, 40700, SERVER4, NUMBERED_PORT, (uint32_t)injected, TCP_ACK);
        if (!net_send(injector, &p)) {
            return GetLastError();
        }
        InterlockedIncrement(&injected);
    }
    return 0;
}

static DWORD WINAPI count_numbered(void *arg)
{
    static struct packet p;

    while (receive(arg, &p, PATIENCE_MS)) {
        uint32_t number = net_sequence(&p);

        if (number < NUMBERED_MAX && seen[number] < UINT8_MAX) {
            seen[number]++;
        }
        InterlockedIncrement(&arrived);
        ReleaseSemaphore(room, 1, NULL);
    }
    return GetLastError();
}

static DWORD WINAPI transfer_until_stopped(void *identical)
{
    while (!stop_transfers && *(LONG *)identical) {
        *(LONG *)identical = pump_echo_identical(net_connect(SERVER4, ECHO_PORT));
    }
    return 0;
}

static HANDLE open_filter(const char *filter, int16_t priority)
{
    HANDLE h = WinDivertOpen(filter, LAYER_NETWORK, priority, 0);

    require("a handle with the test's filter", h != INVALID_HANDLE_VALUE && h != NULL);
    return h;
}

static void pump_open(struct pump *pump, const char *filter, int16_t priority)
{
    *pump = (struct pump){.batch = 64, .handle = open_filter(filter, priority)};
    WinDivertSetParam(pump->handle, PARAM_QUEUE_LENGTH, 16384);
    WinDivertSetParam(pump->handle, PARAM_QUEUE_SIZE, 33554432);
    WinDivertSetParam(pump->handle, PARAM_QUEUE_TIME, 16000);
    pump_start(pump);
}

/* The new one goes above the old one, then below it, in turns. */
static void swap_handles(const char *filter)
{
    struct pump pumps[2];
    unsigned long long took = 0;
    int wrong_ends = 0;

    pump_open(&pumps[0], filter, 100);
    for (int i = 1; i <= SWAPS; i++) {
        struct pump *old = &pumps[(i - 1) & 1];
        int16_t priority = i & 1 ? 101 : 100;

        if (i == SWAPS_WITH_TRANSFERS) {
            stop_transfers = 1;
        }
        pump_open(&pumps[i & 1], filter, priority);
        WinDivertShutdown(old->handle, SHUTDOWN_RECV);
        WaitForSingleObject(old->thread, INFINITE);
        CloseHandle(old->thread);
        wrong_ends += old->error != ERROR_NO_DATA;
        took += old->packets;
        WinDivertClose(old->handle);
    }
    check_equal("every replaced handle is read to its end", (unsigned)wrong_ends, 0);
    check("traffic went through the replaced handles", took > SWAPS, "%llu packets did", took);
    pump_stop(&pumps[SWAPS & 1], "the last handle ends as the others");
}

static void test_swaps(const char *filter)
{
    HANDLE injector = open_or_exit("false", LAYER_NETWORK, 1000, FLAG_SEND_ONLY);
    HANDLE sniffer = open_or_exit("outbound and tcp.DstPort == 4700", LAYER_NETWORK, -1000, FLAG_SNIFF);
    LONG identical = 1, lost = 0, doubled = 0;
    HANDLE threads[3];

    room = CreateSemaphore(NULL, WINDOW, WINDOW, NULL);
    threads[0] = CreateThread(NULL, 0, inject_numbered, injector, 0, NULL);
    threads[1] = CreateThread(NULL, 0, transfer_until_stopped, &identical, 0, NULL);
    threads[2] = CreateThread(NULL, 0, count_numbered, sniffer, 0, NULL);
    swap_handles(filter);
    stop = 1;
    WaitForMultipleObjects(2, threads, TRUE, INFINITE);
    for (DWORD begin = GetTickCount(); arrived < injected && GetTickCount() - begin < PATIENCE_MS;) {
        Sleep(1);
    }
    WinDivertShutdown(sniffer, SHUTDOWN_RECV);
    WaitForSingleObject(threads[2], INFINITE);
    for (LONG i = 0; i < injected; i++) {
        lost += seen[i] == 0;
        doubled += seen[i] > 1;
    }
    check("numbered segments were on their way all the time", injected > SWAPS, "%ld", injected);
    check_equal("none is lost", (unsigned)lost, 0);
    check_equal("none comes twice", (unsigned)doubled, 0);
    check("transfers meanwhile are identical", identical, "the data differ");
    WinDivertClose(sniffer);
    WinDivertClose(injector);
}

/* Nobody reads the handle: what it has is given back when it closes, to the handle below alone. */
static void test_close_gives_back(void)
{
    HANDLE injector = open_or_exit("false", LAYER_NETWORK, 1000, FLAG_SEND_ONLY);
    HANDLE higher = open_or_exit("outbound and tcp.DstPort == 4700", LAYER_NETWORK, 102, FLAG_SNIFF);
    HANDLE unread = open_or_exit("outbound and tcp.DstPort == 4700", LAYER_NETWORK, 101, 0);
    HANDLE lower = open_or_exit("outbound and tcp.DstPort == 4700", LAYER_NETWORK, 100, 0);
    static struct packet p;
    uint32_t i;

    for (i = 0; i < 10; i++) {
        net_segment(&p, CLIENT4, 40700, SERVER4, NUMBERED_PORT, i, TCP_ACK);
        require("injection", net_send(injector, &p));
    }
    for (i = 0; i < 10; i++) {
        require("a packet above", receive(higher, &p, PATIENCE_MS));
    }
    WinDivertShutdown(unread, SHUTDOWN_RECV);
    net_segment(&p, CLIENT4, 40700, SERVER4, NUMBERED_PORT, 10, TCP_ACK);
    require("injection", net_send(injector, &p));
    check_success("after SHUTDOWN the next handle gets what is new", receive(lower, &p, PATIENCE_MS));
    check_equal("and that alone", net_sequence(&p), 10);
    WinDivertClose(unread);
    for (i = 0; i < 10 && receive(lower, &p, PATIENCE_MS) && net_sequence(&p) == i; i++) {
        ;
    }
    check_equal("after CLOSE it gets what was queued, in order", i, 10);
    check_nothing_queued("and once", lower);
    require("the new packet above", receive(higher, &p, PATIENCE_MS));
    check_nothing_queued("a higher handle does not see it again", higher);
    WinDivertClose(higher);
    WinDivertClose(lower);
    WinDivertClose(injector);
}

/* `measure`: how long does opening and closing take? For people, not a check. */
static void measure(const char *what, const char *filter)
{
    enum { TIMES = 300 };
    LARGE_INTEGER begin, end, frequency;

    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&begin);
    for (int i = 0; i < TIMES; i++) {
        WinDivertClose(open_filter(filter, 100));
    }
    QueryPerformanceCounter(&end);
    printf("# open and close, %s: %.3f ms\n", what,
           (double)(end.QuadPart - begin.QuadPart) * 1000 / (double)frequency.QuadPart / TIMES);
}

int main(int argc, char **argv)
{
    net_start();
    if (argc > 1 && !strcmp(argv[1], "measure")) {
        measure("false", "false");
        measure("outbound and tcp", "outbound and tcp");
        measure("100 ranges", many_ranges());
        return 0;
    }
    test_close_gives_back();
    test_swaps(many_ranges());
    return check_failures != 0;
}
