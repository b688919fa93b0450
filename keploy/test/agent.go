// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64

package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// The agent is a worker that also runs the two proxies and the redirector. A proxy answers each redirected connection
// with its original destination, and then removes the mapping. Further commands:
//
//	start CLIENT MODE DEBUG
//	stop
//	find PORT
func agent() {
	const anyPort = "127.0.0.1:0"
	tell := func(which string) func(*net.TCPConn) string {
		return func(conn *net.TCPConn) string {
			port := uint32(conn.RemoteAddr().(*net.TCPAddr).Port)
			d := destination(port)
			if deleteDestination(port) != 1 || destination(port) != "nowhere" || deleteDestination(port) != 0 {
				return which + ": the mapping cannot be removed"
			}
			return which + " to " + d
		}
	}
	_, port, _ := net.SplitHostPort(serve(anyPort, tell("outgoing")))
	serve("[::1]:"+port, tell("outgoing"))
	_, incoming, _ := net.SplitHostPort(serve("0.0.0.0:0", tell("incoming")))
	work(func(words []string) string {
		switch words[0] {
		case "start":
			rc := startRedirector(number(words[1]), uint32(os.Getpid()), number(port), number(incoming), number(words[2]),
				number(words[3]))
			return fmt.Sprint(rc, " ", why())
		case "stop":
			return fmt.Sprint(stopRedirector())
		case "find":
			return destination(number(words[1]))
		}
		return "what is " + words[0] + "?"
	})
}

func number(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}
