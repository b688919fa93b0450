/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Scripted faults of the driver. The runner scripts one and runs this program with its name. What is to
 * be scripted while the program has handles open, it asks for: it prints "# step" and waits until the
 * runner, having done so, makes a file "go".
 */
#include "net.h"

#define FILTER "outbound and tcp.DstPort == 4800"
#define SEGMENT 40

static struct packet p;
static HANDLE injector, sniffer; /* above and below all other handles */

struct pending {
    HANDLE handle;
    OVERLAPPED op;
    struct packet packet;
    unsigned addr_len;
};

static void step(void)
{
    ULONGLONG begin = GetTickCount64();

    printf("# step\n");
    fflush(stdout);
    while (!DeleteFileA("go")) {
        require("the runner's answer", GetTickCount64() - begin < 4 * PATIENCE_MS);
        Sleep(5);
    }
}

/* Leaves segments in the queue of the one handle that takes them. */
static void fill(uint32_t first, int count)
{
    HANDLE above = open_or_exit(FILTER, LAYER_NETWORK, 500, FLAG_SNIFF);

    for (int i = 0; i < count; i++) {
        net_segment(&p, CLIENT4, 40800, SERVER4, 4800, first + (uint32_t)i, TCP_ACK);
        require("injection", net_send(injector, &p));
        require("a segment above", receive(above, &p, PATIENCE_MS));
    }
    WinDivertClose(above);
}

/* What waits for the runner is not to grow too old meanwhile. */
static HANDLE open_patient(void)
{
    HANDLE h = open_or_exit(FILTER, LAYER_NETWORK, 0, 0);

    require("queue time", WinDivertSetParam(h, PARAM_QUEUE_TIME, 16000));
    return h;
}

static void expect_segment(const char *name, HANDLE h, uint32_t number)
{
    if (check_success(name, receive(h, &p, PATIENCE_MS))) {
        check_equal(name, net_sequence(&p), number);
    }
}

static void role_open(DWORD error)
{
    HANDLE h = WinDivertOpen("tcp", LAYER_NETWORK, 0, FLAG_SNIFF);

    check_error("opening fails with the scripted code", h != INVALID_HANDLE_VALUE, error);
    h = WinDivertOpen("tcp", LAYER_NETWORK, 0, FLAG_SNIFF);
    check_success("once", h != INVALID_HANDLE_VALUE);
    WinDivertClose(h);
}

static void role_open_late(DWORD ms)
{
    ULONGLONG begin = GetTickCount64();
    HANDLE h = WinDivertOpen("tcp", LAYER_NETWORK, 0, FLAG_SNIFF);

    check_success("opening succeeds", h != INVALID_HANDLE_VALUE);
    check("late", GetTickCount64() - begin >= ms, "after %llu ms", GetTickCount64() - begin);
    WinDivertClose(h);
}

static void role_recv(void)
{
    HANDLE h = open_patient();

    fill(1, 1);
    step();
    check_error("a receive fails", receive(h, &p, PATIENCE_MS), 1450);
    check_error("and a second one", receive(h, &p, PATIENCE_MS), 1450);
    expect_segment("the third gets what has waited", h, 1);
    WinDivertClose(h);
}

static void role_recv_single(void)
{
    static struct windivert_address addr[BATCH_MAX];
    HANDLE h = open_or_exit(FILTER, LAYER_NETWORK, 0, 0);
    unsigned len, addr_len = sizeof addr;

    fill(10, 4);
    for (int i = 0; i < 2; i++) {
        addr_len = sizeof addr;
        check_success("a batch", WinDivertRecvEx(h, p.data, sizeof p.data, &len, 0, addr, &addr_len, NULL));
        check_equal("of one packet", addr_len, sizeof *addr);
    }
    addr_len = sizeof addr;
    check_success("the next", WinDivertRecvEx(h, p.data, sizeof p.data, &len, 0, addr, &addr_len, NULL));
    check_equal("of all that is left", addr_len, 2 * sizeof *addr);
    WinDivertClose(h);
}

