// SPDX-License-Identifier: LGPL-3.0-or-later

// dns PROGRAM [ARGUMENTS...]
//
// Starts a program, and prints the DNS queries that it and all its descendants send by UDP, and their answers. All their
// UDP comes here and is led on; TCP goes its own way. Names that they have Windows resolve are asked for by the DNS client
// service, not by them: those are not seen here.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"

	"github.com/windows-redirector/windows-redirector/go/redirector"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("dns: ")
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: dns PROGRAM [ARGUMENTS...]")
		os.Exit(2)
	}
	status, err := run(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(status)
}

func run(command []string) (int, error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	packets, err := redirector.ListenPacket(0) // any free port, of 127.0.0.1 and [::1]
	if err != nil {
		return 0, err
	}
	r, err := redirector.Start(ctx, redirector.Config{
		Roots:   []uint32{uint32(os.Getpid())}, // what this process starts; itself it is never redirected
		UDPPort: redirector.PacketPort(packets),
	})
	if err != nil {
		packets.Close()
		return 0, err // the text says what to do
	}
	defer r.Stop()
	conn := r.PacketConn(packets)
	relay := newRelay(conn, r.Unreachable, os.Stdout)
	served := make(chan struct{})
	go func() {
		defer close(served)
		relay.serve()
	}()

	program := exec.CommandContext(ctx, command[0], command[1:]...)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = program.Run()
	conn.Close()
	<-served
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
