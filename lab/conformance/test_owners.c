/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * GetExtendedTcpTable: owners, states, classes, families, sizes. GetExtendedUdpTable: owners. That the rest of iphlpapi
 * works.
 *
 * `native` is run by the runner beside a native program that listens.
 */
#include "child.h"
#include "owners.h"

#define NATIVE_PID 0x40000000u
#define NATIVE_PORT 4720

static HMODULE iphlpapi;

/* listen ADDRESS PORT dual|single */
static int role_listen(char **argv)
{
    char byte;
    DWORD n;

    net_listen(argv[0], (uint16_t)atoi(argv[1]), !strcmp(argv[2], "dual"));
    ReadFile(GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &n, NULL);
    return 0;
}

static void check_row(const char *name, TCP_TABLE_CLASS class, const char *address, int port, int remote_port,
                      DWORD state, DWORD pid)
{
    const struct owners_row *row = owners_find(class, address, port, remote_port);

    check(name, row && row->state == state && row->pid == pid, "%s, state %lu (expected %lu), pid %lx (expected %lx)",
          row ? "found" : "not found", row ? row->state : 0, state, row ? row->pid : 0, pid);
}

static void check_no_row(const char *name, TCP_TABLE_CLASS class, const char *address, int port, int remote_port)
{
    check(name, owners_find(class, address, port, remote_port) == NULL, "there is one");
}

/* Waits until the row has this state; the peer's kernel may need a moment. */
static void check_becomes(const char *name, const char *address, int port, int remote_port, DWORD state, DWORD pid)
{
    ULONGLONG end = GetTickCount64() + PATIENCE_MS;
    const struct owners_row *row;

    do {
        row = owners_find(TCP_TABLE_OWNER_PID_ALL, address, port, remote_port);
    } while ((!row || row->state != state) && GetTickCount64() < end);
    check_row(name, TCP_TABLE_OWNER_PID_ALL, address, port, remote_port, state, pid);
}

static void test_listeners(void)
{
    struct child four, six, dual;
    const char *any = "0.0.0.0";

    child_start(&four, "listen 10.77.0.1 4701 single");
    child_start(&six, "listen fd77::1 4701 single");
    child_start(&dual, "listen :: 4702 dual");
    check_becomes("an IPv4 listener", CLIENT4, 4701, 0, MIB_TCP_STATE_LISTEN, four.info.dwProcessId);
    check_becomes("an IPv6 listener", CLIENT6, 4701, 0, MIB_TCP_STATE_LISTEN, six.info.dwProcessId);
    check_becomes("a dual-stack listener", "::", 4702, 0, MIB_TCP_STATE_LISTEN, dual.info.dwProcessId);
    check_row("is in the IPv4 table, too", TCP_TABLE_OWNER_PID_ALL, any, 4702, 0, MIB_TCP_STATE_LISTEN,
              dual.info.dwProcessId);
    check_row("class LISTENER has it", TCP_TABLE_OWNER_PID_LISTENER, CLIENT4, 4701, 0, MIB_TCP_STATE_LISTEN,
              four.info.dwProcessId);
    check_no_row("class CONNECTIONS has it not", TCP_TABLE_OWNER_PID_CONNECTIONS, CLIENT4, 4701, 0);
    check_no_row("another port is not there", TCP_TABLE_OWNER_PID_ALL, CLIENT4, 4703, 0);
    child_end(&four);
    child_end(&six);
    child_end(&dual);
    check_no_row("a listener that is gone", TCP_TABLE_OWNER_PID_ALL, CLIENT4, 4701, 0);
    check_no_row("and a dual-stack one", TCP_TABLE_OWNER_PID_ALL, any, 4702, 0);
}

