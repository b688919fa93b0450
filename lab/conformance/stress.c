/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Everything at a time: threads that receive, cancel and send on handles which other threads shut down, close
 * and open again, while processes die with receives pending. usage: stress [SECONDS [SEED]]
 *
 * A slot is a handle that comes and goes. Its lock keeps a call from being *made* on a handle that is closed,
 * for its number may mean something else by then; what is pending is not protected, that is the point. No
 * receive is pending for long: it is cancelled, and must then end. It fails if a call gives a code that it
 * cannot have, if a call does not return or a pending one does not end, and if a handle cannot be opened.
 */
#include "child.h"

#include <process.h>

#define SLOTS 7
#define RECEIVERS 3 /* per slot */
#define SENDERS 2
#define HANG_MS 15000
#define FILTER "outbound and tcp.DstPort >= 4600 and tcp.DstPort < 4610"

struct slot {
    const char *filter;
    int layer;
    int16_t priority;
    uint64_t flags;
    SRWLOCK lock;
    HANDLE handle;
};

static struct slot slots[SLOTS] = {
    {FILTER, LAYER_NETWORK, 40, 0, SRWLOCK_INIT, NULL},
    {FILTER, LAYER_NETWORK, 30, 0, SRWLOCK_INIT, NULL},
    {FILTER, LAYER_NETWORK, 20, FLAG_SNIFF, SRWLOCK_INIT, NULL},
    {FILTER " and tcp.DstPort < 4605", LAYER_NETWORK, 10, 0, SRWLOCK_INIT, NULL},
    {"tcp", LAYER_SOCKET, 0, FLAG_SNIFF | FLAG_RECV_ONLY, SRWLOCK_INIT, NULL},
    {"tcp", LAYER_FLOW, 0, FLAG_SNIFF | FLAG_RECV_ONLY, SRWLOCK_INIT, NULL},
    {"true", LAYER_REFLECT, 0, FLAG_SNIFF | FLAG_RECV_ONLY, SRWLOCK_INIT, NULL},
};

enum call { CALL_OPEN, CALL_RECV, CALL_CANCEL, CALL_SEND, CALL_SHUTDOWN, CALL_CLOSE, CALL_DEATH, CALL_CONNECT, CALLS };

static const char *const call_names[CALLS] = {"opening",  "receiving", "cancelling",    "sending",
                                              "Shutdown", "Close",     "process death", "connecting"};

/* The codes that each may give beside success; 0 ends them. */
static const DWORD allowed[CALLS][5] = {
    [CALL_RECV] = {ERROR_OPERATION_ABORTED, ERROR_NO_DATA},
    [CALL_CANCEL] = {ERROR_NOT_FOUND},
    [CALL_SEND] = {ERROR_OPERATION_ABORTED, ERROR_NO_DATA},
};

static volatile LONG counts[CALLS], unexpected[CALLS], packets;
static volatile LONG stopping;

struct worker {
    HANDLE thread;
    uint32_t random;
    struct slot *slot;
    volatile LONG call;    /* enum call, what it is doing */
    volatile LONG64 since; /* GetTickCount64 when it began to; 0: nothing */
};

static struct worker workers[SLOTS * RECEIVERS + SENDERS + 4];
static unsigned worker_count;

static uint32_t draw(struct worker *w, uint32_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return w->random % below;
}

static void begin(struct worker *w, enum call call)
{
    w->call = call;
    InterlockedExchange64(&w->since, (LONG64)GetTickCount64());
}

static void end(struct worker *w, enum call call, BOOL result, DWORD error)
{
    InterlockedExchange64(&w->since, 0);
    InterlockedIncrement(&counts[call]);
    if (result) {
        return;
    }
    for (const DWORD *code = allowed[call]; *code; code++) {
        if (*code == error) {
            return;
        }
    }
    if (InterlockedIncrement(&unexpected[call]) <= 5) {
        printf("# %s: error %lu\n", call_names[call], error);
    }
    fflush(stdout);
}

/* An overlapped call has been made: cancels it now and then, and sees its end. */
static void see_end(struct worker *w, enum call call, HANDLE h, OVERLAPPED *op, BOOL result)
{
    DWORD error = GetLastError(), transferred;

    if (!result && error != ERROR_IO_PENDING) {
        end(w, call, FALSE, error);
        return;
    }
    if (!result && WaitForSingleObject(op->hEvent, draw(w, 20)) != WAIT_OBJECT_0) {
        AcquireSRWLockShared(&w->slot->lock);
        if (w->slot->handle == h) {
            result = CancelIoEx(h, draw(w, 4) ? op : NULL);
            error = GetLastError();
            ReleaseSRWLockShared(&w->slot->lock);
            end(w, CALL_CANCEL, result, error);
        } else {
            ReleaseSRWLockShared(&w->slot->lock);
        }
        begin(w, call);
        WaitForSingleObject(op->hEvent, INFINITE); /* the watch sees a hang */
    }
    result = GetOverlappedResult(h, op, &transferred, FALSE);
    end(w, call, result, GetLastError());
}

