// SPDX-License-Identifier: LGPL-3.0-or-later

// Clients that people use, and servers that Debian does not have: each exchange checks every byte it gets, and prints what it
// did as one line of JSON into a file.
//
//	clients EXCHANGE@HOST/PORT OUT     EXCHANGE: http, http2, upload, websocket, postgres, postgres-tls, redis, redis-pubsub;
//	                                   by UDP: dns, ntp, quic, quic2, stream
//	clients serve@HOST/PORT FOLDER     a TLS server: HTTP/2, and WebSocket at /echo, until it is killed
//	clients serve-quic@HOST/PORT FOLDER   one that echoes the streams of QUIC
//	clients serve-udp@HOST/PORT FOLDER    one that echoes datagrams
//	clients pages FOLDER               writes the pages that http and http2 expect
//
// A client runs on Windows, as part of the tree; server and pages natively. ca.pem beside OUT is the certificate to trust;
// the server's is in FOLDER, cert.pem and key.pem.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// target is where to go, and whom to trust there.
type target struct {
	address string // host:port
	tls     *tls.Config
	ca      string // a file
}

type exchange func(target) (map[string]any, error)

var exchanges = map[string]exchange{
	"http":         httpOne,
	"http2":        httpTwo,
	"upload":       upload,
	"websocket":    webSocket,
	"postgres":     postgresPlain,
	"postgres-tls": postgresTLS,
	"redis":        redisCommands,
	"redis-pubsub": redisPubSub,
	"dns":          resolve,
	"ntp":          tellTime,
	"quic":         quicOne,
	"quic2":        quicTwo,
	"stream":       streamDatagrams,
}

var servers = map[string]func(address, folder string) error{
	"serve":      serve,
	"serve-quic": serveQuic,
	"serve-udp":  serveUDP,
}

func main() {
	if len(os.Args) != 3 {
		os.Exit(2)
	}
	name, where, _ := strings.Cut(os.Args[1], "@")
	switch {
	case servers[name] != nil:
		fmt.Fprintln(os.Stderr, servers[name](address(where), os.Args[2]))
		os.Exit(1)
	case name == "pages":
		if err := writePages(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case exchanges[name] != nil:
		if err := run(exchanges[name], where, os.Args[2]); err != nil {
			os.Exit(1)
		}
	default:
		os.Exit(2)
	}
}

func run(e exchange, where, out string) error {
	result, err := withTrust(e, where, filepath.Join(filepath.Dir(out), "ca.pem"))
	if err != nil {
		result = map[string]any{"error": err.Error()}
	}
	line, encoding := json.Marshal(result)
	if encoding != nil {
		return encoding
	}
	if writing := os.WriteFile(out, append(line, '\n'), 0o600); writing != nil {
		return writing
	}
	return err
}

func withTrust(e exchange, where, ca string) (map[string]any, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", ca)
	}
	return e(target{address(where), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ca})
}

// address turns "fd77::2/443" into "[fd77::2]:443".
func address(where string) string {
	host, port, _ := strings.Cut(where, "/")
	return net.JoinHostPort(host, port)
}

// pattern is n bytes that both sides know and that repeat nowhere near a buffer's size.
func pattern(seed uint32, n int) []byte {
	out := make([]byte, n)
	x := seed*2654435761 + 1
	for i := range out {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		out[i] = byte(x >> 24)
	}
	return out
}

func same(what string, got, wanted []byte) error {
	if !bytes.Equal(got, wanted) {
		return fmt.Errorf("%s: %d bytes, wanted %d, or others than these", what, len(got), len(wanted))
	}
	return nil
}
