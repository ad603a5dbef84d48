package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
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
	settleDelay  = 500 * time.Millisecond
)

// whole works as the last Go agent of 2018: it runs a load test, drives it, reads its stdout, and posts the results to the
// collector, with a goroutine for each call and for each line's print to the log; every result is decoded, passed on by
// value through a channel without a buffer, and encoded again. It reports the number of results delivered in a duration,
// after a warm-up.
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
	results := make(chan result)
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

// decode reads the load test's lines: each is formatted into the log by a goroutine of its own, and is a result once
// decoded. A goroutine gets a copy of the line, where the agent of 2018 passed on the scanner's buffer, which the next
// lines overwrite.
func decode(stdout io.Reader, path string, results chan<- result) {
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		line := bytes.Clone(lines.Bytes())
		go fmt.Fprintf(file, "%s\n", string(line))
		decoded := new(result)
		if json.Unmarshal(line, decoded) == nil {
			results <- *decoded
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

// deliver posts a batch when it is full; meanwhile no line is read.
func deliver(results <-chan result, collector string, delivered *atomic.Int64) {
	var batch []result
	for line := range results {
		batch = append(batch, line)
		if len(batch) < batchResults {
			continue
		}
		body, err := json.Marshal(batch)
		if err != nil {
			log.Fatal(err)
		}
		answer, err := http.Post(collector, "application/json", bytes.NewBufferString(string(body)))
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		delivered.Add(int64(len(batch)))
		batch = nil
	}
}
