/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The driver framework (KMDF 1.9) as far as the driver uses it: its objects, and the structures that the
 * driver passes, with the layout that wdf.h of that version gives them on x64. One file of this folder for
 * each of Microsoft's headers.
 */
#ifndef LAB_WINDOWS_KMDF_H
#define LAB_WINDOWS_KMDF_H

#include <stddef.h>

#include "../platform.h"
#include "../runtime/jobs.h"
#include "../runtime/linux.h"

enum { KMDF_FUNCTIONS = 396 }; /* in the table of 1.9 */

/* Missing in mingw's wdm.h. In a dispatch routine Wine answers with the caller's process. */
HANDLE NTAPI PsGetCurrentProcessId(void);

typedef void wdf_object_fn(void *object);

/* ------------------------------------------------------------------ what the driver passes */

struct wdf_type { /* WDF_OBJECT_CONTEXT_TYPE_INFO */
    ULONG size;
    const char *name;
    size_t context_size;
    const struct wdf_type *unique;
    void *get_driver_data;
};

struct wdf_attributes { /* WDF_OBJECT_ATTRIBUTES */
    ULONG size;
    wdf_object_fn *cleanup, *destroy;
    int execution_level, synchronization;
    struct wdf_object *parent;
    size_t context_size_override;
    const struct wdf_type *type;
};

enum { WDF_EXECUTION_PASSIVE = 2 }; /* WdfExecutionLevelPassive */

struct wdf_driver_config { /* WDF_DRIVER_CONFIG */
    ULONG size;
    void *device_add;
    wdf_object_fn *unload;
    ULONG init_flags, pool_tag;
};

struct wdf_request;
struct wdf_queue;
struct wdf_file;
struct wdf_device;

typedef void wdf_create_fn(struct wdf_device *device, struct wdf_request *request, struct wdf_file *file);
typedef void wdf_caller_fn(struct wdf_device *device, struct wdf_request *request);
typedef void wdf_control_fn(struct wdf_queue *queue, struct wdf_request *request, size_t output, size_t input,
                            ULONG code);

struct wdf_file_config { /* WDF_FILEOBJECT_CONFIG */
    ULONG size;
    wdf_create_fn *create;
    wdf_object_fn *close, *cleanup;
    int auto_forward, class;
};

struct wdf_queue_config { /* WDF_IO_QUEUE_CONFIG */
    ULONG size;
    int dispatch, power_managed;
    BOOLEAN allow_zero_length, is_default;
    void *io_default, *read, *write;
    wdf_control_fn *control;
    void *internal, *stop, *resume, *canceled;
    ULONG presented;
};

struct wdf_workitem_config { /* WDF_WORKITEM_CONFIG */
    ULONG size;
    wdf_object_fn *run;
    BOOLEAN serialize;
};

struct wdf_parameters { /* WDF_REQUEST_PARAMETERS */
    USHORT size;
    UCHAR minor;
    ULONG type;
    size_t output_length, input_length;
    ULONG code;
    void *type3_input;
};

_Static_assert(sizeof(struct wdf_type) == 0x28, "as in wdfobject.h");
_Static_assert(sizeof(struct wdf_attributes) == 0x38, "as in wdfobject.h");
_Static_assert(sizeof(struct wdf_driver_config) == 0x20, "as in wdfdriver.h");
_Static_assert(sizeof(struct wdf_file_config) == 0x28, "as in wdfdevice.h");
_Static_assert(sizeof(struct wdf_queue_config) == 0x58, "as in wdfio.h");
_Static_assert(sizeof(struct wdf_workitem_config) == 0x18, "as in wdfworkitem.h");
_Static_assert(sizeof(struct wdf_parameters) == 0x28, "as in wdfrequest.h");

/* ------------------------------------------------------------------ objects */

enum wdf_kind { WDF_DRIVER = 1, WDF_DEVICE, WDF_FILE, WDF_QUEUE, WDF_REQUEST, WDF_MEMORY, WDF_WORKITEM };

