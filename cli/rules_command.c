/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "rules_command.h"

#include "address.h"
#include "control.h"
#include "options.h"
#include "output.h"
#include "ppx.h"
#include "rules_show.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 2 };

/* The options of a command; all have --json and --help. */
enum { CASE = 1, FILE_OF_RULES = 2, WHICH_ONE = 4, UPSTREAMS = 8 };

/* What the command line says. */
struct asked {
    bool json, help;
    bool udp, incoming, stranger;
    const wchar_t *rules, *host, *pid; /* NULL: not given */
    const wchar_t *words[WORDS_MAX];   /* what is no option */
    uint32_t word_count;
    struct route_options upstreams; /* to be freed */
};

static bool complain(const char *text, const wchar_t *word)
{
    char shown[512];
    text_copy_utf8(shown, sizeof shown, word);
    output_message(text, shown);
    return false;
}

/* `kinds`: the options that there are. false: a message was shown. */
static bool read_arguments(wchar_t **arguments, unsigned kinds, uint32_t words, struct asked *out)
{
    const struct {
        const wchar_t *name;
        bool *flag;
        const wchar_t **value;
        unsigned kind; /* 0: of all */
    } options[] = {
        {L"--json", &out->json, NULL, 0},
        {L"--help", &out->help, NULL, 0},
        {L"--udp", &out->udp, NULL, CASE},
        {L"--incoming", &out->incoming, NULL, CASE},
        {L"--stranger", &out->stranger, NULL, CASE},
        {L"--host", NULL, &out->host, CASE},
        {L"--rules", NULL, &out->rules, FILE_OF_RULES},
        {L"--pid", NULL, &out->pid, WHICH_ONE},
        {L"--upstream", NULL, NULL, UPSTREAMS},
    };
    *out = (struct asked){.json = false};
    for (; *arguments; arguments++) {
        size_t i = 0, count = sizeof options / sizeof options[0];
        while (i < count &&
               (wcscmp(options[i].name, *arguments) != 0 || (options[i].kind && !(options[i].kind & kinds)))) {
            i++;
        }
        if (i < count && options[i].flag) {
            *options[i].flag = true;
        } else if (i < count) {
            if (!arguments[1] || !*arguments[1] || wcsncmp(arguments[1], L"--", 2) == 0) {
                return complain("%s needs a value; see redirector --help", *arguments);
            }
            arguments++;
            if (options[i].value) {
                *options[i].value = *arguments;
            } else if (!route_options_add(&out->upstreams, *arguments)) {
                return false;
            }
        } else if (wcsncmp(*arguments, L"--", 2) == 0) {
            return complain("there is no option '%s' here; see redirector --help", *arguments);
        } else if (out->word_count == words) {
            return complain("'%s' is one word too many; see redirector --help", *arguments);
        } else {
            out->words[out->word_count++] = *arguments;
        }
    }
    if (!out->help && out->word_count < words) {
        output_message("a word is missing; see redirector --help");
        return false;
    }
    if (out->json) {
        output_messages_as_json();
    }
    return true;
}

/* ---- check */

DWORD check_command(wchar_t **arguments)
{
    struct asked asked;
    struct rules_loaded l;
    if (!read_arguments(arguments, 0, 1, &asked)) {
        return EXIT_USAGE;
    }
    if (asked.help) {
        output_text(options_help);
        return 0;
    }
    struct rules_in_force *f = rules_load(asked.words[0], true, &l) ? rules_make(&l, NULL, 0, &rules_messages) : NULL;
    for (uint32_t i = 0; f && asked.json && i < f->count; i++) {
        char line[OUTPUT_LINE_MAX];
        rules_json(line, sizeof line, f, i);
        output_result(line);
    }
    if (f && !asked.json) {
        char line[64];
        snprintf(line, sizeof line, "%" PRIu32 " rule%s, no mistakes", f->count, f->count == 1 ? "" : "s");
        output_result(line);
    }
    rules_release(f);
    return f ? 0 : EXIT_FOUND_WRONG;
}

/* ---- import */

static void show_lines(char *text)
{
    for (char *line = text, *end; line && *line; line = end) {
        end = strchr(line, '\n');
        if (end) {
            *end++ = '\0';
        }
        output_result(line);
    }
}

