/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The functions of the framework's table that the driver calls, with their index in it, and under the names
 * of Microsoft's documentation. The first argument of each is the driver's globals.
 */
#ifndef LAB_WINDOWS_KMDF_FUNCTIONS_H
#define LAB_WINDOWS_KMDF_FUNCTIONS_H

#include "kmdf.h"

#define KMDF_FUNCTION_LIST(X)                                                                                          \
    X(25, WdfControlDeviceInitAllocate)                                                                                \
    X(27, WdfControlFinishInitializing)                                                                                \
    X(31, WdfDeviceWdmGetDeviceObject)                                                                                 \
    X(39, WdfDeviceGetDriver)                                                                                          \
    X(54, WdfDeviceInitFree)                                                                                           \
    X(61, WdfDeviceInitSetIoType)                                                                                      \
    X(66, WdfDeviceInitSetDeviceType)                                                                                  \
    X(67, WdfDeviceInitAssignName)                                                                                     \
    X(71, WdfDeviceInitSetFileObjectConfig)                                                                            \
    X(74, WdfDeviceInitSetIoInCallerContextCallback)                                                                   \
    X(75, WdfDeviceCreate)                                                                                             \
    X(80, WdfDeviceCreateSymbolicLink)                                                                                 \
    X(91, WdfDeviceEnqueueRequest)                                                                                     \
    X(116, WdfDriverCreate)                                                                                            \
    X(118, WdfDriverWdmGetDriverObject)                                                                                \
    X(152, WdfIoQueueCreate)                                                                                           \
    X(158, WdfIoQueueRetrieveNextRequest)                                                                              \
    X(165, WdfIoQueuePurge)                                                                                            \
    X(194, WdfMemoryGetBuffer)                                                                                         \
    X(201, WdfDriverMiniportUnload)                                                                                    \
    X(202, WdfObjectGetTypedContextWorker)                                                                             \
    X(203, WdfObjectAllocateContext)                                                                                   \
    X(205, WdfObjectReferenceActual)                                                                                   \
    X(206, WdfObjectDereferenceActual)                                                                                 \
    X(208, WdfObjectDelete)                                                                                            \
    X(263, WdfRequestComplete)                                                                                         \
    X(265, WdfRequestCompleteWithInformation)                                                                          \
    X(266, WdfRequestGetParameters)                                                                                    \
    X(269, WdfRequestRetrieveInputBuffer)                                                                              \
    X(270, WdfRequestRetrieveOutputBuffer)                                                                             \
    X(272, WdfRequestRetrieveOutputWdmMdl)                                                                             \
    X(277, WdfRequestGetFileObject)                                                                                    \
    X(278, WdfRequestProbeAndLockUserBufferForRead)                                                                    \
    X(279, WdfRequestProbeAndLockUserBufferForWrite)                                                                   \
    X(281, WdfRequestForwardToIoQueue)                                                                                 \
    X(285, WdfRequestWdmGetIrp)                                                                                        \
    X(379, WdfWorkItemCreate)                                                                                          \
    X(380, WdfWorkItemEnqueue)                                                                                         \
    X(381, WdfWorkItemGetParentObject)                                                                                 \
    X(382, WdfWorkItemFlush)

struct wdf_globals { /* WDF_DRIVER_GLOBALS */
    void *driver;
    ULONG flags, tag;
    char name[32];
    BOOLEAN displace_unload;
};

struct wdf_device_init;
struct wdf_workitem;

/* wdfdriver.h */
NTSTATUS NTAPI WdfDriverCreate(struct wdf_globals *globals, DRIVER_OBJECT *wdm, const UNICODE_STRING *registry_path,
                               const struct wdf_attributes *attributes, const struct wdf_driver_config *config,
                               struct wdf_driver **driver);
DRIVER_OBJECT *NTAPI WdfDriverWdmGetDriverObject(struct wdf_globals *globals, struct wdf_driver *driver);
void NTAPI WdfDriverMiniportUnload(struct wdf_globals *globals, struct wdf_driver *driver);

/* wdfcontrol.h, wdfdevice.h */
struct wdf_device_init *NTAPI WdfControlDeviceInitAllocate(struct wdf_globals *globals, struct wdf_driver *driver,
                                                           const UNICODE_STRING *sddl);
void NTAPI WdfControlFinishInitializing(struct wdf_globals *globals, struct wdf_device *device);
void NTAPI WdfDeviceInitFree(struct wdf_globals *globals, struct wdf_device_init *init);
void NTAPI WdfDeviceInitSetIoType(struct wdf_globals *globals, struct wdf_device_init *init, int type);
void NTAPI WdfDeviceInitSetDeviceType(struct wdf_globals *globals, struct wdf_device_init *init, ULONG type);
NTSTATUS NTAPI WdfDeviceInitAssignName(struct wdf_globals *globals, struct wdf_device_init *init,
                                       const UNICODE_STRING *name);
void NTAPI WdfDeviceInitSetFileObjectConfig(struct wdf_globals *globals, struct wdf_device_init *init,
                                            const struct wdf_file_config *config,
                                            const struct wdf_attributes *attributes);
