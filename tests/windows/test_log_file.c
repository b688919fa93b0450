/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The log's file: where it is, links, rotation, several logs at one. */
#include "scratch_log.h"

/* What nobody asked for prevents no start. In place of a folder that cannot be written to: a folder of that name. */
static void default_file_goes_elsewhere_if_it_must(void)
{
    char temp[MAX_PATH], file[MAX_PATH + 32];
    remove_files();
    CreateDirectoryA("windows_redirector.log", NULL);
    CreateDirectoryA("temporary", NULL);
    GetFullPathNameA("temporary", sizeof temp, temp, NULL);
    SetEnvironmentVariableA("TMP", temp);
    snprintf(file, sizeof file, "%s\\windows_redirector.log", temp);
    DeleteFileA(file);
    struct log *log = log_open(NULL, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    CHECK(log && error.code == REDIRECTOR_OK && error.os_error && strstr(error.text, "the log is ") &&
          strstr(error.text, file) && exists(file));
    log_line(log, REDIRECTOR_LOG_INFO, "hello");
    log_close(log);
    CHECK(file_has(file, "cannot be written to the current folder") && file_has(file, "hello"));

    DeleteFileA(file); /* the environment may lead to a file that is not a log: then there is none */
    FILE *f = fopen(file, "wb");
    fputs("precious", f);
    fclose(f);
    log = log_open(NULL, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    CHECK(log && error.code == REDIRECTOR_OK && error.os_error && strstr(error.text, "there is no log"));
    log_close(log);
    CHECK(file_has(file, "precious") && !file_has(file, "folder"));

    CHECK(!log_open("windows_redirector.log", REDIRECTOR_LOG_INFO, NULL, NULL, &error) &&
          error.code == REDIRECTOR_LOG_FAILED); /* one that is asked for is needed */
    SetEnvironmentVariableA("WINDOWS_REDIRECTOR_LOG", "windows_redirector.log");
    CHECK(!log_open(NULL, REDIRECTOR_LOG_INFO, NULL, NULL, &error) && error.code == REDIRECTOR_LOG_FAILED);
    remove_files();
    DeleteFileA(file);
    RemoveDirectoryA("temporary");
    RemoveDirectoryA("windows_redirector.log");
    SetEnvironmentVariableA("TMP", NULL);
}

static void default_file_is_in_the_current_folder(void)
{
    remove_files();
    DeleteFileA("windows_redirector.log");
    log_close(log_open(NULL, REDIRECTOR_LOG_INFO, NULL, NULL, &error));
    CHECK(exists("windows_redirector.log"));
    DeleteFileA("windows_redirector.log");
    log_close(log_open("", REDIRECTOR_LOG_INFO, NULL, NULL, &error));
    CHECK(!exists("windows_redirector.log"));
}

static void refuses_bad_paths(void)
{
    error_clear(&error);
    CHECK(!log_open("missing\\folder\\x.log", REDIRECTOR_LOG_INFO, NULL, NULL, &error));
    CHECK(error.code == REDIRECTOR_LOG_FAILED && error.os_error == ERROR_PATH_NOT_FOUND);
    CHECK(strstr(error.text, "missing\\folder\\x.log"));
    CreateDirectoryA("folder", NULL);
    CHECK(!log_open("folder", REDIRECTOR_LOG_INFO, NULL, NULL, &error) && error.code == REDIRECTOR_LOG_FAILED);
    RemoveDirectoryA("folder");
    CHECK(!log_open("\xff\xfe", REDIRECTOR_LOG_INFO, NULL, NULL, &error) && error.code == REDIRECTOR_LOG_FAILED);
    CHECK(!log_open("NUL", REDIRECTOR_LOG_INFO, NULL, NULL, &error) && error.code == REDIRECTOR_LOG_FAILED);
}

static void write_victim(const char *path)
{
    FILE *f = fopen(path, "wb");
    fputs("precious", f);
    fclose(f);
}

static void refuses_hard_links(void)
{
    remove_files();
    write_victim("victim");
    if (!CreateHardLinkA(PATH, "victim", NULL)) {
        SKIP("no hard links here");
    } else {
        CHECK(!log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error) && error.code == REDIRECTOR_LOG_FAILED);
        CHECK(strstr(error.text, "hard link"));
        size_t size;
        char *text = read_file("victim", &size);
        CHECK(text && strcmp(text, "precious") == 0);
        free(text);
    }
    DeleteFileA("victim");
}

static void refuses_symbolic_links(void)
{
    remove_files();
    write_victim("victim");
    CreateSymbolicLinkA(PATH, "victim", 0);
    DWORD attributes = GetFileAttributesA(PATH); /* Wine 8 says it made one, and did not */
    if (attributes == INVALID_FILE_ATTRIBUTES || !(attributes & FILE_ATTRIBUTE_REPARSE_POINT)) {
        SKIP("no symbolic links here");
    } else {
        CHECK(!log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error) && error.code == REDIRECTOR_LOG_FAILED);
    }
    DeleteFileA("victim");
}

