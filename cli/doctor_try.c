/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * doctor's proof. A second redirector.exe connects to an address at which nothing has to listen; if this machine can
 * redirect, the connection arrives here, the library has its original destination, and an answer reaches the other
 * side. Nothing leaves the machine: the SYN is redirected already. The address is one reserved for documentation if
 * there is a route to it, else a neighbour's, else one of loopback, which proves redirection over loopback only.
 */
#include "doctor.h"

#include "address.h"
#include "doctor_report.h"
#include "relay_socket.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MS = 10000, /* for the connection to arrive, and for the other process to end */
    WORD_MS = 5000,      /* for the word to arrive there */
    TEST_PORT = 9,
    LOG_LINES = 100, /* of the library's log, for the report */
    LOG_BYTES = 400,
    LOG_FILE_BYTES = 16384,
};

static const char word[] = "redirected";

/* ---- the other end */

/* Whether the socket has something to read, or to accept, within the time. */
static bool is_ready(SOCKET s, ULONGLONG until)
{
    ULONGLONG now = GetTickCount64();
    long left = now < until ? (long)(until - now) : 0;
    struct timeval patience = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(s, &readable);
    return select(0, &readable, NULL, NULL, &patience) == 1;
}

static bool hear(SOCKET s)
{
    char got[sizeof word - 1];
    size_t used = 0;
    ULONGLONG until = GetTickCount64() + WORD_MS;
    while (used < sizeof got && is_ready(s, until)) {
        int count = recv(s, got + used, (int)(sizeof got - used), 0);
        if (count <= 0) {
            return false;
        }
        used += (size_t)count;
    }
    return used == sizeof got && memcmp(got, word, sizeof got) == 0;
}

DWORD doctor_connect_command(wchar_t **arguments)
{
    redirector_address to = {.family = 4};
    struct sockaddr_storage address;
    WSADATA data;
    char text[ADDRESS_TEXT_MAX];
    if (!arguments[0] || !arguments[1] || WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        return EXIT_USAGE;
    }
    text_copy_utf8(text, sizeof text, arguments[0]);
    to.family = strchr(text, ':') ? 6 : 4;
    to.port = (uint32_t)wcstoul(arguments[1], NULL, 10);
    if (inet_pton(to.family == 6 ? AF_INET6 : AF_INET, text, to.bytes) != 1) {
        return EXIT_USAGE;
    }
    int size = address_to_sockaddr(&to, &address);
    SOCKET s = relay_socket(address.ss_family);
    bool good = connect(s, (struct sockaddr *)&address, size) == 0 && hear(s);
    closesocket(s);
    WSACleanup();
    return good ? 0 : EXIT_FOUND_WRONG;
}

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
    uint32_t port;
    PROCESS_INFORMATION other;
    redirector *redirecting;
    redirector_error error;
    char problem[400];
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

static bool open_listener(struct attempt *a)
{
    struct sockaddr_storage address = {0};
    redirector_address any = {.family = a->to.family};
    int size = address_to_sockaddr(&any, &address);
    a->listener = relay_socket(address.ss_family);
    if (a->listener == INVALID_SOCKET || bind(a->listener, (struct sockaddr *)&address, size) != 0 ||
        listen(a->listener, 1) != 0 || getsockname(a->listener, (struct sockaddr *)&address, &size) != 0) {
        return fail(a, "cannot listen");
    }
    a->port = address_from_sockaddr(&address).port;
    return true;
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
    _snwprintf(line, sizeof line / sizeof line[0], L"\"%ls\" doctor-connect %hs %u", path, ip, (unsigned)a->to.port);
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

static bool meet(struct attempt *a)
{
    struct sockaddr_storage from = {0};
    int size = sizeof from;
    u_long nonblocking = 1; /* what has arrived may have gone again */
    redirector_destination found = {.size = sizeof found};
    DWORD status = EXIT_FOUND_WRONG;
    ioctlsocket(a->listener, (long)FIONBIO, &nonblocking);
    ResumeThread(a->other.hThread);
    if (!step(a, "connection arrived", is_ready(a->listener, GetTickCount64() + PATIENCE_MS))) {
        return fail(a, "the connection did not arrive");
    }
    SOCKET s = accept(a->listener, (struct sockaddr *)&from, &size);
    if (s == INVALID_SOCKET) {
        return fail(a, "the connection arrived, and was gone");
    }
    redirector_address peer = address_from_sockaddr(&from);
    bool known = redirector_lookup(a->redirecting, &peer, &found) == REDIRECTOR_OK;
    bool right = known && address_equal(&found.destination, &a->to) && found.pid == a->other.dwProcessId;
    step(a, "destination known", right);
    send(s, word, sizeof word - 1, 0);
    WaitForSingleObject(a->other.hProcess, PATIENCE_MS);
    GetExitCodeProcess(a->other.hProcess, &status);
    closesocket(s);
    step(a, "answer reached the program", status == 0);
    if (!right) {
        return fail(a, "it arrived, but its destination is not known");
    }
    return status == 0 || fail(a, "it arrived, but the answer did not reach the program");
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
    if (a->listener != INVALID_SOCKET) {
        closesocket(a->listener);
    }
}

/* False: the redirector does not start, so that further attempts are of no use. */
static bool try_one(const struct options *o, uint32_t family, uint32_t flags, bool look_for_users)
{
    char what[64], to[ADDRESS_TEXT_MAX], detail[ADDRESS_TEXT_MAX + 64];
    bool through;
    struct attempt a = {.options = o, .flags = flags, .listener = INVALID_SOCKET, .what = what};
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
    } else if (a.error.code) {
        doctor_found(FINDING_WRONG, "start", a.problem, "docs/troubleshooting.md has more on this text");
    } else {
        doctor_found(FINDING_WRONG, what, a.problem,
                     flags ? "let redirector.exe through the Windows firewall, or do without --reflect"
                           : "look at the other WinDivert users, antivirus and VPN programs of this machine");
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
