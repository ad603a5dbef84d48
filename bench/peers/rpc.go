package main

import (
	"log"
	"net"
	"net/rpc"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type NullArg struct{}

type Server struct{ run func() }

func (server *Server) Run(_ *NullArg, _ *NullArg) error {
	server.run()
	return nil
}

// serve is a load test whose every call does `run`.
func serve(run func()) {
	listener, err := net.Listen("tcp", os.Getenv("GOLO_RPC_ADDR"))
	if err != nil {
		log.Fatal(err)
	}
	if err := rpc.Register(&Server{run}); err != nil {
		log.Fatal(err)
	}
	rpc.Accept(listener)
}

// client calls with Go's own client, `users` goroutines at once, each again as soon as its call has returned.
func client(address string, users int, duration time.Duration) {
	connection, err := rpc.Dial("tcp", address)
	for begin := time.Now(); err != nil; connection, err = rpc.Dial("tcp", address) {
		if time.Since(begin) > 10*time.Second {
			log.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	var calls atomic.Int64
	var stop atomic.Bool
	var group sync.WaitGroup
	begin := time.Now()
	for range make([]struct{}, users) {
		group.Add(1)
		go func() {
			defer group.Done()
			for !stop.Load() {
				if err := connection.Call("Server.Run", NullArg{}, &NullArg{}); err != nil {
					log.Fatal(err)
				}
				calls.Add(1)
			}
		}()
	}
	time.Sleep(duration)
	stop.Store(true)
	group.Wait()
	report(calls.Load(), begin)
}

// printer prints so many lines a call.
func printer(lines, urls int) func() {
	made := block(lines, urls)
	var mutex sync.Mutex
	return func() {
		mutex.Lock()
		defer mutex.Unlock()
		os.Stdout.Write(made)
	}
}
