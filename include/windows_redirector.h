/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file windows_redirector.h
 * The one public header of windows-redirector.
 *
 * Theory of operation: two interfaces share this header:
 *
 *  1. the five classic calls (start_redirector ... free_windest): one instance per process, easy to reach by cgo;
 *  2. the extended calls (prefix redirector_): any number of instances, with configuration, errors as text, and
 *     statistics.
 *
 * The classic calls are thin wrappers over the extended ones.
 *
 * Conventions that hold for every call, unless the call says otherwise:
 *
 *  - Threads: any call may be made from any thread at any time. No state is kept per thread.
 *  - Blocking: a call blocks only if its description says so, and states the bound.
 *  - Ownership: arguments belong to the caller; the library copies what it needs before it returns. The library never
 *    returns memory that the caller must free, except the `redirector` of redirector_start().
 *  - Byte order: numbers, ports included, are in host byte order. The bytes of `redirector_address` are in network byte
 *    order, as on the wire.
 *  - Strings are UTF-8 and end with NUL.
 *  - Structures that begin with `size` may grow at their end. The library accepts the sizes they have had and refuses
 *    all others.
 *  - A call that refuses its arguments (REDIRECTOR_INVALID_ARGUMENT) has no effect.
 *  - The library prints nothing, never ends the process, and creates no file except its log.
 */
#ifndef WINDOWS_REDIRECTOR_H
#define WINDOWS_REDIRECTOR_H

#include <stdint.h>

#if defined(_WIN32) && defined(REDIRECTOR_BUILD_DLL)
#define REDIRECTOR_API __declspec(dllexport)
#elif defined(_WIN32) && defined(REDIRECTOR_USE_DLL)
#define REDIRECTOR_API __declspec(dllimport)
#else
#define REDIRECTOR_API /* static archive */
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define REDIRECTOR_VERSION_MAJOR 0
#define REDIRECTOR_VERSION_MINOR 1
#define REDIRECTOR_VERSION_PATCH 0
#define REDIRECTOR_VERSION_STRING "0.1.0"

/* The declarations below are laid out by hand: tables with a comment beside each row. */
/* clang-format off */

/*
 * ---- the classic calls (this ABI is fixed) ----
 */

/** Original destination of a redirected connection. Numbers are in host byte order. It has no room for the scope of a
 *  link-local address (fe80::1%4): a proxy that wants to reach such a one asks by redirector_lookup(). */
typedef struct WinDest {
    uint32_t ip_version;  /**< 4 or 6; 0: no such mapping, and all other fields are 0 */
    uint32_t dest_ip4;    /**< 10.0.0.2 is 0x0A000002; 0 for IPv6 */
    uint32_t dest_ip6[4]; /**< most significant word first: 2001:db8::1 is {0x20010DB8, 0, 0, 1}; all 0 for IPv4 */
    uint32_t dest_port;   /**< 1 to 65535 */
    uint32_t kernel_pid;  /**< process that opened the connection (outgoing) or owns the listener (incoming) */
} WinDest;

/**
 * Starts redirecting the TCP connections of a process and of all its descendants, present and future.
 *
 * @param client_pid      root of the process tree; must exist
 * @param agent_pid       process that runs the proxies; its own connections are never redirected. 0: the calling
 *                        process
 * @param proxy_port      port, 1 to 65535, on which the agent accepts outgoing connections, on 127.0.0.1 and [::1].
 *                        0: outgoing connections are not redirected
 * @param incoming_proxy  port, 1 to 65535, on which the agent accepts connections to the tree's own listeners.
 *                        0: incoming connections are not redirected
 * @return 1: redirecting; 0: nothing was started and nothing stays open, see redirector_last_error()
 *
 * Returns when the driver, its filter and the tables are ready, and a connection of its own was redirected
 * (REDIRECTOR_NO_PROOF). Blocks while Windows loads the driver, and for half a second at most beyond that. Since: 0.1
 */
REDIRECTOR_API uint32_t start_redirector(uint32_t client_pid, uint32_t agent_pid, uint32_t proxy_port,
                                         uint32_t incoming_proxy);

/**
 * Stops what start_redirector() started. Redirected connections are reset at both ends; others are not affected.
 *
 * @return 1: nothing is redirected any more (also when nothing was); 0: the engine did not end in time, and its driver
 *         handles were closed by force, so that traffic flows all the same
 *
 * Blocks for at most 1 s. Idempotent. start_redirector() works again at once. Since: 0.1
 */
REDIRECTOR_API uint32_t stop_redirector(void);

/**
 * Finds the original destination of the connection that reached the proxy from a source port.
 *
 * @param src_port  the peer's port as the proxy sees it, 1 to 65535
 * @return the destination; ip_version is 0 if there is no such connection. It owns no memory
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API WinDest get_destination(uint32_t src_port);

/**
 * Removes a mapping for good. The connection itself goes on.
 *
 * @param src_port  the peer's port as the proxy sees it, 1 to 65535
 * @return 1: removed; 0: there was none
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API uint32_t delete_destination(uint32_t src_port);

/**
 * Does nothing, because a WinDest owns no memory. Kept for programs written against the original library.
 *
 * @param dest  what get_destination() returned
 *
 * Since: 0.1
 */
REDIRECTOR_API void free_windest(WinDest dest);

/*
 * ---- errors ----
 */

/**
 * Every status that the library can return: name, number, text (what happened and what to do).
 * The numbers are part of the ABI and never change.
 */
