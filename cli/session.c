/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: the order matters. The relay listens before the redirector starts, because the redirector does
 * not redirect to a port on which nothing listens. The observers (live list, control channel, packets) start after it.
 * All of it is undone in reverse; the relay ends before the redirector, because it looks up its peers there.
 */
#include "session.h"

#include "capture.h"
#include "console.h"
#include "control.h"
#include "elsewhere.h"
#include "hosts_file.h"
#include "live.h"
#include "output.h"
#include "own_proxies.h"
#include "quic.h"
#include "relay.h"
#include "report.h"
#include "routes.h"
#include "rules_watch.h"
#include "session_names.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

enum {
    ALIVE_MS = 100,          /* how often the tree is checked */
    HINT_MS = 1000,          /* most of a program's processes end with it */
    LISTENER_HINT_MS = 5000, /* most servers listen by then */
    DECISION_MS_MAX = 60000, /* the library's */
    CONNECT_MS = 30000,      /* without --connect-timeout */
};

struct session {
    struct options *options;
    struct report *report;
    struct routes *upstreams; /* of --upstream; NULL: none */
    struct relay *relay;      /* NULL: the user's own proxies are used */
    redirector *redirecting;
    struct watch *watch;
    struct control *control;
    struct live *live;
    struct quic *quic;
    struct rules_watch *rules;
    struct capture *capture;
    const struct tree *tree;
    struct elsewhere elsewhere;
    bool wants_live;
    bool failed;        /* redirecting has ended by itself, and a message was shown */
    bool limited;       /* something limits redirection, and a message was shown */
    bool led_by_other;  /* another redirector leads connections, and a message was shown */
    ULONGLONG started;  /* GetTickCount64() */
    bool names_said;    /* that names are not known, and a message was shown */
    bool listener_said; /* whether the programs listen is not to be asked any more */
};

/* ---- before the programs */

static uint32_t connect_ms(const struct options *o)
{
    return o->connect_timeout ? o->connect_timeout * 1000 : CONNECT_MS;
}

static enum relay_datagrams datagrams_of(const struct options *o)
{
    static const enum relay_datagrams by_mode[] = {
        [UDP_RELAY] = RELAY_DATAGRAMS, [UDP_PASS] = RELAY_NO_DATAGRAMS, [UDP_BLOCK] = RELAY_REFUSE_DATAGRAMS};
    return by_mode[options_udp(o)];
}

static bool open_relay(struct session *s)
{
    const struct options *o = s->options;
    uint32_t error;
    struct relay_config config = {.report = s->report,
                                  .upstreams = s->upstreams,
                                  .rules = o->in_force,
                                  .outgoing = !o->no_outgoing && !o->proxy_port,
                                  .incoming = o->incoming,
                                  .datagrams = datagrams_of(o),
                                  .refuse_quic = o->block_quic,
                                  .everywhere = o->reflect,
                                  .port = (uint16_t)o->relay_port,
                                  .connect_ms = connect_ms(o)};
    if (!config.outgoing && !config.incoming && !config.datagrams) {
        return true;
    }
    s->relay = relay_open(&config, &error);
    if (!s->relay && o->relay_port && (error == WSAEADDRINUSE || error == WSAEACCES)) {
        output_message("port %u is in use; choose another --relay-port, or none", o->relay_port);
    } else if (!s->relay) {
        output_message("the relay cannot listen on 127.0.0.1 and [::1] (error %u)", error);
    }
    return s->relay != NULL;
}

static enum report_view choose_view(struct session *s, bool quiet_terminal)
{
    const struct options *o = s->options;
    if (o->json) {
        return REPORT_JSON;
    }
    s->wants_live = o->live || (!o->plain && quiet_terminal && live_possible());
    if (s->wants_live && !live_possible()) {
        output_message("--live needs a terminal; showing lines instead");
        s->wants_live = false;
    }
    return s->wants_live ? REPORT_QUIET : REPORT_TEXT;
}

static bool prepare(struct session *s)
{
    struct options *o = s->options;
    if (o->upstreams.count) {
        s->upstreams = routes_open(o->upstreams.routes, o->upstreams.count, connect_ms(o), &rules_messages);
        if (!s->upstreams || !routes_try(s->upstreams, connect_ms(o))) {
            return false;
        }
    }
    bool relays = !o->no_outgoing && !o->proxy_port;
    return own_proxies_found(o) && rules_state_find_proxies(o->in_force, relays, connect_ms(o)) && open_relay(s);
}

struct session *session_open(struct options *o, bool quiet_terminal, DWORD *status)
{
    WSADATA data;
    struct session *s = calloc(1, sizeof *s);
    *status = EXIT_NOT_REDIRECTING;
    if (o->json) {
        output_messages_as_json();
    }
    if (s) {
        s->options = o;
        s->report = console_watch() && output_open() ? report_open(choose_view(s, quiet_terminal)) : NULL;
    }
    if (!s || !s->report || WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        output_message("out of memory");
        output_close();
        free(s);
        return NULL;
    }
    if (!prepare(s)) {
        session_close(s, false);
        return NULL;
    }
    return s;
}

