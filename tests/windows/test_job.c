/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The jobs that keep the trees together, and the process events that they give. */
#include "family.h"
#include "windows/process_table.h"

static void first_events_are_root_and_descendants(void)
{
    struct process_id root;
    struct process_event event;
    struct process_facts facts;
    HANDLE process = begin_tree(L"parent", 2, &root);
    uint32_t child = (uint32_t)shared->pids[1];
    struct process_job *job = process_job_open(&root, 1, &error);
    CHECK(job != NULL);
    CHECK(process_job_poll(job, &event) && !event.exited && event.id.pid == root.pid &&
          event.id.created == root.created);
    CHECK(process_job_poll(job, &event) && !event.exited && event.id.pid == child &&
          event.id.created == created_of(child));
    CHECK(!process_job_poll(job, &event)); /* each is told of once */
    CHECK(process_facts(job, root.pid, &facts) && facts.in_tree);
    CHECK(process_facts(job, child, &facts) && facts.in_tree);
    CHECK(process_facts(job, GetCurrentProcessId(), &facts) && !facts.in_tree);
    struct process_id created = {.pid = child, .created = created_of(child)};
    SetEvent(end);
    CHECK(wait_for_event(job, child, true, &event) && event.id.created == created.created);
    process_job_close(job);
    end_tree(process);
}

static void membership_outlives_parents(void)
{
    struct process_id root;
    struct process_event event;
    struct process_facts facts;
    HANDLE process = begin_tree(L"orphan", 1, &root);
    struct process_job *job = process_job_open(&root, 1, &error);
    CHECK(job != NULL);
    SetEvent(go);
    CHECK(WaitForSingleObject(process, WAIT_MS) == WAIT_OBJECT_0 && wait_for_count(2));
    uint32_t orphan = (uint32_t)shared->pids[1];
    CHECK(process_facts(job, orphan, &facts) && facts.in_tree);
    CHECK(wait_for_event(job, orphan, false, &event) && event.id.created == facts.self.created);
    process_job_close(job);
    end_tree(process);
}

static void short_lives_are_told_of(void)
{
    struct process_id root;
    struct process_event event;
    HANDLE process = begin_tree(L"burst", 1, &root);
    struct process_job *job = process_job_open(&root, 1, &error);
    SetEvent(go);
    CHECK(wait_for_count(1 + BURST));
    /* All of them are gone but for the last one: what is known now comes from the job's messages alone. */
    int unknown = 0;
    for (LONG i = 1; i <= BURST; i++) {
        uint32_t pid = (uint32_t)shared->pids[i];
        for (LONG j = 1; j < i; j++) { /* a pid that was used again is told of twice */
            CHECK((uint32_t)shared->pids[j] != pid || i != j);
        }
        CHECK(wait_for_event(job, pid, false, &event));
        unknown += event.gone;
    }
    printf("# %d of %d were gone before they could be asked\n", unknown, BURST);
    process_job_close(job);
    end_tree(process);
}

static void who_breaks_away_stays_in_the_tree(void)
{
    struct process_id root;
    struct process_event event;
    struct process_facts facts;
    HANDLE process = begin_tree(L"break", 1, &root);
    struct process_job *job = process_job_open(&root, 1, &error);
    SetEvent(go);
    CHECK(wait_for_count(2) && shared->spawn_error == 0);
    uint32_t child = (uint32_t)shared->pids[1];
    CHECK(process_facts(job, child, &facts) && facts.in_tree);
    CHECK(wait_for_event(job, child, false, &event) && event.id.created == facts.self.created);
    process_job_close(job);
    end_tree(process);
}

/* Each breaks away if it may, and has ended when its child begins: no parent link leads to the last one. */
static void generations_break_away_and_stay_in_the_tree(void)
{
    struct process_id root;
    struct process_event event;
    struct process_facts facts;
    HANDLE process = begin_tree(L"hop", 1, &root);
    struct process_job *job = process_job_open(&root, 1, &error);
    SetEvent(go);
    CHECK(wait_for_count(HOPS + 1) && shared->broke_away > 0);
    printf("# %ld of %d broke away\n", (long)shared->broke_away, HOPS);
    uint32_t last = (uint32_t)shared->pids[HOPS];
    CHECK(process_facts(job, last, &facts) && facts.in_tree);
    CHECK(wait_for_event(job, last, false, &event) && event.id.created == facts.self.created);
    process_job_close(job);
    end_tree(process);
}

