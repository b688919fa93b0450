// SPDX-License-Identifier: LGPL-3.0-or-later

//go:build windows && amd64

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

const patience = 20 * time.Second

// A worker is a process that executes commands, one per line of its input, and answers each with one line:
//
//	dial ADDRESS      connects, and prints what it receives
//	listen ADDRESS    listens there, answers each connection, and prints the address
//	child LINE        executes LINE in its one child process, which the first such command starts
//	pid
//
// The agent has more commands, see agent.go.
func work(also func(words []string) string) {
	var child *worker
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Fields(input.Text())
		switch words[0] {
		case "dial":
			fmt.Println(dial(words[1]))
		case "listen":
			fmt.Println(serve(words[1], func(*net.TCPConn) string { return fmt.Sprint("program ", os.Getpid()) }))
		case "pid":
			fmt.Println(os.Getpid())
		case "child":
			if child == nil {
				child = startWorker("worker")
				defer child.end()
			}
			fmt.Println(child.do(strings.Join(words[1:], " ")))
		default:
			fmt.Println(also(words))
		}
	}
}

func dial(address string) string {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return "error " + err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintln(conn, "hello")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "error " + err.Error()
	}
	return strings.TrimSpace(answer)
}

// serve answers each greeting, and returns the address on which it listens.
func serve(address string, answer func(*net.TCPConn) string) string {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "error " + err.Error()
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
					fmt.Fprintln(conn, answer(conn.(*net.TCPConn)))
				}
			}()
		}
	}()
	return listener.Addr().String()
}

type worker struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

func startWorker(role string) *worker {
	cmd := exec.Command(os.Args[0], role)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		panic(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	return &worker{cmd, stdin, bufio.NewReader(stdout)}
}

func (w *worker) do(format string, values ...any) string {
	fmt.Fprintf(w.stdin, format+"\n", values...)
	line, err := w.lines.ReadString('\n')
	if err != nil {
		return "the worker is gone: " + err.Error()
	}
	return strings.TrimSpace(line)
}

func (w *worker) end() {
	w.stdin.Close()
	w.cmd.Wait()
}
