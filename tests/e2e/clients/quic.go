// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	quicName    = "quic.lab.test" // in the server's certificate, and what the client asks for
	quicProto   = "echo"
	quicStreams = 10
	quicBytes   = 100_000 // of each
)

func quicOne(t target) (map[string]any, error) { return overQuic(t, quic.Version1) }

func quicTwo(t target) (map[string]any, error) { return overQuic(t, quic.Version2) }

// overQuic: many streams of one connection at a time, each echoed.
func overQuic(t target, version quic.VersionNumber) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t.tls.ServerName, t.tls.NextProtos = quicName, []string{quicProto}
	c, err := quic.DialAddr(ctx, t.address, t.tls, &quic.Config{Versions: []quic.VersionNumber{version}})
	if err != nil {
		return nil, err
	}
	var wait sync.WaitGroup
	failures := make([]error, quicStreams)
	for i := range failures {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			failures[i] = quicExchange(ctx, c, uint32(i))
		}(i)
	}
	wait.Wait()
	for i, failure := range failures {
		if failure != nil {
			return nil, fmt.Errorf("stream %d: %w", i, failure)
		}
	}
	local := c.LocalAddr().String()
	return map[string]any{"bytes": quicStreams * quicBytes, "local": local}, c.CloseWithError(0, "done")
}

func quicExchange(ctx context.Context, c quic.Connection, seed uint32) error {
	stream, err := c.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	sent, written := pattern(seed, quicBytes), make(chan error, 1)
	go func() {
		_, err := stream.Write(sent)
		if err == nil {
			err = stream.Close()
		}
		written <- err
	}()
	got, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	if err := <-written; err != nil {
		return err
	}
	return same("echo", got, sent)
}

// serveQuic echoes every stream.
func serveQuic(address, folder string) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{quicProto}, MinVersion: tls.VersionTLS13}
	versions := []quic.VersionNumber{quic.Version1, quic.Version2}
	listener, err := quic.ListenAddr(address, config, &quic.Config{Versions: versions})
	if err != nil {
		return err
	}
	for {
		c, err := listener.Accept(context.Background())
		if err != nil {
			return err
		}
		go func() {
			for {
				stream, err := c.AcceptStream(context.Background())
				if err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(stream, stream)
					_ = stream.Close()
				}()
			}
		}()
	}
}