/* Three segments in a batch, the middle one is struck; the numbers are of those that leave. */
static void role_send(DWORD error, const uint32_t *leave, int count)
{
    static uint8_t data[3 * SEGMENT];
    struct windivert_address addr[3];
    unsigned sent;

    for (uint32_t i = 0; i < 3; i++) {
        net_segment(&p, CLIENT4, 40800, SERVER4, 4800, 20 + i, TCP_ACK);
        memcpy(data + i * SEGMENT, p.data, SEGMENT);
        addr[i] = p.addr;
    }
    check_error("a batch fails", WinDivertSendEx(injector, data, sizeof data, &sent, 0, addr, sizeof addr, NULL),
                error);
    for (int i = 0; i < count; i++) {
        expect_segment("what has left all the same", sniffer, leave[i]);
    }
    check_success("the next batch", WinDivertSendEx(injector, data, sizeof data, &sent, 0, addr, sizeof addr, NULL));
    expect_segment("leaves", sniffer, 20);
    expect_segment("as", sniffer, 21);
    expect_segment("a whole", sniffer, 22);
}

static void role_queue(void)
{
    HANDLE h = open_or_exit(FILTER, LAYER_NETWORK, 0, 0);

    fill(30, 5);
    expect_segment("the newest but one", h, 33);
    expect_segment("and the newest are kept", h, 34);
    check_nothing_queued("alone", h);
    WinDivertClose(h);
}

static void begin(struct pending *pending, HANDLE h)
{
    memset(&pending->op, 0, sizeof pending->op);
    pending->handle = h;
    pending->op.hEvent = CreateEvent(NULL, TRUE, FALSE, NULL);
    pending->addr_len = sizeof pending->packet.addr;
}

static void begin_recv(struct pending *pending, HANDLE h)
{
    begin(pending, h);
    require("a pending receive", !WinDivertRecvEx(h, pending->packet.data, PACKET_MAX, NULL, 0, &pending->packet.addr,
                                                  &pending->addr_len, &pending->op) &&
                                     GetLastError() == ERROR_IO_PENDING);
}

static void begin_send(struct pending *pending, HANDLE h, uint32_t number)
{
    begin(pending, h);
    net_segment(&pending->packet, CLIENT4, 40800, SERVER4, 4800, number, TCP_ACK);
    require("a pending send", !WinDivertSendEx(h, pending->packet.data, pending->packet.len, NULL, 0,
                                               &pending->packet.addr, sizeof pending->packet.addr, &pending->op) &&
                                  GetLastError() == ERROR_IO_PENDING);
}

static BOOL end(struct pending *pending)
{
    DWORD transferred;

    return finish(pending->handle, &pending->op, &transferred, PATIENCE_MS);
}

static bool is_pending(const struct pending *pending)
{
    return WaitForSingleObject(pending->op.hEvent, 0) == WAIT_TIMEOUT;
}

static DWORD WINAPI set_param(void *h)
{
    return WinDivertSetParam(h, PARAM_QUEUE_LENGTH, 100) ? 0 : GetLastError();
}

/* A call of each kind is not answered until the driver goes on. */
static void role_stall(void)
{
    HANDLE h = open_patient(), thread;
    static struct pending recv, send;

    WinDivertSetParam(h, PARAM_QUEUE_TIME, 16000); /* the runner takes its time */
    fill(40, 1);
    step();
    begin_recv(&recv, h);
    begin_send(&send, injector, 41);
    thread = CreateThread(NULL, 0, set_param, h, 0, NULL);
    step(); /* the runner has seen that all three were struck */
    check("a receive is not answered though there is a packet", is_pending(&recv), "it is");
    check("nor is a send", is_pending(&send), "it is");
    check("nor is another call", WaitForSingleObject(thread, 0) == WAIT_TIMEOUT, "it is");
    step();
    check_success("until the driver goes on: the receive", end(&recv));
    check_equal("has its packet", net_sequence(&recv.packet), 40);
    check_success("the send", end(&send));
    expect_segment("reaches the handle below", h, 41);
    check("the parameter", WaitForSingleObject(thread, PATIENCE_MS) == WAIT_OBJECT_0, "is still being set");
    WinDivertClose(h);
}

