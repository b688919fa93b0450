// SPDX-License-Identifier: LGPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const answersShown = 16 // of one message, which may have thousands

// describe says in one line what a DNS message asks, or what it answers. Names and texts come from anybody: nothing of them
// reaches a terminal that is no printable ASCII.
func describe(message []byte) string {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil {
		return "no DNS message: " + err.Error()
	}
	question, err := p.Question()
	if err != nil {
		return "no question"
	}
	asked := typeName(question.Type) + " " + clean(question.Name.String())
	if !header.Response {
		return asked
	}
	if err := p.SkipAllQuestions(); err != nil {
		return asked + " = " + err.Error()
	}
	answers, err := answersOf(&p)
	if err != nil {
		answers = append(answers, "("+err.Error()+")")
	}
	if header.Truncated {
		answers = append(answers, "(truncated: asked again by TCP)")
	}
	if len(answers) == 0 {
		answers = append(answers, "("+nothing(header.RCode)+")")
	}
	return asked + " = " + strings.Join(answers, ", ")
}

func nothing(code dnsmessage.RCode) string {
	switch code {
	case dnsmessage.RCodeSuccess:
		return "nothing"
	case dnsmessage.RCodeNameError:
		return "no such name"
	}
	return strings.TrimPrefix(code.String(), "RCode")
}

func answersOf(p *dnsmessage.Parser) ([]string, error) {
	var list []string
	for {
		header, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		if len(list) == answersShown {
			return append(list, "..."), nil
		}
		text, err := answer(p, header.Type)
		if err != nil {
			return list, err
		}
		list = append(list, text)
	}
}

func answer(p *dnsmessage.Parser, kind dnsmessage.Type) (string, error) {
	switch kind {
	case dnsmessage.TypeA:
		r, err := p.AResource()
		return netip.AddrFrom4(r.A).String(), err
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		return netip.AddrFrom16(r.AAAA).String(), err
	case dnsmessage.TypeCNAME:
		r, err := p.CNAMEResource()
		return "CNAME " + clean(r.CNAME.String()), err
	case dnsmessage.TypePTR:
		r, err := p.PTRResource()
		return clean(r.PTR.String()), err
	case dnsmessage.TypeMX:
		r, err := p.MXResource()
		return fmt.Sprintf("%d %s", r.Pref, clean(r.MX.String())), err
	case dnsmessage.TypeSRV:
		r, err := p.SRVResource()
		return fmt.Sprintf("%s:%d", clean(r.Target.String()), r.Port), err
	case dnsmessage.TypeTXT:
		r, err := p.TXTResource()
		return `"` + clean(strings.Join(r.TXT, "")) + `"`, err
	}
	return typeName(kind), p.SkipAnswer()
}

// typeName is A, AAAA, ...; TYPE65 for one that has no name here, as in RFC 3597.
func typeName(kind dnsmessage.Type) string {
	if name := kind.String(); strings.HasPrefix(name, "Type") {
		return strings.TrimPrefix(name, "Type")
	}
	return fmt.Sprintf("TYPE%d", uint16(kind))
}

// clean writes bytes that are not printable as master files have them: \007.
func clean(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if c := text[i]; c >= ' ' && c < 0x7f {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, `\%03d`, c)
		}
	}
	return out.String()
}
