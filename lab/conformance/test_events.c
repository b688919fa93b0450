/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Socket events: kind, process, addresses, ports, order.
 *
 * The sockets are those of child processes (this program with a role as arguments), so that a wrong
 * process shows. `native PID` is run by the runner, which makes a native program connect.
 */
#include "child.h"

#define ANY4 "0.0.0.0"
#define ANY6 "::"
#define ANY_PORT (-1)
#define NATIVE_PID 0x40000000u

static HANDLE events;
static struct packet got;
static uint8_t protocol = IPPROTO_TCP; /* of all events expected */

/* --- roles of the child ------------------------------------------------------------------ */

static SOCKET dual_socket(void)
{
    SOCKET s = socket(AF_INET6, SOCK_STREAM, 0);
    DWORD off = 0;

    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (char *)&off, sizeof off);
    return s;
}

/* connect ADDRESS PORT [BIND-ADDRESS BIND-PORT]; leaves closing to the end of the process */
static int role_connect(int argc, char **argv)
{
    struct sockaddr_storage to, from;
    int len = net_address(argv[0], (uint16_t)atoi(argv[1]), &to);
    bool mapped = !strncmp(argv[0], "::ffff:", 7);
    SOCKET s = mapped ? dual_socket() : socket(to.ss_family, SOCK_STREAM, 0);

    if (argc > 3) {
        int from_len = net_address(argv[2], (uint16_t)atoi(argv[3]), &from);
        require("bind", bind(s, (void *)&from, from_len) == 0);
    }
    require("connect", connect(s, (void *)&to, len) == 0);
    return 0;
}

/* listen ADDRESS PORT dual|single; ends when its input does */
static int role_listen(char **argv)
{
    char byte;
    DWORD n;

    net_listen(argv[0], (uint16_t)atoi(argv[1]), !strcmp(argv[2], "dual"));
    ReadFile(GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &n, NULL);
    return 0;
}

/* --- expectations ------------------------------------------------------------------------- */

/* An IPv4 address is mapped, the wildcard, too. Where there is no remote end, all words are 0. */
static void words_of(const char *text, uint32_t words[4])
{
    struct sockaddr_storage a;
    uint8_t *bytes;

    memset(words, 0, 16);
    net_address(text, 0, &a);
    if (a.ss_family == AF_INET) {
        words[0] = net_get32((uint8_t *)&((struct sockaddr_in *)&a)->sin_addr);
        words[1] = 0xFFFF;
        return;
    }
    bytes = (uint8_t *)&((struct sockaddr_in6 *)&a)->sin6_addr;
    for (int i = 0; i < 4; i++) {
        words[i] = net_get32(bytes + 12 - 4 * i);
    }
}

/* The next event; addresses as text, ports in host order or ANY_PORT. */
static void expect(const char *name, int event, DWORD pid, const char *local, int local_port, const char *remote,
                   int remote_port)
{
    uint32_t local_words[4], remote_words[4];
    bool good = receive(events, &got, PATIENCE_MS);
    bool ipv6 = strchr(local, ':') != NULL;
    struct windivert_address *a = &got.addr;

    words_of(local, local_words);
    words_of(remote, remote_words);
    if (remote_port == 0) {
        memset(remote_words, 0, sizeof remote_words);
    }
    check(name,
          good && a->layer == LAYER_SOCKET && a->event == event && a->socket.process_id == pid && a->ipv6 == ipv6 &&
              a->socket.protocol == protocol && a->outbound == (event != EVENT_ACCEPT) &&
              !memcmp(a->socket.local_addr, local_words, 16) && !memcmp(a->socket.remote_addr, remote_words, 16) &&
              (local_port == ANY_PORT ? a->socket.local_port != 0 : a->socket.local_port == local_port) &&
              (remote_port == ANY_PORT ? a->socket.remote_port != 0 : a->socket.remote_port == remote_port),
          "received %d layer %u event %u pid %lu (expected %d pid %lu) v6 %u out %u "
          "local %08x:%u remote %08x:%u",
          good, a->layer, a->event, (unsigned long)a->socket.process_id, event, pid, a->ipv6, a->outbound,
          a->socket.local_addr[0], a->socket.local_port, a->socket.remote_addr[0], a->socket.remote_port);
}

/* --- tests -------------------------------------------------------------------------------- */