#define REDIRECTOR_STATUS_LIST(X)                                                                                      \
    X(OK,                  0, "success")                                                                               \
    X(INVALID_ARGUMENT,    1, "an argument is not valid")                                                              \
    X(PORT_INVALID,        2, "a port number is above 65535; use 1 to 65535, or 0 for off")                            \
    X(NO_PORT,             3, "no port is given, so there is nothing to redirect; give a proxy port")                  \
    X(NO_SUCH_PROCESS,     4, "no such process; check the process id")                                                 \
    X(PROCESS_DENIED,      5, "the process cannot be opened; run as Administrator")                                    \
    X(ALREADY_RUNNING,     6, "the redirector is already running in this process; stop it first")                      \
    X(NOT_RUNNING,         7, "the redirector is not running; start it first")                                         \
    X(NOT_FOUND,           8, "there is no such connection")                                                           \
    X(NOT_ELEVATED,        9, "administrator rights are needed; run the program as Administrator")                     \
    X(DLL_NOT_FOUND,      10, "WinDivert.dll was not found; put WinDivert.dll and WinDivert64.sys beside the program, "\
                              "or name their folder")                                                                  \
    X(DLL_VERSION,        11, "this WinDivert.dll is not version 2.2; use the files of WinDivert 2.2.2 (x64)")         \
    X(DRIVER_NOT_FOUND,   12, "WinDivert64.sys was not found; put it beside WinDivert.dll, and if an earlier copy was "\
                              "moved or deleted, run 'sc stop WinDivert' first")                                       \
    X(DRIVER_BLOCKED,     13, "Windows refused to load the WinDivert driver (policy, antivirus or memory integrity); " \
                              "allow WinDivert64.sys there")                                                           \
    X(DRIVER_SIGNATURE,   14, "Windows does not accept the signature of WinDivert64.sys; use the original file of "    \
                              "WinDivert 2.2.2")                                                                       \
    X(DRIVER_CONFLICT,    15, "another version of the WinDivert driver is loaded; stop the program that uses it, then "\
                              "run 'sc stop WinDivert'")                                                               \
    X(DRIVER_SERVICE,     16, "the WinDivert service could not be started; run 'sc stop WinDivert', wait, and try "    \
                              "again")                                                                                 \
    X(BFE_NOT_RUNNING,    17, "the Base Filtering Engine service is not running; start it with 'sc start BFE'")        \
    X(DRIVER_FAILED,      18, "the WinDivert driver reported an error")                                                \
    X(NO_MEMORY,          19, "out of memory")                                                                         \
    X(LOG_FAILED,         20, "the log file cannot be written; check its path")                                        \
    X(UNSUPPORTED,        21, "not supported by this version")                                                         \
    X(STOPPED_BY_FORCE,   22, "the engine did not stop in time; its driver handles were closed by force")              \
    X(INTERNAL,           23, "internal error; please report it with the log")                                         \
    X(ENGINE_STALLED,     24, "the engine made no progress for 2 s, so its driver handles were closed and traffic "    \
                              "flows directly; stop it and start it again")                                            \
    X(PROOF_FAILED,       25, "a connection of the library's own was not redirected, so none would be; look for other "\
                              "packet filters (VPN, antivirus, firewall), and see 'redirector doctor'")

typedef enum redirector_status {
#define REDIRECTOR_STATUS_ENUM(name, number, text) REDIRECTOR_##name = (number),
    REDIRECTOR_STATUS_LIST(REDIRECTOR_STATUS_ENUM)
#undef REDIRECTOR_STATUS_ENUM
} redirector_status;

/** An error, for a program and for a person. Set `size` before the call. */
typedef struct redirector_error {
    uint32_t size;     /**< in: sizeof(redirector_error) */
    uint32_t code;     /**< a redirector_status */
    uint32_t os_error; /**< the Windows error behind it (GetLastError), 0 if there is none */
    char text[324];    /**< one line of UTF-8: what happened and what to do; always ends with NUL */
} redirector_error;

/**
 * Says why the last start_redirector() or stop_redirector() of this process failed.
 *
 * @param error  out; must not be NULL. Its code is REDIRECTOR_OK if the last such call succeeded
 * @return REDIRECTOR_OK, or REDIRECTOR_INVALID_ARGUMENT (NULL or unknown size)
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_last_error(redirector_error *error);

/**
 * Gives the name of a status, for instance "NO_SUCH_PROCESS".
 *
 * @param status  a redirector_status
 * @return the name in static memory; "UNKNOWN" for a number that is not in the list
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API const char *redirector_status_name(uint32_t status);

/**
 * Gives the version of the library that is running, for instance "0.1.0".
 *
 * @return the version in static memory
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API const char *redirector_version(void);

/*
 * ---- the extended calls ----
 */

/** A redirector. Opaque; created by redirector_start(), destroyed by redirector_free(). */
typedef struct redirector redirector;

enum redirector_log_level {
    REDIRECTOR_LOG_DEFAULT = 0, /**< that of the environment variable WINDOWS_REDIRECTOR_LOG_LEVEL (off, error, warn,
                                     info, debug), else info */
    REDIRECTOR_LOG_OFF     = 1,
    REDIRECTOR_LOG_ERROR   = 2,
    REDIRECTOR_LOG_WARN    = 3,
    REDIRECTOR_LOG_INFO    = 4, /**< one line per connection */
    REDIRECTOR_LOG_DEBUG   = 5,
};

/**
 * Receives each log line. Must not call redirector_stop() or redirector_free().
 *
 * @param context  log_context of the configuration
 * @param level    redirector_log_level of the line
 * @param line     the line without its line end; valid during the call only
 *
 * Called on the library's log thread, one call at a time, never after redirector_stop() has returned.
 */
