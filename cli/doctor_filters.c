/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * doctor: products that redirect connections themselves. They have filters with callouts at the redirect layers of the
 * filtering platform, which come before everything that WinDivert sees: a connection that such a product takes is one
 * to 127.0.0.1 and its own proxy, or one from another address, already when redirector hears of it. All filters are
 * enumerated and picked by their layer, because a template's layer also wants an action mask and a kind of match that
 * suit it.
 */
#include "doctor.h"

#include "doctor_report.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fwpmu.h>

enum { ROWS = 128, OWNERS_MAX = 32, NAME_BYTES = 200 };

/* Two layers each, for IPv4 and IPv6: FWPM_LAYER_ALE_CONNECT_REDIRECT_* and _BIND_REDIRECT_* of Microsoft's fwpmu.h. */
enum { KINDS = 2, FAMILIES = 2 };
static const struct kind {
    const char *name;
    GUID layers[FAMILIES];
    const char *what, *advice;
} kinds[KINDS] = {
    {"connect redirect",
     {{0xC6E63C8C, 0xB784, 0x4562, {0xAA, 0x7D, 0x0A, 0x67, 0xCF, 0xCA, 0xF9, 0xA3}},
      {0x587E54A7, 0x8046, 0x42BA, {0xA0, 0xAA, 0xB7, 0x16, 0x25, 0x0F, 0xC7, 0xFD}}},
     "also redirects connections",
     "what it takes goes to a proxy of its own on this machine before redirector sees it: your proxy is then told "
     "127.0.0.1 and that proxy's port, not the server; let it leave these programs alone, or leave its connections "
     "alone: --exclude-listener with the name of the program that listens there"},
    {"bind redirect",
     {{0x66978CAD, 0xC704, 0x42AC, {0x86, 0xAC, 0x7C, 0x1A, 0x23, 0x1B, 0xD2, 0x53}},
      {0xBEF02C9C, 0x606B, 0x4536, {0x8C, 0x26, 0x1C, 0x2F, 0xC7, 0xB6, 0x31, 0xD4}}},
     "also moves sockets",
     "it gives sockets another local address, as VPNs do that leave some programs out; if connections of your programs "
     "fail while redirector runs, have them left out there, or in"},
};

static const char *const family_names[FAMILIES] = {"IPv4", "IPv6"};

struct wfp {
    HMODULE module;
    DWORD(WINAPI *open)(const wchar_t *, UINT32, void *, const FWPM_SESSION0 *, HANDLE *);
    DWORD(WINAPI *close)(HANDLE);
    DWORD(WINAPI *filters_begin)(HANDLE, const FWPM_FILTER_ENUM_TEMPLATE0 *, HANDLE *);
    DWORD(WINAPI *filters_next)(HANDLE, HANDLE, UINT32, FWPM_FILTER0 ***, UINT32 *);
    DWORD(WINAPI *filters_end)(HANDLE, HANDLE);
    DWORD(WINAPI *callout)(HANDLE, const GUID *, FWPM_CALLOUT0 **);
    DWORD(WINAPI *provider)(HANDLE, const GUID *, FWPM_PROVIDER0 **);
    void(WINAPI *free)(void **);
    HANDLE engine;
};

/* Who has something there. */
struct owner {
    char name[2 * NAME_BYTES];
    bool at[KINDS][FAMILIES];
};

struct owners {
    struct owner all[OWNERS_MAX];
    unsigned count, more;
};

static bool load(struct wfp *w)
{
    const struct {
        const char *name;
        void *function;
    } functions[] = {
        {"FwpmEngineOpen0", &w->open},
        {"FwpmEngineClose0", &w->close},
        {"FwpmFilterCreateEnumHandle0", &w->filters_begin},
        {"FwpmFilterEnum0", &w->filters_next},
        {"FwpmFilterDestroyEnumHandle0", &w->filters_end},
        {"FwpmCalloutGetByKey0", &w->callout},
        {"FwpmProviderGetByKey0", &w->provider},
        {"FwpmFreeMemory0", &w->free},
    };
    w->module = LoadLibraryExW(L"fwpuclnt.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    for (size_t i = 0; w->module && i < sizeof functions / sizeof functions[0]; i++) {
        FARPROC found = GetProcAddress(w->module, functions[i].name);
        if (!found) {
            return false;
        }
        memcpy(functions[i].function, &found, sizeof found);
    }
    return w->module && w->open(NULL, RPC_C_AUTHN_WINNT, NULL, NULL, &w->engine) == ERROR_SUCCESS;
}

static void unload(struct wfp *w)
{
    if (w->engine) {
        w->close(w->engine);
    }
    if (w->module) {
        FreeLibrary(w->module);
    }
}