static unsigned __stdcall run_receiver(void *arg)
{
    struct worker *w = arg;
    uint8_t *data = malloc(PACKET_MAX * 2);
    struct windivert_address addrs[8];
    unsigned addr_len;
    OVERLAPPED op = {.hEvent = CreateEvent(NULL, TRUE, FALSE, NULL)};
    BOOL result;
    HANDLE h;

    while (!stopping) {
        op.Internal = op.InternalHigh = 0;
        addr_len = sizeof addrs;
        AcquireSRWLockShared(&w->slot->lock);
        h = w->slot->handle;
        begin(w, CALL_RECV);
        result = WinDivertRecvEx(h, data, PACKET_MAX * 2, NULL, 0, addrs, &addr_len, &op);
        ReleaseSRWLockShared(&w->slot->lock);
        see_end(w, CALL_RECV, h, &op, result);
        if ((LONG)op.Internal != 0 || w->slot->layer != LAYER_NETWORK || (w->slot->flags & FLAG_SNIFF) || !addr_len) {
            if (!result) {
                Sleep(draw(w, 3));
            }
            continue;
        }
        InterlockedExchangeAdd(&packets, (LONG)(addr_len / sizeof *addrs));
        ResetEvent(op.hEvent);
        AcquireSRWLockShared(&w->slot->lock);
        h = w->slot->handle;
        begin(w, CALL_SEND);
        result = WinDivertSendEx(h, data, (unsigned)op.InternalHigh, NULL, 0, addrs, addr_len, &op);
        ReleaseSRWLockShared(&w->slot->lock);
        see_end(w, CALL_SEND, h, &op, result);
    }
    CloseHandle(op.hEvent);
    free(data);
    return 0;
}

/* Injects at a handle of its own, above all others, what those receive. */
static unsigned __stdcall run_sender(void *arg)
{
    struct worker *w = arg;
    HANDLE h = open_or_exit("false", LAYER_NETWORK, 1000, FLAG_SEND_ONLY);
    struct windivert_address addrs[16];
    uint8_t data[16 * 40];
    struct packet *p = malloc(sizeof *p);
    BOOL result;

    for (uint32_t number = 1; !stopping; number++) {
        unsigned batch = 1 + draw(w, 16), len = 0;

        for (unsigned i = 0; i < batch; i++) {
            net_segment(p, CLIENT4, 40600, SERVER4, (uint16_t)(4600 + draw(w, 10)), number, TCP_ACK);
            memcpy(data + len, p->data, p->len);
            len += p->len;
            addrs[i] = p->addr;
        }
        begin(w, CALL_SEND);
        result = WinDivertSendEx(h, data, len, NULL, 0, addrs, batch * (unsigned)sizeof *addrs, NULL);
        end(w, CALL_SEND, result, GetLastError());
        Sleep(draw(w, 4));
    }
    WinDivertClose(h);
    free(p);
    return 0;
}

static void slot_open(struct worker *w, struct slot *slot)
{
    begin(w, CALL_OPEN);
    slot->handle = WinDivertOpen(slot->filter, slot->layer, slot->priority, slot->flags);
    end(w, CALL_OPEN, slot->handle != INVALID_HANDLE_VALUE && slot->handle, GetLastError());
}

/* Shuts handles down, closes them and opens them again. */
static unsigned __stdcall run_cycler(void *arg)
{
    struct worker *w = arg;
    struct slot *slot;
    BOOL result;

    while (!stopping) {
        Sleep(draw(w, 30));
        slot = &slots[draw(w, SLOTS)];
        if (!draw(w, 3)) {
            AcquireSRWLockShared(&slot->lock);
            begin(w, CALL_SHUTDOWN);
            result = WinDivertShutdown(slot->handle, 1 + (int)draw(w, 3));
            end(w, CALL_SHUTDOWN, result, GetLastError());
            ReleaseSRWLockShared(&slot->lock);
            Sleep(draw(w, 10));
        }
        AcquireSRWLockExclusive(&slot->lock);
        begin(w, CALL_CLOSE);
        result = WinDivertClose(slot->handle);
        end(w, CALL_CLOSE, result, GetLastError());
        slot_open(w, slot);
        ReleaseSRWLockExclusive(&slot->lock);
    }
    return 0;
}

