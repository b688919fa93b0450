/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The SOCKET layer without SNIFF: "every event that matches the filter is vetoed inline (the app sees
 * WSAEACCES-class failure), except CLOSE, which is always a notification. You also receive the event."
 * "DROP on SOCKET: silent block, no events." "A blocking handle hides the event from lower handles."
 * "After Shutdown blocking ends."
 */
#include "net.h"

static struct packet got;

/* The error of connecting, 0: none. */
static int connect_error(const char *address, uint16_t port)
{
    struct sockaddr_storage a;
    int len = net_address(address, port, &a), error;
    SOCKET s = socket(a.ss_family, SOCK_STREAM, 0);

    error = connect(s, (void *)&a, len) == 0 ? 0 : WSAGetLastError();
    closesocket(s);
    return error;
}

/* Closes the handle and waits for that: Wine tells the driver of it a moment after CloseHandle. */
static void close_and_check(const char *name, HANDLE h, const char *server)
{
    ULONGLONG begin = GetTickCount64();
    int error;

    WinDivertClose(h);
    while ((error = connect_error(server, ECHO_PORT)) != 0 && GetTickCount64() - begin < PATIENCE_MS) {
        Sleep(1);
    }
    check_equal(name, (unsigned)error, 0);
}

static void test_connect(const char *server, const char *filter)
{
    HANDLE above = open_or_exit("event == CONNECT", LAYER_SOCKET, 10, FLAG_SNIFF | FLAG_RECV_ONLY);
    HANDLE below = open_or_exit("event == CONNECT", LAYER_SOCKET, -10, FLAG_SNIFF | FLAG_RECV_ONLY);
    SOCKET existing = net_connect(server, ECHO_PORT);
    HANDLE h;
    char byte = 'x';

    require("the first CONNECT", receive(above, &got, PATIENCE_MS) && receive(below, &got, PATIENCE_MS));
    h = open_or_exit(filter, LAYER_SOCKET, 0, FLAG_RECV_ONLY);
    check_equal("a matching connect fails", (unsigned)connect_error(server, ECHO_PORT), WSAEACCES);
    check_success("the handle is told", receive(h, &got, PATIENCE_MS));
    check_equal("of a CONNECT", got.addr.event, EVENT_CONNECT);
    check_equal("not sniffed", got.addr.sniffed, 0);
    check_equal("of this process", got.addr.socket.process_id, GetCurrentProcessId());
    check_equal("to this port", got.addr.socket.remote_port, ECHO_PORT);
    check_success("a higher handle is told, too", receive(above, &got, PATIENCE_MS));
    check_equal("another connect succeeds", (unsigned)connect_error(server, CALL_BACK_PORT), 0);
    require("its CONNECT", receive(below, &got, PATIENCE_MS));
    check_equal("and is the next one for a lower handle", got.addr.socket.remote_port, CALL_BACK_PORT);
    check("an existing connection lives on", send(existing, &byte, 1, 0) == 1 && recv(existing, &byte, 1, 0) == 1,
          "error %d", WSAGetLastError());
    WinDivertShutdown(h, SHUTDOWN_RECV);
    check_equal("after SHUTDOWN connects succeed", (unsigned)connect_error(server, ECHO_PORT), 0);
    WinDivertClose(h);
    h = open_or_exit(filter, LAYER_SOCKET, 0, FLAG_RECV_ONLY);
    check_equal("blocked again", (unsigned)connect_error(server, ECHO_PORT), WSAEACCES);
    close_and_check("after CLOSE connects succeed", h, server);
    closesocket(existing);
    WinDivertClose(above);
    WinDivertClose(below);
}

static void test_drop(void)
{
    HANDLE h = open_or_exit("event == CONNECT and remotePort == 8000", LAYER_SOCKET, 0, FLAG_RECV_ONLY | FLAG_DROP);

    check_equal("DROP blocks, too", (unsigned)connect_error(SERVER4, ECHO_PORT), WSAEACCES);
    check_nothing_queued("silently", h);
    close_and_check("after CLOSE it does not", h, SERVER4);
}