/* What broke away may do so again, and so may its children, when it has lived for a while. */
static void who_broke_away_is_put_back(void)
{
    struct process_id root;
    HANDLE process = begin_tree(L"break", 1, &root);
    struct process_job *job = process_job_open(&root, 1, &error);
    struct process_event event;
    wchar_t name[100];
    swprintf(name, 100, L"Local\\windows-redirector-tree-%lu-%llx-inner", (unsigned long)root.pid,
             (unsigned long long)root.created);
    HANDLE inner = OpenJobObjectW(JOB_OBJECT_QUERY, FALSE, name);
    CHECK(inner != NULL);
    SetEvent(go);
    CHECK(wait_for_count(2) && shared->spawn_error == 0);
    HANDLE child = OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, (DWORD)shared->pids[1]);
    BOOL back = TRUE;
    CHECK(IsProcessInJob(child, inner, &back) && !back);
    for (int i = 0; i < WAIT_MS && !back; i++) {
        while (process_job_poll(job, &event)) {
        }
        Sleep(1);
        IsProcessInJob(child, inner, &back);
    }
    CHECK(back);
    CloseHandle(child);
    CloseHandle(inner);
    process_job_close(job);
    end_tree(process);
}

static void starts_again_on_the_same_root(void)
{
    struct process_id root;
    struct process_event event;
    struct process_facts facts;
    HANDLE process = begin_tree(L"orphan", 1, &root);
    for (int i = 0; i < 5; i++) {
        struct process_job *job = process_job_open(&root, 1, &error);
        CHECK(job && process_job_poll(job, &event) && event.id.pid == root.pid && !event.exited);
        CHECK(process_facts(job, root.pid, &facts) && facts.in_tree);
        process_job_close(job);
    }
    struct process_job *job = process_job_open(&root, 1, &error);
    SetEvent(go);
    CHECK(wait_for_count(2) && wait_for_event(job, (uint32_t)shared->pids[1], false, &event));
    CHECK(WaitForSingleObject(process, WAIT_MS) == WAIT_OBJECT_0 && wait_for_event(job, root.pid, true, &event));
    CHECK(event.id.created == root.created);
    process_job_close(job);
    end_tree(process);
}

static void two_redirectors_on_one_root(void)
{
    struct process_id root;
    struct process_event event;
    struct process_facts facts;
    HANDLE process = begin_tree(L"orphan", 1, &root);
    struct process_job *first = process_job_open(&root, 1, &error);
    struct process_job *second = process_job_open(&root, 1, &error);
    CHECK(first && second);
    SetEvent(go);
    CHECK(wait_for_count(2));
    uint32_t child = (uint32_t)shared->pids[1];
    CHECK(wait_for_event(first, child, false, &event) && wait_for_event(second, child, false, &event));
    CHECK(process_facts(first, child, &facts) && facts.in_tree && process_facts(second, child, &facts) &&
          facts.in_tree);
    process_job_close(first); /* the other goes on */
    SetEvent(end);
    CHECK(wait_for_event(second, child, true, &event));
    process_job_close(second);
    end_tree(process);
}

/* Waits until these members of the tree have been reported, in any order. */
static bool all_events(struct process_job *job, LONG first, LONG count)
{
    ULONGLONG deadline = GetTickCount64() + WAIT_MS;
    struct process_event event;
    LONG told = 0;
    while (told < count && GetTickCount64() < deadline) {
        while (process_job_poll(job, &event)) {
            for (LONG i = first; i < first + count; i++) {
                told += (uint32_t)shared->pids[i] == event.id.pid && !event.exited;
            }
        }
        Sleep(1);
    }
    return told == count;
}

static bool all_in_tree(struct process_job *job, LONG first, LONG count)
{
    struct process_facts facts;
    bool all = true;
    for (LONG i = first; i < first + count; i++) {
        all = process_facts(job, (uint32_t)shared->pids[i], &facts) && facts.in_tree && all;
    }
    return all;
}

