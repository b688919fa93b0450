/* SPDX-License-Identifier: LGPL-3.0-or-later */
/**
 * @file ppx.h
 * Profiles of Proxifier (.ppx) as a file of rules (rules_file.h).
 *
 * There the first rule that matches decides, here the last: their order is turned round. What has no counterpart stays
 * in the text as a comment that begins "# not imported:".
 */
#ifndef CLI_PPX_H
#define CLI_PPX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ppx_result {
    char *text;        /**< the rules, UTF-8; free() it. NULL: see `wrong` */
    uint32_t imported; /**< rules of the profile */
    uint32_t left_out; /**< rules, or parts of rules, that have no counterpart */
    char wrong[160];   /**< why nothing was read */
};

/** false: it is no profile. */
bool ppx_import(const void *bytes, size_t size, struct ppx_result *out);

#endif
