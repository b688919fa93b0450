/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file windows_redirector.h
 * The one public header of windows-redirector.
 *
 * Two interfaces share this header:
 *
 *  1. the five classic calls (start_redirector ... free_windest), one instance per process, easy to reach by cgo;
 *  2. the extended calls (prefix redirector_), instance based, with configuration, errors as text and statistics.
 *
 * The classic calls are thin wrappers over the extended ones.
 *
 * Conventions that hold for every call, unless the call says otherwise:
 *
 *  - Threads: any call may be made from any thread at any time. No state is kept per thread.
 *  - Blocking: only start, stop, new rules and the list of connections block; their bounds are stated with them.
 *  - Ownership: the caller owns what he passes in; the library copies what it needs before it returns. The library never
 *    hands out memory that the caller must free, except the opaque `redirector` of redirector_start().
 *  - Numbers are in host byte order. Addresses in `redirector_address` are in network order, as on the wire.
 *  - Strings are UTF-8 and end with NUL.
 *  - A structure that begins with `size` may grow at its end. The sizes it has had are accepted, all others refused.
 *  - A call that refuses its arguments (REDIRECTOR_INVALID_ARGUMENT) has no effect.
 *  - The library prints nothing, never ends the process, and creates no file but its log.
 */
#ifndef WINDOWS_REDIRECTOR_H
#define WINDOWS_REDIRECTOR_H

#include <stdint.h>

#if defined(_WIN32) && defined(REDIRECTOR_BUILD_DLL)
#define REDIRECTOR_API __declspec(dllexport)
#elif defined(_WIN32) && defined(REDIRECTOR_USE_DLL)
#define REDIRECTOR_API __declspec(dllimport)
#else
#define REDIRECTOR_API /* static archive: nothing to say */
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define REDIRECTOR_VERSION_MAJOR 0
#define REDIRECTOR_VERSION_MINOR 1
#define REDIRECTOR_VERSION_PATCH 0
#define REDIRECTOR_VERSION_STRING "0.1.0"

/*
 * ------------------------------------------------------------------ the classic calls (this ABI is fixed) ---------
 */

/** Where a connection was going before it was redirected. */
typedef struct WinDest {
    uint32_t ip_version; /**< 4 or 6; 0: no such mapping, and every other field is 0 too */
    uint32_t dest_ip4;   /**< host order: 10.0.0.2 is 0x0A000002; 0 for IPv6 */
    uint32_t
        dest_ip6[4];     /**< [0] most significant, each host order: 2001:db8::1 is {0x20010DB8, 0, 0, 1}; 0 for IPv4 */
    uint32_t dest_port;  /**< host order, 1..65535 */
    uint32_t kernel_pid; /**< process that opened the connection (outgoing) or owns the listener (incoming) */
} WinDest;

/**
 * Starts redirecting the TCP connections of a process and of all its descendants, present and future.
 *
 * @param client_pid      root of the process tree
 * @param agent_pid       process that runs the proxies; its own connections are never redirected. 0: the calling
 * process
 * @param proxy_port      port on which the agent accepts outgoing connections, on 127.0.0.1 and [::1]; 0: outgoing off
 * @param incoming_proxy  port on which the agent accepts connections to the tree's own listeners; 0: incoming off
 * @return 1: redirecting; 0: nothing was started and nothing stays open: see redirector_last_error()
 *
 * Returns when driver, filter and tables are ready. Blocks for the time that Windows takes to load the driver.
 * Since: 0.1
 */
REDIRECTOR_API uint32_t start_redirector(uint32_t client_pid, uint32_t agent_pid, uint32_t proxy_port,
                                         uint32_t incoming_proxy);

/**
 * Stops what start_redirector() started. Redirected connections are reset at both ends; all others are left alone.
 *
 * @return 1: nothing is redirected any more (also when nothing was); 0: the engine did not end within its time, and
 * its
 *         driver handles were closed by force, so that traffic flows all the same
 *
 * Bounded: at most 1 s. Idempotent. start_redirector() works again at once. Since: 0.1
 */
REDIRECTOR_API uint32_t stop_redirector(void);

/**
 * Original destination of the connection that reached the proxy from this source port.
 *
 * @param src_port  the peer's port as the proxy sees it, host order
 * @return the destination; ip_version 0 when there is no such connection
 *
 * Never blocks. Nothing in the result needs freeing. Since: 0.1
 */
REDIRECTOR_API WinDest get_destination(uint32_t src_port);

/**
 * Removes a mapping for good. The connection itself goes on.
 *
 * @return 1: removed; 0: there was none. Never blocks. Since: 0.1
 */