typedef void redirector_log_fn(void *context, uint32_t level, const char *line);

enum redirector_flags {
    /** Stop does not reset the redirected connections; they then hang or break. */
    REDIRECTOR_KEEP_FLOWS_ON_STOP = 1u << 0,

    /** Redirects by swapping the addresses and injecting the packets inbound, instead of over loopback. The proxy then
     *  sees the original server's address as its peer, must listen on all addresses (0.0.0.0 and [::]), and the Windows
     *  firewall must permit it. */
    REDIRECTOR_REFLECT            = 1u << 1,

    /** Connections are refused while nothing listens on the proxy's port, or when the driver's filter does not capture
     *  them in time, instead of passing unredirected. */
    REDIRECTOR_FAIL_CLOSED        = 1u << 2,

    /** The roots themselves are not redirected, only their descendants; rules can still include a root. */
    REDIRECTOR_DESCENDANTS_ONLY   = 1u << 3,

    /** Stop also has Windows unload the WinDivert driver, if no other program uses it: until then, or a reboot, Windows
     *  holds WinDivert64.sys, so that it cannot be replaced or deleted. Takes a quarter of a second at most. */
    REDIRECTOR_UNLOAD_DRIVER      = 1u << 4,

    /** Connections within this machine are left alone, in both directions: those over loopback, and those from one of
     *  its own addresses to another. Without this flag only those of a process to a listener of its own are. */
    REDIRECTOR_NO_LOOPBACK        = 1u << 5,

    /** The driver's filter takes all outbound TCP packets, and with an incoming port also all inbound ones, at all
     *  times, and is never replaced: no connection waits for it, or passes because it came too late. All TCP packets of
     *  the machine then pass through the library, which costs processor time. */
    REDIRECTOR_CAPTURE_ALL        = 1u << 6,

    /** No permit is put into the Windows filtering platform. Without this flag start asks for one that lets packets out
     *  which were captured and are sent on: Windows judges them as connections of "System" with protocol 255, and blocks
     *  them where outbound connections are blocked unless a program is allowed. The permit is for those alone and ends
     *  with stop or the process; if it cannot be had, start goes on and the log has a warning. */
    REDIRECTOR_NO_FIREWALL_PERMIT = 1u << 7,

    /** Start, and what follows, make no connections of their own to prove that this machine can redirect. */
    REDIRECTOR_NO_PROOF           = 1u << 8,
    /** The library uses the right of Administrators to open any process (SeDebugPrivilege), so that the roots may be
     *  services and other users' programs. Only the thread that calls redirector_start(), until that returns, and the
     *  engine's have it, and no process that is started meanwhile. Without the right the flag has no effect. */
    REDIRECTOR_DEBUG_PRIVILEGE    = 1u << 9,
    /** Connections keep the size of segments (the MSS option of TCP) that programs ask for. Without this flag a
     *  connection that is redirected over loopback may have segments as large as loopback carries, so that what the
     *  proxy answers crosses the driver in few packets. */
    REDIRECTOR_SMALL_SEGMENTS     = 1u << 10,
};

enum redirector_rule_action {
    REDIRECTOR_RULE_PASS     = 0, /**< it goes directly to its destination */
    REDIRECTOR_RULE_REDIRECT = 1, /**< it goes to the proxy */
    REDIRECTOR_RULE_BLOCK    = 2, /**< it is refused at once, as by a closed port; datagrams are dropped */
};

enum redirector_direction {
    REDIRECTOR_BOTH_WAYS = 0,
    REDIRECTOR_OUTGOING  = 1, /**< what a process opens */
    REDIRECTOR_INCOMING  = 2, /**< what comes to a listener of a process */
};

enum redirector_protocol {
    REDIRECTOR_TCP = 6,
    REDIRECTOR_UDP = 17,
};

/**
 * A rule about connections: whose, to where, and what becomes of them. Zero it, set `size`, and fill in what it names;
 * all that it names must match. Rules are applied in order, and the last one that matches decides; where none does, the
 * connections of the tree are redirected, and all others pass. Rules apply to new connections only.
 *
 * A rule that names a process (pid or pattern) is about that process, of the tree or not; and if it names nothing else,
 * it says whether the process is in scope. A rule that names no process is about those in scope: the tree's, as the
 * rules before it have it. (One that names a listener and no process is about those of any process.) Never redirected,
 * nor blocked, is what belongs to the agent, to PID 0 or to PID 4.
 */
typedef struct redirector_rule {
    uint32_t size;        /**< sizeof(redirector_rule), in each rule */
    uint32_t action;      /**< redirector_rule_action */
    uint32_t pid;         /**< process id, if pattern is NULL; 0: any process */
    uint32_t direction;   /**< redirector_direction */
    const char *pattern;  /**< 1 to 512 bytes. With a slash or backslash in it, it is matched against the full path of
                               the program, else against its file name. '*': any characters, '?': one character; ASCII
                               letters match in either case, slashes in either direction. NULL: by pid, or any process */
    const char *listener; /**< only outgoing TCP connections that reach a listening socket of this machine whose process
                               matches this pattern, which is one as above. NULL: to anywhere */
    const char *host;     /**< a pattern, 1 to 512 bytes, of the name under which the other end was looked up; where none
                               is known it does not match. NULL: any name, and none */
    uint32_t protocol;    /**< redirector_protocol; 0: either */
    uint32_t first_port;  /**< the port that the connection goes to is one of first_port to last_port, 1 to 65535; */
    uint32_t last_port;   /**< both 0: any port */
    uint32_t family;      /**< the address of the other end (the destination, or incoming the peer) is of this family, 4 */
    uint32_t prefix_length; /**< or 6, and has these first bits, 0 to 32 or 128, in common with `network`; family 0: any */
    uint8_t network[16];  /**< network byte order; IPv4: the first 4 bytes, the rest is 0 */
    uint32_t upstream;    /**< any number of yours: redirector_lookup() tells it of what this rule has redirected */
} redirector_rule;