static void test_connect(const char *role, const char *any, const char *from, const char *to)
{
    HANDLE syns = open_or_exit("tcp.DstPort == 8000 and tcp.Syn", LAYER_NETWORK, 0, FLAG_SNIFF);
    struct child c;
    static struct packet syn;
    struct windivert_address bind_event, connect_event;
    int port;
    DWORD pid;

    printf("# %s\n", role);
    child_start(&c, role);
    pid = c.info.dwProcessId;
    expect("BIND, implicit", EVENT_BIND, pid, any, ANY_PORT, any, 0);
    bind_event = got.addr;
    port = bind_event.socket.local_port;
    expect("CONNECT", EVENT_CONNECT, pid, from, port, to, ECHO_PORT);
    connect_event = got.addr;
    check_equal("CONNECT is no loopback", got.addr.loopback, 0);
    check("it has a parent", connect_event.socket.parent_endpoint != 0, "none");
    check_success("its SYN", receive(syns, &syn, PATIENCE_MS));
    check_equal("has the same source port", net_get16(net_tcp(&syn)), (unsigned)port);
    check("and comes after it", connect_event.timestamp <= syn.addr.timestamp, "%lld > %lld",
          (long long)connect_event.timestamp, (long long)syn.addr.timestamp);
    expect("CLOSE of the connection", EVENT_CLOSE, pid, from, port, to, ECHO_PORT);
    check_equal("CLOSE is always sniffed", got.addr.sniffed, 1);
    expect("CLOSE of the port", EVENT_CLOSE, pid, any, port, any, 0);
    check("same endpoint all along",
          connect_event.socket.endpoint == bind_event.socket.endpoint &&
              got.addr.socket.endpoint == bind_event.socket.endpoint,
          "they differ");
    child_end(&c);
    WinDivertClose(syns);
}

static void test_explicit_bind(void)
{
    struct child c;
    DWORD pid;

    child_start(&c, "connect 10.77.0.2 8000 10.77.0.11 4601");
    pid = c.info.dwProcessId;
    expect("BIND, explicit", EVENT_BIND, pid, "10.77.0.11", 4601, ANY4, 0);
    expect("CONNECT after it", EVENT_CONNECT, pid, "10.77.0.11", 4601, SERVER4, ECHO_PORT);
    expect("CLOSE of it", EVENT_CLOSE, pid, "10.77.0.11", 4601, SERVER4, ECHO_PORT);
    expect("CLOSE of its port", EVENT_CLOSE, pid, "10.77.0.11", 4601, ANY4, 0);
    child_end(&c);
}

/* Children that are gone before their events are read: the pids must be right all the same. */
static void test_short_lives(void)
{
    enum { CHILDREN = 12 };
    DWORD pids[CHILDREN];
    struct child c;
    int good = 0;

    for (int i = 0; i < CHILDREN; i++) {
        child_start(&c, "connect 10.77.0.2 8000");
        pids[i] = c.info.dwProcessId;
        child_end(&c);
    }
    for (int i = 0; i < CHILDREN; i++) {
        for (int k = 0; k < 4; k++) { /* BIND CONNECT CLOSE CLOSE */
            if (receive(events, &got, PATIENCE_MS) && got.addr.socket.process_id == pids[i]) {
                good++;
            }
        }
    }
    check_equal("events of processes that are gone", (unsigned)good, 4 * CHILDREN);
}

static SOCKET call_back(const char *server, const char *address, int port)
{
    SOCKET order = net_connect(server, CALL_BACK_PORT);
    char line[80];
    int n = snprintf(line, sizeof line, "%s %d\n", address, port);

    send(order, line, n, 0);
    return order;
}

/* Skips this process's own events up to and including the connection to the call-back service. */
static void skip_own_connect(void)
{
    do {
        require("own CONNECT", receive(events, &got, PATIENCE_MS));
    } while (got.addr.event != EVENT_CONNECT);
}

static void test_accept(const char *role, const char *bound, const char *server, const char *own, int port)
{
    HANDLE answers = open_or_exit("outbound and tcp.Syn and tcp.Ack", LAYER_NETWORK, 0, FLAG_SNIFF);
    struct child c;
    static struct packet answer;
    int64_t accepted;
    uint64_t listener, parent;
    SOCKET order;
    DWORD pid;

    printf("# %s\n", role);
    child_start(&c, role);
    pid = c.info.dwProcessId;
    expect("BIND of a listener", EVENT_BIND, pid, bound, port, bound[0] == ':' ? ANY6 : ANY4, 0);
    listener = got.addr.socket.endpoint;
    expect("LISTEN", EVENT_LISTEN, pid, bound, port, bound[0] == ':' ? ANY6 : ANY4, 0);
    order = call_back(server, own, port);
    skip_own_connect();
    expect("ACCEPT without accept()", EVENT_ACCEPT, pid, own, port, server, ANY_PORT);
    accepted = got.addr.timestamp;
    parent = got.addr.socket.parent_endpoint;
    check_equal("its parent is the listener", parent, listener);
    check_success("the SYN-ACK", receive(answers, &answer, PATIENCE_MS));
    check("comes after it", accepted <= answer.addr.timestamp, "%lld > %lld", (long long)accepted,
          (long long)answer.addr.timestamp);
    child_end(&c);
    expect("CLOSE of the listener", EVENT_CLOSE, pid, bound, port, bound[0] == ':' ? ANY6 : ANY4, 0);
    closesocket(order);
    while (receive(events, &got, PATIENCE_MS) && got.addr.socket.remote_port) {
    } /* own CLOSE twice; the second has no remote end */
    WinDivertClose(answers);
}