REDIRECTOR_API uint32_t delete_destination(uint32_t src_port);

/** Does nothing: a WinDest owns no memory. Kept for programs written against the original library. Since: 0.1 */
REDIRECTOR_API void free_windest(WinDest dest);

/*
 * ------------------------------------------------------------------ errors ----------------------------------------
 */

/**
 * Every status the library can return: name, number, and what it says to a person (what to do included).
 * The numbers are part of the ABI and never change.
 */
/* clang-format off */
#define REDIRECTOR_STATUS_LIST(X)                                                                                        \
    X(OK,                  0, "success")                                                                                 \
    X(INVALID_ARGUMENT,    1, "an argument is not valid")                                                                \
    X(PORT_INVALID,        2, "a port number is above 65535; use 1 to 65535, or 0 for off")                              \
    X(NO_PORT,             3, "both ports are 0, so there is nothing to redirect; give a proxy port")                    \
    X(NO_SUCH_PROCESS,     4, "no such process; check the process id")                                                   \
    X(PROCESS_DENIED,      5, "the process cannot be opened; run as Administrator")                                      \
    X(ALREADY_RUNNING,     6, "the redirector is already running in this process; stop it first")                        \
    X(NOT_RUNNING,         7, "the redirector is not running; start it first")                                           \
    X(NOT_FOUND,           8, "there is no such connection")                                                             \
    X(NOT_ELEVATED,        9, "administrator rights are needed; run the program as Administrator")                       \
    X(DLL_NOT_FOUND,      10, "WinDivert.dll was not found; put WinDivert.dll and WinDivert64.sys beside the program, "  \
                              "or name their folder")                                                                    \
    X(DLL_VERSION,        11, "this WinDivert.dll is not version 2.2; use the files of WinDivert 2.2.2 (x64)")           \
    X(DRIVER_NOT_FOUND,   12, "WinDivert64.sys was not found; put it beside WinDivert.dll, and if an earlier copy was "  \
                              "moved or deleted, run 'sc stop WinDivert' first")                                         \
    X(DRIVER_BLOCKED,     13, "Windows refused to load the WinDivert driver (policy, antivirus or memory integrity); "   \
                              "allow WinDivert64.sys there")                                                             \
    X(DRIVER_SIGNATURE,   14, "Windows does not accept the signature of WinDivert64.sys; use the original file of "      \
                              "WinDivert 2.2.2")                                                                         \
    X(DRIVER_CONFLICT,    15, "another version of the WinDivert driver is loaded; stop the program that uses it, then "  \
                              "run 'sc stop WinDivert'")                                                                 \
    X(DRIVER_SERVICE,     16, "the WinDivert service could not be started; run 'sc stop WinDivert', wait, and try again")\
    X(FILTERING_STOPPED,  17, "the Base Filtering Engine service is not running; start it with 'sc start BFE'")          \
    X(DRIVER_FAILED,      18, "the WinDivert driver reported an error")                                                  \
    X(NO_MEMORY,          19, "out of memory")                                                                           \
    X(LOG_FAILED,         20, "the log file cannot be written; check its path")                                          \
    X(UNSUPPORTED,        21, "not supported by this version")                                                           \
    X(STOPPED_BY_FORCE,   22, "the engine did not stop in time; its driver handles were closed by force")                \
    X(INTERNAL,           23, "internal error; please report it with the log")                                           \
    X(ENGINE_STALLED,     24, "the engine made no progress for 2 s, so its driver handles were closed and traffic flows "\
                              "directly; stop it and start it again")
/* clang-format on */

typedef enum redirector_status {
#define REDIRECTOR_STATUS_ENUM(name, number, text) REDIRECTOR_##name = (number),
    REDIRECTOR_STATUS_LIST(REDIRECTOR_STATUS_ENUM)
#undef REDIRECTOR_STATUS_ENUM
} redirector_status;

/** What went wrong, for a program and for a person. Set `size` to sizeof(redirector_error) before the call. */
typedef struct redirector_error {
    uint32_t size;     /**< in: sizeof(redirector_error) */
    uint32_t code;     /**< a redirector_status */
    uint32_t os_error; /**< the Windows error behind it (GetLastError), 0 if there is none */
    char text[324];    /**< one line of UTF-8: what happened and what to do; always ends with NUL */
} redirector_error;

/**
 * Why the last start_redirector() or stop_redirector() of this process failed.
 *
 * @param error  out; may not be NULL. code is REDIRECTOR_OK when the last such call succeeded
 * @return REDIRECTOR_OK, or REDIRECTOR_INVALID_ARGUMENT (NULL or unknown size). Never blocks for long. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_last_error(redirector_error *error);

/** Name of a status, "NO_SUCH_PROCESS"; "UNKNOWN" for a number that is none. Static memory. Since: 0.1 */
REDIRECTOR_API const char *redirector_status_name(uint32_t status);