/* All the states of a connection between two sockets of this process, at either end. */
static void test_states(const char *address, int port)
{
    SOCKET listener = net_listen(address, (uint16_t)port, false), client = net_connect(address, (uint16_t)port);
    SOCKET server = accept(listener, NULL, NULL);
    DWORD self = GetCurrentProcessId();
    int from = net_local_port(client);

    printf("# states, %s\n", address);
    check_becomes("ESTABLISHED, connecting end", address, from, port, MIB_TCP_STATE_ESTAB, self);
    check_becomes("ESTABLISHED, accepting end", address, port, from, MIB_TCP_STATE_ESTAB, self);
    check_row("class CONNECTIONS has it", TCP_TABLE_OWNER_PID_CONNECTIONS, address, from, port, MIB_TCP_STATE_ESTAB,
              self);
    check_no_row("class LISTENER has it not", TCP_TABLE_OWNER_PID_LISTENER, address, from, port);
    shutdown(client, SD_SEND);
    check_becomes("FIN_WAIT2", address, from, port, MIB_TCP_STATE_FIN_WAIT2, self);
    check_becomes("CLOSE_WAIT", address, port, from, MIB_TCP_STATE_CLOSE_WAIT, self);
    closesocket(server);
    check_becomes("TIME_WAIT is nobody's", address, from, port, MIB_TCP_STATE_TIME_WAIT, 0);
    closesocket(client);
    closesocket(listener);
}

/* A SYN that a handle holds: what a redirector looks up. */
static void test_syn_sent(const char *from, const char *to)
{
    HANDLE h = open_or_exit("outbound and tcp.DstPort == 8000 and tcp.Syn", LAYER_NETWORK, 0, 0);
    SOCKET s = net_connect_begin(to, ECHO_PORT);
    static struct packet syn;

    require("a SYN", receive(h, &syn, PATIENCE_MS));
    check_row("SYN_SENT, while its SYN is held", TCP_TABLE_OWNER_PID_ALL, from, net_get16(net_tcp(&syn)), ECHO_PORT,
              MIB_TCP_STATE_SYN_SENT, GetCurrentProcessId());
    require("SYN passed on", net_send(h, &syn));
    check("and it connects after that", net_connected(s, PATIENCE_MS), "it does not");
    closesocket(s);
    WinDivertClose(h);
}

static void test_mapped(void)
{
    struct sockaddr_storage to;
    int len = net_address("::ffff:10.77.0.2", ECHO_PORT, &to);
    SOCKET s = socket(AF_INET6, SOCK_STREAM, 0);
    DWORD off = 0;

    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (char *)&off, sizeof off);
    require("connect", connect(s, (void *)&to, len) == 0);
    check_row("IPv4 by an IPv6 socket is IPv4", TCP_TABLE_OWNER_PID_ALL, CLIENT4, net_local_port(s), ECHO_PORT,
              MIB_TCP_STATE_ESTAB, GetCurrentProcessId());
    check_no_row("and not IPv6", TCP_TABLE_OWNER_PID_ALL, "::ffff:10.77.0.1", net_local_port(s), ECHO_PORT);
    closesocket(s);
}

static void test_sizes(ULONG family, DWORD header, DWORD row)
{
    DWORD size = 0, needed, enough;
    static char table[OWNERS_TABLE_MAX] __attribute__((aligned(8)));

    printf("# sizes, family %lu\n", family);
    check_equal("no buffer", owners_get(NULL, &size, FALSE, family, TCP_TABLE_OWNER_PID_ALL, 0),
                ERROR_INSUFFICIENT_BUFFER);
    needed = size;
    check("tells the size", needed >= header + row && (needed - header) % row == 0, "%lu", needed);
    size = needed - 1;
    check_equal("one byte too few", owners_get(table, &size, FALSE, family, TCP_TABLE_OWNER_PID_ALL, 0),
                ERROR_INSUFFICIENT_BUFFER);
    check_equal("tells the size again", size, needed);
    table[needed] = 'x';
    check_equal("exactly enough", owners_get(table, &size, TRUE, family, TCP_TABLE_OWNER_PID_ALL, 0), NO_ERROR);
    enough = header + *(DWORD *)table * row;
    check("and no more is written", enough <= needed && table[needed] == 'x', "%lu bytes", enough);
    check_equal("nowhere for the size", owners_get(table, NULL, FALSE, family, TCP_TABLE_OWNER_PID_ALL, 0),
                ERROR_INVALID_PARAMETER);
}

