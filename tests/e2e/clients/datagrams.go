// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/ntp"
)

// ---- DNS: Go's own resolver, which asks the server itself, by UDP, and by TCP where an answer is truncated ----

func resolve(t target) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var ways []string
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		ways = append(ways, network)
		return (&net.Dialer{}).DialContext(ctx, network, t.address)
	}}
	for family, wanted := range map[string]string{"ip4": "192.0.2.1", "ip6": "2001:db8::7"} {
		got, err := r.LookupIP(ctx, family, "www.lab.test.")
		if err != nil {
			return nil, err
		}
		if len(got) != 1 || got[0].String() != wanted {
			return nil, fmt.Errorf("%s: %v", family, got)
		}
	}
	mail, err := r.LookupMX(ctx, "lab.test.")
	if err != nil {
		return nil, err
	}
	if len(mail) != 1 || mail[0].Host != "mail.lab.test." || mail[0].Pref != 10 {
		return nil, fmt.Errorf("MX: %v", mail)
	}
	var refused *net.DNSError
	if got, err := r.LookupIP(ctx, "ip4", "nobody.lab.test."); !errors.As(err, &refused) || !refused.IsNotFound {
		return nil, fmt.Errorf("nobody: %v, %w", got, err)
	}
	long, err := r.LookupTXT(ctx, "long.lab.test.")
	if err != nil {
		return nil, err
	}
	if got := len(strings.Join(long, "")); got != 8*200 {
		return nil, fmt.Errorf("TXT: %d bytes", got)
	}
	return map[string]any{"ways": ways}, nil
}

// ---- NTP ----

// tellTime asks a server that has this machine's clock.
func tellTime(t target) (map[string]any, error) {
	host, port, err := net.SplitHostPort(t.address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	answer, err := ntp.QueryWithOptions(host, ntp.QueryOptions{Port: number, Timeout: time.Minute})
	if err != nil {
		return nil, err
	}
	if err := answer.Validate(); err != nil {
		return nil, err
	}
	return map[string]any{"stratum": answer.Stratum, "offset_s": answer.ClockOffset.Seconds()}, nil
}

// ---- datagrams at a stated rate, each echoed, none lost ----

const (
	streamBytes = 1200
	streamCount = 2000
	streamRate  = 20_000_000 // bits per second at most
	streamAhead = 40         // not answered yet; more would be lost where a busy machine lets a receiver wait
)

// streamDatagrams sends them from an unconnected socket and checks every byte of what comes back.
func streamDatagrams(t target) (map[string]any, error) {
	to, err := net.ResolveUDPAddr("udp", t.address)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	sending, ahead, start := make(chan error, 1), make(chan bool, streamAhead), time.Now()
	go func() { sending <- sendAtRate(socket, to, start, ahead) }()
	seen := make(map[uint32]bool)
	buffer := make([]byte, 2*streamBytes)
	for len(seen) < streamCount {
		if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return nil, err
		}
		n, from, err := socket.ReadFromUDP(buffer)
		if err != nil {
			return nil, fmt.Errorf("%d datagrams came: %w", len(seen), err)
		}
		if !from.IP.Equal(to.IP) || from.Port != to.Port {
			return nil, fmt.Errorf("an answer from %s", from)
		}
		number := binary.BigEndian.Uint32(buffer)
		if seen[number] {
			return nil, fmt.Errorf("datagram %d came twice", number)
		}
		if err := same(fmt.Sprintf("datagram %d", number), buffer[:n], datagram(number)); err != nil {
			return nil, err
		}
		seen[number] = true
		<-ahead
	}
	if err := <-sending; err != nil {
		return nil, err
	}
	return map[string]any{"bytes": streamCount * streamBytes, "seconds": time.Since(start).Seconds()}, nil
}

func datagram(number uint32) []byte {
	out := pattern(number, streamBytes)
	binary.BigEndian.PutUint32(out, number)
	return out
}

func sendAtRate(socket *net.UDPConn, to *net.UDPAddr, start time.Time, ahead chan<- bool) error {
	const each = time.Second * streamBytes * 8 / streamRate
	for i := 0; i < streamCount; i++ {
		time.Sleep(time.Until(start.Add(time.Duration(i) * each)))
		ahead <- true
		if _, err := socket.WriteToUDP(datagram(uint32(i)), to); err != nil {
			return err
		}
	}
	return nil
}

func serveUDP(address, _ string) error {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	buffer := make([]byte, 65536)
	for {
		n, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if _, err := socket.WriteTo(buffer[:n], from); err != nil {
			return err
		}
	}
}
