/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: Wine's spin locks spin, which costs a whole time slice where the holder of the lock
 * does not run. There are few processors here and nothing runs at raised IRQL, so a lock is a futex mutex in
 * the first four bytes of the KSPIN_LOCK; KeInitializeSpinLock, a macro, makes it 0, which is "free".
 *
 * A lock's acquisition at one place of the driver can be watched: places in the driver's code that take its
 * lock mark what it is about to do (see requests/driver_context.h).
 */
#include "ntoskrnl.h"

#include "../runtime/linux.h"

static const void *volatile watched_site;
static spinlock_acquired_fn *volatile watcher;

_Static_assert(sizeof(struct mutex) <= sizeof(KSPIN_LOCK), "a mutex fits into a spin lock");

void spinlock_watch(const void *site, spinlock_acquired_fn *acquired)
{
    watched_site = NULL;
    watcher = acquired;
    watched_site = acquired ? site : NULL;
}

VOID NTAPI lab_KeAcquireInStackQueuedSpinLock(KSPIN_LOCK *lock, KLOCK_QUEUE_HANDLE *handle)
{
    const void *site = __builtin_return_address(0);

    handle->LockQueue.Lock = lock;
    mutex_lock((struct mutex *)lock);
    if (site == watched_site) {
        watcher(lock);
    }
}

VOID NTAPI lab_KeReleaseInStackQueuedSpinLock(KLOCK_QUEUE_HANDLE *handle)
{
    mutex_unlock((struct mutex *)handle->LockQueue.Lock);
}
