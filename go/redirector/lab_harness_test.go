// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64 && lab

// A running Redirector, against a driver. The tag keeps these tests out of an ordinary run: lab_test.sh builds them,
// for both ways of linking, and runs them in the lab. Nothing runs on the lab's server: redirected connections get no
// further than the proxy here, and those that pass go to a program of the test itself, on the client's own address, or
// are refused by the server.

package redirector

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var servers = []string{"10.77.0.2:9", "[fd77::2]:9"}

const ownAddress = "10.77.0.1" // of the host that the test runs on

// proxy accepts on one port of both loopback addresses.
type proxy struct {
	t         *testing.T
	port      int
	listeners map[string]*net.TCPListener
}

func listen(t *testing.T) *proxy {
	t.Helper()
	v4, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	port := v4.Addr().(*net.TCPAddr).Port
	v6, err := net.ListenTCP("tcp6", &net.TCPAddr{IP: net.IPv6loopback, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v4.Close(); v6.Close() })
	return &proxy{t, port, map[string]*net.TCPListener{servers[0]: v4, servers[1]: v6}}
}

// accept gives the connection of the client to that server, and its peer, after hello has come through.
func (p *proxy) accept(server string) (*net.TCPConn, netip.AddrPort) {
	p.t.Helper()
	l := p.listeners[server]
	l.SetDeadline(time.Now().Add(patience))
	conn, err := l.AcceptTCP()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	hello := make([]byte, len("hello from \n")+len(server))
	if _, err := io.ReadFull(conn, hello); err != nil || string(hello) != "hello from "+server+"\n" {
		p.t.Fatalf("the proxy read %q, %v", hello, err)
	}
	return conn, conn.RemoteAddr().(*net.TCPAddr).AddrPort()
}

// windivertDir is the folder of the test program: the lab's stage.
func windivertDir(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(program)
}

func mustStart(t *testing.T, c *client, p *proxy, log func(LogLevel, string)) *Redirector {
	t.Helper()
	return mustStartWith(t, Config{ClientPID: c.pid(), ProxyPort: p.port, LogFunc: log})
}

func mustStartWith(t *testing.T, config Config) *Redirector {
	t.Helper()
	config.NoLogFile = true
	config.WinDivertDir = windivertDir(t)
	r, err := Start(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Stop() })
	return r
}