/** Version of the library that is running, "0.1.0". Static memory. Since: 0.1 */
REDIRECTOR_API const char *redirector_version(void);

/*
 * ------------------------------------------------------------------ the extended calls ----------------------------
 */

/** A running redirector. Opaque; comes from redirector_start(), goes by redirector_free(). */
typedef struct redirector redirector;

enum redirector_log_level {
    REDIRECTOR_LOG_DEFAULT =
        0, /**< environment WINDOWS_REDIRECTOR_LOG_LEVEL (off, error, warn, info, debug), else info */
    REDIRECTOR_LOG_OFF = 1,
    REDIRECTOR_LOG_ERROR = 2,
    REDIRECTOR_LOG_WARN = 3,
    REDIRECTOR_LOG_INFO = 4, /**< one line per connection */
    REDIRECTOR_LOG_DEBUG = 5,
};

/**
 * Receives each log line (no line end). Called on the library's log thread, one call at a time, never after
 * redirector_stop() has returned. Must not call redirector_stop().
 */
typedef void redirector_log_fn(void *context, uint32_t level, const char *line);

enum redirector_flags {
    REDIRECTOR_LEAVE_FLOWS = 1u << 0, /**< on stop, do not reset the redirected connections (they then hang or break) */
    REDIRECTOR_REFLECT = 1u << 1, /**< steer by swapped addresses, injected inbound, instead of over loopback: the proxy
                                           sees the original server's address as its peer and must listen on all
                                           addresses (0.0.0.0 and [::]), and the Windows firewall must let it */
    REDIRECTOR_REFUSE = 1u << 2,  /**< refuse connections while nothing listens on the proxy's port, instead of letting
                                           them pass directly */
    /** The roots themselves are left alone, only their descendants are redirected; rules can still include a root. */
    REDIRECTOR_DESCENDANTS_ONLY = 1u << 3,
    /** Stop also has Windows unload the WinDivert driver, if no program uses it any more: until then, or a reboot, Windows
     *  holds WinDivert64.sys, so that it cannot be replaced or deleted. Takes a quarter of a second at most. */
    REDIRECTOR_UNLOAD_DRIVER = 1u << 4,
};

/**
 * A rule that refines the process tree. A process starts out as what the tree says of it; each rule that matches it has
 * its say, and the last one wins. Rules apply to new connections only.
 */
typedef struct redirector_rule {
    uint32_t include; /**< 1: redirect the processes that match; 0: leave them alone */
    uint32_t pid;     /**< whichever process has it, if pattern is NULL; else 0 */
    const char
        *pattern; /**< 1 to 512 bytes. With a slash or backslash in it, it is matched against the full path of the
                              program, else against its file name. '*': any characters, '?': one character; ASCII letters
                              match in either case, slashes in either direction. NULL: by pid */
} redirector_rule;

/**
 * What to redirect and how. Zero it, set `size`, fill in what you need: 0 is a sensible default everywhere else.
 * Fields are only ever added at the end; a program that was built with an earlier header sets that header's size, and
 * the fields that it does not know count as 0.
 */
typedef struct redirector_config {
    uint32_t size;                /**< sizeof(redirector_config) */
    uint32_t client_pid;          /**< root of the process tree; must exist. 0: the roots are all in `roots` */
    uint32_t agent_pid;           /**< process that runs the proxy; 0: the calling process */
    uint32_t proxy_port;          /**< host order, 1..65535; 0: outgoing off */
    uint32_t incoming_port;       /**< host order, 1..65535; 0: incoming off */
    uint32_t flags;               /**< redirector_flags; unknown bits are refused */
    uint32_t hold_ms;             /**< how long a first packet waits for its owner to be known; 0: 50; at most 1000 */
    uint32_t log_level;           /**< redirector_log_level */
    uint32_t look_ms;             /**< how often the TCP table is looked at for connections whose ends have vanished;
                                    0: 30000; 100 to 600000 */
    uint32_t rule_count;          /**< at most 256 */
    const redirector_rule *rules; /**< rule_count of them; NULL: none */
    const char *windivert_dir;    /**< folder of WinDivert.dll, absolute; NULL: the folder of the running program */
    const char *log_path;      /**< NULL: environment WINDOWS_REDIRECTOR_LOG, else windows_redirector.log in the current
                                    folder; "": no log file */
    redirector_log_fn *log_fn; /**< also receives each line; NULL: none */
    void *log_context;         /**< handed to log_fn */
    const uint32_t *roots; /**< root_count further roots, which all must exist. The agent may be one: its descendants
                                are redirected then, itself it never is. NULL: none */
    uint32_t root_count;   /**< at most 64 */
    uint32_t reserved;     /**< 0 */
} redirector_config;