/* The part of a process that dies: receives are pending at two handles, and nobody sees their end. */
static int wait_for_death(void)
{
    static struct packet p[8];
    static OVERLAPPED op[8];
    static unsigned addr_len[8];
    HANDLE h[2] = {open_or_exit(FILTER, LAYER_NETWORK, 15, 0),
                   open_or_exit("tcp", LAYER_SOCKET, 5, FLAG_SNIFF | FLAG_RECV_ONLY)};

    for (int i = 0; i < 8; i++) {
        op[i].hEvent = CreateEvent(NULL, TRUE, FALSE, NULL);
        addr_len[i] = sizeof p[i].addr;
        WinDivertRecvEx(h[i % 2], p[i].data, sizeof p[i].data, NULL, 0, &p[i].addr, &addr_len[i], &op[i]);
    }
    Sleep(INFINITE);
    return 0;
}

static unsigned __stdcall run_killer(void *arg)
{
    struct worker *w = arg;
    struct child child;
    bool died;

    while (!stopping) {
        child_start(&child, "die");
        Sleep(draw(w, 800));
        begin(w, CALL_DEATH);
        TerminateProcess(child.info.hProcess, 0);
        died = WaitForSingleObject(child.info.hProcess, INFINITE) == WAIT_OBJECT_0;
        end(w, CALL_DEATH, died, GetLastError());
        child_end(&child);
    }
    return 0;
}

/* Real connections, so that the other layers have something to tell. */
static unsigned __stdcall run_connector(void *arg)
{
    struct worker *w = arg;

    while (!stopping) {
        begin(w, CALL_CONNECT);
        SOCKET s = net_connect_begin(draw(w, 2) ? SERVER4 : SERVER6, ECHO_PORT);
        bool good = net_connected(s, PATIENCE_MS);

        closesocket(s);
        end(w, CALL_CONNECT, good, WSAGetLastError());
        Sleep(draw(w, 20));
    }
    return 0;
}

static void start(unsigned(__stdcall *run)(void *), struct slot *slot, uint32_t seed)
{
    struct worker *w = &workers[worker_count++];

    w->slot = slot;
    w->random = (seed + worker_count) * 2654435761u | 1;
    w->thread = (HANDLE)_beginthreadex(NULL, 0, run, w, 0, NULL);
    require("a thread", w->thread != NULL);
}

/* Says what hangs, if something does. */
static bool hangs(void)
{
    bool any = false;

    for (unsigned i = 0; i < worker_count; i++) {
        LONG64 since = workers[i].since;

        if (since && (LONG64)GetTickCount64() - since > HANG_MS) {
            printf("# thread %u hangs: %s\n", i, call_names[workers[i].call]);
            any = true;
        }
    }
    return any;
}

/* All have ended, or something hangs. */
static bool watch(DWORD ms)
{
    ULONGLONG begun = GetTickCount64();

    while (GetTickCount64() - begun < ms) {
        Sleep(100);
        if (hangs()) {
            return false;
        }
    }
    stopping = 1;
    for (unsigned i = 0; i < worker_count; i++) {
        while (WaitForSingleObject(workers[i].thread, 100) != WAIT_OBJECT_0) {
            if (hangs()) {
                return false;
            }
        }
    }
    return true;
}

static bool run(DWORD seconds, uint32_t seed)
{
    struct worker self = {.random = 1};

    for (int i = 0; i < SLOTS; i++) {
        slot_open(&self, &slots[i]);
    }
    for (int i = 0; i < SLOTS; i++) {
        for (int k = 0; k < RECEIVERS; k++) {
            start(run_receiver, &slots[i], seed);
        }
    }
    for (int i = 0; i < SENDERS; i++) {
        start(run_sender, NULL, seed);
    }
    start(run_cycler, NULL, seed);
    start(run_cycler, NULL, seed);
    start(run_killer, NULL, seed);
    start(run_connector, NULL, seed);
    if (!watch(seconds * 1000)) {
        return false;
    }
    for (int i = 0; i < SLOTS; i++) {
        WinDivertClose(slots[i].handle);
    }
    return true;
}

int main(int argc, char **argv)
{
    DWORD seconds = argc > 1 ? (DWORD)strtoul(argv[1], NULL, 10) : 10;
    uint32_t seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    char name[80];
    bool ended;

    net_start();
    if (argc > 1 && !strcmp(argv[1], "die")) {
        return wait_for_death();
    }
    child_program = argv[0];
    ended = run(seconds, seed);
    for (int i = 0; i < CALLS; i++) {
        printf("# %s: %ld, unexpected %ld\n", call_names[i], counts[i], unexpected[i]);
        snprintf(name, sizeof name, "stress: %s gives no unexpected code", call_names[i]);
        check(name, counts[i] > 0 && !unexpected[i], "%ld of %ld", unexpected[i], counts[i]);
    }
    check("stress: packets went through", packets > 0, "none");
    check("stress: nothing hangs", ended, "something does");
    ExitProcess(check_failures != 0);
}
