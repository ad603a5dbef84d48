// httpget is a load test as go-lo users wrote them: each call makes one HTTP GET, and its result is printed from a
// goroutine a few milliseconds after the call has returned.
//
// Built with -ldflags "-X main.target=http://127.0.0.1:PORT/".
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

var target = "http://127.0.0.1:8000/"

// One idle connection per user, so that no call pays for a new one.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4096}}

var made atomic.Int64

type NullArg struct{}

type Server struct{}

type result struct {
	SequenceID string    `json:"sequenceID"`
	URL        string    `json:"url"`
	Method     string    `json:"method"`
	Status     int       `json:"status"`
	Size       int64     `json:"size"`
	Timestamp  time.Time `json:"timestamp"`
	Duration   int64     `json:"duration"`
	Error      any       `json:"error"`
}

func (*Server) Run(_ *NullArg, _ *NullArg) error {
	outcome := get()
	outcome.SequenceID = strconv.FormatInt(made.Add(1), 10)
	go func() {
		time.Sleep(time.Duration(1+rand.Intn(10)) * time.Millisecond)
		line, err := json.Marshal(outcome)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", line)
	}()
	return nil
}

func get() (outcome result) {
	outcome = result{URL: target, Method: http.MethodGet, Size: -1}
	begin := time.Now()
	response, err := client.Get(target)
	if err == nil {
		outcome.Status = response.StatusCode
		outcome.Size, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	outcome.Timestamp = time.Now()
	outcome.Duration = int64(outcome.Timestamp.Sub(begin))
	if err != nil {
		outcome.Error = err.Error()
	}
	return outcome
}

func main() {
	address := os.Getenv("GOLO_RPC_ADDR")
	if address == "" {
		address = "127.0.0.1:9999"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	if err := rpc.Register(new(Server)); err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}
