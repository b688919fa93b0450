/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * How a request of Wine ends, and why its memory stays.
 *
 * Theory of operation: Wine 8 frees an IRP as soon as it is completed, and can still be told to cancel it
 * afterwards. Its main loop (wine_ntoskrnl_main_loop) dispatches an IRP, reports its address to the server,
 * and takes the next call from it. When a program cancels, the server queues a CANCEL call with that address
 * behind the calls that wait already. If another thread completes the IRP meanwhile (dispatch_irp_completion
 * tells the server the result, IoCompleteRequest frees the IRP), the CANCEL call still comes, and
 * dispatch_cancel gives IoCancelIrp the address of freed memory, or of a new request that lies there now.
 *
 * So an IRP that has been completed is kept for a while. Its completion routine, in its own stack location,
 * is replaced by one that calls Wine's and tells two cases apart by its answer:
 *
 *   STATUS_MORE_PROCESSING_REQUIRED  the main loop has not reported the IRP yet. It will report it as
 *       completed, in the same call that tells the server its address: no cancel call can name it. The main
 *       loop then calls IoCompleteRequest again, which frees it, as always. So the same answer is given.
 *   else  the server has been told the result, and Wine's own data of the IRP is freed. The answer is
 *       STATUS_MORE_PROCESSING_REQUIRED, so IoCompleteRequest returns without touching the IRP, which now is
 *       ours. A cancel call that comes by finds no cancel routine and leaves it alone. Calling
 *       IoCompleteRequest once more frees it: there is no stack location left to go through.
 *
 * How long is long enough? The main loop takes calls in order. Before a CANCEL that was queued when the IRP
 * was completed, it can dispatch no request queued behind it; so until it comes, only requests can be
 * completed that had been made by then. The ring below is longer than the requests that programs of the lab
 * have under way at a time. What is in it when the driver is unloaded is left there: a cancel call may be on
 * its way, and winedevice ends soon.
 *
 * A thread that must not wait for the server leaves its completions to a thread that may: see
 * completions_defer in platform.h. They keep their order.
 */
#include "kmdf.h"

#include "../runtime/thread.h"

enum { KEPT = 4096, ROUTINE = 1 }; /* ROUTINE: which DriverContext holds Wine's; the first is the queue's */

static struct mutex kept_lock;
static IRP *kept[KEPT];
static unsigned kept_next;
static struct jobs completions;

static IRP *keep(IRP *irp)
{
    IRP *oldest;

    mutex_lock(&kept_lock);
    oldest = kept[kept_next];
    kept[kept_next] = irp;
    kept_next = (kept_next + 1) % KEPT;
    mutex_unlock(&kept_lock);
    return oldest;
}

static NTSTATUS NTAPI completed(DEVICE_OBJECT *device, IRP *irp, void *context)
{
    PIO_COMPLETION_ROUTINE routine = (PIO_COMPLETION_ROUTINE)irp->Tail.Overlay.DriverContext[ROUTINE];
    IRP *oldest;

    if (routine(device, irp, context) == STATUS_MORE_PROCESSING_REQUIRED) {
        return STATUS_MORE_PROCESSING_REQUIRED;
    }
    oldest = keep(irp);
    if (oldest) {
        IoCompleteRequest(oldest, IO_NO_INCREMENT);
    }
    return STATUS_MORE_PROCESSING_REQUIRED;
}

void irp_finish(IRP *irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);

    IoSetCancelRoutine(irp, NULL);
    if (stack->CompletionRoutine) {
        irp->Tail.Overlay.DriverContext[ROUTINE] = (void *)stack->CompletionRoutine;
        stack->CompletionRoutine = completed;
    }
    IoCompleteRequest(irp, IO_NO_INCREMENT);
}

bool completions_start(void)
{
    return jobs_start(&completions, 1);
}

void completions_wait(void)
{
    jobs_wait(&completions);
}

void completions_stop(void)
{
    jobs_stop(&completions);
}

void completions_defer(void)
{
    struct thread_state *state = thread_state();

    if (state) {
        state->defers++;
    } else {
        lab_log("too many threads: a request may be completed in a place where that waits");
    }
}

void completions_resume(void)
{
    struct thread_state *state = thread_state_find();

    if (state && state->defers > 0) {
        state->defers--;
    }
}

static void finish_job(struct job *job)
{
    struct wdf_request *request = CONTAINING_RECORD(job, struct wdf_request, completion);

    irp_finish(request->irp);
    wdf_object_delete(request);
}

void irp_finish_request(struct wdf_request *request)
{
    const struct thread_state *state = thread_state_find();

    request->completion.run = finish_job;
    if (state && state->defers > 0) {
        jobs_add(&completions, &request->completion);
    } else {
        finish_job(&request->completion);
    }
}