/* Strangers to each other, one of them named twice: each has a job, and the children of each are members. */
static void several_roots(void)
{
    struct process_id roots[3];
    DWORD pid = 0;
    HANDLE process = begin_tree(L"orphan", 1, &roots[0]);
    HANDLE other = spawn(L"orphan", 0, &pid);
    CHECK(other && wait_for_count(2) && process_identify(pid, &roots[1], &error));
    roots[2] = roots[0];
    struct process_job *job = process_job_open(roots, 3, &error);
    CHECK(job && all_events(job, 0, 2) && !has_come(job, roots[0].pid)); /* once, although named twice */
    CHECK(all_in_tree(job, 0, 2));
    SetEvent(go);
    CHECK(WaitForSingleObject(process, WAIT_MS) == WAIT_OBJECT_0 &&
          WaitForSingleObject(other, WAIT_MS) == WAIT_OBJECT_0);
    CHECK(wait_for_count(4) && all_in_tree(job, 2, 2)); /* their parents are gone: it is the jobs that know them */
    CHECK(all_events(job, 2, 2));
    process_job_close(job);
    CloseHandle(other);
    end_tree(process);
}

/* More than one wait (64) or a small array could take: the children of the last are members, too. */
static void many_roots(void)
{
    enum { ROOTS = 70 };
    struct process_id roots[ROOTS];
    struct process_facts facts;
    struct process_event event;
    HANDLE others[ROOTS];
    DWORD pid = 0;
    HANDLE process = begin_tree(L"orphan", 1, &roots[ROOTS - 1]);
    for (int i = 0; i < ROOTS - 1; i++) {
        others[i] = spawn(L"wait", 0, &pid);
        CHECK(others[i] && process_identify(pid, &roots[i], &error));
    }
    CHECK(wait_for_count(ROOTS));
    struct process_job *job = process_job_open(roots, ROOTS, &error);
    CHECK(job && all_events(job, 0, ROOTS) && all_in_tree(job, 0, ROOTS));
    process_job_close(job);
    job = process_job_open(roots, ROOTS, &error); /* again, with the jobs of the first start */
    CHECK(job && all_events(job, 0, ROOTS) && all_in_tree(job, 0, ROOTS));
    CHECK(process_facts(job, GetCurrentProcessId(), &facts) && !facts.in_tree);
    SetEvent(go);
    CHECK(WaitForSingleObject(process, WAIT_MS) == WAIT_OBJECT_0 && wait_for_count(ROOTS + 1));
    CHECK(all_in_tree(job, ROOTS, 1) && all_events(job, ROOTS, 1));
    SetEvent(end);
    CHECK(wait_for_event(job, roots[0].pid, true, &event) && event.id.created == roots[0].created);
    process_job_close(job);
    for (int i = 0; i < ROOTS - 1; i++) {
        CloseHandle(others[i]);
    }
    end_tree(process);
}

/* In either order, and again when an earlier start has left its jobs. */
static void a_root_may_descend_from_another(void)
{
    struct process_id roots[2], reversed[2];
    HANDLE process = begin_tree(L"parent", 2, &roots[0]);
    CHECK(process_identify((uint32_t)shared->pids[1], &roots[1], &error));
    reversed[0] = roots[1];
    reversed[1] = roots[0];
    for (int i = 0; i < 4; i++) {
        struct process_job *job = process_job_open(i % 2 ? roots : reversed, 2, &error);
        CHECK(job && all_events(job, 0, 2) && all_in_tree(job, 0, 2));
        CHECK(!has_come(job, roots[0].pid));
        process_job_close(job);
    }
    end_tree(process);
}

/* One that has ended spoils it for all: nothing stays open. */
static void every_root_must_exist(void)
{
    struct process_id roots[2];
    HANDLE process = begin_tree(L"wait", 1, &roots[0]);
    roots[1] = (struct process_id){.pid = roots[0].pid + 2, .created = 1};
    CHECK(!process_job_open(roots, 2, &error) && error.code == REDIRECTOR_NO_SUCH_PROCESS);
    char text[24];
    snprintf(text, sizeof text, "pid %lu", (unsigned long)roots[1].pid);
    CHECK(strstr(error.text, text) != NULL);
    end_tree(process);
}

/* A job that somebody else made under our name is not trusted: its owner could end the tree with it. */
static void strange_jobs_are_not_used(void)
{
    struct process_id root;
    struct process_facts facts;
    HANDLE process = begin_tree(L"wait", 1, &root);
    wchar_t name[80];
    swprintf(name, 80, L"Local\\windows-redirector-tree-%lu-%llx", (unsigned long)root.pid,
             (unsigned long long)root.created);
    HANDLE strange = CreateJobObjectW(NULL, name);
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    SetInformationJobObject(strange, JobObjectExtendedLimitInformation, &limits, sizeof limits);
    struct process_job *job = process_job_open(&root, 1, &error);
    BOOL member = TRUE;
    CHECK(job && process_facts(job, root.pid, &facts) && facts.in_tree);
    CHECK(IsProcessInJob(process, strange, &member) && !member);
    CloseHandle(strange);
    process_job_close(job);
    end_tree(process);
}

