// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64

package main

// How Keploy links the archive: its link line and its prototypes. The archive is beside this file when it is built.

/*
#cgo windows LDFLAGS: -L${SRCDIR} -l:libwindows_redirector.a -lws2_32 -luserenv -lntdll -ladvapi32 -lole32 -loleaut32
#include <stdint.h>

typedef struct {
    uint32_t ip_version;
    uint32_t dest_ip4;
    uint32_t dest_ip6[4];
    uint32_t dest_port;
    uint32_t kernel_pid;
} WinDest;

unsigned int start_redirector(unsigned int client_pid, unsigned int agent_pid, unsigned int proxy_port,
                              unsigned int incoming_proxy, unsigned int mode, unsigned int debug);
unsigned int stop_redirector(void);
WinDest get_destination(unsigned int src_port);
unsigned int delete_destination(unsigned int src_port);
void free_windest(WinDest dest);
*/
import "C"

import (
	"fmt"
	"net"
)

func startRedirector(client, agent, proxy, incoming, mode, debug uint32) uint32 {
	return uint32(C.start_redirector(C.uint(client), C.uint(agent), C.uint(proxy), C.uint(incoming), C.uint(mode),
		C.uint(debug)))
}

func stopRedirector() uint32 { return uint32(C.stop_redirector()) }

func deleteDestination(port uint32) uint32 { return uint32(C.delete_destination(C.uint(port))) }

// destination is "address:port of pid", or "nowhere".
func destination(port uint32) string {
	d := C.get_destination(C.uint(port))
	defer C.free_windest(d)
	var words []C.uint32_t
	switch d.ip_version {
	case 0:
		return "nowhere"
	case 4:
		words = []C.uint32_t{d.dest_ip4}
	case 6:
		words = d.dest_ip6[:]
	}
	var ip net.IP
	for _, w := range words {
		ip = append(ip, byte(w>>24), byte(w>>16), byte(w>>8), byte(w))
	}
	return fmt.Sprintf("%s of %d", net.JoinHostPort(ip.String(), fmt.Sprint(d.dest_port)), d.kernel_pid)
}
