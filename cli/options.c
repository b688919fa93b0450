/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: one table has the options, the commands that accept them, and their kinds of value; "--option
 * value" and "--option=value" mean the same. Only arguments before "--" are options: everything after it belongs to the
 * program, dashes included.
 */
#include "options.h"

#include "address.h"
#include "output.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum option_id {
    OPTION_HELP,
    OPTION_JSON,
    OPTION_PLAIN,
    OPTION_LIVE,
    OPTION_PID,
    OPTION_NAME,
    OPTION_RULES,
    OPTION_EXCLUDE,
    OPTION_UPSTREAM,
    OPTION_PROXY_PORT,
    OPTION_INCOMING,
    OPTION_INCOMING_PROXY,
    OPTION_NO_OUTGOING,
    OPTION_NO_LOOPBACK,
    OPTION_NO_PROOF,
    OPTION_SMALL_SEGMENTS,
    OPTION_RELAY_PORT,
    OPTION_CONNECT_TIMEOUT,
    OPTION_REFLECT,
    OPTION_FAIL_CLOSED,
    OPTION_BLOCK_QUIC,
    OPTION_NO_FIREWALL_PERMIT,
    OPTION_PCAP,
    OPTION_WINDIVERT,
    OPTION_LOG,
    OPTION_LOG_LEVEL,
    OPTION_CLEAN,
    OPTION_UNTIL_EXIT,
    OPTION_REPORT,
    OPTION_EXCLUDE_LISTENER,
    OPTION_LISTEN_PORT,
    OPTION_UDP,
    OPTION_UDP_PROXY_PORT,
};

enum {
    REDIRECTING = COMMAND_RUN | COMMAND_ATTACH,
    ASKING = COMMAND_FLOWS | COMMAND_STATS,
    ALL = REDIRECTING | ASKING | COMMAND_PS | COMMAND_DOCTOR,
};

struct option_kind {
    const wchar_t *name;
    enum option_id id;
    unsigned commands; /* command_id: the commands that accept it */
    const char *value; /* what its value is, for messages; NULL: no value */
};

enum { CONNECT_TIMEOUT_MAX = 600 };

static const char a_port[] = "a port, 1 to 65535";

static const struct option_kind option_kinds[] = {
    {L"--help", OPTION_HELP, ALL, NULL},
    {L"--json", OPTION_JSON, ALL, NULL},
    {L"--plain", OPTION_PLAIN, REDIRECTING, NULL},
    {L"--live", OPTION_LIVE, REDIRECTING, NULL},
    {L"--pid", OPTION_PID, COMMAND_ATTACH | COMMAND_PS | ASKING, "a process id"},
    {L"--name", OPTION_NAME, COMMAND_ATTACH | COMMAND_PS, "a name or pattern"},
    {L"--rules", OPTION_RULES, REDIRECTING | COMMAND_PS, "a file"},
    {L"--exclude-listener", OPTION_EXCLUDE_LISTENER, REDIRECTING, "a name or a pattern"},
    {L"--exclude", OPTION_EXCLUDE, REDIRECTING | COMMAND_PS, "a name, a pattern or a process id"},
    {L"--upstream", OPTION_UPSTREAM, REDIRECTING, "a proxy, such as socks5://host:1080"},
    {L"--proxy-port", OPTION_PROXY_PORT, REDIRECTING, a_port},
    {L"--udp", OPTION_UDP, REDIRECTING, "relay, pass or block"},
    {L"--udp-proxy-port", OPTION_UDP_PROXY_PORT, REDIRECTING, a_port},
    {L"--incoming", OPTION_INCOMING, REDIRECTING, NULL},
    {L"--incoming-proxy", OPTION_INCOMING_PROXY, REDIRECTING, a_port},
    {L"--no-outgoing", OPTION_NO_OUTGOING, REDIRECTING, NULL},
    {L"--no-loopback", OPTION_NO_LOOPBACK, REDIRECTING, NULL},
    {L"--relay-port", OPTION_RELAY_PORT, REDIRECTING, a_port},
    {L"--connect-timeout", OPTION_CONNECT_TIMEOUT, REDIRECTING, "a number of seconds, 1 to 600"},
    {L"--reflect", OPTION_REFLECT, REDIRECTING, NULL},
    {L"--no-proof", OPTION_NO_PROOF, REDIRECTING, NULL},
    {L"--small-segments", OPTION_SMALL_SEGMENTS, REDIRECTING, NULL},
    {L"--fail-closed", OPTION_FAIL_CLOSED, REDIRECTING, NULL},
    {L"--block-quic", OPTION_BLOCK_QUIC, REDIRECTING, NULL},
    {L"--no-firewall-permit", OPTION_NO_FIREWALL_PERMIT, REDIRECTING, NULL},
    {L"--pcap", OPTION_PCAP, REDIRECTING, "a file"},
    {L"--windivert", OPTION_WINDIVERT, REDIRECTING | COMMAND_DOCTOR, "a folder"},
    {L"--log", OPTION_LOG, REDIRECTING, "a file"},
    {L"--log-level", OPTION_LOG_LEVEL, REDIRECTING, "off, error, warn, info or debug"},
    {L"--clean", OPTION_CLEAN, COMMAND_DOCTOR, NULL},
    {L"--until-exit", OPTION_UNTIL_EXIT, COMMAND_ATTACH, NULL},
    {L"--report", OPTION_REPORT, COMMAND_DOCTOR, "a file"},
    {L"--listen-port", OPTION_LISTEN_PORT, REDIRECTING, a_port},
};

