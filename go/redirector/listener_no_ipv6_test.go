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
	c := mustListenPacket(t)
	mustSend(t, mustSender(t, packetAddresses(c)[0]), "question")
	if n, _, err := c.ReadFrom(make([]byte, 100)); n != len("question") || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := c.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv6loopback, Port: 9}); err == nil {
		t.Error("wrote by IPv6")
	}
}
