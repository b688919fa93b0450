// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"

	"github.com/windows-redirector/windows-redirector/go/redirector"
)

// Runs the program that is named on its command line, and records what it and everything that it starts say to whom.
func Example_recorder() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()

	loopback, err := redirector.Listen(0) // any free port, of 127.0.0.1 and [::1]
	if err != nil {
		log.Fatal(err)
	}
	r, err := redirector.Start(ctx, redirector.Config{
		Roots:     []uint32{uint32(os.Getpid())}, // what this process starts; itself it is never redirected
		ProxyPort: redirector.Port(loopback),
	})
	if errors.Is(err, redirector.ErrNotElevated) {
		log.Fatal("please run me as Administrator")
	} else if err != nil {
		log.Fatal(err) // the text says what to do
	}
	defer r.Stop()

	listener := r.Listener(loopback)
	served := make(chan struct{})
	go func() {
		defer close(served)
		serve(listener)
	}()

	program := exec.CommandContext(ctx, os.Args[1], os.Args[2:]...)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := program.Run(); err != nil {
		log.Print(err)
	}
	listener.Close()
	<-served
}

// serve records the connections that the listener accepts. It returns when the listener is closed and the last one of
// them is over.
func serve(listener *redirector.Listener) {
	var recorders sync.WaitGroup
	defer recorders.Wait()
	for {
		conn, err := listener.AcceptConn()
		if err != nil {
			return
		}
		recorders.Add(1)
		go func() {
			defer recorders.Done()
			record(conn)
		}()
	}
}

// record connects to where the connection was going, passes on what both ends say, and prints it.
func record(conn *redirector.Conn) {
	defer conn.Close()
	where := conn.OriginalDst()
	upstream, err := net.Dial("tcp", where.Addr.String())
	if err != nil {
		log.Print(err)
		return
	}
	defer upstream.Close()

	answered := make(chan struct{})
	go func() {
		defer close(answered)
		pass(conn, upstream, fmt.Sprintf("process %d <- %v", where.PID, where.Addr))
	}()
	pass(upstream, conn, fmt.Sprintf("process %d -> %v", where.PID, where.Addr))
	<-answered
}

// pass passes on, and prints, what one end says until it has no more to say; then it tells the other one.
func pass(to, from net.Conn, heading string) {
	io.Copy(to, io.TeeReader(from, printer{heading}))
	to.(interface{ CloseWrite() error }).CloseWrite()
}

// printer prints what is written to it.
type printer struct{ heading string }

func (p printer) Write(said []byte) (int, error) {
	fmt.Printf("%s: %q\n", p.heading, said)
	return len(said), nil
}
