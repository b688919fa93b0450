/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: Windows calls back when an address comes, goes or changes; the thread then reads the whole table.
 * It does so every few seconds anyway, in case that a call was missed or is not to be had. The set that nobody has
 * taken yet is replaced by the newer one.
 * Windows may hang there, so the thread is a shared one (shared_thread.h), and loads the library, too: a start does
 * other things meanwhile.
 */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>
#include <netioapi.h>

#include "windows/address_watch.h"
#include "windows/shared_thread.h"
#include "windows/text.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { READ_AGAIN_MS = 5000, STOP_WAIT_MS = 100 };

typedef NETIO_STATUS WINAPI get_table_fn(ADDRESS_FAMILY family, MIB_UNICASTIPADDRESS_TABLE **table);
typedef VOID WINAPI free_table_fn(void *table);
typedef NETIO_STATUS WINAPI notify_fn(ADDRESS_FAMILY family, PUNICAST_IPADDRESS_CHANGE_CALLBACK callback, void *context,
                                      BOOLEAN initial, HANDLE *handle);
typedef NETIO_STATUS WINAPI cancel_fn(HANDLE handle);

struct address_watch {
    HMODULE module;
    get_table_fn *get_table;
    free_table_fn *free_table;
    notify_fn *notify; /* NULL, as the next: there is no such function */
    cancel_fn *cancel;
    HANDLE notification;
    struct shared_thread thread;
    HANDLE wake, changed, end;
    HANDLE tried;                           /* set when they were read for the first time, or could not be */
    struct own_addresses *known;            /* as they were read last; the thread's, once it runs */
    _Atomic(struct own_addresses *) newest; /* a copy that was not taken yet */
};

static void *function_of(const struct address_watch *w, const char *name)
{
    return (void *)GetProcAddress(w->module, name);
}

static void watch_free(void *watch)
{
    struct address_watch *w = watch;
    own_addresses_free(w->known);
    own_addresses_free(atomic_load(&w->newest));
    shared_thread_close_event(w->wake);
    shared_thread_close_event(w->changed);
    shared_thread_close_event(w->end);
    shared_thread_close_event(w->tried);
    if (w->module) {
        FreeLibrary(w->module);
    }
    free(w);
}

/* false: it is no IP address. */
static bool address_of(const MIB_UNICASTIPADDRESS_ROW *row, struct own_address *out)
{
    *out = (struct own_address){.if_index = row->InterfaceIndex, .prefix_length = row->OnLinkPrefixLength};
    if (row->Address.si_family == AF_INET) {
        out->family = FAMILY_IP4;
        out->address = ip_addr_from_ip4((const uint8_t *)&row->Address.Ipv4.sin_addr);
    } else if (row->Address.si_family == AF_INET6) {
        out->family = FAMILY_IP6;
        out->address = ip_addr_from_ip6((const uint8_t *)&row->Address.Ipv6.sin6_addr);
    }
    return out->family != FAMILY_NONE;
}

/* Two sets of the addresses that the table has. false: no memory. */
static bool convert(const MIB_UNICASTIPADDRESS_TABLE *table, struct own_addresses *out[2])
{
    struct own_address *all = calloc(table->NumEntries + 1, sizeof *all);
    uint32_t count = 0;
    out[0] = out[1] = NULL;
    for (ULONG i = 0; all && i < table->NumEntries; i++) {
        count += address_of(&table->Table[i], &all[count]);
    }
    if (all) {
        out[0] = own_addresses_new(all, count);
        out[1] = own_addresses_new(all, count);
    }
    free(all);
    if (out[0] && out[1]) {
        return true;
    }
    own_addresses_free(out[0]);
    own_addresses_free(out[1]);
    return false;
}

/* Reads the table. true: it is not as it was, and can be taken. */
static bool read_addresses(struct address_watch *w)
{
    MIB_UNICASTIPADDRESS_TABLE *table = NULL;
    struct own_addresses *sets[2];
    if (w->get_table(AF_UNSPEC, &table) != NO_ERROR) {
        return false; /* what was read last still counts */
    }
    bool ok = convert(table, sets);
    w->free_table(table);
    if (!ok) {
        return false;
    }
    if (own_addresses_equal(sets[0], w->known)) {
        own_addresses_free(sets[0]);
        own_addresses_free(sets[1]);
        return false;
    }
    own_addresses_free(w->known);
    w->known = sets[0];
    own_addresses_free(atomic_exchange(&w->newest, sets[1]));
    return true;
}

static VOID WINAPI on_change(void *context, MIB_UNICASTIPADDRESS_ROW *row, MIB_NOTIFICATION_TYPE type)
{
    struct address_watch *w = context;
    (void)row, (void)type;
    SetEvent(w->changed);
}

static bool load(struct address_watch *w)
{
    wchar_t *path = path_system_file(L"iphlpapi.dll");
    w->module = path ? LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32) : NULL;
    free(path);
    if (!w->module) {
        return false;
    }
    w->get_table = (get_table_fn *)function_of(w, "GetUnicastIpAddressTable");
    w->free_table = (free_table_fn *)function_of(w, "FreeMibTable");
    w->notify = (notify_fn *)function_of(w, "NotifyUnicastIpAddressChange");
    w->cancel = (cancel_fn *)function_of(w, "CancelMibChangeNotify2");
    return w->get_table && w->free_table;
}

static void watch_run(void *watch)
{
    struct address_watch *w = watch;
    HANDLE handles[] = {w->end, w->changed};
    bool loaded = load(w);
    if (loaded) {
        read_addresses(w);
    }
    SetEvent(w->tried);
    if (!loaded) {
        return;
    }
    if (w->notify && w->cancel && w->notify(AF_UNSPEC, on_change, w, FALSE, &w->notification) != NO_ERROR) {
        w->notification = NULL;
    }
    do {
        if (read_addresses(w)) { /* first: what has changed before anybody told of it */
            SetEvent(w->wake);
        }
    } while (WaitForMultipleObjects(2, handles, FALSE, READ_AGAIN_MS) != WAIT_OBJECT_0);
    if (w->notification && w->cancel) {
        w->cancel(w->notification); /* waits for a call that is under way */
    }
}

struct address_watch *address_watch_start(void *wake)
{
    struct address_watch *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    w->changed = CreateEventW(NULL, FALSE, FALSE, NULL);
    w->end = CreateEventW(NULL, TRUE, FALSE, NULL);
    w->tried = CreateEventW(NULL, TRUE, FALSE, NULL);
    bool ready = w->changed && w->end && w->tried && shared_thread_keep_event(wake, &w->wake);
    return shared_thread_start(&w->thread, ready, THREAD_PRIORITY_NORMAL, w, watch_run, watch_free) ? w : NULL;
}

bool address_watch_await(struct address_watch *w, uint32_t wait_ms)
{
    return w && WaitForSingleObject(w->tried, wait_ms) == WAIT_OBJECT_0 && atomic_load(&w->newest);
}

struct own_addresses *address_watch_take(struct address_watch *w)
{
    return atomic_load_explicit(&w->newest, memory_order_relaxed) ? atomic_exchange(&w->newest, NULL) : NULL;
}

void address_watch_stop(struct address_watch *w)
{
    if (w) {
        SetEvent(w->end);
        shared_thread_leave(&w->thread, STOP_WAIT_MS);
    }
}
