/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who a process is: its identity, its image, its parent; which there are; the right to open it. */
#include "family.h"
#include "windows/debug_privilege.h"
#include "windows/process_watch.h"

static void identifies_processes(void)
{
    struct process_id id = {0};
    FILETIME created, other;
    GetProcessTimes(GetCurrentProcess(), &created, &other, &other, &other);
    CHECK(process_identify(GetCurrentProcessId(), &id, &error) && id.pid == GetCurrentProcessId());
    CHECK(id.created == ((uint64_t)created.dwHighDateTime << 32 | created.dwLowDateTime));
    static const uint32_t nobody[] = {0, 0x7ffffff0, 0xffffffff};
    for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++) {
        CHECK(!process_identify(nobody[i], &id, &error) && error.code == REDIRECTOR_NO_SUCH_PROCESS);
    }
    CHECK(strstr(error.text, "pid 4294967295"));
    CHECK(!process_identify(GetCurrentProcessId() + 1, &id, &error)); /* Windows would open this process */
}

static void exited_processes_do_not_count(void)
{
    DWORD pid = 0;
    struct process_id id;
    struct process_facts facts;
    open_shared(L"redirector-test-exited");
    HANDLE process = spawn(L"exit", 0, &pid);
    WaitForSingleObject(process, WAIT_MS);
    /* The handle keeps the process object, and its pid, alive. */
    CHECK(!process_identify(pid, &id, &error) && error.code == REDIRECTOR_NO_SUCH_PROCESS);
    CHECK(!process_facts(NULL, pid, &facts));
    id = (struct process_id){.pid = pid, .created = 1};
    CHECK(!process_job_open(&id, 1, &error) && error.code == REDIRECTOR_NO_SUCH_PROCESS);
    CloseHandle(process);
    id = (struct process_id){.pid = GetCurrentProcessId(), .created = 1}; /* the pid is another process' now */
    CHECK(!process_job_open(&id, 1, &error) && error.code == REDIRECTOR_NO_SUCH_PROCESS);
}

static void finds_image_paths(void)
{
    char path[600], wanted[600], little[5];
    GetModuleFileNameA(NULL, wanted, sizeof wanted);
    process_path(GetCurrentProcessId(), path, sizeof path);
    CHECK(_stricmp(path, wanted) == 0);
    process_path(GetCurrentProcessId(), little, sizeof little);
    CHECK(strlen(little) == 4 && _strnicmp(little, wanted, 4) == 0);
    process_path(0x7ffffff0, path, sizeof path);
    CHECK(path[0] == 0);
    path[0] = 'x';
    process_path(0, path, sizeof path);
    CHECK(path[0] == 0);
}

static void knows_parents(void)
{
    struct process_id root;
    struct process_facts facts;
    HANDLE process = begin_tree(L"parent", 2, &root);
    uint32_t child = (uint32_t)shared->pids[1];
    CHECK(process_facts(NULL, child, &facts) && facts.self.pid == child && facts.self.created == created_of(child));
    CHECK(facts.parent.pid == root.pid && facts.parent.created == root.created && !facts.in_tree);
    CHECK(process_facts(NULL, root.pid, &facts) && facts.parent.pid == GetCurrentProcessId());
    CHECK(facts.parent.created == created_of(GetCurrentProcessId()));
    CHECK(!process_facts(NULL, 0, &facts) && !process_facts(NULL, 0x7ffffff0, &facts));
    end_tree(process);
}

static void gone_parents_have_no_creation_time(void)
{
    struct process_id root;
    struct process_facts facts;
    HANDLE process = begin_tree(L"orphan", 1, &root);
    SetEvent(go);
    CHECK(WaitForSingleObject(process, WAIT_MS) == WAIT_OBJECT_0 && wait_for_count(2));
    CloseHandle(process);
    uint32_t child = (uint32_t)shared->pids[1];
    for (int i = 0; i < WAIT_MS && process_facts(NULL, child, &facts) && facts.parent.created; i++) {
        Sleep(1);
    }
    CHECK(process_facts(NULL, child, &facts) && facts.parent.pid == root.pid && facts.parent.created == 0);
    end_tree(NULL);
}

static const struct process_facts *row_of(const struct process_table *t, uint32_t pid)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->all[i].self.pid == pid) {
            return &t->all[i];
        }
    }
    return NULL;
}

