// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func name(text string) dnsmessage.Name { return dnsmessage.MustNewName(text) }

// packed is a message about one name.
func packed(t *testing.T, header dnsmessage.Header, kind dnsmessage.Type, answers ...dnsmessage.ResourceBody) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: header, Questions: []dnsmessage.Question{
		{Name: name("example.test."), Type: kind, Class: dnsmessage.ClassINET}}}
	for _, body := range answers {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: name("example.test."), Class: dnsmessage.ClassINET}, Body: body})
	}
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var answered = dnsmessage.Header{Response: true}

func TestDescribe(t *testing.T) {
	many := make([]dnsmessage.ResourceBody, answersShown+1)
	for i := range many {
		many[i] = &dnsmessage.AResource{A: [4]byte{10, 0, 0, byte(i)}}
	}
	for _, c := range []struct {
		message []byte
		want    string
	}{
		{packed(t, dnsmessage.Header{}, dnsmessage.TypeA), "A example.test."},
		{packed(t, dnsmessage.Header{}, 65), "TYPE65 example.test."},
		{packed(t, answered, dnsmessage.TypeA, &dnsmessage.CNAMEResource{CNAME: name("other.test.")},
			&dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}), "A example.test. = CNAME other.test., 192.0.2.1"},
		{packed(t, answered, dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: [16]byte{0xfd, 15: 7}}), "AAAA example.test. = fd00::7"},
		{packed(t, answered, dnsmessage.TypePTR, &dnsmessage.PTRResource{PTR: name("host.test.")}), "PTR example.test. = host.test."},
		{packed(t, answered, dnsmessage.TypeMX, &dnsmessage.MXResource{Pref: 10, MX: name("mail.test.")}),
			"MX example.test. = 10 mail.test."},
		{packed(t, answered, dnsmessage.TypeSRV, &dnsmessage.SRVResource{Port: 443, Target: name("host.test.")}),
			"SRV example.test. = host.test.:443"},
		{packed(t, answered, dnsmessage.TypeTXT, &dnsmessage.TXTResource{TXT: []string{"a\x1b[2J", "b\n"}}),
			`TXT example.test. = "a\027[2Jb\010"`},
		{packed(t, answered, dnsmessage.TypeNS, &dnsmessage.NSResource{NS: name("ns.test.")}), "NS example.test. = NS"},
		{packed(t, answered, dnsmessage.TypeA), "A example.test. = (nothing)"},
		{packed(t, dnsmessage.Header{Response: true, RCode: dnsmessage.RCodeNameError}, dnsmessage.TypeA),
			"A example.test. = (no such name)"},
		{packed(t, dnsmessage.Header{Response: true, RCode: dnsmessage.RCodeServerFailure}, dnsmessage.TypeA),
			"A example.test. = (ServerFailure)"},
		{packed(t, dnsmessage.Header{Response: true, Truncated: true}, dnsmessage.TypeA),
			"A example.test. = (truncated: asked again by TCP)"},
		{make([]byte, 12), "no question"},
	} {
		if got := describe(c.message); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
	got := describe(packed(t, answered, dnsmessage.TypeA, many...))
	if !strings.HasSuffix(got, "10.0.0.15, ...") {
		t.Errorf("of %d answers: %q", len(many), got)
	}
	if got := describe(nil); !strings.HasPrefix(got, "no DNS message: ") {
		t.Errorf("of nothing: %q", got)
	}
}

// Every input is hostile: cut off anywhere, with other bytes anywhere (lengths, pointers, types), it is described in one line of printable ASCII.
func TestDescribeAnything(t *testing.T) {
	whole := packed(t, answered, dnsmessage.TypeTXT, &dnsmessage.TXTResource{TXT: []string{"text"}},
		&dnsmessage.MXResource{MX: name("mail.test.")}, &dnsmessage.AResource{}, &dnsmessage.SRVResource{Target: name("a.")})
	check := func(message []byte) {
		for _, c := range []byte(describe(message)) {
			if c < ' ' || c >= 0x7f {
				t.Fatalf("of %x: %q", message, describe(message))
			}
		}
	}
	for i := range whole {
		check(whole[:i])
		for _, value := range []byte{0, 1, 2, 12, 16, 33, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff} {
			changed := append([]byte(nil), whole...)
			changed[i] = value
			check(changed)
		}
	}
}
