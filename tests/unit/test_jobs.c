/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The jobs that keep the tree (I1), by Windows' rules for nested jobs: tests/world/kernel/kernel.h. */
#include "follower.h"

static const struct kernel_rules rules;

static int set_up(void **state)
{
    (void)state;
    kernel_begin(&rules);
    return 0;
}

/* The runtime of Git Bash: fork, exec, and again; each exec ends the process that forked. */
static void i1_a_runtime_that_asks_its_job_stays_in_the_tree(void **state)
{
    (void)state;
    struct follower f;
    uint32_t root = kernel_spawn(0, 0);
    follower_open(&f, &root, 1);
    uint32_t pid = spawn_as_cygwin(root);
    for (int hop = 0; hop < 3; hop++) {
        pid = exec_as_cygwin(pid);
        assert_int_not_equal(pid, 0);
    }
    assert_true(follower_judges(&f, pid));
    follower_close(&f);
}

/* Its grandparent is gone before anything was asked, and nothing but a job can know it. */
static void i1_a_program_that_insists_does_not_fail_and_stays_in_the_tree(void **state)
{
    (void)state;
    struct follower f;
    uint32_t root = kernel_spawn(0, 0);
    follower_open(&f, &root, 1);
    uint32_t middle = kernel_spawn(root, CREATE_BREAKAWAY_FROM_JOB);
    assert_int_not_equal(middle, 0);
    uint32_t child = kernel_spawn(middle, 0);
    kernel_exit(middle);
    kernel_exit(root);
    assert_true(follower_judges(&f, child));
    follower_close(&f);
}

static void who_has_broken_away_can_do_so_again_after_a_while(void **state)
{
    (void)state;
    struct follower f;
    uint32_t root = kernel_spawn(0, 0);
    follower_open(&f, &root, 1);
    uint32_t child = kernel_spawn(root, CREATE_BREAKAWAY_FROM_JOB);
    assert_int_equal(kernel_spawn(child, CREATE_BREAKAWAY_FROM_JOB), 0); /* not at once */
    follower_settles(&f);
    uint32_t grandchild = kernel_spawn(child, CREATE_BREAKAWAY_FROM_JOB);
    assert_int_not_equal(grandchild, 0);
    assert_true(follower_judges(&f, grandchild));
    follower_close(&f);
}

/* They break away so that they can put each child into a job of their own: all of them must get into it. */
static void who_breaks_away_into_a_job_of_his_own_can(void **state)
{
    (void)state;
    struct follower f;
    uint32_t root = kernel_spawn(0, 0);
    follower_open(&f, &root, 1);
    HANDLE own = kernel_job_of(root, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, false);
    for (int i = 0; i < 4; i++) {
        uint32_t child = kernel_spawn(root, CREATE_BREAKAWAY_FROM_JOB);
        assert_int_not_equal(child, 0);
        follower_poll(&f); /* as fast as we may be */
        assert_true(assign(own, child));
        follower_settles(&f);
        assert_true(follower_judges(&f, child));
    }
    follower_close(&f);
}

/* libuv and Bun put their children into a job of which grandchildren break away by themselves. */
static void i1_silent_breakaway_from_a_programs_own_job_leads_nowhere_else(void **state)
{
    (void)state;
    for (int climbs = 0; climbs < 2; climbs++) {
        struct follower f;
        struct kernel_rules loose = {.silent_climbs = climbs};
        kernel_begin(&loose);
        uint32_t root = kernel_spawn(0, 0);
        follower_open(&f, &root, 1);
        HANDLE own = kernel_job_of(root, JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK | JOB_OBJECT_LIMIT_BREAKAWAY_OK, false);
        uint32_t child = kernel_spawn(root, 0);
        assert_true(assign(own, child));
        uint32_t grandchild = kernel_spawn(child, 0);
        assert_false(is_in(own, grandchild));
        uint32_t last = kernel_spawn(grandchild, 0);
        kernel_exit(grandchild);
        kernel_exit(child);
        assert_true(follower_judges(&f, last));
        follower_close(&f);
    }
}

