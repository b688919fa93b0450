/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a thread for what may not be done where it is asked for. The thread that reads the
 * wire asks (faults, unloading), and it must neither wait for the driver nor present requests to it.
 */
#include "requests.h"

struct started {
    struct job job;
    void (*run)(void);
};

static struct jobs jobs;
static volatile bool running;

bool jobs_of_requests_start(void)
{
    running = jobs_start(&jobs, 1);
    return running;
}

void job_add(struct job *job)
{
    jobs_add(&jobs, job);
}

static void run(struct job *job)
{
    struct started *started = CONTAINING_RECORD(job, struct started, job);

    started->run();
    lab_free(started);
}

void job_start(void (*wanted)(void))
{
    struct started *started = running ? lab_allocate(sizeof(*started)) : NULL;

    if (!started) {
        return;
    }
    started->job.run = run;
    started->run = wanted;
    jobs_add(&jobs, &started->job);
}

void files_close_all(NTSTATUS status, uint32_t *open)
{
    struct file *file;
    uint32_t last = 0;

    while ((file = files_next(&last)) != NULL) {
        mutex_lock(&presenting);
        if (open && file->wdf) {
            *open += file->handle.open;
        }
        file->handle.dead = true;
        close_towards_driver(file, status);
        mutex_unlock(&presenting);
        file_release(file);
    }
}

static void unload(void)
{
    uint32_t open = 0;

    files_close_all(STATUS_INVALID_DEVICE_STATE, &open);
    fault_struck(DRVFAULT_UNLOAD, open);
    wire_flush();
}

void requests_unload(void)
{
    job_start(unload);
}

static void forget(struct file *file, void *context)
{
    (void)context;
    file->told = false; /* the next daemon does not know it */
}

static void lose(void)
{
    files_close_all(STATUS_DEVICE_NOT_CONNECTED, NULL);
}

/* Scripted faults go with the daemon, so that nothing is kept any longer. */
void requests_wire_lost(void)
{
    faults_forget();
    files_each(forget, NULL);
    job_start(lose);
}

void requests_stop(void)
{
    if (!running) {
        return;
    }
    running = false;
    files_close_all(STATUS_INVALID_DEVICE_STATE, NULL);
    jobs_stop(&jobs);
    hold_stop();
    wdf_workitems_wait();
    completions_wait();
    wdf_objects_wait();
}
