/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The queue of a handle: what is lost when it overflows or is not read in time, how batches are cut,
 * what a buffer too small costs.
 */
#include "net.h"

#define FILTER "outbound and tcp.DstPort == 4300"
#define SEGMENT 40

static struct packet p;

/* Injects n segments and waits until all are queued at the handle: the sniffer above it tells. */
static void fill(HANDLE injector, HANDLE sniffer, uint32_t first, int n)
{
    for (int i = 0; i < n; i++) {
        net_segment(&p, CLIENT4, 40300, SERVER4, 4300, first + (uint32_t)i, TCP_ACK);
        require("injection", net_send(injector, &p));
    }
    for (int i = 0; i < n; i++) {
        require("a sniffed packet", receive(sniffer, &p, PATIENCE_MS));
    }
}

static void test_overflow(HANDLE injector, HANDLE sniffer)
{
    HANDLE h = open_or_exit(FILTER, LAYER_NETWORK, 0, 0);

    require("queue length", WinDivertSetParam(h, PARAM_QUEUE_LENGTH, 32));
    fill(injector, sniffer, 100, 40);
    check_success("overflow keeps the newest", receive(h, &p, PATIENCE_MS));
    check_equal("oldest of the kept", net_sequence(&p), 108);
    for (int i = 1; i < 32; i++) {
        require("a kept packet", receive(h, &p, PATIENCE_MS));
    }
    check_equal("newest of the kept", net_sequence(&p), 139);
    check_nothing_queued("and no more", h);
    WinDivertClose(h);
}

static void test_time_limit(HANDLE injector, HANDLE sniffer)
{
    HANDLE h = open_or_exit(FILTER, LAYER_NETWORK, 0, 0);
    LARGE_INTEGER now, frequency;

    require("queue time", WinDivertSetParam(h, PARAM_QUEUE_TIME, 100));
    fill(injector, sniffer, 200, 3);
    QueryPerformanceFrequency(&frequency);
    do {
        Sleep(10); /* the packets must age; the last one sniffed tells their time */
        QueryPerformanceCounter(&now);
    } while ((now.QuadPart - p.addr.timestamp) * 1000 / frequency.QuadPart < 150);
    fill(injector, sniffer, 210, 1);
    check_success("expired packets are dropped", receive(h, &p, PATIENCE_MS));
    check_equal("the first in time", net_sequence(&p), 210);
    check_nothing_queued("and nothing else", h);
    WinDivertClose(h);
}

static void test_batches(HANDLE injector, HANDLE sniffer)
{
    static uint8_t data[BATCH_MAX * SEGMENT];
    static struct windivert_address addr[BATCH_MAX];
    HANDLE h = open_or_exit(FILTER, LAYER_NETWORK, 0, 0);
    unsigned len = 0, addr_len = 4 * sizeof *addr;

    fill(injector, sniffer, 300, 10);
    check_success("a batch", WinDivertRecvEx(h, data, sizeof data, &len, 0, addr, &addr_len, NULL));
    check_equal("ends with the address array", addr_len, 4 * sizeof *addr);
    check_equal("its packets lie back to back", len, 4 * SEGMENT);
    check_equal("in order", net_get32(data + 3 * SEGMENT + 24), 303);
    check_equal("its addresses are filled", addr[3].outbound, 1);
    addr_len = sizeof addr;
    check_success("next", WinDivertRecvEx(h, data, 2 * SEGMENT + 10, &len, 0, addr, &addr_len, NULL));
    check_equal("ends with the buffer", len, 2 * SEGMENT);
    check_equal("addresses of a cut batch", addr_len, 2 * sizeof *addr);
    addr_len = sizeof addr;
    check_success("last", WinDivertRecvEx(h, data, sizeof data, &len, 0, addr, &addr_len, NULL));
    check_equal("ends with the queue", addr_len, 4 * sizeof *addr);
    check_equal("with the last packet", net_get32(data + 3 * SEGMENT + 24), 309);
    WinDivertClose(h);
}

static void test_small_buffer(HANDLE injector, HANDLE sniffer)
{
    HANDLE h = open_or_exit(FILTER, LAYER_NETWORK, 0, 0);
    static uint8_t data[64];
    struct windivert_address addr;
    unsigned len;

    fill(injector, sniffer, 400, 3);
    memset(&addr, 0, sizeof addr);
    memset(data, 0xEE, sizeof data);
    check_error("a buffer too small", WinDivertRecv(h, data, 24, &len, &addr), 122);
    check_equal("holds the start of the packet", data[0], 0x45);
    check_equal("and no more", data[24], 0xEE);
    check_equal("the address is filled", addr.outbound, 1);
    check_error("no buffer at all", WinDivertRecv(h, NULL, 0, &len, &addr), 122);
    check_success("each cost a packet", receive(h, &p, PATIENCE_MS));
    check_equal("the third is next", net_sequence(&p), 402);
    WinDivertClose(h);
}

static void test_send_batch(HANDLE injector, HANDLE sniffer)
{
    static uint8_t data[3 * SEGMENT];
    struct windivert_address addr[3];
    unsigned sent = 0;

    for (uint32_t i = 0; i < 3; i++) {
        net_segment(&p, CLIENT4, 40300, SERVER4, 4300, 500 + i, TCP_ACK);
        memcpy(data + i * SEGMENT, p.data, SEGMENT);
        addr[i] = p.addr;
    }
    check_success("send a batch", WinDivertSendEx(injector, data, sizeof data, &sent, 0, addr, sizeof addr, NULL));
    check_equal("bytes sent", sent, sizeof data);
    for (uint32_t i = 0; i < 3; i++) {
        require("a sent packet", receive(sniffer, &p, PATIENCE_MS));
    }
    check_equal("the last is seen", net_sequence(&p), 502);

    data[SEGMENT] = 0x55; /* hard error: what came before it has been sent */
    check_error("a bad packet in a batch",
                WinDivertSendEx(injector, data, sizeof data, &sent, 0, addr, sizeof addr, NULL), 87);
    require("the packet before it", receive(sniffer, &p, PATIENCE_MS));
    check_equal("is sent", net_sequence(&p), 500);

    data[SEGMENT] = 0x45; /* soft error: the others are sent */
    addr[1].impostor = 1;
    data[SEGMENT + 8] = 1;
    addr[1].ip_checksum = 0;
    check("a worn-out packet in a batch",
          !WinDivertSendEx(injector, data, sizeof data, &sent, 0, addr, sizeof addr, NULL), "success");
    require("the packet before it", receive(sniffer, &p, PATIENCE_MS));
    require("the packet after it", receive(sniffer, &p, PATIENCE_MS));
    check_equal("and the one after it are sent", net_sequence(&p), 502);
    check_nothing_queued("and nothing else", sniffer);
}

int main(void)
{
    HANDLE injector = open_or_exit("false", LAYER_NETWORK, 100, FLAG_SEND_ONLY);
    HANDLE sniffer = open_or_exit(FILTER, LAYER_NETWORK, 50, FLAG_SNIFF);

    net_start();
    test_overflow(injector, sniffer);
    test_time_limit(injector, sniffer);
    test_batches(injector, sniffer);
    test_small_buffer(injector, sniffer);
    test_send_batch(injector, sniffer);
    return check_failures != 0;
}
