// SPDX-License-Identifier: LGPL-3.0-or-later

// Agent is a small but complete proxy that uses package redirector: it relays every connection of a process tree to its
// original destination, and reports it.
//
//	agent [options] -- program args...    start the program and redirect its tree
//	agent [options] -pid N                redirect the tree of a running process
//
// With -incoming it also relays the connections that arrive at the tree's own listeners.
//
// It prints JSON objects, one a line, on standard output: "ready", then a "connection" for each connection that has
// ended, and a closing "summary". It ends when that process has ended and the last connection is over, with the exit
// status of the program if it started one; with -pid also on Ctrl-C. Status 2: wrong arguments; 3: it could not
// start.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"github.com/windows-redirector/windows-redirector/go/redirector"
)

const (
	exitUsage       = 2
	exitCannotStart = 3
)

type options struct {
	port         int
	incoming     bool
	pid          uint
	windivertDir string
	logPath      string
	program      []string
}

func parseOptions(args []string) (options, error) {
	var o options
	set := flag.NewFlagSet("agent", flag.ContinueOnError)
	set.IntVar(&o.port, "port", 0, "port of the proxy; 0: any free one")
	set.UintVar(&o.pid, "pid", 0, "process whose tree is redirected, instead of starting a program")
	set.BoolVar(&o.incoming, "incoming", false, "relay also what arrives at the tree's own listeners")
	set.StringVar(&o.windivertDir, "windivert", "", "folder of WinDivert.dll; empty: the agent's own folder")
	set.StringVar(&o.logPath, "log", "", "log file of the redirector; empty: none")
	set.Usage = func() {
		fmt.Fprintln(set.Output(), "usage: agent [options] -pid N | agent [options] -- program args...")
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		return o, err // already printed, with the usage
	}
	o.program = set.Args()
	problem := ""
	switch {
	case o.pid == 0 && len(o.program) == 0:
		problem = "give a program to start, or -pid"
	case o.pid != 0 && len(o.program) != 0:
		problem = "give a program to start, or -pid, not both"
	case uint64(o.pid) > 1<<32-1:
		problem = "-pid is not a process id"
	}
	if problem != "" {
		fmt.Fprintln(set.Output(), "agent: "+problem)
		set.Usage()
		return o, fmt.Errorf("%s", problem)
	}
	return o, nil
}

// printer writes one JSON object a line, from any goroutine.
type printer struct {
	mu      sync.Mutex
	encoder *json.Encoder
}

func (p *printer) print(object any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.encoder.Encode(object)
}

type readyEvent struct {
	Event        string `json:"event"` // "ready"
	AgentPID     int    `json:"agent_pid"`
	ClientPID    uint32 `json:"client_pid"`
	ProxyPort    int    `json:"proxy_port"`
	IncomingPort int    `json:"incoming_port"` // 0: incoming connections are left alone
	Library      string `json:"library"`
}

type summaryEvent struct {
	Event string `json:"event"` // "summary"
	totals
	Stats redirector.Stats `json:"stats"`
}

func main() {
	o, err := parseOptions(os.Args[1:])
	if err == flag.ErrHelp {
		os.Exit(0)
	} else if err != nil {
		os.Exit(exitUsage)
	}
	status, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(exitCannotStart)
	}
	os.Exit(status)
}

// run runs the agent. The order matters: the proxy listens before connections are redirected to it, and the program
// runs after that.
func run(o options) (int, error) {
	out := &printer{encoder: json.NewEncoder(os.Stdout)}
	p, err := listen(o.port, out)
	if err != nil {
		return 0, err
	}
	defer p.close()
	incomingPort := 0
	if o.incoming {
		if incomingPort, err = p.listenEverywhere(); err != nil {
			return 0, err
		}
	}

	client := uint32(o.pid)
	var child *suspendedProcess
	if len(o.program) != 0 {
		if child, err = startSuspended(o.program); err != nil {
			return 0, err
		}
		client = child.pid()
	}
	// Not with a context that Ctrl-C ends: connections that are open then are finished.
	r, err := redirector.Start(context.Background(), redirector.Config{
		ClientPID:    client,
		ProxyPort:    p.port,
		IncomingPort: incomingPort,
		WinDivertDir: o.windivertDir,
		LogPath:      o.logPath,
		NoLogFile:    o.logPath == "",
	})
	if err != nil {
		if child != nil {
			child.kill()
		}
		return 0, err
	}
	defer r.Stop()
	p.serve(r)
	out.print(readyEvent{"ready", os.Getpid(), client, p.port, incomingPort, redirector.Version()})

	// A program that was started here gets Ctrl-C from the console, too, and decides itself whether to end; the agent
	// ends with it.
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	status := 0
	if child != nil {
		status, err = child.resumeAndWait()
	} else {
		err = waitFor(o.pid, interrupt)
	}
	if err != nil {
		return 0, err
	}
	p.wait(func() uint64 { return r.Stats().FlowsTotal })
	if err := r.Err(); err != nil { // it has ended by itself meanwhile
		return 0, err
	}
	// Read before Stop, which ends the connections that are counted as live.
	stats := r.Stats()
	if err := r.Stop(); err != nil {
		return 0, err
	}
	out.print(summaryEvent{"summary", p.sums(), stats})
	return status, nil
}

// waitFor returns when the process has ended, or on Ctrl-C.
func waitFor(pid uint, interrupt <-chan os.Signal) error {
	process, err := os.FindProcess(int(pid))
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	ended := make(chan struct{})
	go func() {
		process.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-interrupt:
	}
	return nil
}