static void test_order(void)
{
    SOCKET sockets[8];
    const struct owners_row *rows;
    static char table[OWNERS_TABLE_MAX] __attribute__((aligned(8)));
    MIB_TCPTABLE_OWNER_PID *sorted = (void *)table;
    DWORD size = sizeof table, wrong = 0;

    for (int i = 0; i < 8; i++) {
        sockets[i] = net_connect(SERVER4, ECHO_PORT);
    }
    require("a sorted table", owners_get(table, &size, TRUE, AF_INET, TCP_TABLE_OWNER_PID_ALL, 0) == NO_ERROR);
    check("a sorted table has all rows",
          sorted->dwNumEntries >= 8 && sorted->dwNumEntries == owners_rows(AF_INET, TCP_TABLE_OWNER_PID_ALL, &rows),
          "%lu", sorted->dwNumEntries);
    for (DWORD i = 1; i < sorted->dwNumEntries; i++) {
        const MIB_TCPROW_OWNER_PID *row = &sorted->table[i];

        if (ntohl(row[-1].dwLocalAddr) > ntohl(row->dwLocalAddr) ||
            (row[-1].dwLocalAddr == row->dwLocalAddr &&
             ntohs((u_short)row[-1].dwLocalPort) > ntohs((u_short)row->dwLocalPort))) {
            wrong++;
        }
    }
    check_equal("by local address and port", wrong, 0);
    for (int i = 0; i < 8; i++) {
        closesocket(sockets[i]);
    }
}

/* The owner of a UDP socket by the table of a family; 0: there is none. */
static DWORD datagram_owner(int family, const char *address, uint16_t port)
{
    typedef DWORD WINAPI table_fn(void *table, DWORD *size, BOOL order, ULONG family, UDP_TABLE_CLASS class,
                                  ULONG reserved);
    static char table[OWNERS_TABLE_MAX] __attribute__((aligned(8)));
    table_fn *get = (table_fn *)(void (*)(void))GetProcAddress(iphlpapi, "GetExtendedUdpTable");
    DWORD size = sizeof table;
    struct sockaddr_storage at;

    require("GetExtendedUdpTable", get != NULL);
    require("a UDP table", get(table, &size, FALSE, (ULONG)family, UDP_TABLE_OWNER_PID, 0) == NO_ERROR);
    net_address(address, port, &at);
    for (DWORD i = 0; i < *(DWORD *)table; i++) {
        const MIB_UDPROW_OWNER_PID *row4 = &((MIB_UDPTABLE_OWNER_PID *)table)->table[i];
        const MIB_UDP6ROW_OWNER_PID *row6 = &((MIB_UDP6TABLE_OWNER_PID *)table)->table[i];
        bool same = family == AF_INET ? row4->dwLocalPort == htons(port) &&
                                            !memcmp(&row4->dwLocalAddr, &((struct sockaddr_in *)&at)->sin_addr, 4)
                                      : row6->dwLocalPort == htons(port) &&
                                            !memcmp(row6->ucLocalAddr, &((struct sockaddr_in6 *)&at)->sin6_addr, 16);

        if (same) {
            return family == AF_INET ? row4->dwOwningPid : row6->dwOwningPid;
        }
    }
    return 0;
}

/* Waits until there is one. */
static void check_datagrams_of(const char *name, int family, const char *address, uint16_t port, DWORD pid)
{
    ULONGLONG end = GetTickCount64() + PATIENCE_MS;
    DWORD owner;

    do {
        owner = datagram_owner(family, address, port);
    } while (!owner && GetTickCount64() < end);
    check_equal(name, owner, pid);
}

