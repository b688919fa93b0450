/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * doctor's proof. A second redirector.exe (doctor_other.c) connects to an address at which nothing has to listen; if
 * this machine can redirect, the connection arrives here, the library has its original destination, and an answer
 * reaches the other side. Over loopback, a datagram does the same after it. Nothing leaves the machine: the SYN is
 * redirected already. The address is one reserved for documentation if there is a route to it, else a neighbour's, else
 * one of loopback, which proves redirection over loopback only.
 */
#include "doctor_other.h"

#include "address.h"
#include "doctor_report.h"
#include "relay_socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MS = 10000, /* for the connection to arrive, and for the other process to end */
    TEST_PORT = 9,
    LOG_LINES = 100, /* of the library's log, for the report */
    LOG_BYTES = 400,
    LOG_FILE_BYTES = 16384,
};

/* ---- where to */

/* Whether there is a route: connecting a datagram socket checks that, and sends nothing. */
static bool reachable(const redirector_address *to)
{
    struct sockaddr_storage address;
    int size = address_to_sockaddr(to, &address);
    SOCKET s = WSASocketW(address.ss_family, SOCK_DGRAM, IPPROTO_UDP, NULL, 0, WSA_FLAG_NO_HANDLE_INHERIT);
    bool good = s != INVALID_SOCKET && connect(s, (struct sockaddr *)&address, size) == 0;
    if (s != INVALID_SOCKET) {
        closesocket(s);
    }
    return good;
}

/* An address beside one of this machine's own. */
static bool find_neighbour(redirector_address *to)
{
    IP_ADAPTER_ADDRESSES *adapters = doctor_adapters(to->family == 6 ? AF_INET6 : AF_INET);
    bool found = false;
    for (IP_ADAPTER_ADDRESSES *a = adapters; a && !found; a = a->Next) {
        for (IP_ADAPTER_UNICAST_ADDRESS *u = a->FirstUnicastAddress; u && !found; u = u->Next) {
            struct sockaddr_storage own = {0};
            memcpy(&own, u->Address.lpSockaddr, (size_t)u->Address.iSockaddrLength);
            *to = address_from_sockaddr(&own);
            to->port = TEST_PORT;
            to->bytes[to->family == 6 ? 15 : 3] ^= 2;
            bool local = to->family == 6 ? to->bytes[0] == 0xFE || to->bytes[0] == 0 : to->bytes[0] == 127;
            found = !local && reachable(to);
        }
    }
    free(adapters);
    return found;
}

/* False: the machine has no such family. *through: the packets would leave the machine. */
static bool find_destination(uint32_t family, redirector_address *to, bool *through)
{
    redirector_address reserved = {.family = family, .port = TEST_PORT}, loopback = reserved;
    inet_pton(family == 6 ? AF_INET6 : AF_INET, family == 6 ? "2001:db8::1" : "192.0.2.1", reserved.bytes);
    inet_pton(family == 6 ? AF_INET6 : AF_INET, family == 6 ? "::1" : "127.0.0.1", loopback.bytes);
    *to = reserved;
    *through = reachable(to) || find_neighbour(to);
    if (!*through) {
        *to = loopback;
    }
    return *through || reachable(to);
}

/* ---- one connection */

struct attempt {
    const struct options *options;
    redirector_address to;
    uint32_t flags;
    SOCKET listener;
    SOCKET datagrams; /* INVALID_SOCKET: they are not tried */
    uint32_t port, udp_port;
    PROCESS_INFORMATION other;
    redirector *redirecting;
    redirector_error error;
    char problem[400];
    const char *udp_problem; /* NULL: a datagram has come through, or none was tried */
    const char *what;
    LARGE_INTEGER since;    /* when the step that is on began */
    char (*log)[LOG_BYTES]; /* the last LOG_LINES lines, a ring; NULL: no report is wanted */
    unsigned logged;
};

/* ---- for the report */

/* Notes the end of a step, with its time; returns whether it went well. */
static bool step(struct attempt *a, const char *name, bool good)
{
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    doctor_item("steps");
    doctor_own_text("attempt", "%s", a->what);
    doctor_own_text("step", "%s", name);
    doctor_own_text("state", "%s", good ? "ok" : "failed");
    doctor_number("ms", (double)(now.QuadPart - a->since.QuadPart) * 1e3 / (double)frequency.QuadPart);
    a->since = now;
    return good;
}

/* On the library's log thread, which has ended when the lines are read. */
static void keep_line(void *context, uint32_t level, const char *line)
{
    struct attempt *a = context;
    (void)level;
    snprintf(a->log[a->logged++ % LOG_LINES], LOG_BYTES, "%s", line);
}

static void tell_line(const char *source, const char *line)
{
    doctor_item("log");
    doctor_own_text("source", "%s", source);
    doctor_text("line", line);
}

static void tell_log(struct attempt *a)
{
    unsigned first = a->logged > LOG_LINES ? a->logged - LOG_LINES : 0;
    for (unsigned i = first; a->log && i < a->logged; i++) {
        tell_line(a->what, a->log[i % LOG_LINES]);
    }
    free(a->log);
    a->log = NULL;
}

