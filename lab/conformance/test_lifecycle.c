/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Pending receives, their order and cancellation; shutdown; what becomes of queued packets when a
 * handle is closed or its process dies.
 */
#include "net.h"

#define PORT 4100 /* nothing listens there; the filters below pick it */

struct pending {
    OVERLAPPED op;
    struct packet packet;
    unsigned addr_len;
};

static bool pending_start(HANDLE h, struct pending *r)
{
    memset(&r->op, 0, sizeof r->op);
    r->op.hEvent = CreateEvent(NULL, TRUE, FALSE, NULL);
    r->addr_len = sizeof r->packet.addr;
    return !WinDivertRecvEx(h, r->packet.data, sizeof r->packet.data, NULL, 0, &r->packet.addr, &r->addr_len, &r->op) &&
           GetLastError() == ERROR_IO_PENDING;
}

static BOOL pending_finish(HANDLE h, struct pending *r)
{
    DWORD transferred;
    BOOL result = finish(h, &r->op, &transferred, PATIENCE_MS);
    DWORD error = GetLastError();

    r->packet.len = transferred;
    CloseHandle(r->op.hEvent);
    SetLastError(error);
    return result;
}

static void send_segment(HANDLE h, uint32_t sequence)
{
    static struct packet p;

    net_segment(&p, CLIENT4, 40100, SERVER4, PORT, sequence, TCP_ACK);
    require("injection", net_send(h, &p));
}

static void test_pending(void)
{
    static struct pending first, second;
    HANDLE injector = open_or_exit("false", LAYER_NETWORK, 100, FLAG_SEND_ONLY);
    HANDLE h = open_or_exit("outbound and tcp.DstPort == 4100", LAYER_NETWORK, 0, 0);

    check("two receives are pending", pending_start(h, &first) && pending_start(h, &second), "error %lu",
          GetLastError());
    send_segment(injector, 1);
    send_segment(injector, 2);
    check_success("first receive completes", pending_finish(h, &first));
    check_success("second receive completes", pending_finish(h, &second));
    check_equal("first receive got the first packet", net_sequence(&first.packet), 1);
    check_equal("second receive got the second packet", net_sequence(&second.packet), 2);
    check_equal("address length is written back", second.addr_len, sizeof second.packet.addr);

    require("receive", pending_start(h, &first) && pending_start(h, &second));
    check_success("CancelIoEx", CancelIoEx(h, &first.op));
    check_error("cancelled receive", pending_finish(h, &first), ERROR_OPERATION_ABORTED);
    send_segment(injector, 3);
    check_success("the other receive goes on", pending_finish(h, &second));
    check_equal("and gets the packet", net_sequence(&second.packet), 3);

    require("receive", pending_start(h, &first));
    WinDivertClose(h);
    check_equal("close ends a pending receive", WaitForSingleObject(first.op.hEvent, PATIENCE_MS), WAIT_OBJECT_0);
    check_equal("with STATUS_CANCELLED", (uint32_t)first.op.Internal, 0xC0000120);
    WinDivertClose(injector);
}

/* Several blocking receives in threads of their own, all ended by one shutdown. */
static DWORD WINAPI blocking_receive(void *h)
{
    static __thread struct packet p;
    unsigned len;

    return WinDivertRecv(h, p.data, sizeof p.data, &len, &p.addr) ? 0 : GetLastError();
}

static void test_shutdown_wakes(void)
{
    HANDLE h = open_or_exit("false", LAYER_NETWORK, 0, 0), threads[4];
    DWORD code;
    int good = 0;

    for (int i = 0; i < 4; i++) {
        threads[i] = CreateThread(NULL, 0, blocking_receive, h, 0, NULL);
    }
    check_success("shutdown with blocked threads", WinDivertShutdown(h, SHUTDOWN_BOTH));
    for (int i = 0; i < 4; i++) {
        if (WaitForSingleObject(threads[i], PATIENCE_MS) == WAIT_OBJECT_0 && GetExitCodeThread(threads[i], &code) &&
            code == ERROR_NO_DATA) {
            good++;
        }
    }
    check_equal("all blocked threads end with no-data", (unsigned)good, 4);
    WinDivertClose(h);
}

