// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"github.com/windows-redirector/windows-redirector/go/redirector"
)

// A program listens on both loopback addresses by one call.
func ExampleListen() {
	l, err := redirector.Listen(0)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(redirector.Port(l))))
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		accepted, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(accepted.RemoteAddr().(*net.TCPAddr).IP)
		accepted.Close()
	}
	// Output:
	// 127.0.0.1
	// ::1
}

// Errors tell a program what kind of thing went wrong, and a person what to do.
func ExampleError() {
	_, err := redirector.Start(context.Background(), redirector.Config{
		ClientPID:   4711,
		ProxyPort:   8080,
		HoldTimeout: time.Minute,
	})
	fmt.Println(errors.Is(err, redirector.ErrInvalidArgument))
	fmt.Println(err)
	// Output:
	// true
	// redirector: the hold timeout 1m0s is not between 0 and 1s
}

// A mock of every HTTP server that a program talks to.
func ExampleOriginalDst() {
	loopback, err := redirector.Listen(0)
	if err != nil {
		log.Fatal(err)
	}
	r, err := redirector.Start(context.Background(), redirector.Config{
		Roots:     []uint32{uint32(os.Getpid())}, // whatever this process starts
		ProxyPort: redirector.Port(loopback),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Stop()

	type key struct{}
	mock := &http.Server{
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			where, _ := redirector.OriginalDst(conn)
			return context.WithValue(ctx, key{}, where)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			where := request.Context().Value(key{}).(redirector.Destination)
			fmt.Fprintf(w, "this is not %v, but you may have %s\n", where.Addr, request.URL.Path)
		}),
	}
	go mock.Serve(r.Listener(loopback))
	defer mock.Close()

	output, err := exec.Command("curl", "http://192.0.2.1/a/page").Output()
	if err != nil {
		log.Print(err)
	}
	fmt.Printf("%s", output)
	// Prints: this is not 192.0.2.1:80, but you may have /a/page
}

// A mock of whatever a program talks to by UDP.
func ExampleRedirector_PacketConn() {
	packets, err := redirector.ListenPacket(0)
	if err != nil {
		log.Fatal(err)
	}
	r, err := redirector.Start(context.Background(), redirector.Config{
		Roots:   []uint32{uint32(os.Getpid())}, // whatever this process starts
		UDPPort: redirector.PacketPort(packets),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Stop()

	conn := r.PacketConn(packets)
	go func() {
		buffer := make([]byte, 65535) // enough for any datagram
		for {
			n, peer, where, err := conn.ReadFromDestination(buffer)
			if err != nil {
				return
			}
			answer := fmt.Sprintf("this is not %v, which you told %q", where.Addr, buffer[:n])
			conn.WriteToUDPAddrPort([]byte(answer), peer) // the program receives it as from there
		}
	}()
	defer conn.Close()

	output, err := exec.Command("client").Output()
	if err != nil {
		log.Print(err)
	}
	fmt.Printf("%s", output)
}

// By destination: what passes, what is blocked, and what another upstream is for.
func ExampleRedirector_SetRules() {
	r, err := redirector.Start(context.Background(), redirector.Config{
		Roots:     []uint32{uint32(os.Getpid())}, // whatever this process starts
		ProxyPort: 8080,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Stop()

	rules := []redirector.Rule{
		{Action: redirector.ActionRedirect, Pattern: "curl.exe"}, // curl's, too, of the tree or not
		{PID: 4711}, // but not those of this process
		{Network: netip.MustParsePrefix("10.0.0.0/8")}, // the tree's to there pass
		{Action: redirector.ActionBlock, Host: "*.telemetry.example", Protocol: redirector.TCP},
		{Action: redirector.ActionRedirect, FirstPort: 443, Upstream: 2},
	}
	if err := r.SetRules(rules); err != nil {
		log.Print(err) // "... rule 3: ...": which, from 0 on, and what is wrong with it; the former rules stay
	}
}
