// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build no_ipv6

package redirector

import (
	"net"
	"testing"
)

// Run by test.sh where there is no IPv6: what cannot be listened on is no obstacle.
func TestListenWithoutIPv6(t *testing.T) {
	if l, err := listenOn(net.IPv6loopback, 0); err == nil {
		l.Close()
		t.Fatal("IPv6 is there")
	}
	l := mustListen(t)
	mustDial(t, loopbacks(l)[0])
	if _, err := l.Accept(); err != nil {
		t.Error(err)
	}
}