static enum options_result wrong(const char *before, const wchar_t *word, const char *after)
{
    char shown[512];
    text_copy_utf8(shown, sizeof shown, word);
    output_message("%s%s%s", before, shown, after);
    return OPTIONS_WRONG;
}

static enum options_result wrong_value(const struct option_kind *kind)
{
    char shown[64];
    text_copy_utf8(shown, sizeof shown, kind->name);
    output_message("%s needs %s; see redirector --help", shown, kind->value);
    return OPTIONS_WRONG;
}

/* The option that `argument` names, and in *value the part after "=", or NULL. */
static const struct option_kind *find_option(const wchar_t *argument, const wchar_t **value)
{
    const wchar_t *equals = wcschr(argument, L'=');
    size_t length = equals ? (size_t)(equals - argument) : wcslen(argument);
    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < sizeof option_kinds / sizeof option_kinds[0]; i++) {
        const struct option_kind *kind = &option_kinds[i];
        if (wcslen(kind->name) == length && wcsncmp(kind->name, argument, length) == 0) {
            return kind;
        }
    }
    return NULL;
}

/* ---- values */

static bool set_string(char **to, char *value)
{
    free(*to);
    *to = value;
    return value != NULL;
}

/* Made absolute now: the current folder may change. */
static wchar_t *absolute_path(const wchar_t *path)
{
    DWORD size = GetFullPathNameW(path, 0, NULL, NULL);
    wchar_t *full = size ? malloc(size * sizeof *full) : NULL;
    DWORD length = full ? GetFullPathNameW(path, size, full, NULL) : 0;
    if (!length || length >= size) {
        free(full);
        full = NULL;
    }
    return full;
}

static bool set_folder(struct options *o, const wchar_t *value)
{
    wchar_t *full = absolute_path(value);
    bool good = full && set_string(&o->windivert_dir, text_utf8(full));
    free(full);
    return good;
}

static bool set_log_level(struct options *o, const wchar_t *value)
{
    static const struct {
        const wchar_t *name;
        uint32_t level;
    } levels[] = {
        {L"off", REDIRECTOR_LOG_OFF},   {L"error", REDIRECTOR_LOG_ERROR}, {L"warn", REDIRECTOR_LOG_WARN},
        {L"info", REDIRECTOR_LOG_INFO}, {L"debug", REDIRECTOR_LOG_DEBUG},
    };
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (wcscmp(levels[i].name, value) == 0) {
            o->log_level = levels[i].level;
            return true;
        }
    }
    return false;
}