/* Two listeners on one port and different addresses: the event names the right one. */
static void test_accept_by_address(void)
{
    struct child first, second;
    SOCKET order;

    child_start(&first, "listen 10.77.0.1 4603 single");
    expect("BIND of the first", EVENT_BIND, first.info.dwProcessId, CLIENT4, 4603, ANY4, 0);
    expect("LISTEN of the first", EVENT_LISTEN, first.info.dwProcessId, CLIENT4, 4603, ANY4, 0);
    child_start(&second, "listen 10.77.0.11 4603 single");
    expect("BIND of the second", EVENT_BIND, second.info.dwProcessId, "10.77.0.11", 4603, ANY4, 0);
    expect("LISTEN of the second", EVENT_LISTEN, second.info.dwProcessId, "10.77.0.11", 4603, ANY4, 0);
    order = call_back(SERVER4, "10.77.0.11", 4603);
    skip_own_connect();
    expect("ACCEPT at the second", EVENT_ACCEPT, second.info.dwProcessId, "10.77.0.11", 4603, SERVER4, ANY_PORT);
    closesocket(order);
    while (receive(events, &got, PATIENCE_MS) && got.addr.socket.remote_port) {
    }
    child_end(&first);
    expect("CLOSE of the first", EVENT_CLOSE, first.info.dwProcessId, CLIENT4, 4603, ANY4, 0);
    child_end(&second);
    expect("CLOSE of the second", EVENT_CLOSE, second.info.dwProcessId, "10.77.0.11", 4603, ANY4, 0);
}

static void test_loopback(const char *loopback, const char *any)
{
    struct child server, client;
    char role[64];
    int port;
    bool accepted;

    snprintf(role, sizeof role, "listen %s 4604 single", loopback);
    child_start(&server, role);
    expect("BIND on loopback", EVENT_BIND, server.info.dwProcessId, loopback, 4604, any, 0);
    expect("LISTEN on loopback", EVENT_LISTEN, server.info.dwProcessId, loopback, 4604, any, 0);
    snprintf(role, sizeof role, "connect %s 4604", loopback);
    child_start(&client, role);
    expect("BIND of its peer", EVENT_BIND, client.info.dwProcessId, any, ANY_PORT, any, 0);
    port = got.addr.socket.local_port;
    expect("CONNECT by loopback", EVENT_CONNECT, client.info.dwProcessId, loopback, port, loopback, 4604);
    check_equal("is marked as loopback", got.addr.loopback, 1);
    expect("ACCEPT by loopback", EVENT_ACCEPT, server.info.dwProcessId, loopback, 4604, loopback, port);
    check_equal("is marked as loopback, too", got.addr.loopback, 1);
    child_end(&client);
    expect("CLOSE by the client", EVENT_CLOSE, client.info.dwProcessId, loopback, port, loopback, 4604);
    expect("CLOSE of its port", EVENT_CLOSE, client.info.dwProcessId, any, port, any, 0);
    child_end(&server);
    accepted = receive(events, &got, PATIENCE_MS);
    check("CLOSE of the loopback listener", accepted && got.addr.event == EVENT_CLOSE, "none");
}

static void test_filter(void)
{
    HANDLE h = open_or_exit("event == CONNECT and remotePort == 8000 and remoteAddr == 10.77.0.2", LAYER_SOCKET, 0,
                            FLAG_SNIFF | FLAG_RECV_ONLY);
    SOCKET other = net_connect(SERVER4, CALL_BACK_PORT), s = net_connect(SERVER4, ECHO_PORT);

    check_success("a filter on events", receive(h, &got, PATIENCE_MS));
    check_equal("gets what it asks for", got.addr.socket.remote_port, ECHO_PORT);
    check_equal("from this process", got.addr.socket.process_id, GetCurrentProcessId());
    check_nothing_queued("and nothing else", h);
    closesocket(other);
    closesocket(s);
    WinDivertClose(h);
}

