// A load test in Go, with the standard library only: each journey of a user is one GET.
//
//	CGO_ENABLED=0 go build -o my-loadtest http_get.go
package main

import (
	"encoding/json"
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

const url = "http://127.0.0.1:8000/"

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
	journeys atomic.Int64
	client   = &http.Client{
		Timeout: 30 * time.Second,
		// Each user keeps a connection open.
		Transport: &http.Transport{MaxIdleConnsPerHost: 10_000},
	}
	stdout sync.Mutex
)

// Run is one journey of one user. It is called repeatedly and concurrently.
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

func main() {
	address := os.Getenv("GOLO_RPC_ADDR")
	if address == "" {
		address = "127.0.0.1:9999"
	}
	if err := rpc.Register(new(Server)); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}
