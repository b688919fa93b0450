/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Error texts, and text at the border to Windows. */
#include "check.h"
#include "error.h"
#include "windows/text.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

static bool is_one_line(const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20) {
            return false;
        }
    }
    return length && text[length - 1] != ' ' && text[length - 1] != '.';
}

static void states_status_detail_and_os_error(void)
{
    redirector_error e = {0};
    error_set(&e, REDIRECTOR_NOT_ELEVATED, ERROR_ACCESS_DENIED, "detail");
    CHECK(e.size == sizeof e && e.code == REDIRECTOR_NOT_ELEVATED && e.os_error == 5);
    const char *wanted = "administrator rights are needed; run the program as Administrator: detail (Windows error 5: ";
    CHECK(strncmp(e.text, wanted, strlen(wanted)) == 0);
    CHECK(e.text[strlen(e.text) - 1] == ')' && e.text[strlen(e.text) - 2] != '.' && e.text[strlen(e.text) - 2] != ' ');
    CHECK(is_one_line(e.text));
    error_set(&e, REDIRECTOR_NOT_ELEVATED, 0, NULL);
    CHECK(strcmp(e.text, "administrator rights are needed; run the program as Administrator") == 0);
    error_set(NULL, REDIRECTOR_INTERNAL, 1, "nobody listens"); /* must not crash */
}

static void states_unknown_os_error_by_number(void)
{
    redirector_error e = {0};
    error_set(&e, REDIRECTOR_DRIVER_FAILED, 0x2fffffff, NULL);
    CHECK(strcmp(e.text, "the WinDivert driver reported an error (Windows error 805306367)") == 0);
}

static void every_status_makes_one_line(void)
{
    static const uint32_t numbers[] = {
#define NUMBER(name, number, text) (number),
        REDIRECTOR_STATUS_LIST(NUMBER)
#undef NUMBER
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        redirector_error e = {0};
        error_set(&e, (redirector_status)numbers[i], 2, "C:\\x");
        CHECK(is_one_line(e.text));
        CHECK(strstr(e.text, ": C:\\x (Windows error 2"));
    }
}

static void cuts_the_detail_not_the_number(void)
{
    redirector_error e = {0};
    char detail[3000];
    for (size_t i = 0; i + 2 < sizeof detail; i += 2) {
        memcpy(detail + i, "\xc3\xa4", 3); /* two bytes each: a cut may fall between them */
    }
    for (int odd = 0; odd < 2; odd++) {
        error_set(&e, REDIRECTOR_DLL_NOT_FOUND, 2, detail + 2 * odd);
        if (odd) {
            error_set(&e, REDIRECTOR_NO_PORT, 2, detail);
        }
        CHECK(strstr(e.text, "...") && strstr(e.text, " (Windows error 2"));
        CHECK(e.text[strlen(e.text) - 1] == ')' && strlen(e.text) < sizeof e.text);
        CHECK(MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, e.text, -1, NULL, 0) > 0);
    }
}

static void cleans_details(void)
{
    redirector_error e = {0};
    error_set(&e, REDIRECTOR_LOG_FAILED, 0, "a\r\nb\x1b[0m");
    CHECK(strstr(e.text, ": a??b?[0m"));
}

static void copies_by_size(void)
{
    redirector_error from = {0}, to = {.size = sizeof to};
    error_set(&from, REDIRECTOR_NO_PORT, 0, NULL);
    CHECK(error_copy(&to, &from) && to.code == REDIRECTOR_NO_PORT && strcmp(to.text, from.text) == 0);
    CHECK(error_copy(&to, NULL));
    CHECK(!error_copy(NULL, &from));
    to.size = sizeof to - 4;
    to.code = 77;
    CHECK(!error_copy(&to, &from) && to.code == 77);
    error_clear(&from);
    CHECK(from.code == REDIRECTOR_OK && strcmp(from.text, "success") == 0);
}

static void converts_text(void)
{
    char out[32];
    static const wchar_t text[] = {'a', 0xe4, 0x20ac, 0xd83d, 0xde00, 0xd83d, 'z', 0}; /* a pair, then half of one */
    static const char utf8[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbdz";
    CHECK(text_from_wide(text, out, sizeof out) == strlen(utf8) && strcmp(out, utf8) == 0);
    for (size_t size = 1; size <= sizeof utf8; size++) { /* cut anywhere, it stays UTF-8 and inside the buffer */
        memset(out, 'X', sizeof out);
        size_t length = text_from_wide(text, out, size);
        CHECK(length < size && out[length] == 0 && out[size] == 'X' && memcmp(out, utf8, length) == 0);
        CHECK(MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, out, -1, NULL, 0) > 0);
    }
    wchar_t *wide = text_to_wide("\xe2\x82\xac");
    CHECK(wide && wide[0] == 0x20ac && wide[1] == 0);
    free(wide);
    CHECK(!text_to_wide("\xff"));
}

static void cleans_text(void)
{
    char text[] = "a\tb\x7f\xc2\x9b\x63\xc2\xa0";
    text_clean(text);
    CHECK(strcmp(text, "a?b???c\xc2\xa0") == 0);
    char cut[] = "ab\xe2\x82";
    text_clean(cut);
    CHECK(strcmp(cut, "ab") == 0);
    char whole[] = "ab\xe2\x82\xac";
    text_clean(whole);
    CHECK(strcmp(whole, "ab\xe2\x82\xac") == 0);
    char turned[] = "a\u202eb\u2066c\u200fd\u061ce\u2013f\u206a";
    text_clean(turned); /* what turns the direction goes, a dash and its like stay */
    CHECK(strcmp(turned, "a???b???c???d??e\u2013f\u206a") == 0);
    char nothing[] = "";
    text_clean(nothing);
    CHECK(nothing[0] == 0);
}

static bool full_is(const wchar_t *path, const wchar_t *wanted)
{
    wchar_t *full = path_full(path);
    bool same = full && wcscmp(full, wanted) == 0;
    if (!same) {
        printf("# got %ls\n", full ? full : L"nothing");
    }
    free(full);
    return same;
}

static void makes_paths_full(void)
{
    CHECK(path_is_absolute(L"C:\\x") && path_is_absolute(L"c:/x") && path_is_absolute(L"\\\\server\\share"));
    CHECK(!path_is_absolute(L"x") && !path_is_absolute(L"\\x") && !path_is_absolute(L"C:x") && !path_is_absolute(L""));
    CHECK(full_is(L"C:/a/../b", L"C:\\b"));
    wchar_t given[400], wanted[400];
    for (int i = 0; i < 300; i++) {
        given[i] = i == 0 ? L'C' : i == 1 ? L':' : i % 100 == 2 ? L'\\' : L'x';
    }
    given[300] = 0;
    swprintf(wanted, 400, L"\\\\?\\%ls", given);
    CHECK(full_is(given, wanted));
    CHECK(full_is(wanted, wanted));
    memcpy(given, L"\\\\s\\", 4 * sizeof *given);
    swprintf(wanted, 400, L"\\\\?\\UNC%ls", given + 1);
    CHECK(full_is(given, wanted));
    wchar_t *joined = path_join(L"C:\\", L"x");
    CHECK(joined && wcscmp(joined, L"C:\\x") == 0);
    free(joined);
}

int main(void)
{
    RUN(states_status_detail_and_os_error);
    RUN(states_unknown_os_error_by_number);
    RUN(every_status_makes_one_line);
    RUN(cuts_the_detail_not_the_number);
    RUN(cleans_details);
    RUN(copies_by_size);
    RUN(converts_text);
    RUN(cleans_text);
    RUN(makes_paths_full);
    return checks_done();
}