static void grow_file(const char *path, DWORD size)
{
    HANDLE f = CreateFileA(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    SetFilePointer(f, (LONG)size, NULL, FILE_BEGIN);
    SetEndOfFile(f);
    CloseHandle(f);
}

static DWORD file_size(const char *path)
{
    WIN32_FILE_ATTRIBUTE_DATA data = {0};
    return GetFileAttributesExA(path, GetFileExInfoStandard, &data) ? data.nFileSizeLow : 0;
}

static void rotates(void)
{
    remove_files();
    write_victim(PATH ".1"); /* goes */
    grow_file(PATH, LOG_FILE_MAX);
    struct log *log = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    log_line(log, REDIRECTOR_LOG_INFO, "first of the new file");
    log_close(log);
    CHECK(file_size(PATH ".1") == LOG_FILE_MAX);
    CHECK(file_has(PATH, "first of the new file") && file_size(PATH) < 200);
}

static void rotation_does_not_follow_links(void)
{
    remove_files();
    write_victim("victim");
    grow_file(PATH, LOG_FILE_MAX);
    if (!CreateHardLinkA(PATH ".1", "victim", NULL)) {
        SKIP("no hard links here");
    } else {
        struct log *log = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
        log_line(log, REDIRECTOR_LOG_INFO, "x");
        log_close(log);
        CHECK(file_size("victim") == strlen("precious") && file_size(PATH ".1") == LOG_FILE_MAX);
    }
    DeleteFileA("victim");
}

static void two_logs_share_a_file(void)
{
    remove_files();
    struct log *a = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    struct log *b = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    CHECK(a && b);
    log_line(a, REDIRECTOR_LOG_INFO, "from a");
    log_line(b, REDIRECTOR_LOG_INFO, "from b");
    log_close(a);
    log_close(b);
    CHECK(file_has(PATH, "from a\n") && file_has(PATH, "from b\n"));
}

/* The second to find the file full must not rotate the new one away. */
static void two_logs_rotate_once(void)
{
    remove_files();
    struct log *a = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    struct log *b = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    HANDLE f = CreateFileA(PATH, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                           OPEN_EXISTING, 0, NULL);
    SetFilePointer(f, LOG_FILE_MAX, NULL, FILE_BEGIN);
    SetEndOfFile(f);
    CloseHandle(f);
    log_line(a, REDIRECTOR_LOG_INFO, "from a");
    log_close(a);
    log_line(b, REDIRECTOR_LOG_INFO, "from b");
    log_close(b);
    CHECK(file_has(PATH, "from a\n") && file_has(PATH, "from b\n") && file_size(PATH ".1") == LOG_FILE_MAX);
}

static void counts_what_a_blocked_file_loses(void)
{
    remove_files();
    grow_file(PATH, LOG_FILE_MAX);
    CreateDirectoryA(PATH ".1", NULL); /* the full file cannot be moved here */
    struct log *log = log_open(PATH, REDIRECTOR_LOG_INFO, NULL, NULL, &error);
    log_line(log, REDIRECTOR_LOG_INFO, "lost");
    for (int i = 0; i < 500 && log_lines_dropped(log) < 1; i++) {
        Sleep(10);
    }
    CHECK(log_lines_dropped(log) == 1 && file_size(PATH) == LOG_FILE_MAX);
    RemoveDirectoryA(PATH ".1");
    log_line(log, REDIRECTOR_LOG_INFO, "found");
    log_close(log);
    CHECK(file_has(PATH, "INFO  found\n") && file_has(PATH, "WARN  log lines dropped: 1\n"));
}

int main(void)
{
    RUN(default_file_is_in_the_current_folder);
    RUN(default_file_goes_elsewhere_if_it_must);
    RUN(refuses_bad_paths);
    RUN(refuses_hard_links);
    RUN(refuses_symbolic_links);
    RUN(rotates);
    RUN(rotation_does_not_follow_links);
    RUN(two_logs_share_a_file);
    RUN(two_logs_rotate_once);
    RUN(counts_what_a_blocked_file_loses);
    remove_files();
    return checks_done();
}