/* "First datagram per remote": CONNECT of who sends first, with the whole tuple, ACCEPT of who gets something first. */
static void test_datagrams(const char *server, const char *own, const char *loopback, const char *any)
{
    struct sockaddr_storage to, at;
    DWORD self = GetCurrentProcessId();
    int length = net_address(server, ECHO_PORT, &to), port;
    SOCKET s = socket(to.ss_family, SOCK_DGRAM, 0), receiver = socket(to.ss_family, SOCK_DGRAM, 0);
    char byte;

    printf("# datagrams of %s\n", own);
    events = open_or_exit("udp", LAYER_SOCKET, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    require("connect", connect(s, (void *)&to, length) == 0);
    port = net_local_port(s);
    expect("BIND, implicit, of datagrams", EVENT_BIND, self, any, port, any, 0);
    expect("CONNECT of a connected socket", EVENT_CONNECT, self, own, port, server, ECHO_PORT);
    check("is answered", send(s, "x", 1, 0) == 1 && recv(s, &byte, 1, 0) == 1, "error %d", WSAGetLastError());
    closesocket(s); /* none of that is an event: the next one is */
    expect("CLOSE of a connected socket", EVENT_CLOSE, self, own, port, server, ECHO_PORT);
    expect("CLOSE of its port", EVENT_CLOSE, self, any, port, any, 0);

    length = net_address(loopback, 4741, &at);
    require("bind", bind(receiver, (void *)&at, length) == 0);
    expect("BIND of a receiver", EVENT_BIND, self, loopback, 4741, any, 0);
    s = socket(to.ss_family, SOCK_DGRAM, 0);
    require("sendto", sendto(s, "x", 1, 0, (void *)&at, length) == 1);
    port = net_local_port(s);
    expect("BIND of a sender", EVENT_BIND, self, any, port, any, 0);
    expect("CONNECT of its first datagram", EVENT_CONNECT, self, loopback, port, loopback, 4741);
    expect("ACCEPT of it", EVENT_ACCEPT, self, loopback, 4741, loopback, port);
    require("recvfrom", recvfrom(receiver, &byte, 1, 0, (void *)&at, &length) == 1);
    require("answer", sendto(receiver, "y", 1, 0, (void *)&at, length) == 1 && recv(s, &byte, 1, 0) == 1);
    length = net_address(loopback, 4741, &at);
    require("sendto again", sendto(s, "x", 1, 0, (void *)&at, length) == 1 && recv(receiver, &byte, 1, 0) == 1);
    require("sendto another", sendto(s, "x", 1, 0, (void *)&to, net_address(server, ECHO_PORT, &to)) == 1);
    expect("CONNECT of the first one to another, after none of an answer", EVENT_CONNECT, self, own, port, server,
           ECHO_PORT);
    closesocket(s);
    closesocket(receiver);
    WinDivertClose(events);
}

/* Waits for the connection of a native program, which the runner starts when told. */
static int role_native(void)
{
    HANDLE h = open_or_exit("event == CONNECT and remotePort == 8000", LAYER_SOCKET, 0, FLAG_SNIFF | FLAG_RECV_ONLY);

    printf("# waiting for a native program\n");
    fflush(stdout);
    check_success("CONNECT of a native program", receive(h, &got, PATIENCE_MS));
    check_equal("has a pid of its own kind", got.addr.socket.process_id >> 30, NATIVE_PID >> 30);
    WinDivertClose(h);
    return check_failures != 0;
}

int main(int argc, char **argv)
{
    net_start();
    child_program = argv[0];
    if (argc > 3 && !strcmp(argv[1], "connect")) {
        return role_connect(argc - 2, argv + 2);
    }
    if (argc > 4 && !strcmp(argv[1], "listen")) {
        return role_listen(argv + 2);
    }
    if (argc > 1 && !strcmp(argv[1], "native")) {
        return role_native();
    }
    events = open_or_exit("tcp", LAYER_SOCKET, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    /* Where children start slowly, events wait longer than the usual two seconds. */
    WinDivertSetParam(events, PARAM_QUEUE_TIME, 16000);
    test_connect("connect 10.77.0.2 8000", ANY4, CLIENT4, SERVER4);
    test_connect("connect fd77::2 8000", ANY6, CLIENT6, SERVER6);
    test_connect("connect ::ffff:10.77.0.2 8000", ANY4, CLIENT4, SERVER4);
    test_explicit_bind();
    test_short_lives();
    test_accept("listen 10.77.0.1 4602 single", CLIENT4, SERVER4, CLIENT4, 4602);
    test_accept("listen fd77::1 4602 single", CLIENT6, SERVER6, CLIENT6, 4602);
    test_accept("listen :: 4602 dual", ANY6, SERVER4, CLIENT4, 4602);
    test_accept_by_address();
    test_loopback("127.0.0.1", ANY4);
    test_loopback("::1", ANY6);
    test_filter();
    WinDivertClose(events);
    protocol = IPPROTO_UDP;
    test_datagrams(SERVER4, CLIENT4, "127.0.0.1", ANY4);
    test_datagrams(SERVER6, CLIENT6, "::1", ANY6);
    return check_failures != 0;
}
