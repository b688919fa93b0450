/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Options. One table says which options there are and how each takes its value; "--option value" and "--option=value"
 * mean the same. Only what stands before "--" is ours: everything after it belongs to the program, dashes included.
 */
#include "options.h"

#include "output.h"
#include "text.h"
#include "windows_redirector.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

const char options_help[] =
    "usage: redirector run [options] -- program [arguments]\n"
    "       redirector --help | --version\n"
    "\n"
    "Starts a program and leads its TCP connections, and those of all processes it starts, through a relay inside\n"
    "redirector. The relay passes each one on to where it was going and shows who talks to whom.\n"
    "Run it as Administrator.\n"
    "\n"
    "options:\n"
    "  --json            show each connection as a JSON object on a line of its own\n"
    "  --windivert DIR   folder of WinDivert.dll and WinDivert64.sys (default: beside redirector.exe)\n"
    "  --log FILE        log file (default: windows_redirector.log in the current folder)\n"
    "  --log-level L     off, error, warn, info or debug (default: info)\n"
    "  --help            this text\n"
    "  --version         the version\n"
    "\n"
    "The program is searched as Windows does: beside redirector.exe, in the current folder, in the folders of Windows\n"
    "and in PATH, with \".exe\" added where needed. Batch files and commands of the shell: -- cmd /c name arguments\n"
    "\n"
    "Standard input and output belong to the program. redirector writes to standard error: a line for each connection\n"
    "when it ends (time, process(pid), original destination, bytes up from the program and down to it, duration,\n"
    "outcome), and at the end a summary. Strangers are connections to the relay that nobody in the tree opened; they\n"
    "are closed at once.\n"
    "\n"
    "redirector ends when the program has ended and no relayed connection of its descendants is open any more.\n"
    "Descendants that still run then are no longer redirected. Ctrl-C goes to the program as usual; redirector ends\n"
    "with the program, and does not wait for connections then. Ctrl-C twice within two seconds, and closing the\n"
    "window, end redirector although the program runs on.\n"
    "\n"
    "exit status:\n"
    "  that of the program, or\n"
    "    2   the command line is wrong\n"
    "    3   redirecting could not be started; the message says what to do\n"
    "  126   the program was found but cannot be started\n"
    "  127   the program was not found\n"
    "  3221225786 (0xC000013A)   redirector was ended before the program\n";

typedef enum option_id { OPTION_HELP, OPTION_JSON, OPTION_WINDIVERT, OPTION_LOG, OPTION_LOG_LEVEL } option_id;

typedef struct option_kind {
    const wchar_t *name;
    option_id id;
    const char *value; /* what it takes, as a person would say it; NULL: no value */
} option_kind;

static const option_kind option_kinds[] = {
    {L"--help", OPTION_HELP, NULL},
    {L"--json", OPTION_JSON, NULL},
    {L"--windivert", OPTION_WINDIVERT, "a folder"},
    {L"--log", OPTION_LOG, "a file"},
    {L"--log-level", OPTION_LOG_LEVEL, "off, error, warn, info or debug"},
};

static options_result wrong(const char *before, const wchar_t *word, const char *after)
{
    char shown[512];
    text_copy_utf8(shown, sizeof shown, word);
    output_message("%s%s%s", before, shown, after);
    return OPTIONS_WRONG;
}

static options_result wrong_value(const option_kind *kind)
{
    char shown[64];
    text_copy_utf8(shown, sizeof shown, kind->name);
    output_message("%s needs %s; see redirector --help", shown, kind->value);
    return OPTIONS_WRONG;
}

/* The option that `argument` names, and in *value the part after "=", or NULL. */
static const option_kind *find_option(const wchar_t *argument, const wchar_t **value)
{
    const wchar_t *equals = wcschr(argument, L'=');
    size_t length = equals ? (size_t)(equals - argument) : wcslen(argument);
    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < sizeof option_kinds / sizeof option_kinds[0]; i++) {
        const option_kind *kind = &option_kinds[i];
        if (wcslen(kind->name) == length && wcsncmp(kind->name, argument, length) == 0)
            return kind;
    }
    return NULL;
}

static bool set_string(char **to, char *value)
{
    free(*to);
    *to = value;
    return value != NULL;
}

/* The library wants an absolute path: what is meant is the user's current folder, whatever it is later. */
static char *absolute_path(const wchar_t *path)
{
    DWORD size = GetFullPathNameW(path, 0, NULL, NULL);
    wchar_t *full = size ? malloc(size * sizeof *full) : NULL;
    char *utf8 = NULL;
    if (full) {
        DWORD length = GetFullPathNameW(path, size, full, NULL);
        if (length && length < size)
            utf8 = text_utf8(full);
    }
    free(full);
    return utf8;
}

static bool set_log_level(run_options *options, const wchar_t *value)
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
            options->log_level = levels[i].level;
            return true;
        }
    }
    return false;
}

static options_result apply(run_options *options, const option_kind *kind, const wchar_t *value)
{
    bool good = true;
    switch (kind->id) {
    case OPTION_HELP:
        return OPTIONS_HELP;
    case OPTION_JSON:
        options->json = true;
        break;
    case OPTION_WINDIVERT:
        good = set_string(&options->windivert_dir, absolute_path(value));
        break;
    case OPTION_LOG:
        good = set_string(&options->log_path, text_utf8(value));
        break;
    case OPTION_LOG_LEVEL:
        good = set_log_level(options, value);
        break;
    }
    return good ? OPTIONS_OK : wrong_value(kind);
}

options_result options_read_run(wchar_t **argv, run_options *options)
{
    *options = (run_options){0};
    for (; *argv; argv++) {
        if (wcscmp(*argv, L"--") == 0) {
            options->program = argv + 1;
            break;
        }
        if (wcsncmp(*argv, L"-", 1) != 0)
            return wrong("'", *argv, "' is no option; put -- before the program");
        const wchar_t *value;
        const option_kind *kind = find_option(*argv, &value);
        if (!kind)
            return wrong("there is no option '", *argv, "'; see redirector --help");
        if (!kind->value && value)
            return wrong("", kind->name, " takes no value");
        if (kind->value && !value && argv[1])
            value = *++argv;
        /* a value that looks like an option is a forgotten value: "--log --json" */
        if (kind->value && (!value || !*value || wcsncmp(value, L"--", 2) == 0))
            return wrong_value(kind);
        options_result result = apply(options, kind, value);
        if (result != OPTIONS_OK)
            return result;
    }
    if (!options->program || !*options->program) {
        output_message("no program given; usage: redirector run [options] -- program [arguments]");
        return OPTIONS_WRONG;
    }
    return OPTIONS_OK;
}

void options_free(run_options *options)
{
    free(options->windivert_dir);
    free(options->log_path);
    *options = (run_options){0};
}