/* A debugger's or a runner's job around the root: one that denies breakaway, one that grants it. */
static void i1_roots_in_jobs_of_others(void **state)
{
    (void)state;
    static const DWORD limits[] = {0, JOB_OBJECT_LIMIT_BREAKAWAY_OK, JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK};
    for (int i = 0; i < 3; i++) {
        struct follower f;
        kernel_begin(&rules);
        uint32_t root = kernel_spawn(0, 0);
        assert_true(assign(kernel_job_of(0, limits[i], false), root));
        follower_open(&f, &root, 1);
        uint32_t child = kernel_spawn(root, CREATE_BREAKAWAY_FROM_JOB), plain = kernel_spawn(root, 0);
        uint32_t last = kernel_spawn(child, 0);
        kernel_exit(child);
        assert_true(follower_judges(&f, plain));
        assert_true(follower_judges(&f, last));
        follower_close(&f);
    }
}

/* O7: both on one root; then the first one ends, and the second goes on. */
static void i1_o7_two_redirectors_on_one_tree(void **state)
{
    (void)state;
    struct follower first, second;
    uint32_t root = kernel_spawn(0, 0);
    follower_open(&first, &root, 1);
    follower_open(&second, &root, 1);
    for (int round = 0; round < 2; round++) {
        uint32_t child = kernel_spawn(root, CREATE_BREAKAWAY_FROM_JOB);
        uint32_t last = exec_as_cygwin(kernel_spawn(child, 0));
        kernel_exit(child);
        assert_true(follower_judges(&second, last));
        if (first.job) {
            assert_true(follower_judges(&first, last));
            follower_close(&first);
        }
    }
    follower_close(&second);
}

/* O7: the second one's tree is a branch of the first one's, of which some have broken away. */
static void i1_o7_a_redirector_inside_the_tree_of_another(void **state)
{
    (void)state;
    struct follower outer, inner;
    uint32_t root = kernel_spawn(0, 0);
    follower_open(&outer, &root, 1);
    uint32_t branch = kernel_spawn(root, CREATE_BREAKAWAY_FROM_JOB), twig = kernel_spawn(branch, 0);
    follower_open(&inner, &branch, 1);
    uint32_t last = exec_as_cygwin(kernel_spawn(twig, 0));
    assert_true(follower_judges(&outer, last) && follower_judges(&inner, last));
    assert_true(follower_judges(&outer, root) && !follower_judges(&inner, root));
    follower_close(&inner);
    follower_close(&outer);
}

/* The jobs of the start before are taken over: nobody is nested deeper. */
static void starts_again_with_the_jobs_of_before(void **state)
{
    (void)state;
    struct follower f;
    uint32_t root = kernel_spawn(0, 0);
    uint32_t child = 0;
    for (int i = 0; i < 100; i++) {
        follower_open(&f, &root, 1);
        if (!child) {
            child = kernel_spawn(root, CREATE_BREAKAWAY_FROM_JOB);
        }
        assert_true(follower_judges(&f, child));
        if (i % 2) {
            follower_settles(&f);
        }
        follower_close(&f);
    }
    uint32_t last = kernel_spawn(child, 0); /* while nobody looks */
    kernel_exit(child);
    follower_open(&f, &root, 1);
    assert_true(follower_judges(&f, last));
    follower_close(&f);
}