static bool set_udp_mode(struct options *o, const wchar_t *value)
{
    static const wchar_t *const modes[] = {[UDP_RELAY] = L"relay", [UDP_PASS] = L"pass", [UDP_BLOCK] = L"block"};
    for (int i = UDP_RELAY; i <= UDP_BLOCK; i++) {
        if (wcscmp(modes[i], value) == 0) {
            o->udp = (enum udp_mode)i;
            return true;
        }
    }
    return false;
}

/* A decimal number of 1 to `most`. */
static bool read_number(const wchar_t *text, uint32_t most, uint32_t *number)
{
    uint64_t value = 0;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the options with a number have got a value */
    for (const wchar_t *at = text; *at; at++) {
        if (*at < L'0' || *at > L'9' || (value = value * 10 + (uint64_t)(*at - L'0')) > most) {
            return false;
        }
    }
    *number = (uint32_t)value;
    return value != 0;
}

static bool add_pid(struct options *o, const wchar_t *value)
{
    return o->pid_count < OPTIONS_PIDS_MAX && read_number(value, UINT32_MAX, &o->pids[o->pid_count]) && ++o->pid_count;
}

static bool add_listener_rule(struct options *o, const wchar_t *value)
{
    redirector_rule *rule = &o->rules[o->rule_count];
    if (o->rule_count == OPTIONS_RULES_MAX || wcslen(value) > 512) {
        return false;
    }
    *rule = (redirector_rule){.size = sizeof *rule, .listener = text_utf8(value)};
    return rule->listener && ++o->rule_count;
}

static bool add_rule(struct options *o, uint32_t include, const wchar_t *value)
{
    redirector_rule *rule = &o->rules[o->rule_count];
    if (o->rule_count == OPTIONS_RULES_MAX || wcslen(value) > 512) {
        return false;
    }
    *rule =
        (redirector_rule){.size = sizeof *rule, .action = include ? REDIRECTOR_RULE_REDIRECT : REDIRECTOR_RULE_PASS};
    if (include || !read_number(value, UINT32_MAX, &rule->pid)) {
        rule->pid = 0;
        rule->pattern = text_utf8(value);
        if (!rule->pattern) {
            return false;
        }
    }
    o->rule_count++;
    return true;
}

/* ---- options */

static void set_switch(struct options *o, enum option_id id)
{
    bool *switches[] = {
        [OPTION_JSON] = &o->json,
        [OPTION_PLAIN] = &o->plain,
        [OPTION_LIVE] = &o->live,
        [OPTION_INCOMING] = &o->incoming,
        [OPTION_NO_OUTGOING] = &o->no_outgoing,
        [OPTION_NO_LOOPBACK] = &o->no_loopback,
        [OPTION_REFLECT] = &o->reflect,
        [OPTION_NO_PROOF] = &o->no_proof,
        [OPTION_SMALL_SEGMENTS] = &o->small_segments,
        [OPTION_FAIL_CLOSED] = &o->fail_closed,
        [OPTION_BLOCK_QUIC] = &o->block_quic,
        [OPTION_NO_FIREWALL_PERMIT] = &o->no_firewall_permit,
        [OPTION_CLEAN] = &o->clean,
        [OPTION_UNTIL_EXIT] = &o->until_exit,
    };
    *switches[id] = true;
}

static bool set_number(struct options *o, enum option_id id, const wchar_t *value)
{
    uint32_t *numbers[] = {
        [OPTION_PROXY_PORT] = &o->proxy_port,           [OPTION_INCOMING_PROXY] = &o->incoming_proxy,
        [OPTION_RELAY_PORT] = &o->relay_port,           [OPTION_UDP_PROXY_PORT] = &o->udp_proxy_port,
        [OPTION_CONNECT_TIMEOUT] = &o->connect_timeout,
    };
    return read_number(value, id == OPTION_CONNECT_TIMEOUT ? CONNECT_TIMEOUT_MAX : PORT_MAX, numbers[id]);
}