void NTAPI WdfDeviceInitSetIoInCallerContextCallback(struct wdf_globals *globals, struct wdf_device_init *init,
                                                     wdf_caller_fn *callback);
NTSTATUS NTAPI WdfDeviceCreate(struct wdf_globals *globals, struct wdf_device_init **init,
                               const struct wdf_attributes *attributes, struct wdf_device **device);
NTSTATUS NTAPI WdfDeviceCreateSymbolicLink(struct wdf_globals *globals, struct wdf_device *device,
                                           const UNICODE_STRING *name);
DEVICE_OBJECT *NTAPI WdfDeviceWdmGetDeviceObject(struct wdf_globals *globals, struct wdf_device *device);
struct wdf_driver *NTAPI WdfDeviceGetDriver(struct wdf_globals *globals, struct wdf_device *device);
NTSTATUS NTAPI WdfDeviceEnqueueRequest(struct wdf_globals *globals, struct wdf_device *device,
                                       struct wdf_request *request);

/* wdfio.h */
NTSTATUS NTAPI WdfIoQueueCreate(struct wdf_globals *globals, struct wdf_device *device,
                                const struct wdf_queue_config *config, const struct wdf_attributes *attributes,
                                struct wdf_queue **queue);
NTSTATUS NTAPI WdfIoQueueRetrieveNextRequest(struct wdf_globals *globals, struct wdf_queue *queue,
                                             struct wdf_request **request);
void NTAPI WdfIoQueuePurge(struct wdf_globals *globals, struct wdf_queue *queue, void *complete, void *context);

/* wdfmemory.h */
void *NTAPI WdfMemoryGetBuffer(struct wdf_globals *globals, struct wdf_memory *memory, size_t *size);

/* wdfobject.h */
void *NTAPI WdfObjectGetTypedContextWorker(struct wdf_globals *globals, struct wdf_object *object,
                                           const struct wdf_type *type);
NTSTATUS NTAPI WdfObjectAllocateContext(struct wdf_globals *globals, struct wdf_object *object,
                                        const struct wdf_attributes *attributes, void **context);
void NTAPI WdfObjectReferenceActual(struct wdf_globals *globals, struct wdf_object *object, void *tag, LONG line,
                                    const char *file);
void NTAPI WdfObjectDereferenceActual(struct wdf_globals *globals, struct wdf_object *object, void *tag, LONG line,
                                      const char *file);
void NTAPI WdfObjectDelete(struct wdf_globals *globals, struct wdf_object *object);

/* wdfrequest.h */
void NTAPI WdfRequestComplete(struct wdf_globals *globals, struct wdf_request *request, NTSTATUS status);
void NTAPI WdfRequestCompleteWithInformation(struct wdf_globals *globals, struct wdf_request *request, NTSTATUS status,
                                             ULONG_PTR information);
void NTAPI WdfRequestGetParameters(struct wdf_globals *globals, struct wdf_request *request,
                                   struct wdf_parameters *parameters);
NTSTATUS NTAPI WdfRequestRetrieveInputBuffer(struct wdf_globals *globals, struct wdf_request *request, size_t minimum,
                                             void **buffer, size_t *length);
NTSTATUS NTAPI WdfRequestRetrieveOutputBuffer(struct wdf_globals *globals, struct wdf_request *request, size_t minimum,
                                              void **buffer, size_t *length);
NTSTATUS NTAPI WdfRequestRetrieveOutputWdmMdl(struct wdf_globals *globals, struct wdf_request *request, MDL **mdl);
struct wdf_file *NTAPI WdfRequestGetFileObject(struct wdf_globals *globals, struct wdf_request *request);
NTSTATUS NTAPI WdfRequestProbeAndLockUserBufferForRead(struct wdf_globals *globals, struct wdf_request *request,
                                                       void *at, size_t size, struct wdf_memory **memory);
NTSTATUS NTAPI WdfRequestProbeAndLockUserBufferForWrite(struct wdf_globals *globals, struct wdf_request *request,
                                                        void *at, size_t size, struct wdf_memory **memory);
NTSTATUS NTAPI WdfRequestForwardToIoQueue(struct wdf_globals *globals, struct wdf_request *request,
                                          struct wdf_queue *queue);
IRP *NTAPI WdfRequestWdmGetIrp(struct wdf_globals *globals, struct wdf_request *request);

/* wdfworkitem.h */
NTSTATUS NTAPI WdfWorkItemCreate(struct wdf_globals *globals, const struct wdf_workitem_config *config,
                                 const struct wdf_attributes *attributes, struct wdf_workitem **item);
void NTAPI WdfWorkItemEnqueue(struct wdf_globals *globals, struct wdf_workitem *item);
struct wdf_object *NTAPI WdfWorkItemGetParentObject(struct wdf_globals *globals, struct wdf_workitem *item);
void NTAPI WdfWorkItemFlush(struct wdf_globals *globals, struct wdf_workitem *item);

#endif
