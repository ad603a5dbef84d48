// jsonrpc prints one result for each call, and serves them by Go's net/rpc/jsonrpc.
//
// Built with -ldflags "-X main.NAME=VALUE ...":
//
//	refuse  when set, every call returns this error
package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"sync"
	"time"
)

var refuse string

type NullArg struct{}

type Server struct {
	sync.Mutex
}

func (server *Server) Run(_ *NullArg, _ *NullArg) error {
	if refuse != "" {
		return errors.New(refuse)
	}
	time.Sleep(time.Millisecond)
	server.Lock()
	defer server.Unlock()
	fmt.Println(`{"status": 200, "duration": 1000000, "timestamp": "2024-02-29T12:00:00Z"}`)
	return nil
}

func main() {
	if err := rpc.Register(&Server{}); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", os.Getenv("GOLO_RPC_ADDR"))
	if err != nil {
		log.Fatal(err)
	}
	connection, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}
	jsonrpc.ServeConn(connection)
	select {} // SIGTERM ends it
}
