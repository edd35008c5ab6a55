package config

import (
	"path/filepath"
	"strings"
)

// Protocol is what is spoken to a server.
type Protocol uint8

// The protocols.
const (
	HTTP1 Protocol = iota
	FastCGI
	UWSGI
	SCGI
	RawTCP // bytes are passed on unread
)

var protocolNames = []string{"http1", "fastcgi", "uwsgi", "scgi", "tcp"}

// String returns the protocol's name in a configuration.
func (p Protocol) String() string { return protocolNames[p] }

// Script says which program a FastCGI server is told to run for a path (SCRIPT_FILENAME).
type Script struct {
	Root  string   // the directory that paths begin at; empty: every request is for File
	Index string   // the name of the program that answers for a directory; empty: none
	Split []string // a path's first segment that ends in one of them names the program; the rest is PATH_INFO
	File  string   // an absolute path: the program for paths that name none, or no file; empty: 404
}

// protocolKind is one of some protocols.
func protocolKind(names ...string) kind[Protocol] {
	return convert(enumKind(names...), func(name string) Protocol {
		for p, n := range protocolNames {
			if n == name {
				return Protocol(p)
			}
		}
		return HTTP1
	})
}

func scriptObject(t *table) *object[Script] {
	if t.script != nil {
		return t.script
	}
	o := newObject[Script](t, "fastcgi", "fastcgi", "Which program a FastCGI server such as PHP-FPM runs for a path. Without it no "+
		"program is named, and all of the path is PATH_INFO: right for servers that are one program.")
	add(o, "root", directoryKind(), func(s *Script) *string { return &s.Root }, "",
		"The directory that paths begin at (DOCUMENT_ROOT). Programs are looked for there before the server is asked: what is no file there is not run.")
	file := scalar("the name of a file such as index.php", stringShape(), func(s string) (string, *complaint) {
		if s == "" || strings.ContainsAny(s, "/\x00") || s[0] == '.' {
			return "", &complaint{}
		}
		return s, nil
	})
	add(o, "index", file, func(s *Script) *string { return &s.Index }, "index.php", "The program that answers for a path that ends in /, when it is there.")
	extension := scalar("the end of a program's name such as .php", stringShape(), func(s string) (string, *complaint) {
		if len(s) < 2 || s[0] != '.' || strings.ContainsAny(s, "/\x00") {
			return "", &complaint{}
		}
		return s, nil
	})
	add(o, "split_path", list(extension, "a list of ends of names such as [.php]", true, false), func(s *Script) *[]string { return &s.Split }, "[.php]",
		"The first segment of a path that ends in one of them names the program; what follows is PATH_INFO.")
	add(o, "script", textKind("the path of a program such as index.php"), func(s *Script) *string { return &s.File }, "",
		"The program for every path that names no other: a front controller. A relative path begins at root; without root it is the one program there is, "+
			"by its path where the server runs.")
	o.done = (*decoder).finishScript
	t.script = o
	return o
}

func (d *decoder) finishScript(at value, given map[string]value, s *Script) {
	script, hasScript := given["script"]
	_, hasRoot := given["root"]
	switch {
	case !hasRoot && !hasScript:
		d.failKey(at, "fastcgi without root and without script", "write root: with the directory of the programs, or script: with the one program there is")
	case hasScript && s.File == "" && script.isScalar():
		d.fail(script, "script is empty", "write the path of a program such as index.php")
	case hasScript && !hasRoot && !filepath.IsAbs(s.File) && s.File != "":
		d.fail(script, "script is a relative path, and there is no root", "write root: too, or the whole path")
	case hasScript && hasRoot && s.File != "" && s.Root != "":
		if !filepath.IsAbs(s.File) {
			s.File = filepath.Join(s.Root, s.File)
		}
		if within, err := filepath.Rel(s.Root, s.File); err != nil || within == ".." || strings.HasPrefix(within, "../") {
			d.fail(script, "script is outside of root", "write a path below "+s.Root)
		}
	}
	if !hasRoot {
		for _, name := range []string{"index", "split_path"} {
			if v, ok := given[name]; ok {
				d.failKey(v, name+" without root", "without root there is only the program in script: take it out, or write root:")
			}
		}
	}
}

// checkProtocol looks whether what is said beside a protocol goes with it. at is what has the keys.
func (d *decoder) checkProtocol(given map[string]value, p Protocol) {
	if v, ok := given["fastcgi"]; ok && p != FastCGI {
		hint := "write protocol: fastcgi beside it, or take it out"
		d.failKey(v, "fastcgi for servers that speak "+p.String(), hint)
	}
	if v, ok := given["keep"]; ok && (p == UWSGI || p == SCGI) {
		d.failKey(v, "keep for servers that speak "+p.String(), "it has a connection for each request: take it out")
	}
}

// followProtocol gives a pool the protocol of its servers: an app's is its workers'.
func (d *decoder) followProtocol(given map[string]value, p *poolDraft) {
	if v, ok := given["protocol"]; ok && p.App != "" {
		d.failKey(v, "protocol in the pool of an app", "the app says what its workers speak: write it there")
	}
	if v, ok := given["fastcgi"]; ok && p.App != "" {
		d.failKey(v, "fastcgi in the pool of an app", "the app says what its workers run: write it there")
		return
	}
	if p.App == "" {
		d.checkProtocol(given, p.Protocol)
	}
	_, p.keeps = given["keep"]
	p.keepAt = given["keep"]
	p.healthAt, p.hedgeAt = given["health"], given["hedge"]
	p.unkeep()
	if p.App == "" {
		d.needsHTTP(p)
	}
}

// needsHTTP refuses what asks servers in HTTP where they do not speak it.
func (d *decoder) needsHTTP(p *poolDraft) {
	if p.Protocol == HTTP1 || p.Protocol == RawTCP {
		return
	}
	if p.health != nil && p.health.Type == "http" {
		d.failKey(p.healthAt, "a check by HTTP of servers that speak "+p.Protocol.String(), "write type: tcp, or type: command; an app's workers have alive")
	}
	if p.Hedge != nil {
		d.failKey(p.hedgeAt, "hedge for servers that speak "+p.Protocol.String(), "only requests by HTTP are sent twice: take it out")
	}
}

// unkeep keeps no connection where nobody asked for it and it would do harm: one that rests holds a whole process of PHP-FPM.
// uwsgi and SCGI have none to keep.
func (p *poolDraft) unkeep() {
	if p.Protocol != HTTP1 && !p.keeps {
		p.Keep = 0
	}
}

// takeProtocol makes a pool speak as its app's workers do.
func (d *decoder) takeProtocol(p *poolDraft, a *App) {
	p.Protocol, p.Script = a.Protocol, a.Script
	if p.keeps && (p.Protocol == UWSGI || p.Protocol == SCGI) {
		d.failKey(p.keepAt, "keep for workers that speak "+p.Protocol.String(), "it has a connection for each request: take it out")
	}
	p.unkeep()
	d.needsHTTP(p)
}
