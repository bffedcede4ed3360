// Reading reads byte streams (a length of four octets, big endian, then the octets) and says for each, as a line of
// JSON, which requests Go's net/http server runs a handler for: method, request-target and body, both in hexadecimal. A body that
// does not come to its end has a "!" behind it.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

type address string

func (a address) Network() string { return "stream" }
func (a address) String() string  { return string(a) }

// A connection whose client has sent everything already.
type stream struct {
	mutex sync.Mutex
	data  []byte
	seen  [][3]string
	end   chan bool
	once  sync.Once
}

func (s *stream) Read(b []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	return n, nil
}
func (s *stream) Write(b []byte) (int, error)      { return len(b), nil }
func (s *stream) Close() error                     { s.once.Do(func() { close(s.end) }); return nil }
func (s *stream) LocalAddr() net.Addr              { return address("here") }
func (s *stream) RemoteAddr() net.Addr             { return address("there") }
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

type listener chan net.Conn

func (l listener) Accept() (net.Conn, error) { return <-l, nil }
func (l listener) Close() error              { return nil }
func (l listener) Addr() net.Addr            { return address("here") }

func main() {
	var current *stream
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		text := hex.EncodeToString(body)
		if err != nil {
			text += "!"
		}
		current.seen = append(current.seen, [3]string{r.Method, hex.EncodeToString([]byte(r.RequestURI)), text})
	}
	incoming := make(listener)
	server := &http.Server{Handler: http.HandlerFunc(handler), ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(incoming)
	input, output := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		var size uint32
		if binary.Read(input, binary.BigEndian, &size) != nil {
			return
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(input, data); err != nil {
			return
		}
		current = &stream{data: data, seen: [][3]string{}, end: make(chan bool)}
		incoming <- current
		<-current.end
		line, _ := json.Marshal(current.seen)
		output.Write(append(line, '\n'))
		output.Flush()
	}
}