static void test_bind(void)
{
    HANDLE h = open_or_exit("event == BIND and localPort == 4950", LAYER_SOCKET, 0, FLAG_RECV_ONLY);
    SOCKET s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_storage a;
    int len = net_address(CLIENT4, 4950, &a);
    bool bound = bind(s, (void *)&a, len) == 0;

    check("a matching bind fails", !bound && WSAGetLastError() == WSAEACCES, "%d, error %d", bound, WSAGetLastError());
    check_success("the handle is told of it", receive(h, &got, PATIENCE_MS));
    check_equal("and its port", got.addr.socket.local_port, 4950);
    len = net_address(CLIENT4, 4951, &a);
    check("another bind succeeds", bind(s, (void *)&a, len) == 0, "error %d", WSAGetLastError());
    closesocket(s);
    WinDivertClose(h);
}

/*
 * "CONNECT: local address and port, remote address and port are all known"; "BIND: explicit and implicit binds". A
 * connect without a bind first is both.
 */
static void test_implicit_bind(const char *server, const char *own)
{
    HANDLE h = open_or_exit("tcp and event == CONNECT and localPort > 0 and localAddr != :: and remotePort == 8000",
                            LAYER_SOCKET, 0, FLAG_RECV_ONLY);
    HANDLE all =
        open_or_exit("tcp and (event == BIND or event == CONNECT)", LAYER_SOCKET, 10, FLAG_SNIFF | FLAG_RECV_ONLY);
    struct sockaddr_storage a;
    uint16_t port;
    char filter[100];

    check_equal("a filter of the local end", (unsigned)connect_error(server, ECHO_PORT), WSAEACCES);
    require("its BIND", receive(all, &got, PATIENCE_MS));
    port = got.addr.socket.local_port;
    check("is asked first, with the port", got.addr.event == EVENT_BIND && port, "event %u port %u", got.addr.event,
          port);
    require("its CONNECT", receive(all, &got, PATIENCE_MS));
    net_address(own, 0, &a);
    check("then the connect, from there",
          got.addr.event == EVENT_CONNECT && got.addr.socket.local_port == port &&
              got.addr.socket.local_addr[0] == (a.ss_family == AF_INET
                                                    ? ntohl(((struct sockaddr_in *)&a)->sin_addr.s_addr)
                                                    : net_get32(((struct sockaddr_in6 *)&a)->sin6_addr.s6_addr + 12)),
          "event %u port %u address %08x", got.addr.event, got.addr.socket.local_port, got.addr.socket.local_addr[0]);
    check_nothing_queued("each once", all);
    WinDivertClose(all);
    close_and_check("nothing more after CLOSE", h, server);
    snprintf(filter, sizeof filter, "tcp and event == BIND and processId == %lu", GetCurrentProcessId());
    h = open_or_exit(filter, LAYER_SOCKET, 0, FLAG_RECV_ONLY);
    check_equal("an implicit bind is prevented, too", (unsigned)connect_error(server, ECHO_PORT), WSAEACCES);
    close_and_check("and not after CLOSE", h, server);
}

/* What is allowed is done as it was told: the port that the system chose, one BIND, one CONNECT, one flow. */
static void test_allowed(const char *server, const char *own)
{
    HANDLE h = open_or_exit("tcp and event == CONNECT and remotePort == 1", LAYER_SOCKET, 0, FLAG_RECV_ONLY);
    HANDLE all =
        open_or_exit("tcp and (event == BIND or event == CONNECT)", LAYER_SOCKET, 10, FLAG_SNIFF | FLAG_RECV_ONLY);
    struct sockaddr_storage a;
    int len = net_address(own, 0, &a);
    SOCKET s = socket(a.ss_family, SOCK_STREAM, 0);

    require("bind", bind(s, (void *)&a, len) == 0);
    check("a bind to any port gets the one that was told",
          receive(all, &got, PATIENCE_MS) && got.addr.event == EVENT_BIND &&
              got.addr.socket.local_port == net_local_port(s),
          "event %u, port %u, not %u", got.addr.event, got.addr.socket.local_port, net_local_port(s));
    closesocket(s);
    s = net_connect(server, ECHO_PORT);
    check("a connect without bind: BIND", receive(all, &got, PATIENCE_MS) && got.addr.event == EVENT_BIND, "event %u",
          got.addr.event);
    check("CONNECT",
          receive(all, &got, PATIENCE_MS) && got.addr.event == EVENT_CONNECT &&
              got.addr.socket.local_port == net_local_port(s),
          "event %u, port %u, not %u", got.addr.event, got.addr.socket.local_port, net_local_port(s));
    check_nothing_queued("and each once", all);
    closesocket(s);
    WinDivertClose(all);
    WinDivertClose(h);
}

