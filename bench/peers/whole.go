package main

import (
	"bytes"
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

// whole does all that a Go agent does with a load test: runs it, drives it, reads what it prints, and posts each result
// to the collector. It reports what was delivered in so long, once that has gone on for a while.
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
	results := make(chan []byte, batchResults)
	over := make(chan struct{})
	go func() {
		read(stdout, path, func(line []byte) { results <- bytes.Clone(line) })
		close(over)
	}()
	var delivered, calls atomic.Int64
	go deliver(results, collector, &delivered)
	stop := keepCalling(rpc.NewClient(dial(address)), users, &calls)
	time.Sleep(settleDelay)
	before, begin := delivered.Load(), now()
	time.Sleep(duration)
	report(delivered.Load()-before, begin)
	stop()
	command.Process.Kill()
	<-over
	command.Wait()
}

// deliver posts a batch when it is full, or so long after its first result.
func deliver(results <-chan []byte, collector string, delivered *atomic.Int64) {
	for first := range results {
		batch := [][]byte{first}
		for late := time.After(batchDelay); len(batch) < batchResults && late != nil; {
			select {
			case line := <-results:
				batch = append(batch, line)
			case <-late:
				late = nil
			}
		}
		body := append(append([]byte{'['}, bytes.Join(batch, []byte{','})...), ']')
		answer, err := http.Post(collector, "application/json", bytes.NewReader(body))
		if err != nil {
			log.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		delivered.Add(int64(len(batch)))
	}
}