DWORD import_command(wchar_t **arguments)
{
    struct asked asked;
    struct ppx_result result;
    size_t size;
    if (!read_arguments(arguments, 0, 1, &asked)) {
        return EXIT_USAGE;
    }
    if (asked.help) {
        output_text(options_help);
        return 0;
    }
    char *bytes = rules_read_bytes(asked.words[0], &size);
    if (!bytes) {
        complain("%s cannot be read", asked.words[0]);
        return EXIT_FOUND_WRONG;
    }
    bool good = ppx_import(bytes, size, &result);
    rules_free_bytes(bytes, size);
    if (!good) {
        output_message("this is no profile that can be imported: %s", result.wrong);
        return EXIT_FOUND_WRONG;
    }
    struct rules_loaded l;
    bool right = rules_load_bytes("imported rules", result.text, strlen(result.text), false, &rules_messages, &l);
    show_lines(result.text);
    output_message("%" PRIu32 " rules were imported, %" PRIu32
                   " things were left out: see the comments '# not imported'%s",
                   result.imported, result.left_out, right ? "" : "; the lines named above have to be corrected");
    rules_unload(&l);
    free(result.text);
    return right ? 0 : EXIT_FOUND_WRONG;
}

/* ---- explain */

/* "address:port", "[v6]:port". */
static bool read_endpoint(const wchar_t *word, redirector_address *out)
{
    char text[ADDRESS_TEXT_MAX], *colon, *host = text, *rest;
    text_copy_utf8(text, sizeof text, word);
    colon = strrchr(text, ':');
    if (!colon) {
        return false;
    }
    *colon = '\0';
    if (*host == '[' && colon > host + 1 && colon[-1] == ']') {
        host++;
        colon[-1] = '\0';
    }
    unsigned long port = strtoul(colon + 1, &rest, 10);
    *out = (redirector_address){.port = (uint32_t)port};
    out->family = inet_pton(AF_INET, host, out->bytes) == 1 ? 4 : inet_pton(AF_INET6, host, out->bytes) == 1 ? 6 : 0;
    return out->family && *rest == '\0' && colon[1] >= '0' && colon[1] <= '9' && port >= 1 && port <= PORT_MAX;
}

/* The connection that is asked about; its texts are to be freed. false: a message was shown. */
static bool read_case(const struct asked *asked, redirector_rule_case *c)
{
    *c = (redirector_rule_case){.size = sizeof *c};
    if (!read_endpoint(asked->words[1], &c->address)) {
        return complain("'%s' is no address with a port, such as 192.0.2.1:443 or [2001:db8::1]:443", asked->words[1]);
    }
    c->in_tree = !asked->stranger;
    c->protocol = asked->udp ? REDIRECTOR_UDP : REDIRECTOR_TCP;
    c->direction = asked->incoming ? REDIRECTOR_INCOMING : REDIRECTOR_OUTGOING;
    c->program = text_utf8(asked->words[0]);
    c->host = asked->host ? text_utf8(asked->host) : NULL;
    return true;
}

static void free_case(redirector_rule_case *c)
{
    free((char *)c->program);
    free((char *)c->host);
}

static DWORD explain(const struct asked *asked)
{
    struct rules_loaded l = {.size = 0};
    redirector_rule_case c;
    redirector_rule_verdict v = {.size = sizeof v};
    redirector_error error = {.size = sizeof error};
    if (!read_case(asked, &c)) {
        return EXIT_USAGE;
    }
    bool loaded = !asked->rules || rules_load(asked->rules, true, &l);
    struct rules_in_force *f = loaded ? rules_make(&l, NULL, 0, &rules_messages) : NULL;
    bool good = f && redirector_test_rules(f->rules, f->count, &c, &v, &error) == REDIRECTOR_OK;
    if (good) {
        char line[OUTPUT_LINE_MAX];
        rules_answer_text(line, sizeof line, asked->json, &(struct rules_answer){&c, f, &v, &asked->upstreams});
        output_result(line);
    } else if (f) {
        output_message("%s", error.text);
    }
    rules_release(f);
    free_case(&c);
    return good ? 0 : EXIT_FOUND_WRONG;
}

DWORD explain_command(wchar_t **arguments)
{
    struct asked asked;
    DWORD status = EXIT_USAGE;
    if (read_arguments(arguments, CASE | FILE_OF_RULES | UPSTREAMS, 2, &asked)) {
        status = asked.help ? 0 : explain(&asked);
    }
    if (!status && asked.help) {
        output_text(options_help);
    }
    route_options_free(&asked.upstreams);
    return status;
}

/* ---- rules: of a running redirector */

static bool read_pid(const struct asked *asked, uint32_t *pid)
{
    wchar_t *end = NULL;
    unsigned long value = asked->pid ? wcstoul(asked->pid, &end, 10) : 0;
    *pid = value;
    return !asked->pid || (value && !*end && *asked->pid >= L'1' && *asked->pid <= L'9') ||
           complain("'%s' is no process id", asked->pid);
}