/* "Blocks for all processes that match." */
static void test_datagrams(void)
{
    HANDLE h = open_or_exit("udp and event == CONNECT and remotePort == 8000", LAYER_SOCKET, 0, FLAG_RECV_ONLY);
    SOCKET s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_storage a;
    int len = net_address(SERVER4, ECHO_PORT, &a);

    check("a matching datagram is not sent",
          sendto(s, "x", 1, 0, (void *)&a, len) != 1 && WSAGetLastError() == WSAEACCES, "error %d", WSAGetLastError());
    check_success("the handle hears of that", receive(h, &got, PATIENCE_MS));
    check_equal("by UDP", got.addr.socket.protocol, IPPROTO_UDP);
    check_equal("of the process that sent it", got.addr.socket.process_id, GetCurrentProcessId());
    check_equal("a connection is not meant", (unsigned)connect_error(SERVER4, ECHO_PORT), 0);
    closesocket(s);
    s = socket(AF_INET, SOCK_DGRAM, 0);
    check("to connect a socket of that kind fails", connect(s, (void *)&a, len) != 0 && WSAGetLastError() == WSAEACCES,
          "error %d", WSAGetLastError());
    closesocket(s);
    close_and_check("and nothing does after CLOSE", h, SERVER4);
    s = socket(AF_INET, SOCK_DGRAM, 0);
    check("then a datagram is sent", sendto(s, "x", 1, 0, (void *)&a, len) == 1, "error %d", WSAGetLastError());
    closesocket(s);
}

/* Values of 128 bits, conditionals, processes. */
static void test_filters(void)
{
    char filter[160];
    HANDLE h;

    snprintf(filter, sizeof filter,
             "event == CONNECT and processId == %lu and remoteAddr >= 10.77.0.0 and remoteAddr < 10.78.0.0",
             GetCurrentProcessId());
    h = open_or_exit(filter, LAYER_SOCKET, 0, FLAG_RECV_ONLY);
    check_equal("within a range of addresses", (unsigned)connect_error(SERVER4, ECHO_PORT), WSAEACCES);
    check_equal("outside of it", (unsigned)connect_error(SERVER6, ECHO_PORT), 0);
    close_and_check("and nowhere after CLOSE", h, SERVER4);
    h = open_or_exit("event == CONNECT and processId == 4", LAYER_SOCKET, 0, FLAG_RECV_ONLY);
    check_equal("somebody else's", (unsigned)connect_error(SERVER4, ECHO_PORT), 0);
    WinDivertClose(h);
    h = open_or_exit("event == CONNECT and (remotePort < 8001 ? remotePort >= 8000 : false)", LAYER_SOCKET, 0,
                     FLAG_RECV_ONLY);
    check_equal("within a conditional", (unsigned)connect_error(SERVER6, ECHO_PORT), WSAEACCES);
    check_equal("and not", (unsigned)connect_error(SERVER6, CALL_BACK_PORT), 0);
    WinDivertClose(h);
}

int main(void)
{
    net_start();
    test_connect(SERVER4, "event == CONNECT and remotePort == 8000");
    test_connect(SERVER6, "tcp and event == CONNECT and remoteAddr == fd77::2 and remotePort == 8000");
    test_drop();
    test_bind();
    test_implicit_bind(SERVER4, CLIENT4);
    test_implicit_bind(SERVER6, CLIENT6);
    test_allowed(SERVER4, CLIENT4);
    test_allowed(SERVER6, CLIENT6);
    test_datagrams();
    test_filters();
    return check_failures != 0;
}