/** An IP address and a port. */
typedef struct redirector_address {
    uint32_t family;   /**< 4 or 6 */
    uint32_t port;     /**< host byte order, 1 to 65535 */
    uint8_t bytes[16]; /**< network byte order; IPv4: the first 4 bytes, the rest is 0 */
    uint32_t scope;    /**< scope identifier of an IPv6 link-local address (sin6_scope_id: the interface's index); 0: not
                            known. Of any other address it is 0, and not looked at */
} redirector_address;

/**
 * What to redirect and how. Zero it, set `size`, and fill in what is needed: 0 is a sensible default for all other
 * fields. Fields are only ever added at the end; a program that was built with an earlier header sets that header's
 * size, and the fields that it does not know count as 0.
 */
typedef struct redirector_config {
    uint32_t size;                /**< sizeof(redirector_config) */
    uint32_t client_pid;          /**< root of the process tree; must exist. 0: the roots are all in `roots` */
    uint32_t agent_pid;           /**< process that runs the proxy; 0: the calling process. While it does not listen on
                                       a proxy port, whoever does counts as the agent, too, and is found anew for each
                                       connection: so a proxy that is restarted is followed */
    uint32_t proxy_port;          /**< 1 to 65535; 0: outgoing connections are not redirected */
    uint32_t incoming_port;       /**< 1 to 65535; 0: incoming connections are not redirected */
    uint32_t flags;               /**< redirector_flags; unknown bits are refused */
    uint32_t hold_timeout_ms;     /**< how long a SYN is held until its owner is known, in milliseconds: 1 to 1000;
                                       0: 50 */
    uint32_t log_level;           /**< redirector_log_level */
    uint32_t scan_interval_ms;    /**< how often the TCP table is scanned for redirected connections that no longer
                                       exist, in milliseconds: 100 to 600000; 0: 30000 */
    uint32_t rule_count;          /**< number of rules, 0 to 256 */
    const redirector_rule *rules; /**< rule_count rules; NULL: none */
    const char *windivert_dir;    /**< folder of WinDivert.dll, absolute; NULL: the folder of the running program */
    const char *log_path;         /**< log file; "": none; NULL: that of the environment variable
                                       WINDOWS_REDIRECTOR_LOG, else windows_redirector.log in the current folder, or, if
                                       that cannot be written, in the folder for temporary files, or none */
    redirector_log_fn *log_fn;    /**< receives each line, too; NULL: none */
    void *log_context;            /**< passed to log_fn */
    const uint32_t *roots;        /**< root_count further roots, which must all exist; NULL: none. The agent may be one:
                                       then its descendants are redirected, but never the agent */
    uint32_t root_count;          /**< number of roots, 0 to 4096 */
    uint32_t upstream_count;      /**< number of upstreams, 0 to 64 */
    const redirector_address *upstreams; /**< upstream_count addresses of this machine to which the agent connects, such
                                       as those of a proxy that it goes on through; NULL: none. Connections of a process
                                       that listens there, whichever it is when they are opened, are not redirected:
                                       else they would come back to the agent for ever. Bytes that are all 0: whatever
                                       address it listens on. No addresses of other machines: who listens on all
                                       addresses of this one would be taken for it */
    uint32_t decision_timeout_ms; /**< each outgoing connection waits, with its SYN held, for redirector_decide(), for
                                       so many milliseconds: 1 to 60000; then it is redirected. 0: it is redirected at
                                       once */
    uint32_t listen_port_count;   /**< number of listen_ports, 0 to 64 */
    const uint32_t *listen_ports; /**< local ports, 1 to 65535, whose listeners count as the tree's whoever owns them,
                                       for incoming connections: http.sys (IIS Express, HttpListener, WCF) listens as
                                       PID 4. Never the agent's. NULL: none */
    uint32_t udp_port;            /**< 1 to 65535, may equal proxy_port: the datagrams that the tree sends go to this
                                       port, on which the agent receives on 127.0.0.1 and [::1]. Each pair of a socket and
                                       a destination comes from a port of its own; what the agent sends back there
                                       reaches the program as from that destination. Multicast and broadcast are left
                                       alone, and so are answers to those who have sent to the program first.
                                       0: UDP is left alone, and none of it is captured */
    uint32_t udp_idle_ms;         /**< a UDP flow ends when nothing has come of it for so many milliseconds: 1000 to
                                       3600000; 0: 60000. One that was never answered ends after half of that, and one of
                                       a single question and its answer (port 53) after a sixth */
} redirector_config;

