/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The FLOW layer.
 *
 *   "FLOW_ESTABLISHED after the SYN-ACK, so not while the SYN is held"
 *   "TCP loopback: FLOW_ESTABLISHED for both ends"
 *   "No replay: existing sockets yield no ESTABLISHED"; "DELETED: only flows seen ESTABLISHED by this handle"
 */
#include "net.h"

static struct packet got;

static bool next(HANDLE h, int event)
{
    return receive(h, &got, PATIENCE_MS) && got.addr.layer == LAYER_FLOW && got.addr.event == event;
}

static void test_outgoing(const char *server, bool ipv6)
{
    SOCKET before = net_connect(server, ECHO_PORT);
    HANDLE flows = open_or_exit("tcp and remotePort == 8000", LAYER_FLOW, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    HANDLE ends = open_or_exit("event == DELETED and remotePort == 8000", LAYER_FLOW, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    SOCKET s = net_connect(server, ECHO_PORT);
    uint16_t port = net_local_port(s);
    uint64_t endpoint;

    check("a connection gets ESTABLISHED", next(flows, EVENT_ESTABLISHED), "event %u", got.addr.event);
    check_equal("of this process", got.addr.socket.process_id, GetCurrentProcessId());
    check_equal("and port", got.addr.socket.local_port, port);
    check_equal("to the server's", got.addr.socket.remote_port, ECHO_PORT);
    check_equal("by TCP", got.addr.socket.protocol, IPPROTO_TCP);
    check_equal("outbound", got.addr.outbound, 1);
    check_equal("sniffed", got.addr.sniffed, 1);
    check_equal("no loopback", got.addr.loopback, 0);
    check_equal("of its family", got.addr.ipv6, ipv6);
    check_equal("at the server's address", got.addr.socket.remote_addr[0], ipv6 ? 2 : 0x0A4D0002);
    endpoint = got.addr.socket.endpoint;
    closesocket(before);
    closesocket(s);
    check("its end gets DELETED", next(flows, EVENT_DELETED), "event %u", got.addr.event);
    check_equal("and not that of an older one", got.addr.socket.local_port, port);
    check_equal("of this process, too", got.addr.socket.process_id, GetCurrentProcessId());
    check_equal("of the same endpoint", got.addr.socket.endpoint, endpoint);
    check("a filter of ends sees the end", next(ends, EVENT_DELETED), "event %u", got.addr.event);
    check_nothing_queued("alone", ends);
    check_nothing_queued("and that was all", flows);
    WinDivertClose(flows);
    WinDivertClose(ends);
}

static void test_held_syn(void)
{
    HANDLE flows = open_or_exit("event == ESTABLISHED", LAYER_FLOW, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    HANDLE socket_events =
        open_or_exit("event == CONNECT and remotePort == 8000", LAYER_SOCKET, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    HANDLE syns = open_or_exit("outbound and tcp.Syn and tcp.DstPort == 8000", LAYER_NETWORK, 0, 0);
    SOCKET s = net_connect_begin(SERVER4, ECHO_PORT);
    static struct packet syn;
    int64_t sent;

    check_success("with the SYN held there is a CONNECT", receive(socket_events, &got, PATIENCE_MS));
    require("the SYN", receive(syns, &syn, PATIENCE_MS));
    check("and no ESTABLISHED", !receive(flows, &got, 0), "there is one");
    sent = syn.addr.timestamp;
    require("sending it on", net_send(syns, &syn) && net_connected(s, PATIENCE_MS));
    check("that comes when it is sent", next(flows, EVENT_ESTABLISHED) && got.addr.timestamp > sent, "none");
    closesocket(s);
    WinDivertClose(syns);
    WinDivertClose(flows);
    WinDivertClose(socket_events);
}

static void test_both_ends(void)
{
    HANDLE flows = open_or_exit("loopback", LAYER_FLOW, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    SOCKET listener = net_listen("127.0.0.1", 0, false), s;
    uint16_t port = net_local_port(listener);
    int in = 0, out = 0;

    s = net_connect("127.0.0.1", port);
    for (int i = 0; i < 2 && next(flows, EVENT_ESTABLISHED); i++) {
        out += got.addr.outbound && got.addr.socket.remote_port == port && got.addr.loopback;
        in += !got.addr.outbound && got.addr.socket.local_port == port && got.addr.loopback;
    }
    check_equal("a loopback connection is established outbound", (unsigned)out, 1);
    check_equal("and inbound", (unsigned)in, 1);
    closesocket(s);
    closesocket(listener);
    WinDivertClose(flows);
}

int main(void)
{
    net_start();
    test_outgoing(SERVER4, false);
    test_outgoing(SERVER6, true);
    test_held_syn();
    test_both_ends();
    return check_failures != 0;
}
