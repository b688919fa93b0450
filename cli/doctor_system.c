/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* doctor --report: versions, and adapters. Nothing here is judged; it is for whoever reads the report. */
#include "doctor.h"

#include "doctor_report.h"
#include "text.h"
#include "windows_redirector.h"

#include <iphlpapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADAPTERS_BYTES = 65536, ADAPTERS_TRIES = 4, VALUE_UNITS = 128, CLASSES_MAX = 512 };

static const wchar_t version_key[] = L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
/* Network adapters among the classes of devices; each has a key with a number below it. */
static const wchar_t adapters_key[] =
    L"SYSTEM\\CurrentControlSet\\Control\\Class\\{4D36E972-E325-11CE-BFC1-08002BE10318}";

static DWORD read_number(const wchar_t *key, const wchar_t *name, DWORD otherwise)
{
    DWORD value, size = sizeof value;
    return RegGetValueW(HKEY_LOCAL_MACHINE, key, name, RRF_RT_REG_DWORD, NULL, &value, &size) == 0 ? value : otherwise;
}

static bool read_text(HKEY root, const wchar_t *key, const wchar_t *name, wchar_t out[VALUE_UNITS])
{
    DWORD size = VALUE_UNITS * sizeof *out;
    *out = L'\0';
    return RegGetValueW(root, key, name, RRF_RT_REG_SZ, NULL, out, &size) == 0;
}

static void tell_text(const char *as, const wchar_t *name)
{
    wchar_t value[VALUE_UNITS];
    char utf8[3 * VALUE_UNITS];
    if (read_text(HKEY_LOCAL_MACHINE, version_key, name, value)) {
        text_copy_utf8(utf8, sizeof utf8, value);
        doctor_own_text(as, "%s", utf8); /* a version is no address */
    }
}

void doctor_tell_system(void)
{
    LONG(WINAPI * ask)(OSVERSIONINFOEXW *);
    OSVERSIONINFOEXW v = {.dwOSVersionInfoSize = sizeof v};
    SYSTEM_INFO system;
    FARPROC found = GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlGetVersion");
    memcpy(&ask, &found, sizeof ask);
    if (ask) {
        ask(&v);
    }
    GetNativeSystemInfo(&system);
    doctor_item("system");
    doctor_own_text("program", "%s", REDIRECTOR_VERSION_STRING);
    doctor_own_text("library", "%s", redirector_version());
    doctor_own_text("windows", "%lu.%lu.%lu.%lu", v.dwMajorVersion, v.dwMinorVersion, v.dwBuildNumber,
                    read_number(version_key, L"UBR", 0));
    tell_text("release", L"DisplayVersion");
    tell_text("edition", L"EditionID");
    doctor_own_text("kind", "%s", v.wProductType == VER_NT_WORKSTATION ? "workstation" : "server");
    doctor_number("processors", system.dwNumberOfProcessors);
    doctor_number("memory_integrity", read_number(L"SYSTEM\\CurrentControlSet\\Control\\DeviceGuard\\Scenarios\\"
                                                  L"HypervisorEnforcedCodeIntegrity",
                                                  L"Enabled", 0));
    doctor_number("secure_boot",
                  read_number(L"SYSTEM\\CurrentControlSet\\Control\\SecureBoot\\State", L"UEFISecureBootEnabled", 0));
}

/* ---- files */

/* The version that a file's resource has; "" if there is none. */
static void file_version(char out[64], const wchar_t *path)
{
    static const DWORD mark = 0xFEEF04BD; /* begins VS_FIXEDFILEINFO */
    HMODULE module = LoadLibraryExW(path, NULL, LOAD_LIBRARY_AS_DATAFILE | LOAD_LIBRARY_AS_IMAGE_RESOURCE);
    HRSRC resource = module ? FindResourceW(module, MAKEINTRESOURCEW(VS_VERSION_INFO), RT_VERSION) : NULL;
    HGLOBAL loaded = resource ? LoadResource(module, resource) : NULL;
    const char *data = loaded ? LockResource(loaded) : NULL;
    DWORD size = resource ? SizeofResource(module, resource) : 0;
    VS_FIXEDFILEINFO info;
    *out = '\0';
    for (DWORD at = 0; data && at + sizeof info <= size; at += 4) {
        memcpy(&info, data + at, sizeof info);
        if (info.dwSignature == mark) {
            snprintf(out, 64, "%u.%u.%u.%u", HIWORD(info.dwFileVersionMS), LOWORD(info.dwFileVersionMS),
                     HIWORD(info.dwFileVersionLS), LOWORD(info.dwFileVersionLS));
            break;
        }
    }
    if (module) {
        FreeLibrary(module);
    }
}

void doctor_tell_file(const char *name, const wchar_t *path)
{
    WIN32_FILE_ATTRIBUTE_DATA data;
    char version[64], shown[1200];
    if (!doctor_report_wanted()) {
        return;
    }
    doctor_item("files");
    doctor_own_text("name", "%s", name);
    text_copy_utf8(shown, sizeof shown, path);
    doctor_text("path", shown);
    if (GetFileAttributesExW(path, GetFileExInfoStandard, &data)) {
        doctor_number("bytes", (double)data.nFileSizeLow + 4294967296.0 * (double)data.nFileSizeHigh);
        file_version(version, path);
        doctor_own_text("version", "%s", version);
    }
}

