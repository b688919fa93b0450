// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64

package main

// A call that Keploy does not make today: why a start failed.

/*
#include <stdint.h>

typedef struct {
    uint32_t size, code, os_error;
    char text[324];
} redirector_error;

uint32_t redirector_last_error(redirector_error *error);
*/
import "C"

import "unsafe"

func why() string {
	var e C.redirector_error
	e.size = C.uint32_t(unsafe.Sizeof(e))
	if C.redirector_last_error(&e) != 0 {
		return "no error structure"
	}
	return C.GoString(&e.text[0])
}