static SOCKET datagram_socket(const char *address, uint16_t port, bool dual)
{
    struct sockaddr_storage at;
    int length = net_address(address, port, &at);
    SOCKET s = socket(at.ss_family, SOCK_DGRAM, 0);
    DWORD single = !dual;

    if (at.ss_family == AF_INET6) {
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (char *)&single, sizeof single);
    }
    require("a bound UDP socket", bind(s, (struct sockaddr *)&at, length) == 0);
    return s;
}

static void test_datagrams(void)
{
    /* Wine binds IPv4 datagram sockets to all addresses, whatever the program says */
    SOCKET four = datagram_socket("0.0.0.0", 4730, false), six = datagram_socket(CLIENT6, 4731, false);
    SOCKET dual = datagram_socket("::", 4732, true);
    DWORD self = GetCurrentProcessId();

    check_datagrams_of("UDP, IPv4", AF_INET, "0.0.0.0", 4730, self);
    check_datagrams_of("UDP, IPv6", AF_INET6, CLIENT6, 4731, self);
    check_equal("is not in the IPv4 table", datagram_owner(AF_INET, "0.0.0.0", 4731), 0);
    check_datagrams_of("UDP, dual-stack, IPv6", AF_INET6, "::", 4732, self);
    check_datagrams_of("UDP, dual-stack, IPv4", AF_INET, "0.0.0.0", 4732, self);
    closesocket(four);
    closesocket(six);
    closesocket(dual);
    check_equal("a UDP socket that is gone", datagram_owner(AF_INET, "0.0.0.0", 4730), 0);
}

/* The rest is Wine's own. */
static void test_forwarded(void)
{
    typedef DWORD WINAPI count_fn(DWORD * count);
    count_fn *get_count = (count_fn *)(void (*)(void))GetProcAddress(iphlpapi, "GetNumberOfInterfaces");
    DWORD count = 0, size = 0;

    require("GetNumberOfInterfaces", get_count != NULL);
    check_equal("a forwarded function", get_count(&count), NO_ERROR);
    check_equal("sees lo and lan", count, 2);
    check_equal("a class without owners", owners_get(NULL, &size, FALSE, AF_INET, TCP_TABLE_BASIC_ALL, 0),
                ERROR_INSUFFICIENT_BUFFER);
    size = 0;
    check_equal("an unknown family", owners_get(NULL, &size, FALSE, 77, TCP_TABLE_OWNER_PID_ALL, 0),
                ERROR_INVALID_PARAMETER);
}

/* The runner has started a native listener, which may need a moment. */
static int role_native(void)
{
    ULONGLONG end = GetTickCount64() + PATIENCE_MS;
    const struct owners_row *row;

    do {
        row = owners_find(TCP_TABLE_OWNER_PID_LISTENER, CLIENT4, NATIVE_PORT, 0);
    } while (!row && GetTickCount64() < end);
    check("a native listener", row != NULL, "none");
    check_equal("has a pid of its own kind", row ? row->pid >> 30 : 0, NATIVE_PID >> 30);
    return check_failures != 0;
}

int main(int argc, char **argv)
{
    net_start();
    child_program = argv[0];
    if (argc > 4 && !strcmp(argv[1], "listen")) {
        return role_listen(argv + 2);
    }
    iphlpapi = owners_load();
    if (argc > 1 && !strcmp(argv[1], "native")) {
        return role_native();
    }
    test_listeners();
    test_states(CLIENT4, 4710);
    test_states(CLIENT6, 4710);
    test_states("127.0.0.1", 4711);
    test_syn_sent(CLIENT4, SERVER4);
    test_syn_sent(CLIENT6, SERVER6);
    test_mapped();
    test_sizes(AF_INET, 4, sizeof(MIB_TCPROW_OWNER_PID));
    test_sizes(AF_INET6, 4, sizeof(MIB_TCP6ROW_OWNER_PID));
    test_order();
    test_datagrams();
    test_forwarded();
    return check_failures != 0;
}
