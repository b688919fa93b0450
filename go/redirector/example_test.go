// SPDX-License-Identifier: LGPL-3.0-or-later

package redirector_test

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os/exec"

	"github.com/windows-redirector/windows-redirector/go/redirector"
)

// A proxy that prints where each connection of a program was going.
func Example() {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		log.Fatal(err)
	}
	program := exec.Command("curl", "http://192.0.2.1/")
	if err := program.Start(); err != nil {
		log.Fatal(err)
	}

	r, err := redirector.Start(redirector.Config{
		ClientPID: uint32(program.Process.Pid),
		ProxyPort: listener.Addr().(*net.TCPAddr).Port,
	})
	if errors.Is(err, redirector.ErrNotElevated) {
		log.Fatal("please run me as Administrator")
	} else if err != nil {
		log.Fatal(err) // the text says what to do
	}
	defer r.Stop()

	for {
		conn, err := listener.AcceptTCP()
		if err != nil {
			return
		}
		peer := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
		if where, ok := r.Destination(peer); ok {
			fmt.Println("process", where.PID, "was going to", where.Addr)
		}
		conn.Close()
	}
}
