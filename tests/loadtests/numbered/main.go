// numbered prints numbered results in blocks, and notes each block in a file before it prints it, independently of log, agent and collector.
//
// In the directory -notes it adds a line with its job's id to the file starts, and to the file <job id> a line for each block: the last number in it and the
// nanoseconds since the first call. A job's id is the name of the directory that it runs in.
//
// The first call starts the printing. Calls return at once or, if stdout limits the rate, after all is printed.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	blockLines = 100
	pause      = 5 * time.Millisecond
	stamp      = "2026-01-02T03:04:05.123456789Z"
)

var (
	notes    = flag.String("notes", "", "directory of the notes")
	count    = flag.Int("count", 0, "how many lines to print; below 0: until SIGTERM")
	rate     = flag.Int("rate", 0, "lines per second; 0: as fast as stdout takes them")
	spoil    = flag.Bool("spoil", false, "make every tenth line no result")
	abort    = flag.Bool("abort", false, "abort when all is printed")
	stubborn = flag.Bool("stubborn", false, "ignore SIGTERM")
)

// Lines that are not results; each costs only itself.
var spoilt = [][]byte{
	[]byte("plain text"),
	[]byte(`{"status": NaN, "timestamp": "` + stamp + `"}`),
	[]byte("{\"url\": \"\x00\", \"timestamp\": \"" + stamp + "\"}"),
	[]byte("{\"url\": \"\xff\xfe\", \"timestamp\": \"" + stamp + "\"}"),
	[]byte(`{"status": "200", "timestamp": "` + stamp + `"}`),
	[]byte(`{"status": 200}`),
	[]byte(`{"status": 200, "timestamp": `),
	[]byte(""),
}

var (
	long = bytes.Repeat([]byte("x"), 10<<20)
	deep = []byte(`{"timestamp": "` + stamp + `", "error": ` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}")
)

func line(number int) []byte {
	if *spoil && number%10 == 0 {
		switch {
		case number == *count: // torn: the last line has no newline
			return []byte(`{"sequenceID":"torn","timesta`)
		case number%25_000 == 0:
			return append(long, '\n')
		case number%5_000 == 0:
			return append(deep, '\n')
		}
		return append(spoilt[number/10%len(spoilt)], '\n')
	}
	return fmt.Appendf(nil, `{"sequenceID":"%d","url":"http://example.org/","method":"GET","status":200,"size":12,"timestamp":"%s","duration":1500000,"error":null}`+"\n", number, stamp)
}

func note(file string, text string) {
	notes, err := os.OpenFile(filepath.Join(*notes, file), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer notes.Close()
	if _, err := notes.WriteString(text + "\n"); err != nil {
		log.Fatal(err)
	}
}

func print(job string) {
	begin := time.Now()
	for printed := 0; printed != *count; {
		due := printed + blockLines
		if *rate > 0 {
			due = min(due, int(time.Since(begin).Seconds()*float64(*rate)))
		}
		if *count >= 0 {
			due = min(due, *count)
		}
		if due == printed {
			time.Sleep(time.Millisecond)
			continue
		}
		var block []byte
		for number := printed + 1; number <= due; number++ {
			block = append(block, line(number)...)
		}
		note(job, fmt.Sprintf("%d %d", due, time.Since(begin).Nanoseconds()))
		if _, err := os.Stdout.Write(block); err != nil {
			log.Fatal(err)
		}
		printed = due
	}
	if *abort {
		// Without this Go's runtime turns the signal into exit code 2.
		debug.SetTraceback("crash")
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {}
	}
}

type NullArg struct{}

type Server struct {
	sync.Once
	job     string
	printed chan struct{}
}

func (server *Server) Run(_ *NullArg, _ *NullArg) error {
	server.Do(func() {
		go func() {
			print(server.job)
			close(server.printed)
		}()
	})
	if *rate == 0 {
		<-server.printed
	}
	time.Sleep(pause)
	return nil
}

func main() {
	flag.Parse()
	directory, err := os.Getwd()
	if err != nil {
		log.Fatal(err)
	}
	server := &Server{job: filepath.Base(directory), printed: make(chan struct{})}
	note("starts", server.job)
	if *stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	listener, err := net.Listen("tcp", os.Getenv("GOLO_RPC_ADDR"))
	if err != nil {
		log.Fatal(err)
	}
	if err := rpc.Register(server); err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}