/* What a layer is for, and for which family; NULL: none of ours. */
static const struct kind *kind_of(const GUID *layer, int *family)
{
    for (const struct kind *k = kinds; k < kinds + KINDS; k++) {
        for (*family = 0; *family < FAMILIES; ++*family) {
            if (memcmp(layer, &k->layers[*family], sizeof *layer) == 0) {
                return k;
            }
        }
    }
    return NULL;
}

static void copy_name(char out[NAME_BYTES], const wchar_t *name)
{
    text_copy_utf8(out, NAME_BYTES, name ? name : L"");
}

/* The provider's name and, in brackets, its service. */
static void name_provider(const struct wfp *w, const GUID *key, char out[2 * NAME_BYTES])
{
    FWPM_PROVIDER0 *provider = NULL;
    char name[NAME_BYTES] = "", service[NAME_BYTES] = "";
    if (key && w->provider(w->engine, key, &provider) == ERROR_SUCCESS && provider) {
        copy_name(name, provider->displayData.name);
        copy_name(service, provider->serviceName);
        w->free((void **)&provider);
    }
    snprintf(out, (size_t)2 * NAME_BYTES, *service ? "%s (service %s)" : "%s", name, service);
}

static void note(struct owners *o, const char *name, const struct kind *kind, int family)
{
    unsigned i = 0;
    while (i < o->count && strcmp(o->all[i].name, name) != 0) {
        i++;
    }
    if (i == OWNERS_MAX) {
        o->more++;
        return;
    }
    o->count += i == o->count;
    snprintf(o->all[i].name, sizeof o->all[i].name, "%s", name);
    o->all[i].at[kind - kinds][family] = true;
}

static void look_at(const struct wfp *w, struct owners *o, const FWPM_FILTER0 *filter)
{
    char name[NAME_BYTES], provider[2 * NAME_BYTES], callout_name[NAME_BYTES] = "";
    const GUID *provider_key = filter->providerKey;
    FWPM_CALLOUT0 *callout = NULL;
    int family;
    const struct kind *kind = kind_of(&filter->layerKey, &family);
    if (!kind || !(filter->action.type & FWP_ACTION_FLAG_CALLOUT)) {
        return;
    }
    copy_name(name, filter->displayData.name);
    if (w->callout(w->engine, &filter->action.calloutKey, &callout) == ERROR_SUCCESS && callout) {
        copy_name(callout_name, callout->displayData.name);
        provider_key = provider_key ? provider_key : callout->providerKey;
    }
    name_provider(w, provider_key, provider);
    if (callout) {
        w->free((void **)&callout);
    }
    doctor_item("filters");
    doctor_own_text("layer", "%s, %s", kind->name, family_names[family]);
    doctor_text("name", name);
    doctor_text("callout", callout_name);
    doctor_text("provider", provider);
    note(o, *provider ? provider : *callout_name ? callout_name : name, kind, family);
}

/* A filter permits, blocks, or has a callout: only callouts redirect, and only where a filter has them. */
static bool look_at_filters(const struct wfp *w, struct owners *o)
{
    HANDLE list;
    UINT32 count = 0;
    FWPM_FILTER0 **rows = NULL;
    if (w->filters_begin(w->engine, NULL, &list) != ERROR_SUCCESS) {
        return false;
    }
    bool good;
    do {
        good = w->filters_next(w->engine, list, ROWS, &rows, &count) == ERROR_SUCCESS;
        for (UINT32 i = 0; good && i < count; i++) {
            look_at(w, o, rows[i]);
        }
        if (good && rows) {
            w->free((void **)&rows);
        }
    } while (good && count == ROWS);
    w->filters_end(w->engine, list);
    return good;
}

static void tell(const struct owner *owner)
{
    char detail[2 * NAME_BYTES + 64];
    for (int k = 0; k < KINDS; k++) {
        bool four = owner->at[k][0], six = owner->at[k][1];
        snprintf(detail, sizeof detail, "%s: %s%s%s", owner->name, four ? family_names[0] : "",
                 four && six ? " and " : "", six ? family_names[1] : "");
        if (four || six) {
            doctor_found(FINDING_NOTE, kinds[k].what, detail, kinds[k].advice);
        }
    }
}

void doctor_check_filters(void)
{
    struct wfp w = {0};
    struct owners *o = calloc(1, sizeof *o);
    bool good = o && load(&w) && look_at_filters(&w, o);
    for (unsigned i = 0; o && i < o->count; i++) {
        tell(&o->all[i]);
    }
    if (!good) {
        doctor_found(FINDING_NOTE, "others that redirect", "cannot be asked",
                     "the filtering platform did not answer: administrator rights, or the service BFE");
    } else if (!o->count) {
        doctor_found(FINDING_OK, "others that redirect", "none", "");
    } else if (o->more) {
        doctor_found(FINDING_NOTE, "others that redirect", "and more; the report has them all", "");
    }
    unload(&w);
    free(o);
}
