/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: one pass. At each position the matchers are asked in turn how many characters they would take
 * away, and what is to stand there; the first that answers wins, else the character is copied. What is not certain is
 * masked: a report with a hole in it is of use, one with an address in it is not given away.
 */
#include "mask.h"

#include "text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>
#include <ws2tcpip.h>

enum { WORDS_MAX = 128, WORD_UNITS = 260, TEXT_UNITS = 4096, ANYWHERE_UNITS = 4, RUN_UNITS = 64 };

struct word {
    wchar_t text[WORD_UNITS], instead[24];
    size_t length;
};

static struct word words[WORDS_MAX]; /* the longest first */
static size_t word_count;

/* Where a matcher stands. */
struct place {
    const wchar_t *start, *at;
    const wchar_t *instead; /* out */
};

static bool is_digit(wchar_t c)
{
    return c >= L'0' && c <= L'9';
}

static bool is_hex(wchar_t c)
{
    return is_digit(c) || (c >= L'a' && c <= L'f') || (c >= L'A' && c <= L'F');
}

static bool is_word(wchar_t c)
{
    return is_digit(c) || (c >= L'a' && c <= L'z') || (c >= L'A' && c <= L'Z') || c >= 0xC0;
}

static bool is_separator(wchar_t c)
{
    return c == L'\\' || c == L'/';
}

static wchar_t before(const struct place *p)
{
    return p->at > p->start ? p->at[-1] : L'\0';
}

static bool same(const wchar_t *text, const wchar_t *word, size_t length)
{
    return wcsnlen(text, length) == length &&
           CompareStringOrdinal(text, (int)length, word, (int)length, TRUE) == CSTR_EQUAL;
}

/* ---- matchers: how many characters they take; 0: none */

static size_t match_word(struct place *p)
{
    for (size_t i = 0; i < word_count; i++) {
        const struct word *w = &words[i];
        if (!same(p->at, w->text, w->length)) {
            continue;
        }
        if (w->length >= ANYWHERE_UNITS || (!is_word(before(p)) && !is_word(p->at[w->length]))) {
            p->instead = w->instead;
            return w->length;
        }
    }
    return 0;
}

/* [X:]\Users\name: the name is all up to the next separator, because it may have spaces. */
static size_t match_profile(struct place *p)
{
    static const wchar_t *const roots[] = {L"Users", L"Documents and Settings"};
    const wchar_t *at = p->at;
    if (is_word(at[0]) && !is_word(before(p)) && at[1] == L':') {
        at += 2;
    }
    const wchar_t *slash = at;
    while (is_separator(*at)) {
        at++;
    }
    for (size_t i = 0; at > slash && i < sizeof roots / sizeof roots[0]; i++) {
        size_t length = wcslen(roots[i]);
        if (!same(at, roots[i], length) || !is_separator(at[length])) {
            continue;
        }
        const wchar_t *name = at + length;
        while (is_separator(*name)) {
            name++;
        }
        size_t units = wcscspn(name, L"\\/\"<>|:*?\r\n");
        p->instead = L"%USERPROFILE%";
        return units ? (size_t)(name + units - p->at) : 0;
    }
    return 0;
}

static size_t match_sid(struct place *p)
{
    if (is_word(before(p)) || !same(p->at, L"S-1-", 4) || !is_digit(p->at[4])) {
        return 0;
    }
    size_t length = 4;
    while (is_digit(p->at[length]) || (p->at[length] == L'-' && is_digit(p->at[length + 1]))) {
        length++;
    }
    p->instead = L"<sid>";
    return length;
}

static size_t match_mac(struct place *p)
{
    enum { GROUPS = 6, UNITS = 3 };
    for (size_t i = 0; i < GROUPS; i++) {
        const wchar_t *group = p->at + i * UNITS;
        bool last = i == GROUPS - 1;
        if (!is_hex(group[0]) || !is_hex(group[1]) || (!last && (group[2] != p->at[2]))) {
            return 0;
        }
    }
    if ((p->at[2] != L':' && p->at[2] != L'-') || is_word(before(p)) || is_word(p->at[GROUPS * UNITS - 1])) {
        return 0;
    }
    p->instead = L"<mac>";
    return GROUPS * UNITS - 1;
}

/* Whether the first `length` characters are an IPv6 address. *stays: one that tells nothing. */
static bool is_ip6(const wchar_t *text, size_t length, bool *stays)
{
    static const unsigned char none[16], loopback[16] = {[15] = 1};
    char narrow[RUN_UNITS + 1] = "";
    unsigned char bytes[16];
    for (size_t i = 0; i < length; i++) {
        narrow[i] = (char)text[i];
    }
    if (inet_pton(AF_INET6, narrow, bytes) != 1) {
        return false;
    }
    *stays = memcmp(bytes, none, sizeof none) == 0 || memcmp(bytes, loopback, sizeof loopback) == 0;
    return true;
}