/* A process whose own job spans others cannot be put into ours; it is told of all the same. */
static void what_cannot_be_assigned_is_told_of(void)
{
    struct process_id root;
    struct process_event event;
    struct process_facts facts;
    HANDLE process = begin_tree(L"parent", 2, &root);
    uint32_t child = (uint32_t)shared->pids[1];
    HANDLE handle = OpenProcess(PROCESS_ALL_ACCESS, FALSE, child);
    HANDLE own = CreateJobObjectW(NULL, NULL), inner = CreateJobObjectW(NULL, NULL);
    CHECK(AssignProcessToJobObject(own, handle) && AssignProcessToJobObject(inner, handle));
    struct process_job *job = process_job_open(&root, 1, &error);
    CHECK(job && process_facts(job, child, &facts));
    CHECK(facts.parent.pid == root.pid && facts.parent.created == root.created);
    printf("# in our job although it has its own: %d\n", facts.in_tree);
    CHECK(has_come(job, child));
    SetEvent(end);
    CHECK(wait_for_event(job, child, true, &event) && event.id.created == facts.self.created);
    process_job_close(job);
    CloseHandle(handle);
    CloseHandle(own);
    CloseHandle(inner);
    end_tree(process);
}

static void what_may_not_be_opened_is_outside(void)
{
    struct process_id root;
    struct process_event event;
    struct process_table all = {0};
    HANDLE process = begin_tree(L"guarded", 1, &root);
    CHECK(shared->spawn_error == 0);
    struct process_job *job = process_job_open(&root, 1, &error);
    CHECK(job && process_job_needs_watch(job));
    CHECK(process_job_poll(job, &event) && event.id.pid == root.pid && event.id.created == root.created);
    CHECK(event.outside && event.os_error == ERROR_ACCESS_DENIED && !event.exited);
    /* one that may be put in becomes a member like others */
    DWORD pid = 0;
    HANDLE child = spawn(L"wait", 0, &pid);
    CHECK(wait_for_count(2) && process_table_read(&all));
    bool adopted = false;
    for (uint32_t i = 0; i < all.count; i++) {
        adopted |= all.all[i].self.pid == pid && process_job_adopt(job, &all.all[i]);
    }
    CHECK(adopted && wait_for_event(job, pid, false, &event) && !event.outside);
    for (uint32_t i = 0; i < all.count; i++) {
        all.all[i].self.created++; /* another process than the one that has this pid */
        CHECK(all.all[i].self.pid != pid || process_job_adopt(job, &all.all[i]));
        CHECK(all.all[i].self.pid != GetCurrentProcessId() || !process_job_adopt(job, &all.all[i]));
    }
    process_table_free(&all);
    process_job_close(job);
    CloseHandle(child);
    end_tree(process);
}

/* A program that makes a job of its own for its children (browsers do) must still be able to. */
static void members_may_have_jobs_of_their_own(void)
{
    struct process_id root;
    HANDLE process = begin_tree(L"parent", 2, &root);
    struct process_job *job = process_job_open(&root, 1, &error);
    HANDLE child = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)shared->pids[1]);
    HANDLE own = CreateJobObjectW(NULL, NULL);
    struct process_facts facts;
    CHECK(job && AssignProcessToJobObject(own, child));
    CHECK(process_facts(job, (uint32_t)shared->pids[1], &facts) && facts.in_tree);
    CloseHandle(child);
    CloseHandle(own);
    process_job_close(job);
    end_tree(process);
}

int main(void)
{
    int status;
    if (is_member_of_the_family(&status)) {
        return status;
    }
    RUN(first_events_are_root_and_descendants);
    RUN(membership_outlives_parents);
    RUN(short_lives_are_told_of);
    RUN(who_breaks_away_stays_in_the_tree);
    RUN(generations_break_away_and_stay_in_the_tree);
    RUN(who_broke_away_is_put_back);
    RUN(starts_again_on_the_same_root);
    RUN(two_redirectors_on_one_root);
    RUN(several_roots);
    RUN(many_roots);
    RUN(a_root_may_descend_from_another);
    RUN(every_root_must_exist);
    RUN(strange_jobs_are_not_used);
    RUN(what_cannot_be_assigned_is_told_of);
    RUN(what_may_not_be_opened_is_outside);
    RUN(members_may_have_jobs_of_their_own);
    return checks_done();
}
