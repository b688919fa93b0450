/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * As iphlpapi.dll, bcrypt.dll is loaded from the system folder when it is needed, so that the program imports only DLLs
 * that every process has.
 */
#include "quic_crypto.h"

#include <stdlib.h>
#include <windows.h>
/* behind it */
#include <bcrypt.h>

/* name in the DLL, and the function's type as bcrypt.h has it */
#define FUNCTIONS(F)                                                                                                   \
    F(BCryptOpenAlgorithmProvider)                                                                                     \
    F(BCryptCloseAlgorithmProvider)                                                                                    \
    F(BCryptSetProperty)                                                                                               \
    F(BCryptHash)                                                                                                      \
    F(BCryptGenerateSymmetricKey)                                                                                      \
    F(BCryptDestroyKey)                                                                                                \
    F(BCryptEncrypt)                                                                                                   \
    F(BCryptDecrypt)

/* NOLINTNEXTLINE(bugprone-macro-parentheses): it is a name */
#define MEMBER(function) __typeof__(function) *function;

struct system_crypto {
    struct quic_crypto calls; /* first: what the others get */
    HMODULE module;
    FUNCTIONS(MEMBER)
    BCRYPT_ALG_HANDLE sha, ecb, gcm;
};

static const struct system_crypto *own(const struct quic_crypto *calls)
{
    return (const struct system_crypto *)calls;
}

/* bcrypt.h takes what it only reads as if it wrote to it. */
static UCHAR *input(const uint8_t *bytes)
{
    return (UCHAR *)(uintptr_t)bytes;
}

static bool hmac(const struct quic_crypto *calls, const uint8_t *key, uint32_t key_size, const uint8_t *data,
                 uint32_t size, uint8_t out[QUIC_HASH])
{
    const struct system_crypto *c = own(calls);
    return c->BCryptHash(c->sha, input(key), key_size, input(data), size, out, QUIC_HASH) >= 0;
}

static BCRYPT_KEY_HANDLE make_key(const struct system_crypto *c, BCRYPT_ALG_HANDLE algorithm,
                                  const uint8_t key[QUIC_KEY])
{
    BCRYPT_KEY_HANDLE handle = NULL;
    return c->BCryptGenerateSymmetricKey(algorithm, &handle, NULL, 0, input(key), QUIC_KEY, 0) >= 0 ? handle : NULL;
}

static bool block(const struct quic_crypto *calls, const uint8_t key[QUIC_KEY], const uint8_t in[QUIC_KEY],
                  uint8_t out[QUIC_KEY])
{
    const struct system_crypto *c = own(calls);
    BCRYPT_KEY_HANDLE handle = make_key(c, c->ecb, key);
    ULONG done = 0;
    if (!handle) {
        return false;
    }
    bool good = c->BCryptEncrypt(handle, input(in), QUIC_KEY, NULL, NULL, 0, out, QUIC_KEY, &done, 0) >= 0;
    c->BCryptDestroyKey(handle);
    return good && done == QUIC_KEY;
}

static bool open_sealed(const struct quic_crypto *calls, const uint8_t key[QUIC_KEY], const uint8_t nonce[QUIC_NONCE],
                        const uint8_t *header, uint32_t header_size, uint8_t *sealed, uint32_t size)
{
    const struct system_crypto *c = own(calls);
    BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO mode;
    BCRYPT_KEY_HANDLE handle = size >= QUIC_TAG ? make_key(c, c->gcm, key) : NULL;
    ULONG done = 0;
    if (!handle) {
        return false;
    }
    size -= QUIC_TAG;
    BCRYPT_INIT_AUTH_MODE_INFO(mode);
    mode.pbNonce = input(nonce);
    mode.cbNonce = QUIC_NONCE;
    mode.pbAuthData = input(header);
    mode.cbAuthData = header_size;
    mode.pbTag = sealed + size;
    mode.cbTag = QUIC_TAG;
    bool good = c->BCryptDecrypt(handle, sealed, size, &mode, NULL, 0, sealed, size, &done, 0) >= 0;
    c->BCryptDestroyKey(handle);
    return good && done == size;
}

static bool load(struct system_crypto *c)
{
    c->module = LoadLibraryExW(L"bcrypt.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    bool good = c->module != NULL;
#define FIND(function)                                                                                                 \
    good = good && (c->function = (__typeof__(function) *)(void (*)(void))GetProcAddress(c->module, #function)) != NULL;
    FUNCTIONS(FIND)
    return good;
}

static NTSTATUS open_aes(struct system_crypto *c, BCRYPT_ALG_HANDLE *handle, const wchar_t *mode, size_t mode_size)
{
    NTSTATUS status = c->BCryptOpenAlgorithmProvider(handle, BCRYPT_AES_ALGORITHM, NULL, 0);
    return status < 0
               ? status
               : c->BCryptSetProperty(*handle, BCRYPT_CHAINING_MODE, (UCHAR *)(uintptr_t)mode, (ULONG)mode_size, 0);
}

/* Errors of this DLL are of another kind than GetLastError()'s. */
static bool open_algorithms(struct system_crypto *c)
{
    static const wchar_t ecb[] = BCRYPT_CHAIN_MODE_ECB, gcm[] = BCRYPT_CHAIN_MODE_GCM;
    if (c->BCryptOpenAlgorithmProvider(&c->sha, BCRYPT_SHA256_ALGORITHM, NULL, BCRYPT_ALG_HANDLE_HMAC_FLAG) < 0 ||
        open_aes(c, &c->ecb, ecb, sizeof ecb) < 0 || open_aes(c, &c->gcm, gcm, sizeof gcm) < 0) {
        SetLastError(ERROR_NOT_SUPPORTED);
        return false;
    }
    return true;
}

const struct quic_crypto *quic_crypto_open(void)
{
    struct system_crypto *c = calloc(1, sizeof *c);
    if (!c) {
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
        return NULL;
    }
    c->calls = (struct quic_crypto){hmac, block, open_sealed};
    if (!load(c) || !open_algorithms(c)) {
        DWORD error = GetLastError();
        quic_crypto_close(&c->calls);
        SetLastError(error);
        return NULL;
    }
    return &c->calls;
}

void quic_crypto_close(const struct quic_crypto *calls)
{
    struct system_crypto *c = (struct system_crypto *)(uintptr_t)calls;
    if (!c) {
        return;
    }
    BCRYPT_ALG_HANDLE open[] = {c->sha, c->ecb, c->gcm};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        if (open[i]) {
            c->BCryptCloseAlgorithmProvider(open[i], 0);
        }
    }
    if (c->module) {
        FreeLibrary(c->module);
    }
    free(c);
}