/* One of the kind that redirectors had before, and one that somebody made to deceive us. */
static void i1_strange_jobs_under_our_names(void **state)
{
    (void)state;
    static const wchar_t *const forms[] = {L"Local\\windows-redirector-%lu-%llx",
                                           L"Local\\windows-redirector-tree-%lu-%llx",
                                           L"Local\\windows-redirector-tree-%lu-%llx-inner"};
    static const DWORD limits[] = {JOB_OBJECT_LIMIT_BREAKAWAY_OK, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
                                   JOB_OBJECT_LIMIT_BREAKAWAY_OK};
    for (int i = 0; i < 3; i++) {
        struct follower f;
        struct process_id id;
        wchar_t name[100];
        kernel_begin(&rules);
        uint32_t root = kernel_spawn(0, 0);
        assert_true(process_identify(root, &id, NULL));
        swprintf(name, 100, forms[i], (unsigned long)id.pid, (unsigned long long)id.created);
        HANDLE strange = CreateJobObjectW(NULL, name);
        JOBOBJECT_EXTENDED_LIMIT_INFORMATION information = {.BasicLimitInformation = {limits[i]}};
        SetInformationJobObject(strange, JobObjectExtendedLimitInformation, &information, sizeof information);
        if (i == 0) { /* its redirector has put the tree into it */
            assert_true(assign(strange, root));
        }
        follower_open(&f, &root, 1);
        uint32_t last = exec_as_cygwin(spawn_as_cygwin(root));
        assert_true(follower_judges(&f, last));
        assert_int_equal(is_in(strange, root), i == 0);
        follower_close(&f);
    }
}

static void i1_messages_that_are_lost_lose_nobody(void **state)
{
    (void)state;
    struct follower f;
    struct kernel_rules deaf = {.lost_of_16 = 16};
    kernel_begin(&deaf);
    uint32_t root = kernel_spawn(0, 0);
    follower_open(&f, &root, 1);
    uint32_t child = kernel_spawn(root, CREATE_BREAKAWAY_FROM_JOB), last = exec_as_cygwin(kernel_spawn(child, 0));
    kernel_exit(child);
    assert_true(follower_judges(&f, last));
    uint64_t before = f.reported;
    follower_settles(&f);
    assert_true(f.reported > before); /* by the lists */
    follower_close(&f);
}

/* A service, say. Its children are found by their parents, also behind one that has ended already. */
static void i1_s9_a_root_that_gets_into_no_job_keeps_its_tree(void **state)
{
    (void)state;
    struct follower f;
    uint32_t root = kernel_spawn(0, 0);
    kernel_refuse(root);
    follower_open(&f, &root, 1);
    assert_int_equal(f.outside, 1);
    assert_int_equal(f.os_error, ERROR_ACCESS_DENIED);
    follower_looks(&f);
    uint32_t middle = kernel_spawn(root, 0);
    follower_looks(&f);
    assert_int_equal(f.outside, 2);
    uint32_t child = kernel_spawn(middle, 0), stranger = kernel_spawn(0, 0);
    kernel_exit(middle);
    uint32_t last = kernel_spawn(child, 0);
    kernel_exit(root);
    follower_looks(&f);
    kernel_exit(child);
    kernel_pass_ms(600000);
    follower_looks(&f);
    assert_true(follower_judges(&f, last));
    assert_false(follower_judges(&f, stranger));
    assert_true(process_job_needs_watch(f.job));
    kernel_exit(last);
    follower_settles(&f); /* no message tells of its end */
    follower_looks(&f);
    assert_false(process_job_needs_watch(f.job)); /* nobody of them is left */
    follower_close(&f);
}

/* In between two looks a process has come, has started another, and is gone: that is what nothing tells. */
static void who_lives_only_between_two_looks_is_missed(void **state)
{
    (void)state;
    struct follower f;
    uint32_t root = kernel_spawn(0, 0);
    kernel_refuse(root);
    follower_open(&f, &root, 1);
    follower_looks(&f);
    uint32_t middle = kernel_spawn(root, 0), child = kernel_spawn(middle, 0);
    kernel_exit(middle);
    follower_looks(&f);
    assert_false(follower_judges(&f, child));
    follower_close(&f);
}