/**
 * Starts a redirector. Any number may run at the same time, in one process and in several, each with a tree and a proxy
 * port of its own. A connection that two of them would redirect is led by the inner one: the one whose process, or all
 * of whose roots, belong to the other's tree; else by the one that was started later. The other one lets it pass, and
 * says so in its log and in redirector_stats.led_by_others.
 *
 * @param config  what to redirect and how; copied
 * @param out     out: the redirector, to be freed with redirector_free()
 * @param error   out: what went wrong; may be NULL. On success os_error is 0; or it says why a log for which no path
 *                was given could not be written to the current folder, and the text says where it is
 * @return REDIRECTOR_OK, or the error (also in *error); then *out is NULL and nothing stays open
 *
 * Returns when the driver, its filter and the tables are ready, and in each IP family that has a way out of the machine a
 * connection of its own was redirected (unless REDIRECTOR_NO_PROOF). Blocks while Windows loads the driver, and for half
 * a second at most beyond that. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_start(const redirector_config *config, redirector **out, redirector_error *error);

/**
 * Stops a redirector: redirected connections are reset at both ends (unless REDIRECTOR_KEEP_FLOWS_ON_STOP), driver
 * handles closed, threads joined. The object stays valid for lookups (which find nothing) and statistics until
 * redirector_free().
 *
 * @param r  the redirector
 * @return REDIRECTOR_OK; REDIRECTOR_STOPPED_BY_FORCE (the engine did not end in time); REDIRECTOR_INVALID_ARGUMENT
 *         (NULL)
 *
 * Blocks for at most 1 s. Idempotent. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_stop(redirector *r);

enum redirector_state {
    REDIRECTOR_RUNNING = 1, /**< new connections are redirected */
    REDIRECTOR_STOPPED = 2, /**< redirector_stop() was called */
    REDIRECTOR_FAILED  = 3, /**< redirection has ended by itself, and all traffic goes to its original destination. Stop
                                 this redirector, then start another */
};

/**
 * Says whether a redirector still redirects.
 *
 * @param r    the redirector
 * @param why  out: why it has failed, also after it was stopped; code REDIRECTOR_OK: it has not. If os_error is not 0
 *             then, the text says what limits redirection, such as a process of the tree that Windows does not let into
 *             the library's job. May be NULL
 * @return a redirector_state; 0 if r is NULL or why->size is unknown
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_get_state(redirector *r, redirector_error *why);

/**
 * Stops a redirector, if it was not stopped, and frees it.
 *
 * @param r  the redirector; no other call may use it during or after this one. NULL: nothing happens
 *
 * Blocks as redirector_stop() does. Since: 0.1
 */
REDIRECTOR_API void redirector_free(redirector *r);

/** Original destination of a redirected connection, or UDP flow. Set `size` and `protocol` before the call. */
typedef struct redirector_destination {
    uint32_t size;                  /**< in: sizeof(redirector_destination) */
    uint32_t pid;                   /**< process that opened the connection, or owns the listener (incoming) */
    uint32_t incoming;              /**< 1: the connection came to a listener of the tree; 0: the tree opened it */
    uint32_t protocol;              /**< in: REDIRECTOR_TCP (0 counts as that) or REDIRECTOR_UDP: what the peer speaks;
                                         a port of one is not a port of the other. out: the same, never 0 */
    redirector_address destination; /**< where it was going */
    uint64_t connection_id;         /**< that redirector_next_connection() gave it; 0: it was not asked about */
    uint32_t upstream;              /**< of the rule that has redirected it; 0: none has */
    uint32_t reserved;              /**< 0 */
} redirector_destination;

/**
 * Finds the original destination of a connection by its peer address as the proxy sees it (getpeername,
 * net.Conn.RemoteAddr); that of a datagram by the address that it came from (recvfrom, net.PacketConn.ReadFrom).
 *
 * @param r     the redirector
 * @param peer  the peer's address; if its bytes are all 0 (unspecified), family and port alone are compared, and its
 *              scope only where it is not 0 and known
 * @param out   out: the destination
 * @return REDIRECTOR_OK; REDIRECTOR_NOT_FOUND (not a redirected connection, or one that has ended);
 *         REDIRECTOR_INVALID_ARGUMENT (NULL, unknown size, no such family, or a port outside 1 to 65535)
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_lookup(redirector *r, const redirector_address *peer, redirector_destination *out);

/**
 * Tells the program that sent to the proxy from this peer that its destination cannot be reached: it receives an ICMP
 * error (port unreachable) as from there, which a connected UDP socket sees (WSAECONNRESET). To be called when the
 * destination has answered the proxy so. The flow goes on.
 *
 * @param r     the redirector
 * @param peer  where the datagram came from, as for redirector_lookup()
 * @return REDIRECTOR_OK; REDIRECTOR_NOT_FOUND (no UDP flow has this peer); REDIRECTOR_INVALID_ARGUMENT, as
 *         redirector_lookup(); REDIRECTOR_NOT_RUNNING
 *
 * Blocks for milliseconds, at most 1 s. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_udp_unreachable(redirector *r, const redirector_address *peer);

/**
 * Removes the mapping of a TCP peer for good. The connection itself goes on.
 *
 * @param r     the redirector
 * @param peer  the peer's address, as for redirector_lookup()
 * @return REDIRECTOR_OK, REDIRECTOR_NOT_FOUND or REDIRECTOR_INVALID_ARGUMENT, as redirector_lookup()
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_forget(redirector *r, const redirector_address *peer);

/**
 * Replaces the rules of a running redirector.
 *
 * @param r      the redirector
 * @param rules  `count` rules; copied. NULL with count 0: no rules
 * @param count  number of rules, 0 to 256
 * @param error  out: what is wrong, and with which rule; may be NULL
 * @return REDIRECTOR_OK; REDIRECTOR_INVALID_ARGUMENT or REDIRECTOR_NO_MEMORY (the former rules stay);
 *         REDIRECTOR_NOT_RUNNING
 *
 * Returns when the engine uses them. Blocks for milliseconds, at most 1 s. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_set_rules(redirector *r, const redirector_rule *rules, uint32_t count,
                                             redirector_error *error);

/** A connection that rules are asked about. Zero it, and set `size`. Texts that are not known may be NULL. */
typedef struct redirector_rule_case {
    uint32_t size;                  /**< sizeof(redirector_rule_case) */
    uint32_t in_tree;               /**< 1: its process belongs to the tree; 0: it does not */
    uint32_t pid;                   /**< its process */
    uint32_t protocol;              /**< REDIRECTOR_TCP or REDIRECTOR_UDP */
    uint32_t direction;             /**< REDIRECTOR_OUTGOING or REDIRECTOR_INCOMING */
    redirector_address address;     /**< of the other end; its port is the one that the connection goes to */
    const char *program;            /**< path of its process' image */
    const char *listener;           /**< path of the image of who listens at the other end on this machine */
    const char *host;               /**< the other end's name */
} redirector_rule_case;