static DWORD WINAPI wait_for_send(void *pending)
{
    DWORD transferred;

    return GetOverlappedResult(((struct pending *)pending)->handle, &((struct pending *)pending)->op, &transferred,
                               TRUE)
               ? 0
               : GetLastError();
}

/* Or until the handle closes. */
static void role_stall_close(void)
{
    HANDLE h = open_or_exit(FILTER, LAYER_NETWORK, 0, 0), thread;
    static struct pending recv, send;
    DWORD error;

    step();
    begin_recv(&recv, h);
    begin_send(&send, h, 50);
    thread = CreateThread(NULL, 0, wait_for_send, &send, 0, NULL);
    check("a send is not answered", is_pending(&send), "it is");
    WinDivertClose(h);
    check("until the handle closes", WaitForSingleObject(thread, PATIENCE_MS) == WAIT_OBJECT_0, "it is not even then");
    GetExitCodeThread(thread, &error);
    check_equal("with an error", error, ERROR_OPERATION_ABORTED);
    check("a receive, too", WaitForSingleObject(recv.op.hEvent, PATIENCE_MS) == WAIT_OBJECT_0, "it is not even then");
    step();
    check_nothing_queued("what was not answered did not leave", sniffer);
}

/* The driver goes, the handles stay. */
static void role_unload(void)
{
    HANDLE packets = open_or_exit("tcp.DstPort == 4801", LAYER_NETWORK, 0, 0);
    HANDLE unread = open_or_exit(FILTER, LAYER_NETWORK, 0, 0);
    HANDLE events = open_or_exit("tcp", LAYER_SOCKET, 0, FLAG_SNIFF | FLAG_RECV_ONLY);
    static struct pending packet, event;

    fill(60, 1);
    begin_recv(&packet, packets);
    begin_recv(&event, events);
    step();
    check_error("a pending receive of packets ends", end(&packet), ERROR_OPERATION_ABORTED);
    check_error("one of events, too", end(&event), ERROR_OPERATION_ABORTED);
    check_error("a dead handle receives nothing", receive(unread, &p, PATIENCE_MS), ERROR_BAD_COMMAND);
    net_segment(&p, CLIENT4, 40800, SERVER4, 4800, 61, TCP_ACK);
    check_error("sends nothing", net_send(unread, &p), ERROR_BAD_COMMAND);
    check_error("has no parameters", WinDivertSetParam(unread, PARAM_QUEUE_LENGTH, 100), ERROR_BAD_COMMAND);
    check_error("cannot be shut down", WinDivertShutdown(unread, SHUTDOWN_BOTH), ERROR_BAD_COMMAND);
    check_success("and closes", WinDivertClose(unread));
    WinDivertClose(packets);
    WinDivertClose(events);
    packets = open_or_exit("tcp.DstPort == 8000 and tcp.Syn", LAYER_NETWORK, 0, FLAG_SNIFF);
    closesocket(net_connect(SERVER4, ECHO_PORT));
    check_success("opened again, the driver works", receive(packets, &p, PATIENCE_MS));
    WinDivertClose(packets);
}

/* A connection's two events name the process. */
static void role_pid(DWORD pid)
{
    HANDLE events = open_or_exit("event == BIND or (event == CONNECT and remotePort == 8000)", LAYER_SOCKET, 0,
                                 FLAG_SNIFF | FLAG_RECV_ONLY);
    SOCKET s;

    step();
    s = net_connect(SERVER4, ECHO_PORT);
    for (int i = 0; i < 2; i++) {
        require("an event", receive(events, &p, PATIENCE_MS));
        if (pid != MAXDWORD) {
            check_equal("an event names the scripted process", p.addr.socket.process_id, pid);
        } else {
            check("an event names a process that is no more",
                  p.addr.socket.process_id > 4 &&
                      !OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, p.addr.socket.process_id),
                  "pid %u", p.addr.socket.process_id);
        }
    }
    closesocket(s);
    s = net_connect(SERVER4, ECHO_PORT);
    require("an event", receive(events, &p, PATIENCE_MS));
    check_equal("the next one is true", p.addr.socket.process_id, GetCurrentProcessId());
    closesocket(s);
}