/* Asks, and shows what is wrong; the answer behind its first line, to be freed by *whole. NULL: a message was shown. */
static char *ask(uint32_t pid, bool only, const char *request, size_t size, char **whole)
{
    char *answer = *whole = control_ask(pid, only, request, size), *end = answer ? strchr(answer, '\n') : NULL;
    if (answer && !end) {
        output_message("that redirector does not understand this: it may be an older one");
    }
    if (!end) {
        return NULL;
    }
    *end = '\0';
    char *rest = end + 1;
    if (strcmp(answer, "good") == 0) {
        return rest;
    }
    for (char *line = rest; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        output_message("%s", line);
    }
    return NULL;
}

static DWORD list_rules(const struct asked *asked, uint32_t pid)
{
    const char *request = asked->json ? "rules list json" : "rules list text";
    char *whole, *rest = ask(pid, false, request, strlen(request), &whole);
    if (rest) {
        control_show(rest);
    }
    free(whole);
    return rest ? 0 : EXIT_FOUND_WRONG;
}

/* The file is checked here first, so that mistakes have its name; passwords are the business of the one that runs. */
static DWORD set_rules(const struct asked *asked, uint32_t pid)
{
    struct rules_loaded l;
    char *whole = NULL, *rest = NULL, *request;
    if (!rules_load(asked->words[0], false, &l)) {
        return EXIT_FOUND_WRONG;
    }
    request = malloc(CONTROL_LINE_MAX + l.size);
    if (request) {
        int used = snprintf(request, CONTROL_LINE_MAX, "rules set %u\n", (unsigned)l.size);
        memcpy(request + used, l.bytes, l.size);
        rest = ask(pid, true, request, (size_t)used + l.size, &whole);
        SecureZeroMemory(request, (size_t)used + l.size);
    }
    if (rest) {
        output_message("the rules are set: there are %.*s in force now", (int)strcspn(rest, "\n"), rest);
    }
    free(request);
    free(whole);
    rules_unload(&l);
    return rest ? 0 : EXIT_FOUND_WRONG;
}

static DWORD test_rules(const struct asked *asked, uint32_t pid)
{
    enum { DATA_MAX = 8192 };
    redirector_rule_case c;
    char data[DATA_MAX], request[DATA_MAX + CONTROL_LINE_MAX], address[33], *whole = NULL, *rest = NULL;
    if (!read_case(asked, &c)) {
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < 16; i++) {
        snprintf(address + 2 * i, 3, "%02x", c.address.bytes[i]);
    }
    int size = snprintf(data, sizeof data, "%u %u %u %u %u %s\n%s\n%s\n", c.in_tree, c.protocol, c.direction,
                        c.address.family, c.address.port, address, c.program ? c.program : "", c.host ? c.host : "");
    if (size < DATA_MAX) {
        int used = snprintf(request, sizeof request, "rules test %s %d\n%s", asked->json ? "json" : "text", size, data);
        rest = ask(pid, false, request, (size_t)used, &whole);
    } else {
        output_message("the name of the program or of the host is too long");
    }
    if (rest) {
        control_show(rest);
    }
    free(whole);
    free_case(&c);
    return rest ? 0 : EXIT_FOUND_WRONG;
}

DWORD rules_command(wchar_t **arguments)
{
    static const struct {
        const wchar_t *name;
        unsigned kinds;
        uint32_t words;
        DWORD (*execute)(const struct asked *asked, uint32_t pid);
    } commands[] = {
        {L"list", WHICH_ONE, 0, list_rules},
        {L"set", WHICH_ONE, 1, set_rules},
        {L"test", WHICH_ONE | CASE, 2, test_rules},
    };
    struct asked asked;
    uint32_t pid;
    for (size_t i = 0; *arguments && i < sizeof commands / sizeof commands[0]; i++) {
        if (wcscmp(*arguments, commands[i].name) != 0) {
            continue;
        }
        if (!read_arguments(arguments + 1, commands[i].kinds, commands[i].words, &asked) || !read_pid(&asked, &pid)) {
            return EXIT_USAGE;
        }
        if (!asked.help) {
            return commands[i].execute(&asked, pid);
        }
        output_text(options_help);
        return 0;
    }
    if (*arguments && wcscmp(*arguments, L"--help") == 0) {
        output_text(options_help);
        return 0;
    }
    output_message("say what with the rules: list, set FILE, or test PROGRAM ADDRESS:PORT; see redirector --help");
    return EXIT_USAGE;
}
