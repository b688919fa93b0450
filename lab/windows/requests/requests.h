/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Open files of the driver, and the requests on them, as the lab sees them.
 */
#ifndef LAB_WINDOWS_REQUESTS_H
#define LAB_WINDOWS_REQUESTS_H

#include "../kmdf/kmdf.h"
#include "driver_context.h"

/* The input of the driver's I/O controls, 16 bytes. */
union input {
    struct {
        uint64_t addresses, addresses_size;
    } recv;
    struct {
        uint64_t addresses, addresses_size;
    } send;
    struct {
        uint32_t layer, priority;
        uint64_t flags;
    } initialize;
    struct {
        uint64_t matches;
    } startup;
    struct {
        uint32_t how;
    } shutdown;
    struct {
        uint32_t param;
    } get_param;
    struct {
        uint64_t value;
        uint32_t param;
    } set_param;
};

/*
 * A place in the table. Its memory stays when it is closed, so a pointer to it is always one to a file,
 * if perhaps to another.
 */
struct file {
    struct handle handle;
    struct wdf_file *wdf; /* NULL: closed towards the driver */
    struct driver_context *driver;
    struct wdf_queue *queue;  /* in which its RECVs wait; referenced */
    volatile LONG references; /* Wine's, until CLOSE, and the driver's, until its destruction */
    bool told;                /* LAB_OPENED has been sent */
    bool listed;
    NTSTATUS refusal;    /* what requests of a dead file fail with */
    uint64_t max_length; /* of its packet queue, as the program has set it */
};

/* ------------------------------------------------------------------ files.c */

struct file *file_create(uint32_t owner, int32_t owner_linux); /* NULL: there are too many */
void file_release(struct file *file);
void tell_closed(struct file *file);                     /* LAB_CLOSED, if LAB_OPENED has been told */
struct file *file_of(const struct wdf_request *request); /* NULL: none */

/* Calls `visit` for each open file, with the table locked. */
typedef void file_visit_fn(struct file *file, void *context);
void files_each(file_visit_fn *visit, void *context);

/*
 * The next file that has not been visited in this round, referenced; NULL: none. For what may not be done
 * with the table locked. Begin with *last = 0.
 */
struct file *files_next(uint32_t *last);

/* ------------------------------------------------------------------ dispatch.c */

/* All presenting of requests to the driver, and all closing, is done by one thread at a time. */
extern struct mutex presenting;

void present(struct wdf_request *request);                     /* `presenting` is held */
void close_towards_driver(struct file *file, NTSTATUS status); /* also; what it fails with from now on */

/* ------------------------------------------------------------------ input.c */

union input *request_input(const struct wdf_request *request); /* NULL: too short */
uint32_t request_layer(const struct wdf_request *request);
void *request_output(const struct wdf_request *request, uint32_t *length);
bool request_can_recv(const struct wdf_request *request); /* or will the driver refuse it? */
bool request_can_send(const struct wdf_request *request);

/* ------------------------------------------------------------------ client.c */

#define CLIENT_NOWHERE 0x7fffffff0000ull /* an address that no program has, for what it does not want */

/* ------------------------------------------------------------------ hold.c */

/* Keeps the request for this fault until due_ms or, if that is INT64_MAX, until the fault is over. */
void hold(struct wdf_request *request, enum drvfault fault, int64_t due_ms);
void hold_release(void); /* those that no fault keeps any longer */
void hold_end(const struct file *file, NTSTATUS status);
unsigned hold_count(const struct file *file, ULONG code);
bool hold_start(void);
void hold_stop(void);

/* ------------------------------------------------------------------ faults.c */

void faults_prepare(struct wdf_request *request);       /* before the driver sees it at all */
bool faults_end(struct wdf_request *request);           /* has it ended by a fault instead of being presented? */
void fault_struck(enum drvfault fault, uint32_t times); /* tells the daemon */
void faults_forget(void);

/* ------------------------------------------------------------------ limit.c */

void limit_apply(struct file *file);
void limit_apply_all(void);
void limit_completing(const struct wdf_request *request); /* a parameter has been set or got */

/* ------------------------------------------------------------------ start.c */

bool jobs_of_requests_start(void);
void job_start(void (*run)(void)); /* on the thread of this room */
void job_add(struct job *job);
void files_close_all(NTSTATUS status, uint32_t *open); /* towards the driver; how many were open (may be NULL) */

#endif
