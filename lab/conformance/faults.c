/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Scripted faults of socket events. The runner scripts one, then runs this program with its name:
 *
 *   delay MS     every event is late by that much, packets are not
 *   shuffle      every event is late by a time of its own
 *   lose         the next CONNECT is lost
 *   lose-all     all events are lost
 *   double       every CLOSE comes twice
 *   none         nothing is scripted
 */
#include "owners.h"

enum { CONNECTIONS = 10 };

static struct packet got;
static HANDLE events;

/* Opens the handle that the events come to; the events are those of this program's connections. */
static void events_open(void)
{
    events = open_or_exit("processId > 0 and (remotePort == 8000 or event == CLOSE)", LAYER_SOCKET, 0,
                          FLAG_SNIFF | FLAG_RECV_ONLY);
}

static bool next_is(int event, int local_port)
{
    return receive(events, &got, PATIENCE_MS) && got.addr.event == event && got.addr.socket.local_port == local_port;
}

static void check_next(const char *name, int event, int local_port)
{
    bool good = next_is(event, local_port);

    check(name, good, "event %u, port %u, expected %d, %d", got.addr.event, got.addr.socket.local_port, event,
          local_port);
}

enum { TICK_MS = 16 }; /* GetTickCount64() is no finer */

static void delay(DWORD ms)
{
    HANDLE syns = open_or_exit("tcp.DstPort == 8000 and tcp.Syn", LAYER_NETWORK, 0, FLAG_SNIFF);
    ULONGLONG begin = GetTickCount64(), connected;
    SOCKET s = net_connect(SERVER4, ECHO_PORT);
    int port = net_local_port(s);
    static struct packet syn;

    connected = GetTickCount64() - begin;
    check("packets are not late", connected < ms, "%llu ms to connect", connected);
    check_success("its SYN", receive(syns, &syn, PATIENCE_MS));
    check("comes first", !receive(events, &got, 0), "the event was there");
    check_next("CONNECT comes after all", EVENT_CONNECT, port);
    check("late enough", GetTickCount64() - begin + TICK_MS >= ms, "after %llu ms", GetTickCount64() - begin);
    check("with the time it happened", got.addr.timestamp <= syn.addr.timestamp, "%lld > %lld",
          (long long)got.addr.timestamp, (long long)syn.addr.timestamp);
    begin = GetTickCount64();
    closesocket(s);
    check_next("CLOSE", EVENT_CLOSE, port);
    check("is late, too", GetTickCount64() - begin + TICK_MS >= ms, "after %llu ms", GetTickCount64() - begin);
    WinDivertClose(syns);
}

/* Each connection has its CONNECT, but these have overtaken each other. */
static void shuffle(void)
{
    int ports[CONNECTIONS], seen = 0, overtaken = 0;
    int64_t last = 0;

    for (int i = 0; i < CONNECTIONS; i++) {
        ports[i] = net_local_port(net_connect(SERVER4, ECHO_PORT));
    }
    for (int n = 0; n < CONNECTIONS && receive(events, &got, PATIENCE_MS); n++) {
        overtaken += got.addr.timestamp < last;
        last = got.addr.timestamp;
        for (int i = 0; i < CONNECTIONS; i++) {
            if (got.addr.event == EVENT_CONNECT && got.addr.socket.local_port == ports[i]) {
                ports[i] = 0;
                seen++;
            }
        }
    }
    check("every CONNECT comes, once", seen == CONNECTIONS, "%d of %d", seen, CONNECTIONS);
    check("in another order", overtaken > 0, "%d overtaken", overtaken);
}

static void lose(void)
{
    SOCKET first = net_connect(SERVER4, ECHO_PORT), second = net_connect(SERVER6, ECHO_PORT);
    const struct owners_row *row;
    int port = net_local_port(second);

    check_next("the second CONNECT comes first, the first is lost", EVENT_CONNECT, port);
    owners_load();
    row = owners_find(TCP_TABLE_OWNER_PID_ALL, CLIENT4, net_local_port(first), ECHO_PORT);
    check("the TCP table knows the owner", row && row->pid == GetCurrentProcessId(), "%s",
          row ? "another" : "no such row");
    closesocket(second);
    check_next("CLOSE of the second", EVENT_CLOSE, port);
    closesocket(first);
}

static void lose_all(void)
{
    closesocket(net_connect(SERVER4, ECHO_PORT));
    net_connect(SERVER4, ECHO_PORT);
    check_nothing_queued("no event at all", events);
}

static void none(int closes, const char *close_name)
{
    SOCKET s = net_connect(SERVER4, ECHO_PORT);
    int port = net_local_port(s);

    check_next("one CONNECT", EVENT_CONNECT, port);
    closesocket(s);
    for (int i = 0; i < closes; i++) {
        check_next(close_name, EVENT_CLOSE, port);
    }
    check_nothing_queued("and no more", events);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    net_start();
    events_open();
    if (argc > 2 && !strcmp(what, "delay")) {
        delay((DWORD)atoi(argv[2]));
    } else if (!strcmp(what, "shuffle")) {
        shuffle();
    } else if (!strcmp(what, "lose")) {
        lose();
    } else if (!strcmp(what, "lose-all")) {
        lose_all();
    } else if (!strcmp(what, "double")) {
        none(4, "CLOSE of connection and port, each twice");
    } else if (!strcmp(what, "none")) {
        none(2, "CLOSE of connection and port");
    } else {
        require("a fault as argument", false);
    }
    return check_failures != 0;
}
