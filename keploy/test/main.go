// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64

// A test of the archive for Keploy. This process is not redirected; it starts two others, as Keploy does: the client,
// whose child is the program under test, and the agent with the proxies. Each check names who connects to what and who
// answers: the program at the other end, or a proxy with the original destination.
package main

import (
	"fmt"
	"net"
	"os"
	"strings"
)

const host4, host6 = "10.77.0.1:0", "[fd77::1]:0"

var passed, failed int

func check(name, got, want string) {
	if got == want {
		passed++
		fmt.Println("ok", name)
	} else {
		failed++
		fmt.Printf("FAIL %s: %q, not %q\n", name, got, want)
	}
}

// stage has the processes of the test.
type stage struct {
	client, agent                *worker
	clientPID, agentPID, appPID  string
	world4, world6, world        string // servers of this process, and what they say
	appListener, clientListener  string
	helperPID, grandchildProcess string
}

func setUp() *stage {
	s := &stage{client: startWorker("worker"), agent: startWorker("agent")}
	s.world = fmt.Sprint("program ", os.Getpid())
	answer := func(*net.TCPConn) string { return s.world }
	s.world4, s.world6 = serve(host4, answer), serve(host6, answer)
	s.clientPID, s.agentPID = s.client.do("pid"), s.agent.do("pid")
	s.appPID = s.client.do("child pid")
	s.grandchildProcess = s.client.do("child child pid")
	s.helperPID = s.agent.do("child pid")
	s.clientListener, s.appListener = s.client.do("listen "+host4), s.client.do("child listen "+host4)
	return s
}

func (s *stage) checkRecord() {
	check("record: starts", s.agent.do("start %s 1 1", s.clientPID), "1 success")
	check("record: the program is led to the proxy", s.client.do("child dial "+s.world4),
		"outgoing to "+s.world4+" of "+s.appPID)
	check("record: over IPv6, too", s.client.do("child dial "+s.world6), "outgoing to "+s.world6+" of "+s.appPID)
	check("record: the program's child is, too", s.client.do("child child dial "+s.world4),
		"outgoing to "+s.world4+" of "+s.grandchildProcess)
	check("record: the agent's child is, too", s.agent.do("child dial "+s.world4),
		"outgoing to "+s.world4+" of "+s.helperPID)
	check("record: the client itself is not", s.client.do("dial "+s.world4), s.world)
	check("record: the agent itself is not", s.agent.do("dial "+s.world4), s.world)
	check("record: a bystander is not", dial(s.world4), s.world)
	check("record: what comes to the program is led to the incoming proxy", dial(s.appListener),
		"incoming to "+s.appListener+" of "+s.appPID)
	check("record: what comes to the client is not", dial(s.clientListener), "program "+s.clientPID)
	check("record: what the agent passes on reaches the program", s.agent.do("dial "+s.appListener),
		"program "+s.appPID)
	check("record: no second start", strings.SplitN(s.agent.do("start %s 1 0", s.clientPID), ":", 2)[0],
		"0 the redirector is already running in this process; stop it first")
	check("record: stops", s.agent.do("stop"), "1")
	check("record: after stop the program's connections go directly", s.client.do("child dial "+s.world4), s.world)
	check("record: after stop what comes to the program reaches it", dial(s.appListener), "program "+s.appPID)
}

func (s *stage) checkTest() {
	check("test: starts", s.agent.do("start %s 2 0", s.clientPID), "1 success")
	check("test: the program is led to the proxy", s.client.do("child dial "+s.world4),
		"outgoing to "+s.world4+" of "+s.appPID)
	check("test: what comes to the program reaches it", dial(s.appListener), "program "+s.appPID)
	check("test: a port without a connection has no destination", s.agent.do("find 1"), "nowhere")
	check("test: stops", s.agent.do("stop"), "1")
}

func (s *stage) checkOff() {
	check("off: starts", s.agent.do("start %s 0 0", s.clientPID), "1 success")
	check("off: the program's connections go directly", s.client.do("child dial "+s.world4), s.world)
	check("off: what comes to the program reaches it", dial(s.appListener), "program "+s.appPID)
	check("off: stops", s.agent.do("stop"), "1")
}

// checkRefusals: starts with invalid arguments fail with a reason. One of them is a call of the earlier prototype,
// whose fifth argument was a port.
func (s *stage) checkRefusals() {
	start := func(client, mode string) string { return s.agent.do("start %s %s 0", client, mode) }
	check("a port in the place of the mode is refused", start(s.clientPID, "26789"),
		"0 an argument is not valid: the mode is neither 0 (off), 1 (record) nor 2 (test)")
	check("a client that is not there is refused", strings.SplitN(start("2147483644", "1"), ";", 2)[0],
		"0 no such process")
}

func main() {
	switch len(os.Args) {
	case 2:
		if os.Args[1] == "agent" {
			agent()
		} else {
			work(func(words []string) string { return "what is " + words[0] + "?" })
		}
		return
	}
	s := setUp()
	s.checkRefusals()
	s.checkRecord()
	s.checkTest()
	s.checkOff()
	s.client.end()
	s.agent.end()
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed != 0 {
		os.Exit(1)
	}
}
