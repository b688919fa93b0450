/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file report.h
 * The relayed connections: the live ones, the ended ones, totals; and the lines about them.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "host_name.h"
#include "windows_redirector.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

enum { REPORT_DNS_MAX = 256 };

/** How a connection ended: name, what the user reads, and whether the summary counts it as failed. */
#define REPORT_OUTCOME_LIST(X)                                                                                         \
    X(OPEN, "open", false)                                                                                             \
    X(CLOSED, "closed", false)                                                                                         \
    X(CLIENT_RESET, "reset by program", false)                                                                         \
    X(SERVER_RESET, "reset by destination", false)                                                                     \
    X(STOPPED, "stopped", false)                                                                                       \
    X(REFUSED, "refused", true)                                                                                        \
    X(TIMED_OUT, "timed out", true)                                                                                    \
    X(UNREACHABLE, "unreachable", true)                                                                                \
    X(FAILED, "failed", true)                                                                                          \
    X(NO_UPSTREAM, "upstream not reached", true)                                                                       \
    X(NO_PROXY, "upstream is no such proxy", true)                                                                     \
    X(NO_LOGIN, "upstream rejects the login", true)                                                                    \
    X(FORBIDDEN, "upstream forbids it", true)                                                                          \
    X(NO_WAY, "upstream cannot reach it", true)                                                                        \
    X(NO_ANSWER, "upstream does not answer", true)                                                                     \
    X(NO_UDP, "upstream carries no UDP", true)                                                                         \
    X(BLOCKED, "blocked", false)

enum report_outcome {
#define REPORT_OUTCOME_ENUM(name, text, failed) REPORT_##name,
    REPORT_OUTCOME_LIST(REPORT_OUTCOME_ENUM)
#undef REPORT_OUTCOME_ENUM
};

/** Datagrams of the relay that were not passed on, and sessions that were cut short: name and counter. */
#define REPORT_DATAGRAMS_LIST(X)                                                                                       \
    X(UDP_STRANGER, udp_unknown_peers) /* from a port that is no flow's */                                             \
    X(UDP_INVALID, udp_invalid)        /* from a proxy: too short, in parts, of another destination; or not from it */ \
    X(UDP_LOST, udp_lost)              /* no way, no room, or Windows refused */                                       \
    X(UDP_BLOCKED, udp_blocked)        /* on purpose */                                                                \
    X(UDP_EVICTED, udp_evicted)        /* sessions that made room for others */

enum report_datagrams {
#define REPORT_DATAGRAMS_ENUM(name, counter) REPORT_##name,
    REPORT_DATAGRAMS_LIST(REPORT_DATAGRAMS_ENUM)
#undef REPORT_DATAGRAMS_ENUM
        REPORT_DATAGRAMS_KINDS
};

/** A connection as it is now, or what a socket sends to a destination by UDP. */
struct report_connection {
    uint64_t number;      /**< 1, 2, ... in the order in which they came */
    uint64_t end_time;    /**< UTC, as FILETIME; of one that lives: now */
    uint64_t duration_us; /**< so far */
    uint32_t protocol;    /**< REDIRECTOR_UDP; else it is TCP */
    uint32_t pid;
    wchar_t process[260];           /**< file name of the process; empty: not known */
    bool incoming;                  /**< it came to a listener of the tree */
    redirector_address destination; /**< where it was going; incoming: the program's own address */
    redirector_address peer;        /**< incoming: who opened it; else family 0 */
    char host[HOST_NAME_MAX_BYTES]; /**< name that the program asked for; empty: not known */
    char dns[REPORT_DNS_MAX];       /**< UDP: names that were asked for, with the answers; empty: none */
    char upstream[64];              /**< proxy that it took, cut to fit; empty: none */
    uint64_t bytes_up;              /**< passed on from the end that opened it */
    uint64_t bytes_down;            /**< passed on to it */
    enum report_outcome outcome;    /**< REPORT_OPEN while it lives */
    uint32_t os_error;              /**< Winsock error behind the outcome, 0: none */
};

struct report_totals {
    uint64_t connections; /**< ended */
    uint64_t bytes_up;
    uint64_t bytes_down;
    uint64_t failed;
    uint64_t unknown_peers; /**< connections to the relay that are not redirected ones */
    uint64_t lines_dropped; /**< lines that were lost, because whoever reads the output did not keep up */
    uint64_t live;
    uint64_t datagrams[REPORT_DATAGRAMS_KINDS];
};

enum report_view {
    REPORT_TEXT, /**< a line for each connection */
    REPORT_JSON,
    REPORT_QUIET, /**< no lines: they are shown elsewhere */
};

struct report;
struct report_entry;

/** NULL: no memory. */
struct report *report_open(enum report_view view);

/** A connection begins; the number, times and bytes in `about` are ignored. NULL: no memory. Any thread. */
struct report_entry *report_begin(struct report *r, const struct report_connection *about);

/** Bytes were relayed; the name is known; it has ended (the entry is freed). They never wait for the output. */
void report_bytes(struct report_entry *entry, uint64_t up, uint64_t down);
void report_host(struct report *r, struct report_entry *entry, const char *host);
/** It goes another way now; "": directly. */
void report_upstream(struct report *r, struct report_entry *entry, const char *upstream);
/** A question of DNS or its answer; `add` puts it to those that are known. */
void report_dns(struct report *r, struct report_entry *entry, const char *text,
                void (*add)(char all[REPORT_DNS_MAX], const char *text));
void report_end(struct report *r, struct report_entry *entry, enum report_outcome outcome, uint32_t os_error);

/** Counts a connection that is not redirected. Any thread. */
void report_stranger(struct report *r);

/** Counts a datagram. Any thread; never waits. */
void report_datagram(struct report *r, enum report_datagrams what);

/**
 * Copies up to `max` connections: the live ones, newest first, then the last that have ended, latest first. Returns how
 * many. Any thread.
 */
size_t report_snapshot(struct report *r, struct report_connection *rows, size_t max, struct report_totals *totals);

/** Shows the summary, if wanted, and frees. Every entry must have ended. */
void report_close(struct report *r, bool summary);

const char *report_outcome_text(enum report_outcome outcome);

/** The counter's name in lines of JSON. */
const char *report_datagrams_name(enum report_datagrams what);

/* report_text.c, report_json.c: the lines themselves, without line end, never longer than OUTPUT_LINE_MAX */
void report_text_connection(char *out, size_t size, const struct report_connection *connection);
void report_text_summary(char *out, size_t size, const struct report_totals *totals);
void report_json_connection(char *out, size_t size, const struct report_connection *connection);
void report_json_summary(char *out, size_t size, const struct report_totals *totals);

/** "example.com:443", else the address: where a connection goes, for people. */
void report_where(char *out, size_t size, const struct report_connection *connection);

#endif