struct wdf_object {
    enum wdf_kind kind;
    volatile LONG references;
    volatile LONG deleted;
    bool passive; /* its destruction is for a thread of its own */
    wdf_object_fn *cleanup, *destroy;
    void (*dispose)(struct wdf_object *object); /* the framework's own part of its deletion */
    void (*release)(struct wdf_object *object); /* of its destruction */
    struct wdf_object *parent, *children, *sibling;
    struct wdf_context *contexts;
    struct job destruction;
};

struct wdf_driver {
    struct wdf_object object;
    DRIVER_OBJECT *wdm;
    struct wdf_driver_config config;
};

struct wdf_device {
    struct wdf_object object;
    DEVICE_OBJECT *wdm;
    struct wdf_queue *queue; /* the default one */
    struct wdf_file_config file_config;
    struct wdf_attributes file_attributes;
    wdf_caller_fn *in_caller_context;
    UNICODE_STRING name, link; /* our copies */
    NTSTATUS refused;          /* how the request in dispatch has ended; STATUS_PENDING: not in the caller's context */
};

struct file; /* see requests/requests.h */

struct wdf_file {
    struct wdf_object object;
    FILE_OBJECT *wdm;
    struct file *opened;
};

struct wdf_queue {
    struct wdf_object object;
    struct wdf_device *device;
    struct wdf_queue_config config;
    struct mutex lock;
    LIST_ENTRY requests;
    bool purged;
    struct file *file; /* whose RECVs wait in it; NULL: no such queue */
};

struct wdf_memory {
    struct wdf_object object;
    struct wdf_memory *next; /* of the same request */
    void *buffer;
    size_t size;
    uint64_t client; /* where it is in the program's memory */
    bool write;      /* its contents go back there */
};

struct wdf_request {
    struct wdf_object object;
    IRP *irp;
    struct wdf_file *file;   /* referenced */
    struct wdf_queue *queue; /* in which it waits; referenced */
    LIST_ENTRY entry;
    struct wdf_memory *memories;
    uint32_t process;  /* Windows pid of the program */
    bool enqueued;     /* out of the caller's context: the program has been told "pending" */
    NTSTATUS *refused; /* where its status goes if it ends before that */
    struct job completion;

    /* For requests/ alone. */
    struct wdf_memory *addresses, *addresses_size; /* of a RECV or SEND */
    int fault;                                     /* what it is kept for, enum drvfault */
    int64_t due_ms;                                /* until when; INT64_MAX: until told */
    NTSTATUS struck, cut; /* of a SEND: how its middle packet fails, how the batch ends there; 0: not */
    unsigned packets;     /* of a SEND: how many the program has given, */
    unsigned at;          /* which of them is to be injected next, */
    uint32_t offset;      /* and where it is */
    uint32_t claimed;     /* see requests_claimed() */
};

/* From pool memory, all zero but for its head. `parent` is that of `attributes` if it has one. NULL: none. */
void *wdf_object_create(enum wdf_kind kind, size_t size, const struct wdf_attributes *attributes, void *parent);
void wdf_object_reference(void *object);
void wdf_object_dereference(void *object);
void wdf_object_delete(void *object);
NTSTATUS wdf_object_add_context(void *object, const struct wdf_attributes *attributes, void **context);

/* The driver's context of that size; NULL: there is none. */
void *wdf_object_context(void *object, size_t size);

/* The object that a context of the driver belongs to; NULL: it is none. */
struct wdf_object *wdf_object_of_context(const void *context);

/* A child of that kind (0: any), referenced; NULL: there is none. */
struct wdf_object *wdf_object_child(struct wdf_object *parent, enum wdf_kind kind);

/* Objects whose last reference went away where their destruction may not run are destroyed by a thread. */
bool wdf_objects_start(void);
void wdf_objects_wait(void); /* until all that is due has been destroyed */
void wdf_objects_stop(void);

