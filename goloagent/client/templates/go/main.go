// A load test in Go, with the standard library only: each journey of a user is one GET.
//
//	CGO_ENABLED=0 go build -o loadtest .
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A result: one line of JSON on stdout for each request.
type result struct {
	SequenceID string    `json:"sequenceID"`
	URL        string    `json:"url"`
	Method     string    `json:"method"`
	Status     int       `json:"status"`
	Size       int64     `json:"size"`
	Timestamp  time.Time `json:"timestamp"`
	Duration   int64     `json:"duration"` // nanoseconds
	Error      *string   `json:"error"`
}

type (
	Server struct{}
	Empty  struct{}
)

var (
	url      = env("TARGET", "http://127.0.0.1:8000/")
	journeys atomic.Int64
	client   = &http.Client{
		Timeout: 30 * time.Second,
		// Each user keeps a connection open.
		Transport: &http.Transport{MaxIdleConnsPerHost: 10_000},
		// A redirect is a request of its own.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	stdout sync.Mutex
)

// Run is one journey of one user. It is called repeatedly and concurrently. A failed request is
// reported too, and fails the call.
func (*Server) Run(*Empty, *Empty) error {
	made := result{
		SequenceID: strconv.FormatInt(journeys.Add(1), 10),
		URL:        url,
		Method:     http.MethodGet,
		Size:       -1,
	}
	start := time.Now()
	response, err := client.Get(url)
	if err == nil {
		made.Status = response.StatusCode
		made.Size, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	made.Timestamp = time.Now()
	made.Duration = int64(made.Timestamp.Sub(start))
	if err != nil {
		text := err.Error()
		made.Error = &text
	}
	report(made)
	if err == nil && made.Status >= 400 {
		err = fmt.Errorf("GET %s: status %d", url, made.Status)
	}
	return err
}

func report(made result) {
	line, err := json.Marshal(made)
	if err != nil {
		log.Fatal(err)
	}
	stdout.Lock()
	defer stdout.Unlock()
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		log.Fatal(err)
	}
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	if err := rpc.Register(new(Server)); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", env("GOLO_RPC_ADDR", "127.0.0.1:9999"))
	if err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}
