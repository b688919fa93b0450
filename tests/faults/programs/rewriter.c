/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Another program that rewrites packets by WinDivert: connections to one port of the other host go to another one.
 *
 *   rewrite priority from to     IPv4, until
 *   rewrite_end                  packets rewritten each way
 *
 * It takes what goes out to port `from` and what comes in from port `to`, changes that one port, has the DLL make the
 * checksums, and sends it on as it came otherwise.
 */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYER_NETWORK = 0, SHUTDOWN_RECV = 1, PACKET = 65575 + 40, TCP_SOURCE = 0, TCP_DESTINATION = 2 };

struct address {
    INT64 timestamp;
    UINT8 layer, event, flags, reserved;
    UINT32 more[17];
}; /* 80 bytes; flags & 2: outbound */

static struct {
    HANDLE (*open)(const char *, int, INT16, UINT64);
    BOOL (*recv)(HANDLE, void *, UINT, UINT *, struct address *);
    BOOL (*send)(HANDLE, const void *, UINT, UINT *, const struct address *);
    BOOL (*checksums)(void *, UINT, struct address *, UINT64);
    BOOL (*shutdown)(HANDLE, int);
    BOOL (*close)(HANDLE);
} divert;

static HANDLE handle, thread;
static unsigned from_port, to_port;
static volatile LONG out_count, in_count;

static bool load(void)
{
    char path[MAX_PATH];
    GetModuleFileNameA(NULL, path, sizeof path - 16);
    strcpy(strrchr(path, '\\') + 1, "WinDivert.dll");
    HMODULE dll = LoadLibraryA(path);
    static const char *const names[] = {"WinDivertOpen",     "WinDivertRecv",
                                        "WinDivertSend",     "WinDivertHelperCalcChecksums",
                                        "WinDivertShutdown", "WinDivertClose"};
    FARPROC *at = (FARPROC *)(void *)&divert;
    for (int i = 0; dll && i < 6; i++) {
        at[i] = GetProcAddress(dll, names[i]);
        if (!at[i]) {
            return false;
        }
    }
    return dll != NULL;
}

static void set_port(UINT8 *packet, int which, unsigned port)
{
    UINT8 *tcp = packet + (packet[0] & 15) * 4;
    tcp[which] = (UINT8)(port >> 8);
    tcp[which + 1] = (UINT8)port;
}

static DWORD WINAPI rewriting(void *argument)
{
    static UINT8 packet[PACKET];
    struct address address;
    UINT length;
    (void)argument;
    while (divert.recv(handle, packet, sizeof packet, &length, &address)) {
        bool outbound = address.flags & 2;
        set_port(packet, outbound ? TCP_DESTINATION : TCP_SOURCE, outbound ? to_port : from_port);
        divert.checksums(packet, length, &address, 0);
        divert.send(handle, packet, length, NULL, &address);
        InterlockedIncrement(outbound ? &out_count : &in_count);
    }
    return 0;
}

void command_rewrite(const struct command *c, struct json *answer)
{
    char filter[200];
    from_port = (unsigned)command_number(c, "from", 0);
    to_port = (unsigned)command_number(c, "to", 0);
    out_count = in_count = 0;
    snprintf(filter, sizeof filter, "ip and ((outbound and tcp.DstPort == %u) or (inbound and tcp.SrcPort == %u))",
             from_port, to_port);
    if (!load()) {
        json_error(answer, "WinDivert.dll", GetLastError());
        return;
    }
    handle = divert.open(filter, LAYER_NETWORK, (INT16)strtol(command_text(c, "priority", "0"), NULL, 10), 0);
    if (handle == INVALID_HANDLE_VALUE || !handle) {
        json_error(answer, "WinDivertOpen", GetLastError());
        return;
    }
    thread = CreateThread(NULL, 0, rewriting, NULL, 0, NULL);
}

void command_rewrite_end(const struct command *c, struct json *answer)
{
    (void)c;
    divert.shutdown(handle, SHUTDOWN_RECV);
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    divert.close(handle);
    json_number(answer, "out", out_count);
    json_number(answer, "in", in_count);
}
