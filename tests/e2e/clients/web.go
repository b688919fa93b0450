// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	pages       = 20 // nginx has files 0 to 19, of pageSize(i) bytes each
	streams     = 30 // requests at a time
	messageSize = 300_000
)

func pageSize(i int) int { return 1 << (i % 21) }

func writePages(folder string) error {
	for i := 0; i < pages; i++ {
		content := pattern(uint32(i), pageSize(i))
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// httpOne: plain HTTP/1.1, one connection kept open for all requests.
func httpOne(t target) (map[string]any, error) {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: time.Minute}
	return fetchPages(client, "http://"+t.address, "HTTP/1.1", 1)
}

// httpTwo: TLS and HTTP/2, many streams of one connection at a time. It asks for a server by name.
func httpTwo(t target) (map[string]any, error) {
	t.tls.ServerName = "web.lab.test"
	transport := &http.Transport{TLSClientConfig: t.tls, ForceAttemptHTTP2: true, MaxConnsPerHost: 1}
	return fetchPages(&http.Client{Transport: transport, Timeout: time.Minute}, "https://"+t.address, "HTTP/2.0", streams)
}

func fetchPages(client *http.Client, base, protocol string, parallel int) (map[string]any, error) {
	var wait sync.WaitGroup
	failures := make(chan error, parallel)
	var total int64
	var lock sync.Mutex
	for i := 0; i < parallel; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			for page := i % pages; page < pages; page++ {
				n, err := fetchPage(client, base, page, protocol)
				if err != nil {
					failures <- err
					return
				}
				lock.Lock()
				total += int64(n)
				lock.Unlock()
			}
		}(i)
	}
	wait.Wait()
	select {
	case err := <-failures:
		return nil, err
	default:
		return map[string]any{"bytes": total, "protocol": protocol}, nil
	}
}

func fetchPage(client *http.Client, base string, page int, protocol string) (int, error) {
	answer, err := client.Get(base + "/" + strconv.Itoa(page))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	if answer.StatusCode != 200 || answer.Proto != protocol {
		return 0, fmt.Errorf("page %d: %s %s", page, answer.Proto, answer.Status)
	}
	return len(body), same("page "+strconv.Itoa(page), body, pattern(uint32(page), pageSize(page)))
}

// webSocket: TLS, the upgrade, messages of many sizes echoed, a ping, and an orderly end.
func webSocket(t target) (map[string]any, error) {
	dialer := websocket.Dialer{TLSClientConfig: t.tls, HandshakeTimeout: time.Minute}
	c, _, err := dialer.Dial("wss://"+t.address+"/echo", nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	pongs := 0
	c.SetPongHandler(func(string) error { pongs++; return nil })
	total := 0
	for i, size := range []int{0, 1, 125, 126, 65535, 65536, messageSize} {
		message := pattern(uint32(i), size)
		if err := c.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Minute)); err != nil {
			return nil, err
		}
		if err := c.WriteMessage(websocket.BinaryMessage, message); err != nil {
			return nil, err
		}
		kind, got, err := c.ReadMessage()
		if err != nil {
			return nil, err
		}
		if kind != websocket.BinaryMessage {
			return nil, fmt.Errorf("message %d is of kind %d", i, kind)
		}
		if err := same("message "+strconv.Itoa(i), got, message); err != nil {
			return nil, err
		}
		total += size
	}
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := c.WriteMessage(websocket.CloseMessage, bye); err != nil {
		return nil, err
	}
	if _, _, err = c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		return nil, fmt.Errorf("the end: %w", err)
	}
	if pongs == 0 {
		return nil, errors.New("no pong")
	}
	return map[string]any{"bytes": total, "pongs": pongs}, nil
}

// ---- the server ----

func serve(address, folder string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echoMessages)
	mux.HandleFunc("/digest", digest)
	server := &http.Server{Addr: address, Handler: mux, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	return server.ListenAndServeTLS(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
}

func echoMessages(w http.ResponseWriter, r *http.Request) {
	c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		kind, message, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, message) != nil {
			return
		}
	}
}

// digest answers with the SHA-256 of what it was sent, and the protocol.
func digest(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	if _, err := io.Copy(sum, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%s %s", r.Proto, hex.EncodeToString(sum.Sum(nil)))
}

// upload: HTTP/2 in the other direction, a body as large as a file to a server in Go.
func upload(t target) (map[string]any, error) {
	body := pattern(99, 5_000_000)
	transport := &http.Transport{TLSClientConfig: t.tls, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	answer, err := client.Post("https://"+t.address+"/digest", "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return map[string]any{"bytes": len(body)}, same("digest", got, []byte("HTTP/2.0 "+hex.EncodeToString(sum[:])))
}