/* ---- redirecting */

/*
 * How long the library holds a connect() for the relay: longer than the relay connects, so that this is the relay's own
 * decision. 0: the user's proxy decides nothing.
 */
static uint32_t decision_ms(const struct session *s)
{
    enum { MARGIN_MS = 1000 };
    return !s->relay || !relay_port(s->relay) ? 0 : min(connect_ms(s->options) + MARGIN_MS, (uint32_t)DECISION_MS_MAX);
}

/* Whether the library has found that this machine cannot redirect over loopback. */
static bool reflects_instead(const struct session *s)
{
    redirector_stats stats = {.size = sizeof stats};
    return !s->options->reflect && redirector_get_stats(s->redirecting, &stats) == REDIRECTOR_OK &&
           stats.steering_replaced;
}

/* From the start, as with --reflect: the relay has to listen on all addresses. */
static bool reflect_from_the_start(struct session *s)
{
    s->options->reflect = true;
    redirector_free(s->redirecting);
    s->redirecting = NULL;
    relay_close(s->relay);
    s->relay = NULL;
    return open_relay(s);
}

static DWORD start_redirecting(struct session *s, const uint32_t *roots, uint32_t count)
{
    const struct options *o = s->options;
    redirector_address upstreams[UPSTREAM_RULES_MAX];
    uint32_t local = routes_local(s->upstreams, upstreams, UPSTREAM_RULES_MAX);
    struct rules_in_force *f = rules_state_take(o->in_force);
    local += routes_local(f->routes, upstreams + local, UPSTREAM_RULES_MAX - local);
    redirector_config config = {
        .size = sizeof config,
        .client_pid = roots[0],
        .roots = count > 1 ? roots + 1 : NULL,
        .root_count = count - 1,
        .proxy_port = o->no_outgoing  ? 0
                      : o->proxy_port ? o->proxy_port
                                      : relay_port(s->relay),
        .incoming_port = o->incoming ? relay_incoming_port(s->relay) : o->incoming_proxy,
        .flags = (o->fail_closed ? REDIRECTOR_FAIL_CLOSED : 0u) | (o->reflect ? REDIRECTOR_REFLECT : 0u) |
                 (o->no_loopback ? REDIRECTOR_NO_LOOPBACK : 0u) |
                 (o->no_firewall_permit ? REDIRECTOR_NO_FIREWALL_PERMIT : 0u) |
                 (o->no_proof ? REDIRECTOR_NO_PROOF : 0u) | (o->small_segments ? REDIRECTOR_SMALL_SEGMENTS : 0u) |
                 REDIRECTOR_DEBUG_PRIVILEGE,
        .decision_timeout_ms = decision_ms(s),
        .log_level = o->log_level,
        .rule_count = f->count,
        .rules = f->rules,
        .windivert_dir = o->windivert_dir,
        .log_path = o->log_path,
        .upstream_count = local,
        .upstreams = upstreams,
        .listen_ports = o->listen_port_count ? o->listen_ports : NULL,
        .listen_port_count = o->listen_port_count,
        .udp_port = o->udp_proxy_port ? o->udp_proxy_port
                    : s->relay        ? relay_datagram_port(s->relay)
                                      : 0,
    };
    redirector_error error = {.size = sizeof error};
    uint32_t relay_error, started = redirector_start(&config, &s->redirecting, &error);
    rules_release(f);
    if (started != REDIRECTOR_OK) {
        output_message("%s", error.text);
        return EXIT_NOT_REDIRECTING;
    }
    if (error.os_error) {
        output_message("%s", error.text);
    }
    if (reflects_instead(s)) {
        output_message("redirecting over loopback does not work on this machine (the log says more); it is done by "
                       "reflection, as with --reflect%s",
                       o->proxy_port ? ": your proxy has to listen on all addresses" : "");
        if (!o->proxy_port && s->relay) {
            return reflect_from_the_start(s) ? start_redirecting(s, roots, count) : EXIT_NOT_REDIRECTING;
        }
    }
    if (rules_state_names_hosts(o->in_force)) {
        hosts_file_tell(s->redirecting);
    }
    if (s->relay && !relay_start(s->relay, s->redirecting, s->tree, &relay_error)) {
        output_message("the relay could not be started (error %u)", relay_error);
        return EXIT_NOT_REDIRECTING;
    }
    return 0;
}

static bool redirects_udp(const struct session *s)
{
    return s->options->udp_proxy_port || datagrams_of(s->options) != RELAY_NO_DATAGRAMS;
}

