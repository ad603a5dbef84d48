package main

import (
	"bytes"
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
	connection := rpc.NewClient(dial(address))
	var calls atomic.Int64
	begin := now()
	stop := keepCalling(connection, users, &calls)
	time.Sleep(duration)
	stop()
	report(calls.Load(), begin)
}

// keepCalling begins to call and to count; it returns what ends that.
func keepCalling(connection *rpc.Client, users int, calls *atomic.Int64) func() {
	var stop atomic.Bool
	var group sync.WaitGroup
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
	return func() {
		stop.Store(true)
		group.Wait()
	}
}

// bound calls as fast as any client can: it sends prepared bytes, as many calls as it has received replies, and counts
// replies by their length without decoding them. Its rate is the limit of the load test.
func bound(address string, users int, duration time.Duration) {
	// The first call and the further ones of docs/protocol.md; the same number each time, three bytes wide.
	const first = "\x2f\xff\x81\x03\x01\x01\x07Request\x01\xff\x82\x00\x01\x02\x01\x0dServiceMethod\x01\x0c\x00" +
		"\x01\x03Seq\x01\x06\x00\x00\x00" + "\x0f\xff\x82\x01\x0aServer.Run\x00" +
		"\x13\xff\x83\x03\x01\x01\x07NullArg\x01\xff\x84\x00\x00\x00" + "\x03\xff\x84\x00"
	const call = "\x14\xff\x82\x01\x0aServer.Run\x01\xfd\x01\x01\x01\x00" + "\x03\xff\x84\x00"
	connection := dial(address)
	received := make([]byte, 1<<16)
	if _, err := connection.Write([]byte(first)); err != nil {
		log.Fatal(err)
	}
	// The first reply defines types; at its end is a body of three bytes, the last of them zero.
	for n := 0; n < 4 || received[n-4] != 3 || received[n-1] != 0; {
		count, err := connection.Read(received[n:])
		if err != nil {
			log.Fatal(err)
		}
		n += count
	}
	calls := bytes.Repeat([]byte(call), max(users, len(received)/len(call)+1))
	var replies int64
	begin := now()
	for part, due := 0, users; time.Since(begin.time) < duration; {
		if _, err := connection.Write(calls[:due*len(call)]); err != nil {
			log.Fatal(err)
		}
		count, err := connection.Read(received)
		if err != nil {
			log.Fatal(err)
		}
		part += count
		due = part / len(call)
		part %= len(call)
		replies += int64(due)
	}
	report(replies, begin)
}

// dial connects as soon as the server listens.
func dial(address string) net.Conn {
	connection, err := net.Dial("tcp", address)
	for begin := time.Now(); err != nil; connection, err = net.Dial("tcp", address) {
		if time.Since(begin) > 10*time.Second {
			log.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return connection
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
