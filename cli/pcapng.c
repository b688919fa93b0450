/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * pcapng (draft-ietf-opsawg-pcapng): one section, one interface of raw IP packets, and an enhanced block for each
 * packet with its direction and a comment. Blocks are built whole and written by one buffered call.
 * The file may be a pipe, whose reader may stand still: then the file ends there, and nobody waits any longer.
 */
#include "pcapng.h"

#include "text.h"
#include "windows_redirector.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum {
    SECTION = 0x0A0D0D0A,
    BYTE_ORDER_MAGIC = 0x1A2B3C4D,
    INTERFACE_BLOCK = 1,
    ENHANCED_PACKET = 6,
    LINKTYPE_RAW = 101,
    OPTION_END = 0,
    OPTION_COMMENT = 1,
    OPTION_FLAGS = 2,       /* of a packet: bits 0 and 1 are 1 inbound, 2 outbound */
    OPTION_APPLICATION = 4, /* of a section: what wrote it */
    OPTION_NAME = 2,        /* of an interface */
    COMMENT_MAX = 1024,
    BLOCK_MAX = 65536 + 4096, /* the largest packet, its header, its options */
    PACKET_MAX = 40 + 0xFFFF,
    BUFFER = 1 << 18,
    WRITE_MS = 5000, /* for one call */
};

struct pcapng {
    HANDLE file, written;
    uint64_t at; /* bytes written */
    bool failed;
    size_t used; /* of the buffer */
    size_t size; /* of the block that is being built */
    uint8_t block[BLOCK_MAX];
    uint8_t buffer[BUFFER];
};

static void flush(struct pcapng *p)
{
    OVERLAPPED overlapped = {.Offset = (DWORD)p->at, .OffsetHigh = (DWORD)(p->at >> 32), .hEvent = p->written};
    DWORD written = 0;
    if (p->used && !p->failed) {
        bool started =
            WriteFile(p->file, p->buffer, (DWORD)p->used, NULL, &overlapped) || GetLastError() == ERROR_IO_PENDING;
        if (started && WaitForSingleObject(p->written, WRITE_MS) != WAIT_OBJECT_0) {
            CancelIo(p->file);
        }
        p->failed = !started || !GetOverlappedResult(p->file, &overlapped, &written, TRUE) || written != p->used;
        p->at += written;
    }
    p->used = 0;
}

/* ---- building a block */

static void put(struct pcapng *p, const void *data, size_t size)
{
    memcpy(p->block + p->size, data, size);
    p->size += size;
    while (p->size % 4) {
        p->block[p->size++] = 0;
    }
}

static void put32(struct pcapng *p, uint32_t value)
{
    put(p, &value, sizeof value);
}

static void put_option(struct pcapng *p, uint32_t code, const void *data, size_t size)
{
    put32(p, code | (uint32_t)size << 16);
    put(p, data, size);
}

static void begin_block(struct pcapng *p, uint32_t kind)
{
    p->size = 0;
    put32(p, kind);
    put32(p, 0); /* the length, when it is known */
}

static void end_block(struct pcapng *p)
{
    put32(p, OPTION_END);
    uint32_t length = (uint32_t)p->size + 4;
    put32(p, length);
    memcpy(p->block + 4, &length, sizeof length);
    if (p->used + p->size > BUFFER) {
        flush(p);
    }
    memcpy(p->buffer + p->used, p->block, p->size);
    p->used += p->size;
}

static void write_head(struct pcapng *p)
{
    static const char application[] = "redirector " REDIRECTOR_VERSION_STRING, name[] = "redirected programs";
    static const uint8_t version_and_unknown_length[12] = {1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255};
    begin_block(p, SECTION);
    put32(p, BYTE_ORDER_MAGIC);
    put(p, version_and_unknown_length, sizeof version_and_unknown_length);
    put_option(p, OPTION_APPLICATION, application, sizeof application - 1);
    end_block(p);
    begin_block(p, INTERFACE_BLOCK);
    put32(p, LINKTYPE_RAW);
    put32(p, 0); /* packets are whole */
    put_option(p, OPTION_NAME, name, sizeof name - 1);
    end_block(p);
}

/* ---- the file */

struct pcapng *pcapng_open(const char *path)
{
    struct pcapng *p = calloc(1, sizeof *p);
    wchar_t *wide = text_wide(path);
    if (p && wide && (p->written = CreateEventW(NULL, TRUE, FALSE, NULL)) != NULL) {
        p->file = CreateFileW(wide, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS,
                              FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OVERLAPPED, NULL);
    } else {
        SetLastError(ERROR_OUTOFMEMORY);
    }
    free(wide);
    if (!p || !p->file || p->file == INVALID_HANDLE_VALUE) {
        DWORD error = GetLastError();
        if (p && p->written) {
            CloseHandle(p->written);
        }
        free(p);
        SetLastError(error);
        return NULL;
    }
    write_head(p);
    return p;
}

bool pcapng_write(struct pcapng *p, const void *packet, uint32_t length, uint64_t time_us, bool outbound,
                  const char *comment)
{
    uint32_t flags = outbound ? 2 : 1;
    if (length > PACKET_MAX) {
        return !p->failed;
    }
    begin_block(p, ENHANCED_PACKET);
    put32(p, 0); /* interface */
    put32(p, (uint32_t)(time_us >> 32));
    put32(p, (uint32_t)time_us);
    put32(p, length);
    put32(p, length);
    put(p, packet, length);
    put_option(p, OPTION_COMMENT, comment, strnlen(comment, COMMENT_MAX));
    put_option(p, OPTION_FLAGS, &flags, sizeof flags);
    end_block(p);
    return !p->failed;
}

bool pcapng_close(struct pcapng *p)
{
    flush(p);
    bool good = !p->failed;
    CloseHandle(p->file);
    CloseHandle(p->written);
    free(p);
    return good;
}