/**
 * Starts a redirector.
 *
 * @param config  what to do; copied
 * @param out     the redirector; free it with redirector_free()
 * @param error   what went wrong, or NULL
 * @return REDIRECTOR_OK, or the error (also in *error); then *out is NULL and nothing stays open
 *
 * Returns when driver, filter and tables are ready. Several redirectors may run in one process. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_start(const redirector_config *config, redirector **out, redirector_error *error);

/**
 * Stops a redirector: redirected connections are reset at both ends (unless REDIRECTOR_LEAVE_FLOWS), driver handles
 * closed, threads joined. Bounded: at most 1 s. Idempotent. The object stays valid for lookups (which miss) and
 * statistics until redirector_free().
 *
 * @return REDIRECTOR_OK or REDIRECTOR_STOPPED_BY_FORCE. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_stop(redirector *r);

enum redirector_state {
    REDIRECTOR_RUNNING = 1, /**< new connections are redirected */
    REDIRECTOR_STOPPED = 2, /**< redirector_stop() was called */
    REDIRECTOR_FAILED = 3,  /**< redirection has ended by itself: all traffic goes where it was meant to go. Stop it,
                                 then start another */
};

/**
 * Whether a redirector still redirects.
 *
 * @param why  why it has failed (code REDIRECTOR_OK: it has not), also after it was stopped; or NULL
 * @return a redirector_state; 0 if r is NULL or why->size is unknown. Never blocks for long. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_get_state(redirector *r, redirector_error *why);

/** Stops, if need be, and frees. No other call may use `r` during or after it. NULL is fine. Since: 0.1 */
REDIRECTOR_API void redirector_free(redirector *r);

/** An IP address and a port. */
typedef struct redirector_address {
    uint32_t family;   /**< 4 or 6 */
    uint32_t port;     /**< host order */
    uint8_t bytes[16]; /**< network order; IPv4: the first 4 bytes, the rest 0 */
} redirector_address;

/** One redirected connection, as the proxy may ask for it. Set `size` before the call. */
typedef struct redirector_destination {
    uint32_t size;     /**< in: sizeof(redirector_destination) */
    uint32_t pid;      /**< process that opened the connection (outgoing) or owns the listener (incoming) */
    uint32_t incoming; /**< 1: the connection came to a listener of the tree; 0: the tree opened it */
    uint32_t reserved; /**< 0 */
    redirector_address destination; /**< where it was going */
} redirector_destination;

/**
 * Original destination of a connection, by its peer address as the proxy sees it (getpeername, net.Conn.RemoteAddr).
 *
 * @param peer  family 4 or 6 and port must be right; a peer with address 0 (unspecified) is found by family and port
 * alone
 * @param out   the destination
 * @return REDIRECTOR_OK, REDIRECTOR_NOT_FOUND (a stranger, or the connection is over), REDIRECTOR_INVALID_ARGUMENT
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_lookup(redirector *r, const redirector_address *peer, redirector_destination *out);

/**
 * Removes the mapping of a peer for good; its connection goes on. REDIRECTOR_OK or as redirector_lookup(). Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_forget(redirector *r, const redirector_address *peer);

/**
 * Replaces the rules while running. Returns when the engine has taken them over: milliseconds, at most 1 s.
 *
 * @param rules  `count` of them; copied. NULL with count 0: no rules
 * @return REDIRECTOR_OK; REDIRECTOR_INVALID_ARGUMENT or REDIRECTOR_NO_MEMORY (the former rules stay);
 *         REDIRECTOR_NOT_RUNNING. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_set_rules(redirector *r, const redirector_rule *rules, uint32_t count);

enum redirector_flow_kind {
    REDIRECTOR_FLOW_OUTGOING = 0, /**< the tree opened it */
    REDIRECTOR_FLOW_INCOMING = 1, /**< it came to a listener of the tree */
};

enum redirector_flow_state {
    REDIRECTOR_FLOW_OPENING = 1, /**< its first packet is not answered yet */
    REDIRECTOR_FLOW_OPEN = 2,    /**< established, half-closed included */
    REDIRECTOR_FLOW_CLOSING = 3, /**< reset, or closed by both ends; its last packets are still translated */
};