/*
 * "Impostor is set on receive if the packet was injected by another driver. On Send with Impostor set
 * TTL or HopLimit is reduced by one; if it is 1 or less the packet is not injected", a soft error.
 */
static void role_impostor(const char *server)
{
    HANDLE h = open_or_exit("outbound and tcp.DstPort == 8000 and tcp.Syn", LAYER_NETWORK, 0, 0);
    HANDLE below =
        open_or_exit("outbound and tcp.DstPort == 8000 and tcp.Syn", LAYER_NETWORK, -1, FLAG_SNIFF | FLAG_RECV_ONLY);
    bool ipv6 = strchr(server, ':') != NULL;
    SOCKET s;
    uint8_t hops;

    step();
    s = net_connect_begin(server, ECHO_PORT);
    require("the SYN", receive(h, &p, PATIENCE_MS));
    check_equal("a foreign driver's packet is marked", p.addr.impostor, 1);
    hops = p.data[ipv6 ? 7 : 8];
    check_success("it can be sent on", net_send(h, &p));
    check_success("it arrives", net_connected(s, PATIENCE_MS));
    require("it below", receive(below, &p, PATIENCE_MS));
    check_equal("with a hop less", p.data[ipv6 ? 7 : 8], hops - 1u);
    check_equal("and is no impostor to the same driver", p.addr.impostor, 0);
    p.addr.impostor = 1;
    p.data[ipv6 ? 7 : 8] = 1;
    p.addr.ip_checksum = 0;
    check_error("at its last hop it is not injected", net_send(h, &p), 1232);
    closesocket(s);
    s = net_connect_begin(server, ECHO_PORT);
    require("the next SYN", receive(h, &p, PATIENCE_MS));
    check_equal("the next packet is an ordinary one", p.addr.impostor, 0);
    closesocket(s);
    WinDivertClose(h);
    check_nothing_queued("nothing else left", below);
}

int main(int argc, char **argv)
{
    static const uint32_t all_but_middle[] = {20, 22}, first[] = {20};
    const char *what = argc > 1 ? argv[1] : "";
    DWORD number = argc > 2 ? (DWORD)atoi(argv[2]) : 0;

    net_start();
    if (!strcmp(what, "open")) {
        role_open(number);
        return check_failures != 0;
    }
    if (!strcmp(what, "open-late")) {
        role_open_late(number);
        return check_failures != 0;
    }
    injector = open_or_exit("false", LAYER_NETWORK, 1000, FLAG_SEND_ONLY);
    sniffer = open_or_exit(FILTER, LAYER_NETWORK, -1000, FLAG_SNIFF);
    if (!strcmp(what, "recv")) {
        role_recv();
    } else if (!strcmp(what, "recv-single")) {
        role_recv_single();
    } else if (!strcmp(what, "send")) {
        role_send(592, all_but_middle, 2);
    } else if (!strcmp(what, "send-cut")) {
        role_send(1450, first, 1);
    } else if (!strcmp(what, "queue")) {
        role_queue();
    } else if (!strcmp(what, "stall")) {
        role_stall();
    } else if (!strcmp(what, "stall-close")) {
        role_stall_close();
    } else if (!strcmp(what, "unload")) {
        role_unload();
    } else if (!strcmp(what, "pid")) {
        role_pid(argc > 2 ? number : MAXDWORD);
    } else if (!strcmp(what, "impostor")) {
        role_impostor(argc > 2 ? argv[2] : SERVER4);
    } else {
        require("a fault as argument", false);
    }
    return check_failures != 0;
}