#define REDIRECTOR_NO_RULE 0xFFFFFFFFu

/** What rules say of a connection. Set `size` before the call. */
typedef struct redirector_rule_verdict {
    uint32_t size;     /**< in: sizeof(redirector_rule_verdict) */
    uint32_t action;   /**< a redirector_rule_action */
    uint32_t rule;     /**< number of the rule that has decided, from 0 on; REDIRECTOR_NO_RULE: the tree alone */
    uint32_t upstream; /**< of that rule */
} redirector_rule_verdict;

/**
 * Says what rules would make of a connection, by the code that redirects. It needs no redirector. What is never
 * redirected, such as the agent's own, is not known to it.
 *
 * @param rules       `count` rules; NULL with count 0: no rules
 * @param count       number of rules, 0 to 256
 * @param connection  the connection
 * @param verdict     out: what becomes of it
 * @param error       out: what is wrong, and with which rule; may be NULL
 * @return REDIRECTOR_OK; REDIRECTOR_INVALID_ARGUMENT (NULL, unknown size, a rule or the connection is not right);
 *         REDIRECTOR_NO_MEMORY
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_test_rules(const redirector_rule *rules, uint32_t count,
                                              const redirector_rule_case *connection, redirector_rule_verdict *verdict,
                                              redirector_error *error);

/**
 * Tells under which name an address was looked up, for rules that name a host: to be called by whoever has seen the
 * answer of the DNS, before the program gets it, or has read a hosts file. Nothing else makes names known; they are
 * never guessed. An address has the name that was told last, so where names share an address the latest look-up counts.
 * 4096 addresses are kept; beyond that the first ones are forgotten.
 *
 * @param r        the redirector
 * @param address  the address; its port is not looked at
 * @param name     1 to 253 bytes, without a dot at its end; copied
 * @return REDIRECTOR_OK (it counts for connections opened from now on); REDIRECTOR_INVALID_ARGUMENT;
 *         REDIRECTOR_NO_MEMORY; REDIRECTOR_NOT_RUNNING
 *
 * Blocks for milliseconds, at most 1 s. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_tell_name(redirector *r, const redirector_address *address, const char *name);

/**
 * An outgoing connection whose SYN is held until redirector_decide() says what becomes of it. Set `size` before the
 * call.
 */
typedef struct redirector_connection {
    uint32_t size;                  /**< in: sizeof(redirector_connection) */
    uint32_t pid;                   /**< process that opens it */
    uint64_t connection_id;         /**< for redirector_decide(). When the proxy has accepted the connection,
                                         redirector_lookup() of its peer tells the same one */
    redirector_address client;      /**< the end that opens it, as that end sees itself */
    redirector_address destination; /**< where it is going */
    uint32_t upstream;              /**< of the rule that has it redirected; 0: none has */
    uint32_t reserved;              /**< 0 */
} redirector_connection;

enum redirector_decision {
    REDIRECTOR_ACCEPT = 1, /**< it is redirected to the proxy, which accepts it */
    REDIRECTOR_REFUSE = 2, /**< it is refused: its SYN is answered with RST, each time that Windows sends it again */
    REDIRECTOR_PASS   = 3, /**< it goes directly to its destination, unredirected */
    REDIRECTOR_DROP   = 4, /**< its SYN is never answered: the program's connect() times out */
};

/**
 * Waits for the next outgoing connection to decide about. With redirector_config.decision_timeout_ms, a connection of
 * the tree that would be redirected is first given out here, the oldest first and each once, and its SYN is held
 * meanwhile: so the proxy can connect to the destination first, and the program's connect() ends as that does, instead
 * of succeeding always. Connections that come in are not asked about, nor those that pass because nothing listens on the
 * proxy's port.
 *
 * A connection that is not decided within the time-out is redirected (redirector_stats.decision_timeouts), also if
 * nobody calls this. At most 512 wait at a time; beyond that they are redirected at once (decision_overflows). Those
 * that wait when redirection stops leave as they came.
 *
 * @param r           the redirector
 * @param out         out: the connection
 * @param timeout_ms  how long to wait for one, in milliseconds; 0: not at all; 0xFFFFFFFF: as long as redirection lasts
 * @return REDIRECTOR_OK; REDIRECTOR_NOT_FOUND (none has come in time); REDIRECTOR_NOT_RUNNING (redirection has ended);
 *         REDIRECTOR_INVALID_ARGUMENT (NULL, unknown size, or decision_timeout_ms is 0)
 *
 * Blocks for timeout_ms at most, and never beyond the end of redirection. Several threads may wait: each gets another
 * connection. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_next_connection(redirector *r, redirector_connection *out, uint32_t timeout_ms);

/**
 * Decides about a connection of redirector_next_connection(). Its SYN leaves, or is answered, at once.
 *
 * @param r              the redirector
 * @param connection_id  the connection
 * @param decision       a redirector_decision
 * @return REDIRECTOR_OK; REDIRECTOR_NOT_FOUND (it does not wait any more: it is decided already, its time is up, its
 *         program has given up, or redirection has ended); REDIRECTOR_INVALID_ARGUMENT (NULL, or no such decision)
 *
 * Never blocks. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_decide(redirector *r, uint64_t connection_id, uint32_t decision);

enum redirector_flow_kind {
    REDIRECTOR_FLOW_OUTGOING = 0, /**< the tree opened it */
    REDIRECTOR_FLOW_INCOMING = 1, /**< it came to a listener of the tree */
};