/* Windows lists it before it knows when it was created; what it starts then is its child all the same. */
static void i1_who_is_about_to_begin_is_left_to_the_next_look(void **state)
{
    (void)state;
    struct follower f;
    uint32_t root = kernel_spawn(0, 0);
    kernel_refuse(root);
    follower_open(&f, &root, 1);
    follower_looks(&f);
    uint32_t middle = kernel_spawn(root, 0);
    kernel_hesitate(middle);
    follower_looks(&f);
    assert_int_equal(f.outside, 1);
    kernel_pass_ms(1);
    follower_looks(&f);
    assert_int_equal(f.outside, 2);
    uint32_t child = kernel_spawn(middle, 0);
    kernel_exit(middle);
    assert_true(follower_judges(&f, child));
    follower_close(&f);
}

/* Children of Node.js that ran before the start: in a job that does not nest. What they start is in ours again. */
static void i1_s9_descendants_in_jobs_of_their_own_are_outside(void **state)
{
    (void)state;
    struct follower f;
    uint32_t root = kernel_spawn(0, 0), child = kernel_spawn(root, 0);
    assert_true(assign(kernel_job_of(root, JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK, false), child));
    follower_open(&f, &root, 1);
    assert_int_equal(f.outside, 1);
    follower_looks(&f);
    uint32_t grandchild = kernel_spawn(child, 0);
    follower_looks(&f);
    assert_int_equal(f.outside, 1);
    uint32_t last = exec_as_cygwin(kernel_spawn(grandchild, 0));
    kernel_exit(grandchild);
    assert_true(follower_judges(&f, last));
    follower_close(&f);
}

/* A look is of a moment: meanwhile its pid may have gone to a member. */
static void i2_an_old_look_takes_nothing_away(void **state)
{
    (void)state;
    struct follower f;
    struct process_table old = {0};
    uint32_t root = kernel_spawn(0, 0), stranger = kernel_spawn(0, 0);
    follower_open(&f, &root, 1);
    assert_true(process_table_read(&old));
    kernel_exit(stranger);
    kernel_pass_ms(KERNEL_REUSE_MS);
    uint32_t member = kernel_spawn(root, 0);
    assert_int_equal(member, stranger);
    follower_poll(&f);
    for (uint32_t i = 0; i < old.count; i++) {
        assert_int_equal(engine_process_seen(f.engine, &old.all[i]), old.all[i].self.pid == root);
    }
    kernel_exit(member);
    assert_true(engine_has_process(f.engine, member)); /* its late events are still its own */
    process_table_free(&old);
    follower_close(&f);
}

int main(void)
{
#define ON_KERNEL(test) cmocka_unit_test_setup(test, set_up)
    const struct CMUnitTest tests[] = {
        ON_KERNEL(i1_a_runtime_that_asks_its_job_stays_in_the_tree),
        ON_KERNEL(i1_a_program_that_insists_does_not_fail_and_stays_in_the_tree),
        ON_KERNEL(who_has_broken_away_can_do_so_again_after_a_while),
        ON_KERNEL(who_breaks_away_into_a_job_of_his_own_can),
        ON_KERNEL(i1_silent_breakaway_from_a_programs_own_job_leads_nowhere_else),
        ON_KERNEL(i1_roots_in_jobs_of_others),
        ON_KERNEL(i1_o7_two_redirectors_on_one_tree),
        ON_KERNEL(i1_o7_a_redirector_inside_the_tree_of_another),
        ON_KERNEL(starts_again_with_the_jobs_of_before),
        ON_KERNEL(i1_strange_jobs_under_our_names),
        ON_KERNEL(i1_messages_that_are_lost_lose_nobody),
        ON_KERNEL(i1_s9_a_root_that_gets_into_no_job_keeps_its_tree),
        ON_KERNEL(who_lives_only_between_two_looks_is_missed),
        ON_KERNEL(i1_who_is_about_to_begin_is_left_to_the_next_look),
        ON_KERNEL(i1_s9_descendants_in_jobs_of_their_own_are_outside),
        ON_KERNEL(i2_an_old_look_takes_nothing_away),
    };
    return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
