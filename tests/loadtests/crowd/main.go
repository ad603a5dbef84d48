// crowd answers every call after half a second and counts how many were outstanding at once, and over how many
// connections. At SIGTERM it writes "calls N at-once N connections N" to stderr.
//
// Built with -ldflags "-X main.together=yes", it answers no call before as many as $GOLO_USERS were outstanding.
package main

import (
	"fmt"
	"log"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

var together string

type NullArg struct{}

type Server struct {
	sync.Mutex
	calls, outstanding, most int
	wanted                   int
	complete                 chan struct{}
}

func (server *Server) Run(_ *NullArg, _ *NullArg) error {
	server.Lock()
	server.calls++
	server.outstanding++
	server.most = max(server.most, server.outstanding)
	if server.calls == server.wanted {
		close(server.complete)
	}
	server.Unlock()

	<-server.complete
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
	server := &Server{complete: make(chan struct{})}
	if together == "" {
		close(server.complete)
	} else if server.wanted, err = strconv.Atoi(os.Getenv("GOLO_USERS")); err != nil {
		log.Fatal(err)
	}
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
