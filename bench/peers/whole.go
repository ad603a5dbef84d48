package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/rpc"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	batchResults = 256
	batchDelay   = time.Second
	settleDelay  = 500 * time.Millisecond
)

// whole works as the Go agent of 2018: it runs a load test, drives it, reads its stdout, and posts each result to the
// collector, with a goroutine for each call and for each line's write to the log; every result is decoded, passed on by
// value, and encoded again. It reports the number of results delivered in a duration, after a warm-up.
func whole(loadTest, address, collector, path string, users int, duration time.Duration) {
	command := exec.Command(loadTest)
	command.Env = append(os.Environ(), "GOLO_RPC_ADDR="+address)
	// It ends with this thread, however that ends.
	runtime.LockOSThread()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := command.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := command.Start(); err != nil {
		log.Fatal(err)
	}
	results := make(chan result, batchResults)
	over := make(chan struct{})
	go func() {
		decode(stdout, path, results)
		close(over)
	}()
	var delivered atomic.Int64
	go deliver(results, collector, &delivered)
	stop := startCalls(rpc.NewClient(dial(address)), users)
	time.Sleep(settleDelay)
	before, begin := delivered.Load(), now()
	time.Sleep(duration)
	report(delivered.Load()-before, begin)
	stop()
	command.Process.Kill()
	<-over
	command.Wait()
}

// decode reads the load test's lines: each is written to the log by a goroutine of its own, and is a result once decoded.
func decode(stdout io.Reader, path string, results chan<- result) {
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewReader(stdout); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		go file.Write(line)
		var decoded result
		if json.Unmarshal(line, &decoded) == nil {
			results <- decoded
		}
	}
}

// startCalls keeps `users` calls outstanding, each made by a new goroutine; it returns what ends that.
func startCalls(connection *rpc.Client, users int) func() {
	var stopped atomic.Bool
	free := make(chan struct{}, users)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !stopped.Load() {
			free <- struct{}{}
			go func() {
				defer func() { <-free }()
				if err := connection.Call("Server.Run", &NullArg{}, &NullArg{}); err != nil && !stopped.Load() {
					log.Fatal(err)
				}
			}()
		}
	}()
	return func() {
		stopped.Store(true)
		<-ended
	}
}

// deliver posts a batch when it is full, or so long after its first result.
func deliver(results <-chan result, collector string, delivered *atomic.Int64) {
	for first := range results {
		batch := []result{first}
		for late := time.After(batchDelay); len(batch) < batchResults && late != nil; {
			select {
			case line := <-results:
				batch = append(batch, line)
			case <-late:
				late = nil
			}
		}
		body, err := json.Marshal(batch)
		if err != nil {
			log.Fatal(err)
		}
		answer, err := http.Post(collector, "application/json", bytes.NewReader(body))
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		delivered.Add(int64(len(batch)))
	}
}