static void test_shutdown(void)
{
    static struct packet p;
    HANDLE injector = open_or_exit("false", LAYER_NETWORK, 100, FLAG_SEND_ONLY);
    HANDLE above = open_or_exit("outbound and tcp.DstPort == 4100", LAYER_NETWORK, 10, FLAG_SNIFF);
    HANDLE h = open_or_exit("outbound and tcp.DstPort == 4100", LAYER_NETWORK, 0, 0);
    HANDLE below = open_or_exit("outbound and tcp.DstPort == 4100", LAYER_NETWORK, -10, FLAG_SNIFF);

    check_error("shutdown of nothing", WinDivertShutdown(h, 0), 87);
    check_error("shutdown of the unknown", WinDivertShutdown(h, 4), 87);
    send_segment(injector, 1);
    require("a queued packet", receive(above, &p, PATIENCE_MS));
    check_success("shutdown of receiving", WinDivertShutdown(h, SHUTDOWN_RECV));
    send_segment(injector, 2);
    check_success("later packets pass the handle", receive(below, &p, PATIENCE_MS));
    check_equal("and only they", net_sequence(&p), 2);
    check_success("a queued packet stays readable", receive(h, &p, PATIENCE_MS));
    check_equal("and is the right one", net_sequence(&p), 1);
    check_error("then there is no data", receive(h, &p, PATIENCE_MS), ERROR_NO_DATA);
    net_segment(&p, CLIENT4, 40100, SERVER4, PORT, 3, TCP_ACK);
    check_success("sending still works", net_send(h, &p));
    check_success("shutdown of sending", WinDivertShutdown(h, SHUTDOWN_SEND));
    check_error("then sending fails", net_send(h, &p), ERROR_NO_DATA);
    WinDivertClose(injector);
    WinDivertClose(above);
    WinDivertClose(h);
    WinDivertClose(below);
}

/* What comes out below is the very packet that was held, and the connection it began succeeds. */
static void expect_reinjected(const char *name, const struct packet *held, HANDLE below, SOCKET s)
{
    static struct packet out;
    bool good = receive(below, &out, PATIENCE_MS);

    /* a retransmission would differ in its IP identification */
    check(name, good && !memcmp(held->data + 4, out.data + 4, 2), "%s", good ? "another packet" : "nothing came");
    check("and the connection succeeds", net_connected(s, PATIENCE_MS), "it does not");
    closesocket(s);
}

static void test_close(void)
{
    const char *filter = "outbound and tcp.DstPort == 8000 and tcp.Syn";
    HANDLE below = open_or_exit(filter, LAYER_NETWORK, -10, FLAG_SNIFF);
    HANDLE h = open_or_exit(filter, LAYER_NETWORK, 0, 0);
    HANDLE above = open_or_exit(filter, LAYER_NETWORK, 10, FLAG_SNIFF);
    SOCKET s = net_connect_begin(SERVER4, ECHO_PORT);
    static struct packet held;

    require("the packet", receive(above, &held, PATIENCE_MS));
    WinDivertClose(h);
    expect_reinjected("close re-injects what is queued", &held, below, s);

    h = open_or_exit(filter, LAYER_NETWORK, 0, 0);
    s = net_connect_begin(SERVER4, ECHO_PORT);
    require("the packet", receive(h, &held, PATIENCE_MS));
    check_nothing_queued("a packet read and not sent is gone", below);
    closesocket(s);
    WinDivertClose(h);
    WinDivertClose(above);
    WinDivertClose(below);
}

/* The part of the process that dies: it diverts and never reads. */
static int hold_packets(void)
{
    open_or_exit("outbound and tcp.DstPort == 8000 and tcp.Syn", LAYER_NETWORK, 0, 0);
    printf("holding\n");
    fflush(stdout);
    Sleep(INFINITE);
    return 0;
}

static void test_process_death(const char *self)
{
    const char *filter = "outbound and tcp.DstPort == 8000 and tcp.Syn";
    HANDLE below = open_or_exit(filter, LAYER_NETWORK, -10, FLAG_SNIFF);
    HANDLE above = open_or_exit(filter, LAYER_NETWORK, 10, FLAG_SNIFF);
    SECURITY_ATTRIBUTES inherit = {sizeof inherit, NULL, TRUE};
    STARTUPINFOA start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION child;
    HANDLE reader, writer;
    char command[MAX_PATH + 16], line[8];
    static struct packet held;
    DWORD n;
    SOCKET s;

    require("pipe", CreatePipe(&reader, &writer, &inherit, 0));
    start.hStdOutput = writer;
    snprintf(command, sizeof command, "\"%s\" hold", self);
    require("child", CreateProcessA(NULL, command, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child));
    require("child's handle", ReadFile(reader, line, sizeof line, &n, NULL));
    s = net_connect_begin(SERVER4, ECHO_PORT);
    require("the packet", receive(above, &held, PATIENCE_MS));
    TerminateProcess(child.hProcess, 1);
    expect_reinjected("death of a process re-injects what it had queued", &held, below, s);
    CloseHandle(child.hProcess);
    CloseHandle(child.hThread);
    CloseHandle(reader);
    CloseHandle(writer);
    WinDivertClose(above);
    WinDivertClose(below);
}

int main(int argc, char **argv)
{
    net_start();
    if (argc > 1 && !strcmp(argv[1], "hold")) {
        return hold_packets();
    }
    test_pending();
    test_shutdown_wakes();
    test_shutdown();
    test_close();
    test_process_death(argv[0]);
    return check_failures != 0;
}