/* The end of the log that a redirector in this folder has left. */
static void tell_log_file(void)
{
    char *text = calloc(1, LOG_FILE_BYTES + 1), *end;
    FILE *file = text ? _wfopen(L"windows_redirector.log", L"rb") : NULL;
    if (file) {
        bool cut = fseek(file, -LOG_FILE_BYTES, SEEK_END) == 0;
        fread(text, 1, LOG_FILE_BYTES, file);
        fclose(file);
        for (char *at = text; (end = strchr(at, '\n')) != NULL; at = end + 1) {
            *end = '\0';
            if (!cut) { /* the first line has lost its beginning */
                tell_line("windows_redirector.log", at);
            }
            cut = false;
        }
    }
    free(text);
}

static bool fail(struct attempt *a, const char *problem)
{
    snprintf(a->problem, sizeof a->problem, "%s", problem);
    return false;
}

/* Binds to a free port, which it returns; 0: it cannot. */
static uint32_t bind_one(SOCKET s, uint32_t family)
{
    struct sockaddr_storage address = {0};
    redirector_address any = {.family = family};
    int size = address_to_sockaddr(&any, &address);
    if (s == INVALID_SOCKET || bind(s, (struct sockaddr *)&address, size) != 0 ||
        getsockname(s, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    return address_from_sockaddr(&address).port;
}

static bool open_listener(struct attempt *a)
{
    int family = a->to.family == 6 ? AF_INET6 : AF_INET;
    a->listener = relay_socket(family);
    a->port = bind_one(a->listener, a->to.family);
    if (!a->port || listen(a->listener, 1) != 0) {
        return fail(a, "cannot listen");
    }
    if (!(a->flags & REDIRECTOR_REFLECT)) { /* datagrams are never led by reflection */
        a->datagrams = relay_datagram_socket(family, DOCTOR_RECEIVE_BUFFER);
        a->udp_port = bind_one(a->datagrams, a->to.family);
    }
    return a->udp_port || a->flags & REDIRECTOR_REFLECT || fail(a, "cannot receive datagrams");
}

static bool start_other(struct attempt *a)
{
    STARTUPINFOW startup = {.cb = sizeof startup};
    wchar_t path[MAX_PATH], line[MAX_PATH + 128];
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(ip, &a->to);
    if (!GetModuleFileNameW(NULL, path, MAX_PATH)) {
        return fail(a, "its own file was not found");
    }
    _snwprintf(line, sizeof line / sizeof line[0], L"\"%ls\" doctor-connect %hs %u%hs", path, ip, (unsigned)a->to.port,
               a->udp_port ? " udp" : "");
    if (!CreateProcessW(path, line, NULL, NULL, FALSE, CREATE_SUSPENDED | CREATE_NO_WINDOW, NULL, NULL, &startup,
                        &a->other)) {
        return fail(a, "cannot start a process");
    }
    return true;
}

static bool start_redirecting(struct attempt *a)
{
    redirector_config config = {.size = sizeof config,
                                .client_pid = a->other.dwProcessId,
                                .proxy_port = a->port,
                                .udp_port = a->udp_port,
                                .flags = a->flags | REDIRECTOR_NO_PROOF, /* this way, or none */
                                .windivert_dir = a->options->windivert_dir,
                                .log_level = a->log ? REDIRECTOR_LOG_DEBUG : REDIRECTOR_LOG_DEFAULT,
                                .log_fn = a->log ? keep_line : NULL,
                                .log_context = a,
                                .log_path = ""};
    a->error.size = sizeof a->error;
    if (redirector_start(&config, &a->redirecting, &a->error) != REDIRECTOR_OK) {
        return fail(a, a->error.text);
    }
    return true;
}

/* Whether the library tells of this peer what is so. */
static bool is_known(const struct attempt *a, const struct sockaddr_storage *from, uint32_t protocol)
{
    redirector_destination found = {.size = sizeof found, .protocol = protocol};
    redirector_address peer = address_from_sockaddr(from);
    return redirector_lookup(a->redirecting, &peer, &found) == REDIRECTOR_OK &&
           address_equal(&found.destination, &a->to) && found.pid == a->other.dwProcessId;
}

/* It is sent when the other process has the answer to its connection. */
static void meet_datagram(struct attempt *a)
{
    char got[DOCTOR_WORD_MAX];
    struct sockaddr_storage from = {0};
    int size = sizeof from;
    a->udp_problem = "the datagram did not arrive";
    if (!doctor_is_ready(a->datagrams, GetTickCount64() + PATIENCE_MS)) {
        return;
    }
    recvfrom(a->datagrams, got, sizeof got, 0, (struct sockaddr *)&from, &size);
    a->udp_problem = is_known(a, &from, REDIRECTOR_UDP) ? NULL : "a datagram arrived, but its destination is not known";
    sendto(a->datagrams, doctor_word, (int)strlen(doctor_word), 0, (struct sockaddr *)&from, size);
}

static bool meet(struct attempt *a)
{
    struct sockaddr_storage from = {0};
    int size = sizeof from;
    u_long nonblocking = 1; /* what has arrived may have gone again */
    DWORD status = EXIT_FOUND_WRONG;
    ioctlsocket(a->listener, (long)FIONBIO, &nonblocking);
    ResumeThread(a->other.hThread);
    if (!step(a, "connection arrived", doctor_is_ready(a->listener, GetTickCount64() + PATIENCE_MS))) {
        return fail(a, "the connection did not arrive");
    }
    SOCKET s = accept(a->listener, (struct sockaddr *)&from, &size);
    if (s == INVALID_SOCKET) {
        return fail(a, "the connection arrived, and was gone");
    }
    bool right = step(a, "destination known", is_known(a, &from, REDIRECTOR_TCP));
    send(s, doctor_word, (int)strlen(doctor_word), 0);
    if (a->udp_port) {
        meet_datagram(a);
    }
    WaitForSingleObject(a->other.hProcess, PATIENCE_MS);
    GetExitCodeProcess(a->other.hProcess, &status);
    closesocket(s);
    bool answered = step(a, "answer reached the program", status == 0 || status == DOCTOR_NO_DATAGRAM);
    if (a->udp_port && answered) {
        if (!a->udp_problem && status != 0) {
            a->udp_problem = "a datagram arrived, but the answer did not reach the program";
        }
        step(a, "datagram and its answer", !a->udp_problem);
    }
    if (!right) {
        return fail(a, "it arrived, but its destination is not known");
    }
    return answered || fail(a, "it arrived, but the answer did not reach the program");
}

static void end_attempt(struct attempt *a)
{
    redirector_free(a->redirecting);
    tell_log(a);
    if (a->other.hProcess) {
        TerminateProcess(a->other.hProcess, EXIT_FOUND_WRONG);
        CloseHandle(a->other.hThread);
        CloseHandle(a->other.hProcess);
    }
    SOCKET sockets[] = {a->listener, a->datagrams};
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++) {
        if (sockets[i] != INVALID_SOCKET) {
            closesocket(sockets[i]);
        }
    }
}

static const char others_advice[] = "look at the other WinDivert users, antivirus and VPN programs of this machine";

static void tell_datagram(const struct attempt *a, const char *to)
{
    char what[64], detail[ADDRESS_TEXT_MAX + 64];
    snprintf(what, sizeof what, "IPv%u UDP over loopback", (unsigned)a->to.family);
    snprintf(detail, sizeof detail, "a datagram to %s was led here", to);
    if (a->udp_problem) {
        doctor_found(FINDING_WRONG, what, a->udp_problem, others_advice);
    } else {
        doctor_found(FINDING_OK, what, detail, "");
    }
}

/* False: the redirector does not start, so that further attempts are of no use. */
static bool try_one(const struct options *o, uint32_t family, uint32_t flags, bool look_for_users)
{
    char what[64], to[ADDRESS_TEXT_MAX], detail[ADDRESS_TEXT_MAX + 64];
    bool through;
    struct attempt a = {
        .options = o, .flags = flags, .what = what, .listener = INVALID_SOCKET, .datagrams = INVALID_SOCKET};
    snprintf(what, sizeof what, "IPv%u %s", (unsigned)family, flags ? "by reflection" : "over loopback");
    if (!find_destination(family, &a.to, &through)) {
        doctor_found(FINDING_NOTE, what, "not tried: this machine has no such addresses", "");
        return true;
    }
    address_text(to, &a.to);
    if (flags && !through) {
        doctor_found(FINDING_NOTE, what, "not tried: there is no route out of this machine", "");
        return true;
    }
    if (doctor_report_wanted()) {
        a.log = calloc(LOG_LINES, sizeof *a.log);
    }
    QueryPerformanceCounter(&a.since);
    bool good = step(&a, "listening", open_listener(&a)) && step(&a, "program started", start_other(&a)) &&
                step(&a, "redirector started", start_redirecting(&a));
    if (good && look_for_users) {
        doctor_check_users();
        QueryPerformanceCounter(&a.since);
    }
    good = good && meet(&a);
    snprintf(detail, sizeof detail, "a connection to %s was led here", to);
    if (good) {
        doctor_found(FINDING_OK, what, detail, "");
        if (a.udp_port) {
            tell_datagram(&a, to);
        }
    } else if (a.error.code) {
        doctor_found(FINDING_WRONG, "start", a.problem, "docs/troubleshooting.md has more on this text");
    } else {
        doctor_found(FINDING_WRONG, what, a.problem,
                     flags ? "let redirector.exe through the Windows firewall, or do without --reflect"
                           : others_advice);
    }
    bool started = a.redirecting != NULL;
    end_attempt(&a);
    step(&a, "redirector freed", true);
    return started;
}

void doctor_try_all(const struct options *o)
{
    static const uint32_t ways[] = {0, REDIRECTOR_REFLECT};
    bool first = true;
    if (doctor_report_wanted()) {
        tell_log_file();
    }
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        for (uint32_t family = 4; family <= 6; family += 2) {
            if (!try_one(o, family, ways[way], first)) {
                return;
            }
            first = false;
        }
    }
}
