// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
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
