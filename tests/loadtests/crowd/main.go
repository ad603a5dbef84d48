// crowd answers every call after half a second and counts how many were outstanding at once, and over how many
// connections. At SIGTERM it writes "calls N at-once N connections N" to stderr.
package main

import (
	"fmt"
	"log"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type NullArg struct{}

type Server struct {
	sync.Mutex
	calls, outstanding, most int
}

func (server *Server) Run(_ *NullArg, _ *NullArg) error {
	server.Lock()
	server.calls++
	server.outstanding++
	server.most = max(server.most, server.outstanding)
	server.Unlock()

	time.Sleep(500 * time.Millisecond)

	// Counted down before the reply is written: the next call can only come after it.
	server.Lock()
	server.outstanding--
	server.Unlock()
	return nil
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
	server := new(Server)
	if err := rpc.Register(server); err != nil {
		log.Fatal(err)
	}

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	arrived := make(chan net.Conn)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			arrived <- connection
		}
	}()

	connections := 0
	for {
		select {
		case connection := <-arrived:
			connections++
			go rpc.ServeConn(connection)
		case <-ended:
			server.Lock()
			fmt.Fprintf(os.Stderr, "calls %d at-once %d connections %d\n", server.calls, server.most, connections)
			os.Exit(0)
		}
	}
}
