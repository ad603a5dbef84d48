// counter prints a fixed number of numbered results, one for each call, and then answers calls without printing.
// It notes each signal on stderr with the time since its first call; SIGTERM ends it.
//
// Built with -ldflags "-X main.NAME=VALUE ...":
//
//	count   how many lines it prints
//	spoil   when set, every tenth line is not a result
//	refuse  when set, every call returns this error
//	abort   when set, it aborts as soon as the last line is printed
package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"
)

var count, spoil, refuse, abort string

// The duration of a call that prints nothing.
const pause = 5 * time.Millisecond

// Lines that are not results; each costs only itself.
var spoilt = []string{
	"plain text",
	`{"status": 200, "timestamp": `,
	`{"status": "200", "timestamp": "2024-01-01T00:00:00Z"}`,
	`{"status": 200}`,
	`{"status": NaN, "timestamp": "2024-01-01T00:00:00Z"}`,
	"\x00\xff\xfe",
	"[]",
	"",
}

type NullArg struct{}

type Server struct {
	sync.Mutex
	last    int
	printed int
	begin   time.Time
}

func (server *Server) Run(_ *NullArg, _ *NullArg) error {
	if refuse != "" {
		time.Sleep(pause)
		return errors.New(refuse)
	}
	if !server.print() {
		time.Sleep(pause)
	}
	return nil
}

// print writes the next line, and says whether there was one left.
func (server *Server) print() bool {
	server.Lock()
	defer server.Unlock()
	if server.begin.IsZero() {
		server.begin = time.Now()
	}
	if server.printed == server.last {
		return false
	}
	server.printed++
	os.Stdout.WriteString(line(server.printed) + "\n")
	if server.printed == server.last && abort != "" {
		// Without this Go's runtime turns the signal into exit code 2.
		debug.SetTraceback("crash")
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {}
	}
	return true
}

func line(number int) string {
	if spoil != "" && number%10 == 0 {
		return spoilt[number/10%len(spoilt)]
	}
	return fmt.Sprintf(
		`{"sequenceID":"%d","url":"http://example.org/","method":"GET","status":200,"size":12,`+
			`"timestamp":%q,"duration":1500000,"error":null}`,
		number, time.Now().Format(time.RFC3339Nano))
}

func (server *Server) noteSignals() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals)
	for received := range signals {
		// Go's own runtime sends SIGURG to its threads.
		if received == syscall.SIGURG {
			continue
		}
		server.Lock()
		fmt.Fprintf(os.Stderr, "signal %d after %.3f s\n", received, time.Since(server.begin).Seconds())
		if received == syscall.SIGTERM {
			os.Exit(0)
		}
		server.Unlock()
	}
}

func main() {
	last, err := strconv.Atoi(count)
	if err != nil {
		log.Fatal("count: ", err)
	}
	server := &Server{last: last}
	if abort == "" {
		go server.noteSignals()
	}
	address := os.Getenv("GOLO_RPC_ADDR")
	if address == "" {
		address = "127.0.0.1:9999"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	if err := rpc.Register(server); err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}