static size_t match_ip6(struct place *p)
{
    size_t run = 0, colons = 0;
    bool stays = false;
    for (; run < RUN_UNITS && (is_hex(p->at[run]) || p->at[run] == L':' || p->at[run] == L'.'); run++) {
        colons += p->at[run] == L':';
    }
    if (colons < 2 || is_word(before(p))) {
        return 0;
    }
    size_t length = run;
    while (length > 1 && (is_word(p->at[length]) || !is_ip6(p->at, length, &stays))) {
        length--;
    }
    if (length < 2 || stays) {
        p->instead = NULL;
        return length < 2 ? 0 : length;
    }
    if (p->at[length] == L'%') {
        do {
            length++;
        } while (is_word(p->at[length]));
    }
    p->instead = L"<ipv6>";
    return length;
}

static size_t match_ip4(struct place *p)
{
    unsigned long numbers[4] = {0};
    const wchar_t *at = p->at;
    if (is_digit(before(p)) || before(p) == L'.') {
        return 0;
    }
    for (size_t i = 0; i < 4; i++) {
        if (!is_digit(*at) || (i && at[-1] != L'.')) {
            return 0;
        }
        wchar_t *end;
        numbers[i] = wcstoul(at, &end, 10);
        if (numbers[i] > 255 || (i < 3 && *end != L'.')) {
            return 0;
        }
        at = i < 3 ? end + 1 : end;
    }
    while (at[0] == L'.' && is_digit(at[1])) { /* a longer row of numbers: all of it */
        for (at++; is_digit(*at); at++) {
        }
    }
    bool stays = numbers[0] == 127 || !(numbers[0] | numbers[1] | numbers[2] | numbers[3]);
    p->instead = stays ? NULL : L"<ipv4>";
    return (size_t)(at - p->at);
}

/* Whether a name with a dot is that of a file. */
static bool is_file(const wchar_t *ending, size_t length)
{
    static const wchar_t *const endings[] = {L"exe", L"dll", L"sys", L"log", L"txt", L"json",  L"md",
                                             L"inf", L"cat", L"bat", L"cmd", L"ps1", L"msi",   L"tmp",
                                             L"c",   L"h",   L"go",  L"lib", L"a",   L"pcapng"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (wcslen(endings[i]) == length && same(ending, endings[i], length)) {
            return true;
        }
    }
    return false;
}

static bool follows(const struct place *p, const wchar_t *what)
{
    size_t length = wcslen(what);
    return (size_t)(p->at - p->start) >= length && same(p->at - length, what, length);
}

/* Behind what a host's name follows: "://", two backslashes, or one in the names of Windows NT; whatever stands there. */
static size_t match_named_host(struct place *p)
{
    bool share = follows(p, L"\\\\") && (p->at - p->start == 2 || (!is_word(p->at[-3]) && p->at[-3] != L':'));
    bool host = share || follows(p, L"://") || follows(p, L"\\UNC\\") || follows(p, L"\\Mup\\");
    size_t length = wcscspn(p->at, L"\\/:@?. \t\"'<>,;)(");
    if (!host || !length || (length == 9 && same(p->at, L"localhost", length))) {
        return 0;
    }
    p->instead = L"<host>";
    return wcscspn(p->at, L"\\/:@ \t\"'<>,;)(");
}

static size_t match_dotted(struct place *p)
{
    size_t length = 0, dot = 0, at_sign = 0;
    if (is_word(before(p)) || before(p) == L'.' || before(p) == L'-' || before(p) == L'_') {
        return 0;
    }
    for (wchar_t c = *p->at;
         is_word(c) || c == L'-' || c == L'_' || c == L'@' || c == L'+' || (c == L'.' && is_word(p->at[length + 1]));
         c = p->at[++length]) {
        dot = c == L'.' ? length : dot;
        at_sign = c == L'@' ? length : at_sign;
    }
    if (at_sign && at_sign + 1 < length) {
        p->instead = L"<mail>";
        return length;
    }
    const wchar_t *ending = p->at + dot + 1;
    size_t rest = length - dot - 1;
    if (!dot || rest < 2 || is_digit(*ending) || is_file(ending, rest)) {
        return 0;
    }
    p->instead = L"<host>";
    return length;
}

/* ---- the pass */

static void append(wchar_t *out, size_t *used, const wchar_t *text, size_t length)
{
    for (size_t i = 0; i < length && *used < TEXT_UNITS - 1; i++) {
        out[(*used)++] = text[i];
    }
    out[*used] = L'\0';
}