enum redirector_flow_state {
    REDIRECTOR_FLOW_OPENING = 1, /**< its SYN is not answered yet */
    REDIRECTOR_FLOW_OPEN    = 2, /**< established, half-closed included */
    REDIRECTOR_FLOW_CLOSING = 3, /**< reset, or closed by both ends; its last packets are still translated */
};

/**
 * A redirected connection, or UDP flow, that exists now. "Up" is the direction from the end that opened it to the end that accepted
 * it. Bytes are those of the stream, so that retransmissions count once; packets are all packets. Set `size` in the
 * first element of an array before the call.
 */
typedef struct redirector_flow {
    uint32_t size;                  /**< in, first element: sizeof(redirector_flow); out: the same in each element */
    uint32_t pid;                   /**< process that opened the connection, or owns the listener (incoming) */
    uint32_t kind;                  /**< redirector_flow_kind */
    uint32_t state;                 /**< redirector_flow_state */
    redirector_address client;      /**< the end that opened it, as that end sees itself */
    redirector_address destination; /**< where it was going */
    redirector_address peer;        /**< the peer that the proxy sees, as redirector_lookup() takes it */
    uint32_t protocol;              /**< redirector_protocol. A UDP flow is OPENING until it was answered; its bytes are
                                         those of its datagrams' contents */
    uint64_t bytes_up;
    uint64_t bytes_down;
    uint64_t packets_up;
    uint64_t packets_down;
    uint64_t opened_ms;             /**< when it was opened: milliseconds since 1970-01-01 UTC, by the clock as it is
                                         set now */
    uint64_t age_ms;                /**< milliseconds since then; not affected by changes of the clock */
} redirector_flow;

/**
 * Lists the redirected connections that exist now, in no particular order.
 *
 * @param r         the redirector
 * @param flows     array of `capacity` elements; flows[0].size must be sizeof(redirector_flow). NULL with capacity 0:
 *                  only count
 * @param capacity  number of elements of the array
 * @param total     out: number of connections. The first min(capacity, total) elements are filled in; the others stay
 *                  as they are
 * @return REDIRECTOR_OK, also if the array was too small; REDIRECTOR_INVALID_ARGUMENT (nothing is written);
 *         REDIRECTOR_NO_MEMORY or REDIRECTOR_NOT_RUNNING (stopped, or the engine does not answer): then *total is 0
 *
 * The engine copies them in small portions between packets, so that traffic is not delayed: each element is consistent
 * in itself, but a connection that begins or ends during the call may be in the list or not. Blocks for milliseconds,
 * at most 1 s for each portion. Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_list_flows(redirector *r, redirector_flow *flows, uint32_t capacity,
                                              uint32_t *total);

/**
 * Counters since the start. Set `size` before the call: sizeof(redirector_stats), or that of an earlier header; no more
 * than that is filled in.
 */
