/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who a process is: its identity, its image, its parent. */
#include "family.h"

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
    return checks_done();
}
