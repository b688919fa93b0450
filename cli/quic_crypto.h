/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file quic_crypto.h
 * Windows' cryptography, for quic_initial.h.
 */
#ifndef CLI_QUIC_CRYPTO_H
#define CLI_QUIC_CRYPTO_H

#include "quic_initial.h"

/** Any thread may use it. NULL: GetLastError() tells. */
const struct quic_crypto *quic_crypto_open(void);

/** NULL is fine. */
void quic_crypto_close(const struct quic_crypto *calls);

#endif