/**
 * A redirected connection that lives. "Up" is the way from the end that opened it to the end that accepted it. Bytes are
 * those of the stream, what is sent again counting once; packets are all packets.
 */
typedef struct redirector_flow {
    uint32_t size; /**< in, in the first element of the array: sizeof(redirector_flow); out: the same in each element */
    uint32_t pid;  /**< process that opened the connection (outgoing) or owns the listener (incoming) */
    uint32_t kind; /**< redirector_flow_kind */
    uint32_t state;                 /**< redirector_flow_state */
    redirector_address client;      /**< the end that opened it, as it sees itself */
    redirector_address destination; /**< where it was going */
    redirector_address peer; /**< the peer that the proxy sees; redirector_lookup() and redirector_forget() take it */
    uint64_t bytes_up;
    uint64_t bytes_down;
    uint64_t packets_up;
    uint64_t packets_down;
    uint64_t opened_ms; /**< when it was opened: milliseconds since 1970-01-01 UTC, by the clock as it is set now */
    uint64_t age_ms;    /**< how long ago that was; not affected by changes of the clock */
} redirector_flow;

/**
 * Lists the redirected connections that live.
 *
 * @param flows     array of `capacity` elements, the caller's; flows[0].size must be sizeof(redirector_flow). NULL with
 *                  capacity 0: only counts
 * @param capacity  how many there is room for
 * @param total     out: how many there are. The first min(capacity, total) elements are filled in, in no particular
 *                  order; the others stay as they are
 * @return REDIRECTOR_OK, also when not all found room; REDIRECTOR_INVALID_ARGUMENT (nothing is written);
 *         REDIRECTOR_NO_MEMORY or REDIRECTOR_NOT_RUNNING (stopped, or the engine does not answer): then *total is 0
 *
 * The engine's thread copies them in small portions between packets, so that traffic is not held up: each element is
 * consistent in itself, but a connection that begins or ends during the call may be in the list or not. Blocks for
 * milliseconds, at most 1 s for each portion. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_list_flows(redirector *r, redirector_flow *flows, uint32_t capacity,
                                              uint32_t *total);

/**
 * Counters since the start. Set `size` before the call: sizeof(redirector_stats), or that of an earlier header; no more
 * than that is filled in.
 */
typedef struct redirector_stats {
    uint32_t size;              /**< in: sizeof(redirector_stats) */
    uint32_t flows_live;        /**< redirected connections at this moment */
    uint64_t flows_total;       /**< connections redirected since the start */
    uint64_t flows_refused;     /**< connections that passed because the table was full */
    uint64_t packets_seen;      /**< packets that the driver handed over */
    uint64_t packets_passed;    /**< sent on as they came */
    uint64_t packets_rewritten; /**< sent on with other addresses */
    uint64_t packets_held;      /**< first packets that waited for their owner */
    uint64_t packets_dropped; /**< dropped by a stated rule (a retransmission of a held packet, a flow reset by stop) */
    uint64_t packets_malformed; /**< not understood, and therefore passed */
    uint64_t proxy_missing; /**< connections that passed or were refused because nothing listened on the proxy's port */
    uint64_t hold_timeouts; /**< held packets whose owner stayed unknown; they passed */
    uint64_t hold_refused;  /**< first packets that passed because too many were held already */
    uint64_t send_errors;   /**< packets that the driver refused to send */
    uint64_t receive_errors; /**< receives that failed; the next ones were tried all the same */
    uint64_t events_seen;    /**< socket events from the driver */
    uint64_t lookups_hit;    /**< lookups that found a connection */
    uint64_t lookups_missed; /**< lookups that found none */
    uint64_t log_lines_lost; /**< log lines dropped because the log could not keep up */
    /* How long packets waited in the driver's queue, from its time stamp until the engine took them, microseconds: */
    uint64_t queue_delay_last_us; /**< the oldest packet of the latest batch */
    uint64_t queue_delay_max_us;  /**< the longest since the start */
    uint64_t queue_delay_mean_us; /**< the mean of all packets since the start */
    uint64_t cover_waits;         /**< first packets that waited until the driver's filter covered their port */
    uint64_t filter_swaps;        /**< how often the driver's filter was replaced by one for other ports */
    uint64_t watchdog_trips; /**< how often the watchdog closed the driver's handles: the engine made no progress */
} redirector_stats;

/** Fills in the counters. REDIRECTOR_OK or REDIRECTOR_INVALID_ARGUMENT. Never blocks. Since: 0.1 */
REDIRECTOR_API uint32_t redirector_get_stats(redirector *r, redirector_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* WINDOWS_REDIRECTOR_H */