/* The observers. Those that the user requested must start; the others may fail silently. */
static bool start_looking(struct session *s, const struct tree *t)
{
    const struct options *o = s->options;
    if (o->proxy_port || o->incoming_proxy || o->udp_proxy_port) {
        struct watch_wanted wanted = {
            .outgoing = o->proxy_port != 0, .incoming = o->incoming_proxy != 0, .udp = o->udp_proxy_port != 0};
        s->watch = watch_start(s->redirecting, s->report, &wanted);
    }
    if (o->pcap_path && !(s->capture = capture_start(s->redirecting, o->pcap_path, redirects_udp(s)))) {
        return false;
    }
    /* a relay that gets datagrams refuses those to port 443 itself */
    if (o->block_quic && datagrams_of(o) == RELAY_NO_DATAGRAMS && !(s->quic = quic_start(t, o->in_force))) {
        return false;
    }
    if (o->rules_path && !(s->rules = rules_watch_start(o->in_force, s->redirecting, o->rules_path))) {
        return false;
    }
    const struct control_subject about = {s->report, s->redirecting, o->in_force, &o->upstreams};
    s->control = control_start(&about);
    if (s->wants_live) {
        s->live = live_start(s->report);
    }
    return true;
}

DWORD session_start(struct session *s, const struct tree *t)
{
    uint32_t count, *roots = tree_roots(t, &count);
    DWORD status = EXIT_NOT_REDIRECTING;
    s->tree = t;
    s->started = GetTickCount64();
    if (roots) {
        status = start_redirecting(s, roots, count);
    } else {
        output_message("out of memory");
    }
    free(roots);
    if (!status && !start_looking(s, t)) {
        status = EXIT_NOT_REDIRECTING;
    }
    return status;
}

/* Programs that listen by http.sys seem not to listen at all, and nothing comes in: that is said once. */
static void check_listeners(struct session *s, uint64_t listeners)
{
    bool wanted = !s->listener_said && (s->options->incoming || s->options->incoming_proxy);
    if (!wanted || (!listeners && GetTickCount64() - s->started < LISTENER_HINT_MS)) {
        return;
    }
    s->listener_said = true;
    if (!listeners) {
        output_message("no program of the tree listens yet, so nothing comes in; IIS Express, HttpListener and WCF let "
                       "http.sys listen: give --listen-port N ('netsh http show servicestate' has the ports)");
    }
}

static void check_counters(struct session *s)
{
    redirector_stats stats = {.size = sizeof stats};
    if (redirector_get_stats(s->redirecting, &stats) != REDIRECTOR_OK) {
        return;
    }
    check_listeners(s, stats.tree_listeners);
    if (!s->led_by_other && stats.led_by_others) {
        s->led_by_other = true;
        output_message("another redirector leads connections of these programs: an inner one, or one that was started "
                       "later; they are not shown here");
    }
}

void session_check(struct session *s)
{
    redirector_error why = {.size = sizeof why};
    elsewhere_check(&s->elsewhere, s->tree);
    check_counters(s);
    if (!s->names_said && session_lacks_names(s->options)) {
        s->names_said = true;
        output_message("rules name hosts, but what the programs look up by DNS does not pass redirector's relay here: "
                       "only the names of the hosts file are known");
    }
    uint32_t state = redirector_get_state(s->redirecting, &why);
    if (!s->limited && state == REDIRECTOR_RUNNING && why.os_error) {
        s->limited = true;
        output_message("%s", why.text);
    }
    if (s->failed || state != REDIRECTOR_FAILED) {
        return;
    }
    s->failed = true;
    output_message("redirecting has ended by itself, connections pass directly: %s", why.text);
}

bool session_wait(struct session *s, bool left_behind)
{
    uint32_t alive;
    ULONGLONG hint_at = GetTickCount64() + HINT_MS;
    bool waiting = false;
    while ((alive = tree_alive(s->tree)) != 0 || session_waits_for_names(s->options)) {
        if (!alive && !waiting && !s->options->until_exit) {
            output_message("the last of them has ended; waiting for later ones of that name; Ctrl-C ends it");
            waiting = true;
        }
        if (left_behind && GetTickCount64() >= hint_at) {
            output_message("the program has ended; %u process%s of it still run%s and %s redirected; Ctrl-C ends that",
                           alive, alive == 1 ? "" : "es", alive == 1 ? "s" : "", alive == 1 ? "is" : "are");
            left_behind = false;
        }
        if (WaitForSingleObject(console_presses(), ALIVE_MS) == WAIT_OBJECT_0) {
            return false;
        }
        session_check(s);
    }
    return !s->relay || relay_wait_idle(s->relay, console_presses());
}

void session_close(struct session *s, bool summary)
{
    if (!s) {
        return;
    }
    control_stop(s->control);
    rules_watch_stop(s->rules);
    watch_stop(s->watch);
    if (s->relay) {
        relay_close(s->relay);
    }
    routes_release(s->upstreams);
    capture_stop(s->capture); /* it looks up the owners of its packets at the redirector */
    quic_stop(s->quic);
    live_stop(s->live);
    redirector_free(s->redirecting);
    report_close(s->report, summary);
    output_close();
    console_done();
    WSACleanup();
    free(s);
}
