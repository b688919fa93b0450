/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Who sees what: order of priorities, visibility of injected packets, SNIFF, DROP.
 *
 * A sniffing handle at the very bottom sees what leaves in the end; once it has seen a packet, all
 * others have had their turn.
 */
#include "net.h"

#define FILTER "outbound and tcp.DstPort == 4200"

static struct packet p;

static void send_segment(HANDLE h, uint32_t sequence)
{
    net_segment(&p, CLIENT4, 40200, SERVER4, 4200, sequence, TCP_ACK);
    require("injection", net_send(h, &p));
}

static void expect(const char *name, HANDLE h, uint32_t sequence)
{
    bool good = receive(h, &p, PATIENCE_MS);

    check(name, good && net_sequence(&p) == sequence, good ? "another packet" : "nothing came");
}

static void test_chain(void)
{
    HANDLE bottom = open_or_exit(FILTER, LAYER_NETWORK, -100, FLAG_SNIFF);
    HANDLE low = open_or_exit(FILTER, LAYER_NETWORK, 10, 0);
    HANDLE middle = open_or_exit(FILTER, LAYER_NETWORK, 50, 0);
    HANDLE older = open_or_exit(FILTER, LAYER_NETWORK, 100, FLAG_SNIFF);
    HANDLE injector = open_or_exit(FILTER, LAYER_NETWORK, 100, 0);
    HANDLE newer = open_or_exit(FILTER, LAYER_NETWORK, 100, FLAG_SNIFF);
    HANDLE high = open_or_exit(FILTER, LAYER_NETWORK, 200, FLAG_SNIFF);

    send_segment(injector, 1);
    expect("middle sees it first", middle, 1);
    check_equal("as no impostor", p.addr.impostor, 0);
    check_equal("as not sniffed", p.addr.sniffed, 0);
    check_equal("as outbound", p.addr.outbound, 1);
    send_segment(injector, 2);
    expect("middle keeps what it does not pass on", middle, 2);
    require("re-injection", net_send(middle, &p));
    expect("low sees what middle injects", low, 2);
    require("re-injection", net_send(low, &p));
    expect("bottom sees what low injects", bottom, 2);
    check_equal("as sniffed", p.addr.sniffed, 1);
    expect("an equal, older handle sees it", older, 1);
    check_nothing_queued("an equal, newer handle does not", newer);
    check_nothing_queued("the injector does not", injector);
    check_nothing_queued("a higher handle does not", high);
    check_nothing_queued("middle does not see its own", middle);
    check_nothing_queued("low does not see its own", low);
    check_nothing_queued("nothing else came out", bottom);
    WinDivertClose(bottom);
    WinDivertClose(low);
    WinDivertClose(middle);
    WinDivertClose(older);
    WinDivertClose(injector);
    WinDivertClose(newer);
    WinDivertClose(high);
}

static void test_drop(void)
{
    HANDLE bottom = open_or_exit(FILTER, LAYER_NETWORK, -100, FLAG_SNIFF);
    HANDLE drop = open_or_exit(FILTER " and tcp.SeqNum == 1", LAYER_NETWORK, 10, FLAG_DROP);
    HANDLE injector = open_or_exit("false", LAYER_NETWORK, 100, FLAG_SEND_ONLY);

    send_segment(injector, 1);
    send_segment(injector, 2);
    expect("a dropping handle lets others pass", bottom, 2);
    check_nothing_queued("what it drops it does not queue", drop);
    send_segment(injector, 1);
    expect("dropping ends with shutdown", bottom, 1);
    check_nothing_queued("what was dropped is gone", bottom);
    WinDivertClose(drop);
    WinDivertClose(bottom);
    WinDivertClose(injector);
}

/* Inbound: a segment that the server might have sent. */
static void test_inbound(void)
{
    HANDLE low = open_or_exit("inbound and tcp.SrcPort == 4200", LAYER_NETWORK, 0, 0);
    HANDLE outbound = open_or_exit("outbound and tcp.SrcPort == 4200", LAYER_NETWORK, 0, 0);
    HANDLE injector = open_or_exit("false", LAYER_NETWORK, 100, FLAG_SEND_ONLY);
    uint32_t interface_index = net_interface();

    net_segment(&p, SERVER4, 4200, CLIENT4, 40200, 7, TCP_ACK);
    p.addr.outbound = 0;
    p.addr.network.if_idx = interface_index;
    check_success("inbound injection", net_send(injector, &p));
    expect("a lower handle sees it", low, 7);
    check_equal("as inbound", p.addr.outbound, 0);
    check_equal("on that interface", p.addr.network.if_idx, interface_index);
    check_nothing_queued("not as outbound", outbound);
    WinDivertClose(low);
    WinDivertClose(outbound);
    WinDivertClose(injector);
}

int main(void)
{
    net_start();
    test_chain();
    test_drop();
    test_inbound();
    return check_failures != 0;
}