/* ---- adapters */

IP_ADAPTER_ADDRESSES *doctor_adapters(ULONG family)
{
    HMODULE module = LoadLibraryExW(L"iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    ULONG(WINAPI * ask)(ULONG, ULONG, void *, IP_ADAPTER_ADDRESSES *, ULONG *) = NULL;
    FARPROC function = module ? GetProcAddress(module, "GetAdaptersAddresses") : NULL;
    IP_ADAPTER_ADDRESSES *adapters = NULL;
    ULONG size = ADAPTERS_BYTES, result = ERROR_BUFFER_OVERFLOW;
    memcpy(&ask, &function, sizeof ask);
    for (int i = 0; ask && result == ERROR_BUFFER_OVERFLOW && i < ADAPTERS_TRIES; i++) { /* it may grow meanwhile */
        free(adapters);
        adapters = malloc(size);
        result = adapters ? ask(family, 0, NULL, adapters, &size) : ERROR_NOT_ENOUGH_MEMORY;
    }
    if (result != NO_ERROR) {
        free(adapters);
        adapters = NULL;
    }
    if (module) {
        FreeLibrary(module);
    }
    return adapters;
}

static const char *kind_name(DWORD type)
{
    switch (type) {
    case IF_TYPE_ETHERNET_CSMACD:
        return "ethernet";
    case IF_TYPE_IEEE80211:
        return "wireless";
    case IF_TYPE_SOFTWARE_LOOPBACK:
        return "loopback";
    case IF_TYPE_TUNNEL:
        return "tunnel";
    case IF_TYPE_PPP:
        return "ppp";
    case IF_TYPE_PROP_VIRTUAL:
        return "virtual";
    case 243: /* IF_TYPE_WWANPP and _WWANPP2, which this header lacks */
    case 244:
        return "mobile";
    default:
        return "other";
    }
}

/* Offloads by their standardised keywords (INF), as set; "" where the driver has none. */
static void tell_offloads(const wchar_t *adapter)
{
    static const char *const keywords[] = {
        "*LsoV2IPv4", "*LsoV2IPv6", "*RscIPv4", "*RscIPv6", "*TCPChecksumOffloadIPv4", "*TCPChecksumOffloadIPv6",
        "*UsoIPv4",   "*UsoIPv6"};
    wchar_t key[VALUE_UNITS], value[VALUE_UNITS], name[VALUE_UNITS];
    char all[512] = "";
    size_t used = 0;
    HKEY class_key;
    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, adapters_key, 0, KEY_READ, &class_key) != 0) {
        return;
    }
    for (DWORD i = 0; i < CLASSES_MAX; i++) {
        DWORD units = VALUE_UNITS;
        LONG result = RegEnumKeyExW(class_key, i, key, &units, NULL, NULL, NULL, NULL);
        if (result == ERROR_NO_MORE_ITEMS) {
            break;
        }
        if (result || !read_text(class_key, key, L"NetCfgInstanceId", value) || _wcsicmp(value, adapter) != 0) {
            continue;
        }
        for (size_t k = 0; k < sizeof keywords / sizeof keywords[0] && used < sizeof all; k++) {
            _snwprintf(name, VALUE_UNITS, L"%hs", keywords[k]);
            if (read_text(class_key, key, name, value)) {
                used += (size_t)snprintf(all + used, sizeof all - used, "%s%s=%.1ls", used ? " " : "", keywords[k] + 1,
                                         value);
            }
        }
    }
    RegCloseKey(class_key);
    doctor_own_text("offloads", "%s", all);
}

void doctor_tell_adapters(void)
{
    if (!doctor_report_wanted()) {
        return;
    }
    IP_ADAPTER_ADDRESSES *adapters = doctor_adapters(AF_UNSPEC);
    for (IP_ADAPTER_ADDRESSES *a = adapters; a; a = a->Next) {
        char description[512];
        wchar_t name[VALUE_UNITS];
        unsigned families[2] = {0};
        text_copy_utf8(description, sizeof description, a->Description ? a->Description : L"");
        for (IP_ADAPTER_UNICAST_ADDRESS *u = a->FirstUnicastAddress; u; u = u->Next) {
            families[u->Address.lpSockaddr->sa_family == AF_INET6]++;
        }
        doctor_item("adapters"); /* its name is the user's own word, so the driver's is given */
        doctor_own_text("kind", "%s", kind_name(a->IfType));
        doctor_text("description", description);
        doctor_own_text("state", "%s", a->OperStatus == IfOperStatusUp ? "up" : "not up");
        doctor_number("mtu", a->Mtu);
        doctor_number("ipv4_addresses", families[0]);
        doctor_number("ipv6_addresses", families[1]);
        _snwprintf(name, VALUE_UNITS, L"%hs", a->AdapterName);
        name[VALUE_UNITS - 1] = L'\0';
        tell_offloads(name);
    }
    free(adapters);
}