typedef struct redirector_stats {
    uint32_t size;                /**< in: sizeof(redirector_stats) */
    uint32_t flows_live;          /**< redirected connections that exist now */
    uint64_t flows_total;         /**< connections redirected since the start */
    uint64_t flow_table_full;     /**< connections that passed unredirected because the table was full */
    uint64_t packets_seen;        /**< packets received from the driver */
    uint64_t packets_passed;      /**< packets sent on unchanged */
    uint64_t packets_rewritten;   /**< packets sent on with other addresses */
    uint64_t packets_held;        /**< SYNs that were held until their owner was known */
    uint64_t packets_dropped;     /**< packets dropped on purpose: retransmissions of a held SYN, SYNs that were refused
                                       or are not to be answered, connections reset by stop */
    uint64_t packets_malformed;   /**< packets that could not be parsed, and therefore passed */
    uint64_t proxy_not_listening; /**< connections that passed or were refused because nothing listened on the proxy's
                                       port */
    uint64_t hold_timeouts;       /**< held SYNs that passed because their owner was not known in time */
    uint64_t hold_overflows;      /**< SYNs that passed because too many were held already */
    uint64_t send_errors;         /**< packets that the driver refused to send */
    uint64_t receive_errors;      /**< receives that failed; receiving went on all the same */
    uint64_t events_seen;         /**< socket events received from the driver */
    uint64_t lookups_hit;         /**< lookups that found a connection */
    uint64_t lookups_missed;      /**< lookups that found none */
    uint64_t log_lines_dropped;   /**< log lines dropped because the log could not keep up */
    /* Time that packets waited in the driver's queue, from its time stamp until the engine took them, microseconds: */
    uint64_t queue_delay_last_us; /**< of the oldest packet of the latest batch */
    uint64_t queue_delay_max_us;  /**< the longest since the start */
    uint64_t queue_delay_mean_us; /**< the mean of all packets since the start */
    uint64_t capture_waits;       /**< SYNs that were held until the driver's filter captured their port */
    uint64_t filter_replacements; /**< times that the driver's filter was replaced by one for other ports */
    uint64_t watchdog_trips;      /**< times that the watchdog closed the driver's handles, because the engine made no
                                       progress */
    uint64_t syns_forwarded;      /**< SYNs neither from nor to an address of this machine, which passed at once: it only
                                       forwards them (internet connection sharing, hotspot, routing) */
    uint64_t link_local_passed;   /**< connections of the tree to IPv6 link-local addresses that passed unredirected,
                                       because several interfaces have the same link-local address */
    uint64_t capture_timeouts;    /**< held SYNs that passed or were refused because the driver's filter did not capture
                                       their port within 5 s, or could not be replaced */
    uint64_t self_connections;    /**< connections of a process to a listener of its own, which passed */
    uint64_t proxy_connections;   /**< connections that would have been redirected, but passed because their process
                                       listens on a proxy port or as an upstream */
    uint64_t decision_waits;      /**< connections that waited for redirector_decide() */
    uint64_t decision_timeouts;   /**< of these, connections that were redirected because nobody decided in time */
    uint64_t decision_overflows;  /**< connections that were redirected without asking, because too many waited already
                                       */
    uint64_t priority_shared;     /**< 1: no priorities of its own could be had in the driver, so that one redirector may
                                       hide connections from another; 0: it has its own */
    uint64_t led_by_others;       /**< connections that passed because another redirector leads them */
    uint64_t firewall_permit;     /**< 1: packets that are sent on have their permit in the Windows filtering platform
                                       now; 0: they do not (REDIRECTOR_NO_FIREWALL_PERMIT, it could not be had, or
                                       stopped) */
    uint64_t members_forgotten;   /**< processes of the tree that had ended, or about whose end nobody tells, and were
                                       forgotten because there were too many: their children may pass unredirected */
    uint64_t members_outside;     /**< processes of the tree that Windows did not let into the library's job: what they
                                       start is found by looking at all processes many times a second, but for what
                                       is started by a process that lives only between two looks */
    uint64_t tree_listeners;      /**< sockets whose connections count as incoming, now (as of a second ago at most);
                                       0 while incoming connections are not redirected */
    uint64_t proofs;              /**< connections of the library's own that were redirected, by which it has proven that
                                       this machine can. No other counter has them */
    uint64_t steering_replaced;   /**< IP families (0 to 2) in which connections are redirected the other way than was
                                       configured (REDIRECTOR_REFLECT or not), because that one does not work here */
    uint64_t handle_renewals;     /**< times that the driver's handle was opened anew because a proof had failed */
    uint64_t table_waits;         /**< SYNs that waited for the TCP table, to know their owner or who listens */
    uint64_t table_timeouts;      /**< of these, SYNs that it did not answer in time: what was known counted */
    uint64_t table_failures;      /**< times that Windows did not give the TCP table, or half of it */
    uint64_t agent_connections;   /**< connections within the machine that passed because the agent listens there */
    uint64_t loopback_passed;     /**< connections within the machine that passed because of REDIRECTOR_NO_LOOPBACK */
    uint64_t listener_overflows;  /**< listening sockets that found no room in the list of them: what goes to them is
                                       not redirected as incoming */
    uint64_t processes_unknown;   /**< connections whose process had ended before it could be asked for its parents, and
                                       which were taken for strangers' */
    uint64_t segments_cut;        /**< pieces in which answers of the proxy were sent to programs that did not get them
                                       whole */
    uint64_t large_segments;      /**< 1: connections are redirected with segments as large as loopback carries; 0: they
                                       are not (REDIRECTOR_SMALL_SEGMENTS, or they do not arrive on this machine) */
    /* UDP (redirector_config.udp_port); the counters above are TCP's: */
    uint64_t udp_flows_live;      /**< UDP flows that exist now */
    uint64_t udp_flows_total;     /**< UDP flows since the start */
    uint64_t udp_table_full;      /**< datagrams that passed because there was no room for their flow */
    uint64_t udp_packets_seen;    /**< packets received from the driver: datagrams, fragments, ICMP errors */
    uint64_t udp_packets_passed;
    uint64_t udp_packets_rewritten;
    uint64_t udp_packets_held;    /**< packets that were held until their owner was known */
    uint64_t udp_packets_dropped; /**< packets dropped on purpose: while nothing received on the proxy's port, with
                                       REDIRECTOR_FAIL_CLOSED; and what the proxy sent to a flow that has ended */
    uint64_t udp_packets_malformed;
    uint64_t udp_proxy_not_listening; /**< datagrams that passed or were dropped because nothing received on udp_port */
    uint64_t udp_hold_timeouts;   /**< held packets that passed because their owner was not known in time */
    uint64_t udp_hold_overflows;  /**< packets that passed because too many were held already, or they were too large */
    uint64_t udp_fragments_passed; /**< fragments that passed because their first one was not seen before them, or was
                                       not redirected although its flow is */
    uint64_t udp_errors_translated; /**< ICMP errors that programs were sent */
    uint64_t udp_uncaptured;      /**< sockets of the tree on a port that the driver's filter left out at that moment:
                                       their first datagrams may have passed */
    /* Rules: */
    uint64_t connections_blocked; /**< SYNs that were refused by a rule */
    uint64_t udp_packets_blocked; /**< datagrams that were dropped by a rule */
} redirector_stats;

/**
 * Reads the counters.
 *
 * @param r      the redirector, also after it was stopped
 * @param stats  out: the counters
 * @return REDIRECTOR_OK, or REDIRECTOR_INVALID_ARGUMENT (NULL or unknown size)
 *
 * Blocks only while another call is in redirector_stop(). Since: 0.1
 */
REDIRECTOR_API uint32_t redirector_get_stats(redirector *r, redirector_stats *stats);

/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif /* WINDOWS_REDIRECTOR_H */
