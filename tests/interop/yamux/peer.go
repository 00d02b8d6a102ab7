// The other implementation: HashiCorp's yamux, speaking the little protocol described in peer.c on descriptor 3.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/yamux"
)

const bulk = 50 << 20

var resets uint32

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "go: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func want(ok bool, what string) {
	if !ok {
		check(fmt.Errorf("not so"), what)
	}
}

type pattern struct{ at, end uint64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.end {
		return 0, io.EOF
	}
	n := uint64(len(b))
	if n > p.end-p.at {
		n = p.end - p.at
	}
	for i := uint64(0); i < n; i++ {
		b[i] = byte((p.at+i)*131 + (p.at+i)>>8)
	}
	p.at += n
	return int(n), nil
}

// Only Reader and Writer, so that io.Copy uses its own buffer.
type plainWriter struct{ io.Writer }

func respond(session *yamux.Session, s net.Conn) {
	defer s.Close()
	var head struct {
		Command byte
		Length  uint64
	}
	if binary.Read(s, binary.BigEndian, &head) != nil {
		return
	}
	switch head.Command {
	case 'e':
		_, err := io.CopyN(plainWriter{s}, s, int64(head.Length))
		check(err, "echo")
	case 's':
		sum := fnv.New64a()
		n, err := io.CopyN(sum, s, int64(head.Length))
		check(err, "reading bulk")
		binary.Write(s, binary.BigEndian, [2]uint64{uint64(n), sum.Sum64()})
	case 'b':
		_, err := io.Copy(plainWriter{s}, &pattern{0, head.Length})
		check(err, "sending bulk")
	case 'w':
		s.Write([]byte{'!'})
		_, err := io.Copy(io.Discard, s)
		if err == yamux.ErrConnectionReset {
			atomic.AddUint32(&resets, 1)
		}
	case 'q':
		s.Write([]byte{byte(atomic.LoadUint32(&resets))})
	case 'g':
		check(session.GoAway(), "go away")
		s.Write([]byte{'!'})
	}
}

func open(session *yamux.Session, command byte, length int) *yamux.Stream {
	s, err := session.OpenStream()
	check(err, "open")
	check(binary.Write(s, binary.BigEndian, struct {
		Command byte
		Length  uint64
	}{command, uint64(length)}), "command")
	return s
}

func echo(session *yamux.Session, text []byte) {
	s := open(session, 'e', len(text))
	go s.Write(text)
	back, err := io.ReadAll(s)
	check(err, "echo back")
	want(bytes.Equal(back, text), "echo is the same")
	check(s.Close(), "close")
}

func initiate(session *yamux.Session) {
	_, err := session.Ping()
	check(err, "ping")
	echo(session, []byte("hello"))
	var all sync.WaitGroup
	for i := 1; i <= 100; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			echo(session, bytes.Repeat([]byte{byte(i)}, i*1000))
		}(i)
	}
	all.Wait()

	s := open(session, 's', bulk)
	sum := fnv.New64a()
	io.Copy(io.MultiWriter(s, sum), &pattern{0, bulk})
	var answer [2]uint64
	check(binary.Read(s, binary.BigEndian, &answer), "answer to bulk")
	want(answer[0] == bulk && answer[1] == sum.Sum64(), "bulk arrived")
	check(s.Close(), "close")

	s = open(session, 'b', bulk)
	got := fnv.New64a()
	n, err := io.Copy(got, s)
	check(err, "reading bulk")
	want(n == bulk && got.Sum64() == sum.Sum64(), "bulk came back")
	check(s.Close(), "close")

	s = open(session, 'x', 0)
	_, err = io.Copy(io.Discard, s)
	want(err == yamux.ErrConnectionReset, "reset is seen")

	s = open(session, 'g', 0)
	_, err = io.ReadAll(s)
	check(err, "answer to go away")
	check(s.Close(), "close")
	_, err = session.OpenStream()
	want(err == yamux.ErrRemoteGoAway, "no stream after go away")
}

func main() {
	log.SetOutput(io.Discard)
	conn, err := net.FileConn(os.NewFile(3, "peer"))
	check(err, "descriptor 3")
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	var session *yamux.Session
	if os.Args[1] == "client" {
		session, err = yamux.Client(conn, config)
	} else {
		session, err = yamux.Server(conn, config)
	}
	check(err, "session")
	if os.Args[2] == "initiate" {
		initiate(session)
		session.Close()
		return
	}
	for {
		s, err := session.Accept()
		if err != nil {
			return
		}
		go respond(session, s)
	}
}