/* ------------------------------------------------------------------ between the files */

extern struct wdf_driver *kmdf_driver;
extern struct wdf_device *kmdf_device;

/*
 * *file stays NULL where the driver was not asked; else `opened` is told of its destruction, also if the
 * driver has refused it.
 */
NTSTATUS wdf_file_open(struct wdf_device *device, IRP *irp, struct file *opened, struct wdf_file **file);
void wdf_file_close(struct wdf_file *file);

struct wdf_request *wdf_request_create(IRP *irp, struct wdf_file *file);
void wdf_request_complete(struct wdf_request *request, NTSTATUS status, ULONG_PTR information);
IO_STACK_LOCATION *wdf_request_stack(const struct wdf_request *request);
ULONG wdf_request_code(const struct wdf_request *request); /* 0: no I/O control */

/*
 * Calls the driver in the caller's context. The status is that with which it has refused the request, or
 * STATUS_PENDING.
 */
NTSTATUS wdf_device_dispatch(struct wdf_device *device, struct wdf_request *request);
/* Presents it to the driver's default queue. */
void wdf_device_present(struct wdf_device *device, struct wdf_request *request);

void wdf_queue_init(struct wdf_queue *queue);
/* A request that has been cancelled meanwhile is completed. False: the queue takes no more. */
bool wdf_queue_put(struct wdf_queue *queue, struct wdf_request *request);
/* The first request that `wanted` (NULL: any) is true for, no longer cancellable; NULL: none. */
typedef bool wdf_wanted_fn(const struct wdf_request *request, const void *context);
struct wdf_request *wdf_queue_take(struct wdf_queue *queue, wdf_wanted_fn *wanted, const void *context);
unsigned wdf_queue_count(struct wdf_queue *queue, wdf_wanted_fn *wanted, const void *context);

NTSTATUS wdf_memory_lock(struct wdf_request *request, void *at, size_t size, bool write, struct wdf_memory **memory);
void wdf_memory_finish(struct wdf_request *request); /* written back and freed */

bool wdf_workitems_start(void);
void wdf_workitems_wait(void); /* until all that have been enqueued have run */
void wdf_workitems_stop(void);
/* Enqueues the work item that is a child of it, if there is one. */
void wdf_workitem_enqueue_of(struct wdf_object *parent);

bool kmdf_start(void);
void kmdf_stop(void);
void kmdf_unbind(void); /* ends what is left */

/* See irp.c. */
void irp_finish_request(struct wdf_request *request); /* and deletes it */
void irp_finish(IRP *irp);
bool completions_start(void);
void completions_wait(void);
void completions_stop(void);

/* ------------------------------------------------------------------ what requests/ does */

bool requests_start(DRIVER_OBJECT *driver);
void requests_stop(void); /* all files are closed when it returns */

/* A request that is to be presented to the driver: it is, now or later, or ends without. */
void requests_present(struct wdf_request *request);

/* May the driver have a request of this queue now? */
bool requests_yield(const struct wdf_queue *queue);

/* A buffer of a program has been locked for the driver. */
void requests_locked(struct wdf_request *request, struct wdf_memory *memory);

/* How much of it is to be written back. */
size_t requests_written(const struct wdf_request *request, const struct wdf_memory *memory);

/* A request ends like this; may be changed. What the daemon must know of it has been sent when it returns. */
void requests_completing(struct wdf_request *request, NTSTATUS *status, ULONG_PTR *information);

/* The driver's destruction of the file is done. */
void requests_destroyed(struct file *opened);

NTSTATUS client_copy(const struct wdf_request *request, uint64_t at, void *buffer, size_t size, bool write);

/* Reads it, and finds out whether it can be written. */
NTSTATUS client_probe(const struct wdf_request *request, uint64_t at, void *buffer, size_t size);

#endif
