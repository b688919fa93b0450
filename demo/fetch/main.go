// SPDX-License-Identifier: LGPL-3.0-or-later

// Fetch is one of the demo's Windows programs: it fetches pages over HTTP, knows nothing of any redirector, and
// writes down what it sees: a JSON line per request with both ends of its socket as the system names them, and a hash
// of the page.
//
//	fetch -name N -out FILE -urls U,U,... [-rounds R] [program args...]     every request on a connection of its own
//	fetch -name N -out FILE -urls U,U,... -until STOPFILE                   the bystander's way, see stay
//
// Programs named after the options are started first and run at the same time; fetch ends when they have ended. The
// client closes first everywhere, so that its port is not used again soon and a port in the server's log names one
// connection.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// record is what is written down about one request.
type record struct {
	ID      string `json:"id"`
	PID     int    `json:"pid"`
	Program string `json:"program"`
	URL     string `json:"url"`
	Local   string `json:"local"`
	Remote  string `json:"remote"`
	Status  int    `json:"status"`
	Bytes   int    `json:"bytes"`
	SHA256  string `json:"sha256"`
	Error   string `json:"error"`
}

type fetcher struct {
	name string
	mu   sync.Mutex
	out  *json.Encoder
	bad  bool
}

func (f *fetcher) write(r record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad = f.bad || r.Error != ""
	if err := f.out.Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		f.bad = true
	}
}

// session is an HTTP client with at most one connection.
type session struct {
	client http.Client
	mu     sync.Mutex
	conn   net.Conn
}

func newSession() *session {
	s := &session{}
	transport := &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}
	transport.Dial = func(network, address string) (net.Conn, error) {
		conn, err := net.DialTimeout(network, address, 15*time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conn = conn
		return conn, err
	}
	s.client = http.Client{Transport: transport, Timeout: 30 * time.Second}
	return s
}

func (s *session) close() { s.client.CloseIdleConnections() }

// fetch makes one request and writes its record.
func (f *fetcher) fetch(s *session, id, url string) {
	r := record{ID: id, PID: os.Getpid(), Program: filepath.Base(os.Args[0]), URL: url}
	if err := s.get(&r, f.name); err != nil {
		r.Error = err.Error()
	}
	f.write(r)
}

func (s *session) get(r *record, name string) error {
	request, err := http.NewRequest("GET", r.URL, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", name)
	request.Header.Set("X-Request-Id", r.ID)
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		return err
	}
	digest := sha256.Sum256(body)
	r.Status, r.Bytes, r.SHA256 = response.StatusCode, len(body), hex.EncodeToString(digest[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Local, r.Remote, err = socketEnds(s.conn)
	return err
}

// socketEnds asks the system, not Go's notes of what was dialled.
func socketEnds(conn net.Conn) (local, remote string, err error) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return "", "", err
	}
	var localEnd, remoteEnd syscall.Sockaddr
	var localErr, remoteErr error
	if err := raw.Control(func(fd uintptr) {
		localEnd, localErr = syscall.Getsockname(handle(fd))
		remoteEnd, remoteErr = syscall.Getpeername(handle(fd))
	}); err != nil {
		return "", "", err
	}
	if localErr != nil || remoteErr != nil {
		return "", "", fmt.Errorf("getsockname: %v, getpeername: %v", localErr, remoteErr)
	}
	return endpoint(localEnd), endpoint(remoteEnd), nil
}

func endpoint(address syscall.Sockaddr) string {
	switch a := address.(type) {
	case *syscall.SockaddrInet4:
		return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
	case *syscall.SockaddrInet6:
		return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
	}
	return "?"
}

// rounds fetches every URL at the same time, again and again, each request on a connection of its own.
func (f *fetcher) rounds(urls []string, rounds int) {
	for round := 0; round < rounds; round++ {
		var group sync.WaitGroup
		for i, url := range urls {
			group.Add(1)
			go func(id, url string) {
				defer group.Done()
				s := newSession()
				f.fetch(s, id, url)
				s.close()
			}(fmt.Sprintf("%s.%d.%d", f.name, round, i), url)
		}
		group.Wait()
	}
}

// stay is the bystander: until the file appears it fetches each URL over a connection that stays open from the first
// round to the end, and over a fresh one. Those stay open to the end as well, so nobody else can get their ports
// meanwhile.
func (f *fetcher) stay(urls []string, stopFile string) {
	var open []*session
	old := map[string]*session{}
	for _, url := range urls {
		old[url] = newSession()
		open = append(open, old[url])
	}
	for round := 0; ; round++ {
		for i, url := range urls {
			f.fetch(old[url], fmt.Sprintf("%s.%d.%d.old", f.name, round, i), url)
			fresh := newSession()
			open = append(open, fresh)
			f.fetch(fresh, fmt.Sprintf("%s.%d.%d.fresh", f.name, round, i), url)
		}
		if _, err := os.Stat(stopFile); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond) // the pace of the bystander, nothing waits for it
	}
	for _, s := range open {
		s.close()
	}
}

func main() {
	name := flag.String("name", "", "name, the User-Agent")
	out := flag.String("out", "", "file for the records")
	urls := flag.String("urls", "", "what to fetch, separated by commas")
	rounds := flag.Int("rounds", 1, "how often")
	until := flag.String("until", "", "go on until this file exists")
	flag.Parse()

	file, err := os.Create(*out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(2)
	}
	f := &fetcher{name: *name, out: json.NewEncoder(file)}

	var child *exec.Cmd
	if args := flag.Args(); len(args) != 0 {
		child = exec.Command(args[0], args[1:]...)
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stderr, "fetch:", err)
			os.Exit(2)
		}
	}
	if *until != "" {
		f.stay(strings.Split(*urls, ","), *until)
	} else {
		f.rounds(strings.Split(*urls, ","), *rounds)
	}
	if child != nil {
		if err := child.Wait(); err != nil {
			fmt.Fprintln(os.Stderr, "fetch: child:", err)
			f.bad = true
		}
	}
	if err := file.Close(); err != nil || f.bad {
		os.Exit(1)
	}
}