void mask_text(char *out, size_t size, const char *text)
{
    static size_t (*const matchers[])(struct place *) = {
        match_profile, match_word, match_sid, match_mac, match_ip6, match_ip4, match_named_host, match_dotted,
    };
    wchar_t masked[TEXT_UNITS] = L"", *wide = text_wide(text);
    size_t used = 0;
    struct place p = {.start = wide, .at = wide};
    while (wide && *p.at) { /* what is not UTF-8 tells nobody anything: nothing of it stays */
        size_t taken = 0;
        p.instead = NULL;
        for (size_t i = 0; !taken && i < sizeof matchers / sizeof matchers[0]; i++) {
            taken = matchers[i](&p);
        }
        if (taken && p.instead) {
            append(masked, &used, p.instead, wcslen(p.instead));
        } else {
            append(masked, &used, p.at, taken ? taken : 1);
        }
        p.at += taken ? taken : 1;
    }
    free(wide);
    text_copy_utf8(out, size, masked);
}

/* ---- names */

void mask_word(const wchar_t *word, const wchar_t *instead)
{
    size_t length = wcsnlen(word, WORD_UNITS - 1), at = word_count;
    for (size_t i = 0; i < word_count; i++) {
        if (words[i].length == length && same(word, words[i].text, length)) {
            return;
        }
    }
    if (!length || word_count == WORDS_MAX) {
        return;
    }
    for (; at > 0 && words[at - 1].length < length; at--) {
        words[at] = words[at - 1];
    }
    words[at] = (struct word){.length = length};
    memcpy(words[at].text, word, length * sizeof *word);
    wcsncpy(words[at].instead, instead, sizeof words[at].instead / sizeof(wchar_t) - 1);
    word_count++;
}

static void learn_variables(void)
{
    static const struct {
        const wchar_t *name, *instead;
    } variables[] = {
        {L"USERPROFILE", L"%USERPROFILE%"}, /* first: its last part is a name, too */
        {L"USERNAME", L"<user>"},
        {L"COMPUTERNAME", L"<machine>"}, /* before the domain, which is the same where there is none */
        {L"USERDOMAIN", L"<domain>"},
        {L"USERDNSDOMAIN", L"<domain>"},
        {L"USERDOMAIN_ROAMINGPROFILE", L"<domain>"},
        {L"LOGONSERVER", L"<host>"},
        {L"CLIENTNAME", L"<host>"},
    };
    wchar_t value[WORD_UNITS];
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        DWORD length = GetEnvironmentVariableW(variables[i].name, value, WORD_UNITS);
        if (length && length < WORD_UNITS) {
            mask_word(value + wcsspn(value, L"\\"), variables[i].instead);
        }
        if (length && length < WORD_UNITS && i == 0) {
            mask_word(text_base_name(value), L"<user>");
        }
    }
}

static void learn_machine(void)
{
    wchar_t value[WORD_UNITS];
    for (int kind = ComputerNameNetBIOS; kind < ComputerNameMax; kind++) {
        DWORD size = WORD_UNITS;
        bool domain = kind == ComputerNameDnsDomain || kind == ComputerNamePhysicalDnsDomain;
        if (GetComputerNameExW((COMPUTER_NAME_FORMAT)kind, value, &size)) {
            mask_word(value, domain ? L"<domain>" : L"<machine>");
        }
    }
    DWORD size = WORD_UNITS;
    if (GetUserNameW(value, &size)) {
        mask_word(value, L"<user>");
    }
}

/* Every user who has a profile here, and who the machine is registered to. */
static void learn_registry(void)
{
    static const wchar_t version[] = L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
    static const wchar_t *const owners[] = {L"RegisteredOwner", L"RegisteredOrganization"};
    wchar_t name[WORD_UNITS], value[WORD_UNITS];
    HKEY list;
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        DWORD size = sizeof value;
        if (RegGetValueW(HKEY_LOCAL_MACHINE, version, owners[i], RRF_RT_REG_SZ, NULL, value, &size) == 0) {
            mask_word(value, L"<owner>");
        }
    }
    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList", 0, KEY_READ,
                      &list) != 0) {
        return;
    }
    for (DWORD i = 0;; i++) {
        DWORD units = WORD_UNITS, size = sizeof value;
        if (RegEnumKeyExW(list, i, name, &units, NULL, NULL, NULL, NULL) != 0) {
            break;
        }
        if (wcsncmp(name, L"S-1-5-21-", 9) == 0 || wcsncmp(name, L"S-1-12-", 7) == 0) { /* people, not services */
            if (RegGetValueW(list, name, L"ProfileImagePath", RRF_RT_REG_SZ, NULL, value, &size) == 0) {
                mask_word(value, L"%USERPROFILE%");
                mask_word(text_base_name(value), L"<user>");
            }
        }
    }
    RegCloseKey(list);
}

void mask_learn(void)
{
    learn_variables();
    learn_machine();
    learn_registry();
}