static bool set_text(struct options *o, enum option_id id, const wchar_t *value)
{
    char **texts[] = {[OPTION_PCAP] = &o->pcap_path, [OPTION_REPORT] = &o->report_path, [OPTION_LOG] = &o->log_path};
    return set_string(texts[id], text_utf8(value));
}

static enum options_result apply(struct options *o, const struct option_kind *kind, const wchar_t *value)
{
    bool good = true;
    switch (kind->id) {
    case OPTION_HELP:
        return OPTIONS_HELP;
    case OPTION_PID:
        good = add_pid(o, value);
        break;
    case OPTION_NAME:
    case OPTION_EXCLUDE:
        good = add_rule(o, kind->id == OPTION_NAME, value);
        break;
    case OPTION_RULES:
        if (o->rules_path) {
            return wrong("one --rules is enough: '", value, "' is another one");
        }
        good = (o->rules_path = absolute_path(value)) != NULL;
        break;
    case OPTION_EXCLUDE_LISTENER:
        good = add_listener_rule(o, value);
        break;
    case OPTION_UPSTREAM:
        return route_options_add(&o->upstreams, value) ? OPTIONS_OK : OPTIONS_WRONG;
    case OPTION_PROXY_PORT:
    case OPTION_INCOMING_PROXY:
    case OPTION_RELAY_PORT:
    case OPTION_UDP_PROXY_PORT:
    case OPTION_CONNECT_TIMEOUT:
        good = set_number(o, kind->id, value);
        break;
    case OPTION_UDP:
        good = set_udp_mode(o, value);
        break;
    case OPTION_PCAP:
    case OPTION_REPORT:
    case OPTION_LOG:
        good = set_text(o, kind->id, value);
        break;
    case OPTION_LISTEN_PORT:
        good = o->listen_port_count < OPTIONS_PORTS_MAX &&
               read_number(value, PORT_MAX, &o->listen_ports[o->listen_port_count]) && ++o->listen_port_count;
        break;
    case OPTION_WINDIVERT:
        good = set_folder(o, value);
        break;
    case OPTION_LOG_LEVEL:
        good = set_log_level(o, value);
        break;
    default:
        set_switch(o, kind->id);
    }
    return good ? OPTIONS_OK : wrong_value(kind);
}

enum options_result options_read(enum command_id command, wchar_t **argv, struct options *o)
{
    *o = (struct options){.command = command};
    for (; *argv; argv++) {
        if (command == COMMAND_RUN && wcscmp(*argv, L"--") == 0) {
            o->program = argv + 1;
            break;
        }
        if (wcsncmp(*argv, L"-", 1) != 0) {
            return wrong("'", *argv,
                         command == COMMAND_RUN ? "' is no option; put -- before the program"
                                                : "' is no option; see redirector --help");
        }
        const wchar_t *value;
        const struct option_kind *kind = find_option(*argv, &value);
        if (!kind) {
            return wrong("there is no option '", *argv, "'; see redirector --help");
        }
        if (!(kind->commands & command)) {
            return wrong("", kind->name, " is not an option of this command; see redirector --help");
        }
        if (!kind->value && value) {
            return wrong("", kind->name, " takes no value");
        }
        if (kind->value && !value && argv[1]) {
            value = *++argv;
        }
        /* a value that looks like an option is a forgotten value: "--log --json" */
        if (kind->value && (!value || !*value || wcsncmp(value, L"--", 2) == 0)) {
            return wrong_value(kind);
        }
        enum options_result result = apply(o, kind, value);
        if (result != OPTIONS_OK) {
            return result;
        }
    }
    return options_check(o);
}

void options_free(struct options *o)
{
    for (uint32_t i = 0; i < o->rule_count; i++) {
        free((char *)o->rules[i].pattern);
        free((char *)o->rules[i].listener);
    }
    route_options_free(&o->upstreams);
    free(o->rules_path);
    free(o->windivert_dir);
    free(o->log_path);
    free(o->pcap_path);
    free(o->report_path);
    *o = (struct options){0};
}