static void tells_all_processes(void)
{
    struct process_id root;
    struct process_table all = {0}, none = {0}, copy = {0};
    HANDLE process = begin_tree(L"parent", 2, &root);
    uint32_t child = (uint32_t)shared->pids[1];
    CHECK(process_table_read(&all) && process_table_copy(&all, &copy));
    const struct process_facts *row = row_of(&all, child);
    CHECK(row && row->self.created == created_of(child));
    CHECK(row && row->parent.pid == root.pid && row->parent.created == root.created);
    CHECK(row && row_of(&all, root.pid) < row); /* the oldest first */
    process_table_subtract(&copy, &none);
    CHECK(copy.count == all.count);
    process_table_subtract(&copy, &all);
    CHECK(copy.count == 0);
    CHECK(process_table_append(&copy, &all) && row_of(&copy, child) && !all.all);
    process_table_free(&copy);
    LARGE_INTEGER frequency, from, to;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&from);
    CHECK(process_table_read(&all));
    QueryPerformanceCounter(&to);
    printf("# %lu processes in %.2f ms\n", (unsigned long)all.count,
           (double)(to.QuadPart - from.QuadPart) * 1000 / (double)frequency.QuadPart);
    process_table_free(&all);
    end_tree(process);
}

/* Waits until the watch tells of a process. */
static bool is_told(struct process_watch *watch, HANDLE wake, uint32_t pid)
{
    for (bool told = false; WaitForSingleObject(wake, WAIT_MS) == WAIT_OBJECT_0;) {
        struct process_table seen;
        if (process_watch_take(watch, &seen)) {
            told = row_of(&seen, pid) != NULL;
            process_table_free(&seen);
        }
        if (told) {
            return true;
        }
    }
    return false;
}

static void watch_tells_who_has_come(void)
{
    struct process_id root;
    struct process_table seen;
    HANDLE wake = CreateEventW(NULL, FALSE, FALSE, NULL);
    struct process_watch *watch = process_watch_start(wake);
    CHECK(watch && !process_watch_take(watch, &seen)); /* it rests */
    process_watch_run(watch, true);
    CHECK(is_told(watch, wake, GetCurrentProcessId()));
    HANDLE process = begin_tree(L"wait", 1, &root);
    CHECK(is_told(watch, wake, root.pid));
    process_watch_run(watch, false);
    process_watch_run(watch, true);
    CHECK(is_told(watch, wake, root.pid)); /* once more from the beginning */
    process_watch_stop(watch);
    CloseHandle(wake);
    end_tree(process);
}

/* Whether SeDebugPrivilege is enabled in a token. */
static bool is_enabled(HANDLE token)
{
    PRIVILEGE_SET wanted = {.PrivilegeCount = 1, .Control = PRIVILEGE_SET_ALL_NECESSARY};
    BOOL enabled = FALSE;
    LookupPrivilegeValueW(NULL, L"SeDebugPrivilege", &wanted.Privilege[0].Luid);
    CHECK(PrivilegeCheck(token, &wanted, &enabled));
    return enabled;
}

static bool process_has_privilege(void)
{
    HANDLE token;
    CHECK(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY | TOKEN_DUPLICATE, &token));
    HANDLE copy = NULL; /* PrivilegeCheck() takes tokens for impersonation only */
    CHECK(DuplicateToken(token, SecurityImpersonation, &copy));
    bool enabled = is_enabled(copy);
    CloseHandle(copy);
    CloseHandle(token);
    return enabled;
}

static void the_right_to_open_any_process_is_the_threads_own(void)
{
    struct debug_privilege privilege, nested;
    HANDLE token;
    bool before = process_has_privilege();
    CHECK(debug_privilege_take(&privilege) == 0 && privilege.held);
    CHECK(OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token) && is_enabled(token));
    CloseHandle(token);
    CHECK(process_has_privilege() == before);
    /* a thread that impersonates already does so afterwards, too */
    CHECK(debug_privilege_take(&nested) == 0 && nested.before);
    debug_privilege_drop(&nested);
    CHECK(OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token));
    CloseHandle(token);
    debug_privilege_drop(&privilege);
    CHECK(!OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &token) && GetLastError() == ERROR_NO_TOKEN);
}

int main(void)
{
    int status;
    if (is_member_of_the_family(&status)) {
        return status;
    }
    RUN(identifies_processes);
    RUN(exited_processes_do_not_count);
    RUN(finds_image_paths);
    RUN(knows_parents);
    RUN(gone_parents_have_no_creation_time);
    RUN(tells_all_processes);
    RUN(watch_tells_who_has_come);
    RUN(the_right_to_open_any_process_is_the_threads_own);
    return checks_done();
}
